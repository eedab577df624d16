"""Make index files: from packs, from other indexes, from loose and segmented objects."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO

from kist.engine.storage.indexes import (
    HEADER,
    LOOSE_NUMBER,
    MAGIC,
    PACK_ROW,
    SEGMENTED_NUMBER,
    VERSION,
    Index,
    PackEntry,
)
from kist.engine.storage.members import Members, split_raws, to_buffer
from kist.engine.storage.rows import Rows


class IndexBuilder:
    """Collects entries and gives the bytes of one index; of a digest that is added twice the first place counts.

    Args:
        algorithm: the hash algorithm.
        width: bytes of one raw digest.
    """

    def __init__(self, algorithm: str, width: int) -> None:
        self.algorithm = algorithm
        self.width = width
        self._packs: dict[str, PackEntry] = {}
        self._numbers: dict[str, int] = {}
        self._sources: list[Rows] = []

    def __len__(self) -> int:
        """Number of entries added, those of equal digests counted each time."""
        return sum(map(len, self._sources))

    def add_pack(self, pack: PackEntry, members: Members) -> None:
        """Add a pack by its footer."""
        if pack.id in self._packs:
            return
        number = self._number(pack)
        packs = array("I", [number]) * len(members)
        self._sources.append(
            Rows(members.digests, packs, members.offsets, members.stored, members.plains, members.codecs)
        )

    def add_builder(self, other: IndexBuilder) -> None:
        """Add all that another builder of the same algorithm has collected."""
        names = list(other._packs)
        numbers = {number: self._number(other._packs[name]) for number, name in enumerate(names)}
        numbers |= {LOOSE_NUMBER: LOOSE_NUMBER, SEGMENTED_NUMBER: SEGMENTED_NUMBER}
        for rows in other._sources:
            packs = array("I", map(numbers.__getitem__, rows.packs))
            self._sources.append(Rows(rows.digests, packs, rows.offsets, rows.stored, rows.plains, rows.codecs))

    def add_index(self, index: Index, keep: Callable[[str], bool] = lambda _: True) -> None:
        """Add what another index says.

        Args:
            index: of the same algorithm.
            keep: tells by a pack's id whether its members are taken over.
        """
        numbers = {number: self._number(entry) for number, entry in enumerate(index.packs) if keep(entry.id)} | {
            LOOSE_NUMBER: LOOSE_NUMBER,
            SEGMENTED_NUMBER: SEGMENTED_NUMBER,
        }
        rows = index.rows()
        if len(numbers) == len(index.packs) + 2:
            rows.packs = array("I", map(numbers.__getitem__, rows.packs))
        else:
            chosen = [position for position, number in enumerate(rows.packs) if number in numbers]
            raws = split_raws(rows.digests, self.width)
            rows = rows.pick(chosen, raws)
            rows.packs = array("I", map(numbers.__getitem__, rows.packs))
        self._sources.append(rows)

    def add_loose(self, raws: Sequence[bytes], sizes: Sequence[int], *, segmented: bool = False) -> None:
        """Add objects that lie in no pack.

        Args:
            raws: their raw digests.
            sizes: their sizes.
            segmented: whether they are stored as segments.
        """
        order = sorted(range(len(raws)), key=raws.__getitem__)
        lengths = array("Q", map(sizes.__getitem__, order))
        packs = array("I", [SEGMENTED_NUMBER if segmented else LOOSE_NUMBER]) * len(order)
        digests = b"".join(map(raws.__getitem__, order))
        self._sources.append(
            Rows(digests, packs, array("Q", bytes(8 * len(order))), lengths, lengths, bytes(len(order)))
        )

    def build(self) -> bytes:
        """The bytes of the index: the same for the same entries, in whatever order they were added."""
        pieces, whole = self.pieces(), BytesIO()
        pieces.reverse()
        while pieces:  # each is let go of once it is written, and the bytes are handed out without a copy
            whole.write(pieces.pop())
        return whole.getvalue()

    def pieces(self) -> list[bytes | memoryview]:
        """The same in pieces, so that not all is in memory twice. Afterwards nothing is collected any more."""
        order = sorted(self._packs)
        numbers = {self._numbers[key]: number for number, key in enumerate(order)}
        numbers |= {LOOSE_NUMBER: LOOSE_NUMBER, SEGMENTED_NUMBER: SEGMENTED_NUMBER}
        fanout, digests, codecs = array("I", [0]), bytearray(), bytearray()
        packs, offsets, stored, plains = array("I"), array("Q"), array("Q"), array("Q")
        bounds = [_bounds(source.digests, self.width) for source in self._sources]
        for byte in range(256):
            rows = self._merge(byte, bounds)
            if rows is not None:
                digests += rows.digests
                packs.extend(map(numbers.__getitem__, rows.packs))
                offsets += rows.offsets
                stored += rows.stored
                plains += rows.plains
                codecs += rows.codecs
            fanout.append(len(codecs))
        name = self.algorithm.encode("ascii")
        table = [PACK_ROW.pack(bytes.fromhex(key), self._packs[key].size, self._packs[key].kind) for key in order]
        head = HEADER.pack(MAGIC, VERSION, self.width, len(name), name, len(codecs), len(order))
        self._packs, self._numbers, self._sources = {}, {}, []
        columns = map(to_buffer, (packs, offsets, stored, plains))
        return [b"".join([head, *table, to_buffer(fanout)]), memoryview(digests), *columns, memoryview(codecs)]

    def _number(self, pack: PackEntry) -> int:
        self._packs.setdefault(pack.id, pack)
        return self._numbers.setdefault(pack.id, len(self._numbers))

    def _merge(self, byte: int, bounds: list[list[int]]) -> Rows | None:
        """The entries of all sources under one first byte; only that much is sorted at a time."""
        parts = [
            source.slice(self.width, bound[byte], bound[byte + 1])
            for source, bound in zip(self._sources, bounds, strict=True)
            if bound[byte] < bound[byte + 1]
        ]
        if len(parts) < 2:
            return parts[0] if parts else None
        whole = Rows.join(parts)
        raws = split_raws(whole.digests, self.width)
        order = sorted(range(len(raws)), key=raws.__getitem__)  # stable: the source that was added first leads
        last = b""
        chosen = []
        for position in order:
            if raws[position] != last:
                last = raws[position]
                chosen.append(position)
        return whole.pick(chosen, raws)


def build_index(algorithm: str, width: int, packs: Iterable[tuple[PackEntry, Members]]) -> bytes:
    """The index of some packs."""
    builder = IndexBuilder(algorithm, width)
    for pack, members in packs:
        builder.add_pack(pack, members)
    return builder.build()


def _bounds(digests: bytes, width: int) -> list[int]:
    first = digests[::width]
    return [bisect_left(first, byte) for byte in range(256)] + [len(first)]
