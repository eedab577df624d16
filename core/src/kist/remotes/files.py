"""What every remote needs: checking keys, reading the file to send, writing the file that arrives."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from kist.abc.progress import NullProgress, Progress
from kist.errors import RemoteError, RemoteObjectNotFound
from kist.util.atomic import storage_errors, temp_name

PIECE = 1 << 20
"""Bytes that are moved at a time: enough that calls cost nothing, little enough that progress is smooth."""

_KEY = re.compile(r"[0-9a-z][0-9a-z._/-]{0,254}")


def check_key(key: str) -> str:
    """Refuse a key that not every provider would take, or that means something else as a path.

    Args:
        key: what a caller wants to name an object.

    Returns:
        The key.

    Raises:
        RemoteError: it is outside of the portable grammar.
    """
    if _KEY.fullmatch(key) and not any(part in ("", ".", "..") for part in key.split("/")):
        return key
    raise RemoteError(f"not a key of a remote: {key[:300]!r}")


def read_source(source: Path, progress: Progress = NullProgress(), most: int = PIECE) -> Iterator[bytes]:
    """Read a local file piece by piece, telling *progress* of each piece before it is handed on.

    Args:
        source: the file to send.
        progress: told of every piece; what it raises ends the reading.
        most: bytes of a piece.

    Yields:
        The pieces, none of them empty.

    Raises:
        StorageError: the file cannot be read.
    """
    with storage_errors(source):
        reader = source.open("rb", buffering=0)
    with reader:
        while True:
            with storage_errors(source):
                piece = reader.read(most)
            if not piece:
                return
            progress.advance(len(piece))
            yield piece


def read_data(data: bytes, progress: Progress = NullProgress()) -> Iterator[memoryview]:
    """Hand out bytes that are in memory piece by piece, as :func:`read_source` does with a file.

    Args:
        data: the bytes to send.
        progress: told of every piece; what it raises ends the reading.

    Yields:
        The pieces, none of them empty, and none a copy.
    """
    view = memoryview(data)
    for at in range(0, len(view), PIECE):
        piece = view[at : at + PIECE]
        progress.advance(len(piece))
        yield piece


def write_target(target: Path, pieces: Iterable[bytes], progress: Progress = NullProgress()) -> int:
    """Make a local file of what arrives; it appears under its name only when all of it is there.

    Args:
        target: the file, replaced if present.
        pieces: its bytes.
        progress: told of every piece; what it raises ends the writing.

    Returns:
        How many bytes were written.

    Raises:
        StorageError: the file cannot be written; it is absent then.
    """
    temporary = target.with_name(temp_name(target.name))
    written = 0
    try:
        with storage_errors(target):
            writer = temporary.open("xb", buffering=0)
        with writer:
            for piece in pieces:
                with storage_errors(target):
                    _write(writer, piece)
                written += len(piece)
                progress.advance(len(piece))
        with storage_errors(target):
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        raise
    return written


def read_pieces(reader: BinaryIO) -> Iterator[bytes]:
    """Everything that a stream still has, piece by piece."""
    while piece := reader.read(PIECE):
        yield piece


class LimitedReader(io.RawIOBase):
    """The next bytes of another stream, as many as asked for at most; closes it when closed.

    Args:
        inner: the stream, at the first byte wanted.
        length: how many bytes, None for all.
        guard: makes a context for each read, to translate what it raises.
    """

    def __init__(
        self, inner: io.RawIOBase, length: int | None, guard: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        super().__init__()
        self._inner, self._left, self._guard = inner, length, guard

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with what one read gives, up to the limit."""
        view = memoryview(buffer)
        if self._left is not None:
            view = view[: self._left]
        with self._guard():
            count = self._inner.readinto(view) or 0
        if self._left is not None:
            self._left -= count
        return count

    def close(self) -> None:
        """Close the inner stream too."""
        if not self.closed:
            self._inner.close()
        super().close()


class RangeReader(io.RawIOBase):
    """Reads a range by requests that stand for themselves, and asks for the size only where more than one is needed.

    Args:
        fetch: brings the bytes from one position to another, or as many of them as there are.
        size: asks for the bytes of the object.
        start: the first byte.
        length: how many bytes at most, None for all.
        block: bytes of a request at most.

    Raises:
        RemoteObjectNotFound: there is no such object.
        RemoteError: the first request failed.
    """

    def __init__(
        self, fetch: Callable[[int, int], bytes], size: Callable[[], int], start: int, length: int | None, block: int
    ) -> None:
        super().__init__()
        self._fetch, self._size, self._at, self._most = fetch, size, start, block
        self._end = None if length is None else start + length
        self._block = memoryview(b"")
        self._sized = False
        if length == 0:
            self._learn()
            return
        try:
            self._next()
        except RemoteError as exc:
            if exc.retryable or isinstance(exc, RemoteObjectNotFound):
                raise
            self._learn()  # a folder, or a range that begins at the end

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with what the current block still has."""
        if not self._block and self._at != self._end:
            if not self._sized:
                self._learn()
            self._next()
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def _next(self) -> None:
        end = self._at + self._most if self._end is None else min(self._end, self._at + self._most)
        if self._at < end:
            self._block = memoryview(self._fetch(self._at, end))
            self._at += len(self._block)
            if not self._block:
                self._end = self._at  # nothing is left

    def _learn(self) -> None:
        size = self._size()
        self._end = size if self._end is None else min(self._end, size)
        self._sized = True


def _write(writer: object, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[writer.write(view) :]  # type: ignore[attr-defined]
