"""Sections: a new file whose columns stand one after the other, written in portions of all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kist.engine.storage.members import HeldFile
from kist.util.atomic import storage_errors, write_all_at

_BUFFER = 256 << 10
"""Bytes of each section that are written at a time."""


@contextmanager
def new_file(path: Path) -> Iterator[tuple[int, HeldFile]]:
    """A file that is not there yet, for a block; where that fails it is gone again.

    Args:
        path: where it is to stand.

    Yields:
        Its descriptor, to write, and the file, to read what was written.

    Raises:
        StorageError: the disk is full, read-only or failing.
    """
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        file = HeldFile(descriptor)
        try:
            yield descriptor, file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


class Sections:
    """The columns of one file while it is written: where each begins is known, how long it is not before the end.

    Args:
        descriptor: the file.
        start: where the first one begins.
        widths: bytes of one value of each.
        most: values of each at most.
    """

    def __init__(self, descriptor: int, start: int, widths: Sequence[int], most: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._sections: list[_Section] = []
        for width in widths:
            self._sections.append(_Section(descriptor, start))
            start += most * width

    def add(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Write what comes next of each."""
        for section, piece in zip(self._sections, pieces, strict=True):
            section.add(piece)

    def close_up(self) -> int:
        """Write the rest, move each to where the one before it ends, and cut the file there; returns its length."""
        end = self._start
        for section in self._sections:
            end = section.close_up(end)
        os.ftruncate(self._descriptor, end)
        return end


class _Section:
    """One column.

    Args:
        descriptor: the file.
        start: where it begins if those before it become as long as they can.
    """

    def __init__(self, descriptor: int, start: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._written = 0
        self._buffer = bytearray()

    def add(self, data: bytes | memoryview) -> None:
        """Write what comes next."""
        self._buffer += data
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def close_up(self, start: int) -> int:
        """Write the rest, and move to where the section before it ends; returns where this one does."""
        self._flush()
        for first in range(0, self._written if start < self._start else 0, _BUFFER):
            length = min(_BUFFER, self._written - first)
            write_all_at(self._descriptor, os.pread(self._descriptor, length, self._start + first), start + first)
        return start + self._written

    def _flush(self) -> None:
        write_all_at(self._descriptor, self._buffer, self._start + self._written)
        self._written += len(self._buffer)
        self._buffer = bytearray()
