"""WrappedRemote: the base of remotes that add one behaviour to another remote."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from kist.abc import Capabilities, NullProgress, ObjectInfo, Progress, Remote
from kist.errors import RemoteError


class _PassedOn(Remote):
    """Passes single calls on."""

    def __init__(self, inner: Remote) -> None:
        self.inner = inner

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """Those of the wrapped remote."""
        return self.inner.capabilities

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Passed on."""
        self.inner.put_file(key, source, if_absent=if_absent, progress=progress)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Passed on."""
        self.inner.get_file(key, target, progress=progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Passed on."""
        return self.inner.open(key, start=start, length=length)

    def stat(self, key: str) -> ObjectInfo:
        """Passed on."""
        return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Passed on."""
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        """Passed on."""
        self.inner.delete(key)

    def close(self) -> None:
        """Passed on."""
        self.inner.close()

    def sync(self) -> None:
        """Passed on."""
        self.inner.sync()

    def identity(self) -> str:
        """Passed on."""
        return self.inner.identity()

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """Passed on."""
        return self.inner.describe_access()

    def sweep(self) -> int:
        """Passed on."""
        return self.inner.sweep()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"


class WrappedRemote(_PassedOn):
    """Passes every call on to another remote; a subclass overrides what it changes.

    A batch method that the wrapped remote implements itself is passed on; where that has only the default, the default
    runs here, so that the single calls it is made of pass through the wrapper too. ``put_bytes`` of a subclass that
    overrides only ``put_file`` goes through that.

    Args:
        inner: the remote that does the work.
    """

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        """Passed on, or made of a file that is put."""
        if has_own(self.inner, "put_bytes") and type(self).put_file is WrappedRemote.put_file:
            self.inner.put_bytes(key, data, progress=progress, scratch=scratch)
        else:
            super().put_bytes(key, data, progress=progress, scratch=scratch)

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Passed on, or made of single calls."""
        return self.inner.exists_many(keys) if has_own(self.inner, "exists_many") else super().exists_many(keys)

    def get_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Passed on, or made of single calls."""
        own = has_own(self.inner, "get_many")
        return self.inner.get_many(items, progress=progress) if own else super().get_many(items, progress=progress)

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Passed on, or made of single calls."""
        own = has_own(self.inner, "put_many")
        return self.inner.put_many(items, progress=progress) if own else super().put_many(items, progress=progress)

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Passed on, or made of single calls."""
        return self.inner.delete_many(keys) if has_own(self.inner, "delete_many") else super().delete_many(keys)

    def copy(self, source: str, target: str) -> None:
        """Passed on, or made of a read and a put."""
        if has_own(self.inner, "copy"):
            self.inner.copy(source, target)
        else:
            super().copy(source, target)


def has_own(remote: Remote, method: str) -> bool:
    """Whether a remote, under all that wraps it, implements an optional method itself.

    Args:
        remote: the remote.
        method: the method's name.

    Returns:
        False where it has only the default of :class:`kist.abc.Remote`.
    """
    while isinstance(remote, WrappedRemote):
        remote = remote.inner
    return getattr(type(remote), method) is not getattr(Remote, method)


class ObservedProgress(Progress):
    """Tells a function of every advance before passing it on.

    Args:
        inner: where progress goes.
        observe: called with the amount.
    """

    def __init__(self, inner: Progress, observe: Callable[[int], None]) -> None:
        self._inner = inner
        self._observe = observe

    def advance(self, amount: int) -> None:
        """Observe, then pass on."""
        self._observe(amount)
        self._inner.advance(amount)

    def message(self, text: str) -> None:
        """Pass on."""
        self._inner.message(text)


class ObservedReader(io.RawIOBase):
    """A stream that tells a function how much each read gave; 0 at the end.

    Args:
        inner: the stream to read.
        observe: called with the number of bytes after every read.
        most: bytes of one read, None: as many as were asked for.
    """

    def __init__(self, inner: BinaryIO, observe: Callable[[int], None], most: int | None = None) -> None:
        super().__init__()
        self._inner = inner
        self._observe = observe
        self._most = most

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with what one read gives."""
        count = read_into(self._inner, memoryview(buffer)[: self._most])
        self._observe(count)
        return count

    def close(self) -> None:
        """Close the inner stream too."""
        if not self.closed:
            self._inner.close()
        super().close()


def read_into(stream: BinaryIO, buffer: memoryview) -> int:
    """Read what is there now: a stream that breaks in a long read would lose what it had already.

    A buffer larger than the stream's own is filled past that one, so that wrappers around wrappers copy nothing.

    Args:
        stream: the stream.
        buffer: what is filled, from its start.

    Returns:
        How many bytes were read; 0 at the end only.
    """
    if isinstance(stream, io.BufferedReader):
        return stream.readinto1(buffer)
    piece = stream.read(min(len(buffer), 1 << 16))
    buffer[: len(piece)] = piece
    return len(piece)


def buffered(raw: io.RawIOBase, size: int = 1 << 18) -> BinaryIO:
    """A buffered stream over a raw one, so that a read gives all that was asked for unless the end is reached."""
    return cast("BinaryIO", io.BufferedReader(raw, size))
