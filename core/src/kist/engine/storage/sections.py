"""Section: a column of a file whose columns stand one after the other, written in portions."""

from __future__ import annotations

import os

from kist.util.atomic import write_all_at

_BUFFER = 256 << 10
"""Bytes of each section that are written at a time."""


class Section:
    """One section of a file while it is written: its place is known, its length not before the end.

    Args:
        descriptor: the file.
        start: where it begins if those before it become as long as they can.
    """

    def __init__(self, descriptor: int, start: int) -> None:
        self.start = start
        self._descriptor = descriptor
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
        for first in range(0, self._written if start < self.start else 0, _BUFFER):
            length = min(_BUFFER, self._written - first)
            write_all_at(self._descriptor, os.pread(self._descriptor, length, self.start + first), start + first)
        return start + self._written

    def _flush(self) -> None:
        write_all_at(self._descriptor, self._buffer, self.start + self._written)
        self._written += len(self._buffer)
        self._buffer = bytearray()
