"""PathList: very many sorted paths, joined in blocks: a path by itself takes fifty bytes beside its own."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import overload

MANY = 1 << 17
"""Paths from which on they are kept so."""

_BLOCK = 1024


def place_of(paths: Sequence[bytes], path: bytes) -> int:
    """Where a path stands or would stand among sorted ones.

    Args:
        paths: in a list or otherwise.
        path: the path.
    """
    return paths.place_of(path) if isinstance(paths, PathList) else bisect_left(paths, path)


class PathList(Sequence[bytes]):
    """Sorted paths that take little memory; made for going through them in order.

    Args:
        paths: the first ones, none of which holds a NUL.
    """

    def __init__(self, paths: Sequence[bytes] = ()) -> None:
        self._blocks: list[bytes] = []
        self._firsts: list[bytes] = []
        self._rest: list[bytes] = []
        self._open = -1
        self._opened: list[bytes] = []
        self.extend(paths)

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._rest)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._span(start, stop)[::step] if step > 0 else self._span(stop + 1, start + 1)[::step]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError("no path has this position")
        return self._block(place // _BLOCK)[place % _BLOCK]

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            yield from block.split(b"\0")
        yield from self._rest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(bytes.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def extend(self, paths: Sequence[bytes]) -> None:
        """Add the paths that come next."""
        rest = [*self._rest, *paths]
        whole = len(rest) - len(rest) % _BLOCK
        for start in range(0, whole, _BLOCK):
            self._firsts.append(rest[start])
            self._blocks.append(b"\0".join(rest[start : start + _BLOCK]))
        self._rest = rest[whole:]
        self._open = -1

    def place_of(self, path: bytes) -> int:
        """Where a path stands or would stand, as ``bisect_left`` tells of a list."""
        block = max(bisect_right(self._firsts, path) - 1, 0)
        if block == len(self._blocks) - 1 and self._rest and self._rest[0] <= path:
            block += 1
        return block * _BLOCK + bisect_left(self._block(block), path)

    def _block(self, number: int) -> list[bytes]:
        """The paths of a block; the one that was asked for last is held."""
        if number == len(self._blocks):
            return self._rest
        if number != self._open:
            self._open, self._opened = number, self._blocks[number].split(b"\0")
        return self._opened

    def _span(self, start: int, stop: int) -> list[bytes]:
        found: list[bytes] = []
        for number in range(start // _BLOCK, -(-stop // _BLOCK) if stop > start else 0):
            first = number * _BLOCK
            found += self._block(number)[max(start - first, 0) : stop - first]
        return found
