"""Reading an object: requests of a limited size, and the comparison with the digest that Google tells."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from kist.errors import RemoteError, RemotePrecondition

if TYPE_CHECKING:
    from kist_gdrive.client import DriveClient, Entry
    from kist_gdrive.contents import Contents

BLOCK = 8 << 20
"""Bytes of one request; the client holds them in memory."""

_TRIES = 5
"""How often an object is looked at anew that is replaced again and again while it is read."""


class ObjectReader(io.RawIOBase):
    """Reads a range of an object; all of one is compared with its digest before its last bytes are given.

    Args:
        client: for requests.
        contents: what earlier commands read.
        key: the object's key.
        look: finds the object as it is now.
        start: the first byte.
        length: how many at most, None for all.
    """

    def __init__(
        self,
        client: DriveClient,
        contents: Contents,
        key: str,
        look: Callable[[], Entry],
        *,
        start: int,
        length: int | None,
    ) -> None:
        super().__init__()
        self._client, self._contents, self._key, self._look = client, contents, key, look
        self._entry = look()
        size = self._entry.size or 0
        self._at = start
        self._end = size if length is None else min(size, start + length)
        self._whole = start == 0 and self._end == size
        self._hash = hashlib.md5(usedforsecurity=False)
        self._block = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with what is there, after a request where nothing is left."""
        if not self._block and self._at < self._end:
            if self._whole and self._end <= BLOCK:
                self._block = memoryview(self._at_once())
                self._at = self._end
            else:
                self._block = memoryview(self._next_block())
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def _at_once(self) -> bytes:
        """All of a small object: as it was when it was found, or as it is now if it was replaced since."""
        if (known := self._contents.get(self._entry.md5, self._end)) is not None:
            return known
        for _ in range(_TRIES):
            data = self._client.read(self._entry.id, 0, self._end, whole=True, key=self._key)
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            before = self._entry
            if digest != before.md5:
                self._entry = self._look()
            if digest == self._entry.md5:
                self._contents.keep(digest, data)
                return data
            if before == self._entry:
                raise self._damaged()
        raise self._replaced()

    def _next_block(self) -> bytes:
        end = min(self._end, self._at + BLOCK)
        data = self._client.read(self._entry.id, self._at, end, whole=False, key=self._key)
        self._at += len(data)
        if self._whole:
            self._hash.update(data)
        wrong = self._whole and self._at == self._end and self._hash.hexdigest() != self._entry.md5
        if wrong or self._at != end:
            raise self._damaged() if self._look() == self._entry else self._replaced()
        return data

    def _damaged(self) -> RemoteError:
        text = f"{self._key} was damaged on the way: what came is not what Google has"
        return RemoteError(self._client.failures.message(text), hint="run the same command again")

    def _replaced(self) -> RemoteError:
        text = f"{self._key} was replaced while it was read"
        return RemotePrecondition(self._client.failures.message(text), hint="run the same command again")
