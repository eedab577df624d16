"""Make index files: from packs, from other indexes, from loose and segmented objects."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

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
from kist.engine.storage.members import Members, to_buffer
from kist.engine.storage.rows import NewFile, Rows, Runs
from kist.engine.storage.sections import Sections, new_file
from kist.util.atomic import write_all_at
from kist.util.gathering import cut, first_of_each, gather

_SPAN = 1 << 17
"""Entries of another index that are taken over at a time."""


class IndexBuilder:
    """Collects entries and gives the bytes of one index; of a digest that is added twice the first place counts.

    Args:
        algorithm: the hash algorithm.
        width: bytes of one raw digest.
        new_file: gives a name for a scratch file, so that many entries take no memory; None: there is none.
    """

    def __init__(self, algorithm: str, width: int, new_file: NewFile | None = None) -> None:
        self.algorithm = algorithm
        self.width = width
        self._packs: dict[str, PackEntry] = {}
        self._numbers: dict[str, int] = {}
        self._next = 0
        self._runs = Runs(width, new_file)

    def __len__(self) -> int:
        """Number of entries added, those of equal digests counted each time."""
        return len(self._runs)

    def add_pack(self, pack: PackEntry, members: Members) -> None:
        """Add a pack by its footer."""
        if pack.id in self._packs:
            return
        rows = Rows(members.digests, array("I"), members.offsets, members.stored, members.plains, members.codecs)
        self._runs.add(rows, self._number(pack))

    def drop_pack(self, name: str) -> None:
        """Take a pack out again that was added by its footer."""
        if self._packs.pop(name, None) is not None:
            self._runs.drop(self._numbers.pop(name))

    def add_builder(self, other: IndexBuilder) -> None:
        """Add all that another builder of the same algorithm has collected."""
        names = list(other._packs)
        numbers = {number: self._number(other._packs[name]) for number, name in enumerate(names)}
        numbers |= {LOOSE_NUMBER: LOOSE_NUMBER, SEGMENTED_NUMBER: SEGMENTED_NUMBER}
        for run in other._runs:
            rows = run.slice(0, len(run))
            rows.packs = array("I", map(numbers.__getitem__, rows.packs))
            self._runs.add(rows)

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
        for first in range(0, index.count, _SPAN):
            rows = index.rows(first, min(first + _SPAN, index.count))
            if len(numbers) < len(index.packs) + 2:
                chosen = [position for position, number in enumerate(rows.packs) if number in numbers]
                rows = rows.pick(chosen, cut(rows.digests, self.width))
            rows.packs = array("I", map(numbers.__getitem__, rows.packs))
            self._runs.add(rows)

    def add_loose(self, raws: Sequence[bytes], sizes: Sequence[int], *, segmented: bool = False) -> None:
        """Add objects that lie in no pack.

        Args:
            raws: their raw digests.
            sizes: their sizes.
            segmented: whether they are stored as segments.
        """
        order = sorted(range(len(raws)), key=raws.__getitem__)
        lengths = array("Q", gather(sizes, order))
        packs = array("I", [SEGMENTED_NUMBER if segmented else LOOSE_NUMBER]) * len(order)
        digests = b"".join(gather(raws, order))
        self._runs.add(Rows(digests, packs, array("Q", bytes(8 * len(order))), lengths, lengths, bytes(len(order))))

    def build(self) -> bytes:
        """The bytes of the index: the same for the same entries, in whatever order they were added.

        Afterwards nothing is collected any more.
        """
        digests, codecs = bytearray(), bytearray()
        packs, offsets, stored, plains = array("I"), array("Q"), array("Q"), array("Q")
        fanout = array("I", [0])
        for rows in self._merged():
            digests += rows.digests
            packs += rows.packs
            offsets += rows.offsets
            stored += rows.stored
            plains += rows.plains
            codecs += rows.codecs
            fanout.append(len(codecs))
        whole, head = BytesIO(), self._head(fanout)
        self._packs, self._numbers = {}, {}
        self._runs.clear()
        for piece in (head, digests, *map(to_buffer, (packs, offsets, stored, plains)), codecs):
            whole.write(piece)
        return whole.getvalue()  # handed out without a copy

    def write(self, path: Path) -> str:
        """Write the index to a new file and return its name.

        Where there is a scratch file, neither what was collected nor the index is ever in memory as a whole.

        Raises:
            StorageError: the disk is full, read-only or failing; nothing is left at *path*.
        """
        start = HEADER.size + len(self._packs) * PACK_ROW.size + 257 * 4
        with new_file(path) as (descriptor, file):
            sections = Sections(descriptor, start, (self.width, 4, 8, 8, 8, 1), len(self))
            fanout = array("I", [0])
            for rows in self._merged():
                columns = map(to_buffer, (rows.packs, rows.offsets, rows.stored, rows.plains))
                sections.add((rows.digests, *columns, rows.codecs))
                fanout.append(fanout[-1] + len(rows))
            sections.close_up()
            write_all_at(descriptor, self._head(fanout), 0)
            return file.sha256()

    def _merged(self) -> Iterator[Rows]:
        """The entries under each first byte, with the numbers that their packs have in the index."""
        numbers = {self._numbers[key]: number for number, key in enumerate(sorted(self._packs))}
        numbers |= {LOOSE_NUMBER: LOOSE_NUMBER, SEGMENTED_NUMBER: SEGMENTED_NUMBER}
        for byte in range(256):
            rows = self._merge(byte)
            rows.packs = array("I", map(numbers.__getitem__, rows.packs))
            yield rows

    def _head(self, fanout: array[int]) -> bytes:
        """What stands before the digests."""
        order, name = sorted(self._packs), self.algorithm.encode("ascii")
        table = [PACK_ROW.pack(bytes.fromhex(key), self._packs[key].size, self._packs[key].kind) for key in order]
        head = HEADER.pack(MAGIC, VERSION, self.width, len(name), name, fanout[-1], len(order))
        return b"".join([head, *table, to_buffer(fanout)])

    def _number(self, pack: PackEntry) -> int:
        self._packs.setdefault(pack.id, pack)
        if pack.id not in self._numbers:
            self._numbers[pack.id] = self._next
            self._next += 1
        return self._numbers[pack.id]

    def _merge(self, byte: int) -> Rows:
        """The entries of all runs under one first byte; only that much is sorted at a time."""
        parts = self._runs.under(byte)
        if len(parts) < 2:
            return parts[0] if parts else Rows(b"", array("I"), array("Q"), array("Q"), array("Q"), b"")
        whole = Rows.join(parts)
        raws = cut(whole.digests, self.width)
        return whole.pick(first_of_each(raws), raws)  # the source that was added first leads


def build_index(algorithm: str, width: int, packs: Iterable[tuple[PackEntry, Members]]) -> bytes:
    """The index of some packs."""
    builder = IndexBuilder(algorithm, width)
    for pack, members in packs:
        builder.add_pack(pack, members)
    return builder.build()
