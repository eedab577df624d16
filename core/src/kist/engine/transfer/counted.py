"""CountedRemote: counts the calls that a transfer makes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from kist.abc.progress import NullProgress, Progress
from kist.abc.remote import ObjectInfo, Remote
from kist.errors import RemoteError


class CountedRemote(Remote):
    """Passes every call on to another remote and counts it.

    Args:
        inner: the remote that does the work.

    Attributes:
        calls: methods called so far; a listing counts once.
    """

    def __init__(self, inner: Remote) -> None:
        self.inner = inner
        self.capabilities = inner.capabilities
        self.calls = 0
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """Requests on the wire where the remote counts them itself, else the calls made here."""
        told = getattr(self.inner, "requests", None)
        return told if isinstance(told, int) else self.calls

    def _count(self) -> Remote:
        with self._lock:
            self.calls += 1
        return self.inner

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Count and pass on."""
        self._count().put_file(key, source, if_absent=if_absent, progress=progress)

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        """Count and pass on."""
        self._count().put_bytes(key, data, progress=progress, scratch=scratch)

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Count each object and pass on, so that a remote that has batches uses them."""
        given = list(items)
        with self._lock:
            self.calls += len(given)
        return self.inner.put_many(given, progress=progress)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Count and pass on."""
        self._count().get_file(key, target, progress=progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Count and pass on."""
        return self._count().open(key, start=start, length=length)

    def stat(self, key: str) -> ObjectInfo:
        """Count and pass on."""
        return self._count().stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Count and pass on."""
        return self._count().list(prefix)

    def delete(self, key: str) -> None:
        """Count and pass on."""
        self._count().delete(key)

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Count once and pass on, so that a remote that has batches uses them."""
        return self._count().delete_many(keys)

    def identity(self) -> str:
        """Pass on: no request."""
        return self.inner.identity()

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """Pass on: it is asked for people, not for a transfer."""
        return self.inner.describe_access()

    def sync(self) -> None:
        """Pass on: no request for most remotes, so it is not counted."""
        self.inner.sync()

    def sweep(self) -> int:
        """Pass on."""
        return self.inner.sweep()

    def close(self) -> None:
        """Pass on."""
        self.inner.close()
