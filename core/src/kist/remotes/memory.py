"""MemoryRemote: the reference implementation of a remote; read this first when you write one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kist.abc import Capabilities, NullProgress, ObjectInfo, Progress, Remote
from kist.errors import RemoteExists, RemoteObjectNotFound
from kist.remotes.files import PIECE, read_source, write_target


class Stored(NamedTuple):
    """One object in memory."""

    data: bytes
    mtime: float
    sha256: str


class MemoryRemote(Remote):
    """Keeps objects in a dictionary: for tests, and as the example of the contract.

    Args:
        objects: the dictionary; two remotes on the same one are two connections to the same place.
        gate: called with the name of each method before it does anything; may raise what a server would.
    """

    capabilities = Capabilities(if_absent=True, any_key=True, server_digests=frozenset({"sha256"}))

    def __init__(self, objects: dict[str, Stored] | None = None, *, gate: Callable[[str], object] = str) -> None:
        self.objects: dict[str, Stored] = {} if objects is None else objects
        self._gate = gate

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Collect all bytes first, then let them appear in one step."""
        self._gate("put_file")
        data = b"".join(read_source(source, progress))
        stored = Stored(data, time.time(), hashlib.sha256(data).hexdigest())
        if not if_absent:
            self.objects[key] = stored
        elif self.objects.setdefault(key, stored) is not stored:  # one step: exactly one of many callers wins
            raise RemoteExists(f"the remote has {key} already")

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Write beside the target, then let it appear in one step."""
        self._gate("get_file")
        data = self._find(key).data
        write_target(target, (data[at : at + PIECE] for at in range(0, len(data), PIECE)), progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read a range; slices end where the object ends."""
        self._gate("open")
        return BytesIO(self._find(key).data[start : None if length is None else start + length])

    def stat(self, key: str) -> ObjectInfo:
        """Tell size, time, and the digest computed when the object arrived."""
        self._gate("stat")
        return self._info(key, self._find(key))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk over a copy of the keys, so that others may put and delete meanwhile."""
        self._gate("list")
        for key in sorted(self.objects.copy()):
            if key.startswith(prefix) and (stored := self.objects.get(key)):
                yield self._info(key, stored)

    def delete(self, key: str) -> None:
        """Forget a key."""
        self._gate("delete")
        self.objects.pop(key, None)

    def close(self) -> None:
        """Nothing to let go of."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.objects)} objects)"

    def _find(self, key: str) -> Stored:
        try:
            return self.objects[key]
        except KeyError:
            raise RemoteObjectNotFound(key) from None

    @staticmethod
    def _info(key: str, stored: Stored) -> ObjectInfo:
        return ObjectInfo(key=key, size=len(stored.data), mtime=stored.mtime, digests={"sha256": stored.sha256})
