"""StreamReader: what arrives piece by piece, as a file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any


class StreamReader(io.RawIOBase):
    """Reads an iterator of buffers.

    Args:
        pieces: the buffers, each not empty.
        guard: makes a context for each step, to translate what it raises.
    """

    def __init__(self, pieces: Iterator[Any], guard: Callable[[], AbstractContextManager[object]]) -> None:
        super().__init__()
        self._pieces: Iterator[Any] | None = pieces
        self._guard = guard
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with what is there; wait only where nothing is."""
        while not self._left and self._pieces is not None:
            with self._guard():
                piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
            else:
                self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """Let go of the connection."""
        self._pieces, self._left = None, memoryview(b"")
        super().close()
