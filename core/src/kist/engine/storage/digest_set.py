"""DigestSet: raw digests of one algorithm, of which very many take little more than their bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from kist.engine.storage.search import search_block
from kist.util.gathering import cut

FEW = 1 << 17
"""Digests that are kept as objects, which makes asking for them cheap: each takes a hundred bytes."""

_WORTH = 16
"""A block is made a set for a question about at least one in so many of it."""


class DigestSet:
    """A set of raw digests: the latest as objects, the others sorted and joined, a block for each first byte.

    Args:
        raws: what it begins with.
    """

    def __init__(self, raws: Iterable[bytes] = ()) -> None:
        self._few = set(raws)
        self._blocks: list[bytes] = []
        self._width = 0
        self._folded = 0

    def __iter__(self) -> Iterator[bytes]:
        """All of them, some perhaps twice."""
        for block in self._blocks:
            yield from cut(block, self._width)
        yield from self._few

    def __contains__(self, raw: object) -> bool:
        return isinstance(raw, bytes) and not self.lacks((raw,))

    def update(self, raws: Iterable[bytes]) -> None:
        """Take digests in."""
        self._few.update(raws)
        if len(self._few) > max(FEW, self._folded // 8):
            self._fold()

    def lacks(self, raws: Sequence[bytes]) -> list[int]:
        """The positions of those of some sorted digests that are not in the set."""
        few = self._few
        left = [at for at, raw in enumerate(raws) if raw not in few]
        return list(self._lacking(raws, left)) if self._blocks else left

    def _lacking(self, raws: Sequence[bytes], left: Sequence[int]) -> Iterator[int]:
        """Those of some positions whose digests are in no block."""
        first = 0
        while first < len(left):
            byte = raws[left[first]][0]
            stop = bisect_left(left, byte + 1, first, key=lambda at: raws[at][0])
            block, some = self._blocks[byte], left[first:stop]
            size = len(block) // self._width
            if len(some) * _WORTH >= size:
                known = set(cut(block, self._width))
                yield from [at for at in some if raws[at] not in known]
            else:
                yield from [at for at in some if search_block(block, raws[at], size) < 0]
            first = stop

    def _fold(self) -> None:
        """Move what is held as objects into the blocks."""
        fresh, self._few = sorted(self._few), set()
        self._width = len(fresh[0])
        self._blocks = self._blocks or [b""] * 256
        start = self._folded = 0
        for byte in range(256):
            stop = bisect_left(fresh, byte + 1, start, key=lambda raw: raw[0])
            if start < stop:
                known = cut(self._blocks[byte], self._width)
                # Two sorted runs are merged, not sorted again; doubles stand side by side.
                self._blocks[byte] = b"".join(dict.fromkeys(sorted(known + fresh[start:stop])))
            self._folded += len(self._blocks[byte]) // self._width
            start = stop
