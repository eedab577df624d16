"""Index files: where many objects lie. The same bytes serve in a cache and on a remote.

    header   64 bytes   magic KISTINDX, version u8, digest width u8, length of the algorithm's name u8, the name, zeros
                        up to 48; count u64, number of packs u32, 4 zeros
    packs    41 bytes each: raw id, size u64, kind u8
    fan-out  257 u32: how many digests come before each first byte
    digests  sorted, joined
    columns  pack number u32 (0xFFFFFFFF loose, 0xFFFFFFFE segmented), offset u64, stored u64, plain u64, codec u8

All numbers are little-endian. An index is named by the SHA-256 of its bytes. Each section's place follows from the
header, so that a reader fetches only the ranges it needs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import isqrt
from operator import lt
from struct import Struct
from typing import NamedTuple

from kist.engine.storage.members import REQUEST_LIMIT, ReadRange, join_ranges, memory_reader, to_column
from kist.engine.storage.rows import Rows
from kist.engine.storage.search import search_around, search_block
from kist.errors import ObjectCorrupt, RepoFormatError
from kist.util.gathering import cut

LOOSE, SEGMENTED = "loose", "segmented"
"""What stands for the pack in the place of an object that is not in one."""

WHOLE_LIMIT = 1 << 20
"""An index of at most this many bytes is read whole, and checked against its name."""

LOOSE_NUMBER, SEGMENTED_NUMBER = 0xFFFFFFFF, 0xFFFFFFFE
MAGIC, VERSION = b"KISTINDX", 1
_HEADER_SIZE, _PACK_SIZE, _FANOUT_SIZE = 64, 41, 257 * 4
HEADER = Struct("<8sBBB37sQI4x")
PACK_ROW = Struct("<32sQB")
_COLUMNS = (("I", 4), ("Q", 8), ("Q", 8), ("Q", 8), ("B", 1))
_COLUMN_ROW = 29
_FIRST_READ = 64 << 10
_GAP = 64 << 10
_SPAN = 1 << 17
"""Entries whose columns are read at a time from a local disk."""

_HOLD_LIMIT = 32 << 20
_SET_LIMIT = 500_000
"""Bytes of digests that one index on a local disk may keep in memory."""


class Place(NamedTuple):
    """Where an object lies.

    Attributes:
        pack: the pack's id, ``LOOSE`` or ``SEGMENTED``.
        offset: where its stored bytes begin in the pack.
        stored: how many bytes are stored.
        plain: the object's size.
        codec: how they are stored.
    """

    pack: str
    offset: int
    stored: int
    plain: int
    codec: int


_make_place = partial(tuple.__new__, Place)  # half the time of Place(...), which counts for a million of them


class PackEntry(NamedTuple):
    """One pack that an index covers: its id, its length in bytes, its kind."""

    id: str
    size: int
    kind: int


def plan_merge(sizes: Sequence[int]) -> int:
    """How many of the last of *sizes* to merge into one, so that their number grows with the logarithm of the total.

    Args:
        sizes: of what there is, in falling order, the newest last.

    Returns:
        0, or at least 2: afterwards each one is at least twice as large as what follows it.
    """
    if not sizes:
        return 0
    total, count = sizes[-1], 1
    while count < len(sizes) and sizes[-count - 1] < 2 * total:
        total += sizes[-count - 1]
        count += 1
    return count if count > 1 else 0


def index_id(*pieces: bytes | memoryview) -> str:
    """The name of an index file, given its bytes, perhaps in pieces."""
    from hashlib import sha256

    running = sha256(usedforsecurity=False)
    for piece in pieces:
        running.update(piece)
    return running.hexdigest()


class Index:
    """One index file, read by ranges as far as needed.

    Attributes:
        algorithm: the hash algorithm.
        width: bytes of one raw digest.
        count: number of digests.
        packs: the packs that it covers, by pack number.
    """

    def __init__(self, read: ReadRange, size: int, name: str = "", *, hold: bool = False) -> None:
        """Read the header, pack table and fan-out.

        Args:
            read: reads a range of the file.
            size: the file's length.
            name: its id, checked if the file is read whole; "" for none.
            hold: whether to keep the digests in memory, unless they are too many, once as many bytes of them were
                read: asked for a few objects again and again, a large index would be read each time.

        Raises:
            ObjectCorrupt: it is no index, or damaged.
            RepoFormatError: a newer version wrote it.
        """
        self._name = name
        head = read(0, size if size <= WHOLE_LIMIT else _FIRST_READ)
        if size <= WHOLE_LIMIT:
            if name and index_id(head) != name:
                raise self._corrupt("other bytes")
            read = memory_reader(head)
        self._read = read
        if len(head) < _HEADER_SIZE or not head.startswith(MAGIC):
            raise self._corrupt("no index header")
        _, version, self.width, length, text, self.count, packs = HEADER.unpack_from(head)
        if version > VERSION:
            raise RepoFormatError(f"index {name} is of version {version}: a newer kist wrote it")
        algorithm = text[:length]
        canonical = HEADER.pack(MAGIC, VERSION, self.width, length, algorithm, self.count, packs)
        if canonical != head[:_HEADER_SIZE] or not 8 <= self.width <= 64 or not 1 <= length <= 32:
            raise self._corrupt("a header that makes no sense")
        if not algorithm.isascii():
            raise self._corrupt("a header that makes no sense")
        self.algorithm = algorithm.decode("ascii")
        self._digests_at = _HEADER_SIZE + packs * _PACK_SIZE + _FANOUT_SIZE
        self._columns_at = self._digests_at + self.count * self.width
        if size != self._columns_at + self.count * _COLUMN_ROW:
            raise self._corrupt("a length that does not fit its header")
        if len(head) < self._digests_at:
            head += read(len(head), self._digests_at - len(head))
        table = head[_HEADER_SIZE : self._digests_at - _FANOUT_SIZE]
        self.packs = [PackEntry(raw.hex(), length, kind) for raw, length, kind in PACK_ROW.iter_unpack(table)]
        self._fanout = to_column("I", head[self._digests_at - _FANOUT_SIZE : self._digests_at])
        if self._fanout[0] or self._fanout[256] != self.count or list(self._fanout) != sorted(self._fanout):
            raise self._corrupt("a fan-out table that makes no sense")
        self._digests: bytes | None = None
        self._known: frozenset[bytes] | None = None
        self._asked = 0
        self._hold = hold
        self._until_held = self.count * self.width if hold and self.count * self.width <= _HOLD_LIMIT else 1 << 63

    @classmethod
    def load(cls, data: bytes, name: str = "") -> Index:
        """Read an index that is in memory; with its *name* it is checked whole.

        Raises:
            ObjectCorrupt: it is no index, or damaged.
            RepoFormatError: a newer version wrote it.
        """
        if name and len(data) > WHOLE_LIMIT and index_id(data) != name:
            raise ObjectCorrupt(f"index:{name}", actual="other bytes")
        return cls(memory_reader(data), len(data), name)

    def lookup_many(self, raws: Sequence[bytes]) -> list[Place | None]:
        """Where objects lie.

        Args:
            raws: raw digests, sorted.

        Returns:
            a place for each, None for those that this index does not have.
        """
        positions = self.find(raws)
        found = [position for position in positions if position >= 0]
        places = iter(self.places(found))
        return [next(places) if position >= 0 else None for position in positions]

    def missing(self, raws: Sequence[bytes]) -> list[bytes]:
        """Those of some sorted digests that are not here.

        Asked for a good part of a held index in small groups, it makes a set of the digests: that takes a hundred bytes
        for each, and answers many times faster than finding their positions.
        """
        small = len(raws) * 16 <= self.count
        if small and self._known is None and self._digests is not None and self.count <= _SET_LIMIT:
            self._asked += len(raws)
            if self._asked * 8 >= self.count:
                self._known = frozenset(cut(self._digests, self.width))
        if self._known is not None:
            known = self._known
            return [raw for raw in raws if raw not in known]
        return [raw for raw, position in zip(raws, self.find(raws), strict=True) if position < 0]

    def find(self, raws: Sequence[bytes]) -> array[int]:
        """The position of each of some sorted digests, -1 for those that are not here."""
        if self._until_held <= 0 and self._digests is None:
            self._digests = self.digests()
        if self._digests is not None and len(raws) * 8 <= self.count:
            return self._find_held(self._digests, raws)
        if self._hold and self._digests is None and len(raws) * 4 * (isqrt(self.count >> 8) + 1) <= self.count >> 2:
            return array("q", map(self._find_alone, raws))
        positions = array("q")
        fanout, width = self._fanout, self.width
        first, count = 0, len(raws)
        blocks = self._blocks(raws)
        while first < count:
            byte = raws[first][0]
            stop = first + 1
            if stop < count and raws[stop][0] == byte:
                stop = bisect_left(raws, bytes((byte + 1,)), stop) if byte < 255 else count
            low = fanout[byte]
            block = blocks(byte)
            size = len(block) // width
            if (stop - first) * 8 > size:
                known = dict(zip(cut(block, width), range(low, low + size), strict=True)).get
                positions.extend([known(raw, -1) for raw in raws[first:stop]])
            else:
                for raw in raws[first:stop]:
                    at = search_block(block, raw, size)
                    positions.append(low + at if at >= 0 else -1)
            first = stop
        return positions

    def _find_alone(self, raw: bytes) -> int:
        """The same for one of few, on a local disk: no more is read than what stands around its place."""
        low, stop = self._fanout[raw[0]], self._fanout[raw[0] + 1]

        def read(first: int, stop: int) -> bytes:
            self._until_held -= (stop - first) * self.width
            return self._range(self._digests_at + (low + first) * self.width, (stop - first) * self.width)

        at = search_around(read, raw, stop - low)
        return low + at if at >= 0 else -1

    def _find_held(self, digests: bytes, raws: Sequence[bytes]) -> array[int]:
        """The same in memory, where nearly every digest stands close to where even spreading puts it."""
        positions = array("q")
        fanout, width, find = self._fanout, self.width, digests.find
        reach = (2 * isqrt(self.count >> 8) + 2) * width
        for raw in raws:
            byte = raw[0]
            low = fanout[byte]
            about = (low + ((raw[1] << 8 | raw[2]) * (fanout[byte + 1] - low) >> 16)) * width
            at = find(raw, about - reach if about > reach else 0, about + reach)
            if at < 0 or at % width:  # not here, or spread unevenly
                stop = fanout[byte + 1]
                position = search_block(digests[low * width : stop * width], raw, stop - low)
                positions.append(low + position if position >= 0 else -1)
            else:
                positions.append(at // width)
        return positions

    @property
    def names(self) -> dict[int, str]:
        """The id of the pack with each number, and what stands for it where an object lies in none."""
        names = {number: entry.id for number, entry in enumerate(self.packs)}
        return names | {LOOSE_NUMBER: LOOSE, SEGMENTED_NUMBER: SEGMENTED}

    def places(self, positions: Sequence[int]) -> list[Place]:
        """The places that stand at positions given in rising order."""
        rows = self.pick(positions)
        packs = map(self.names.__getitem__, rows.packs)
        return list(map(_make_place, zip(packs, rows.offsets, rows.stored, rows.plains, rows.codecs, strict=True)))

    def pick(self, positions: Sequence[int]) -> Rows:
        """The entries at positions given in rising order, without their digests.

        Raises:
            ObjectCorrupt: one lies in a pack that this index does not name.
        """
        picked = Rows.join([self._picked(run) for run in self._bounded(positions)] if positions else [])
        if not self.names.keys() >= set(picked.packs):
            raise self._corrupt("a pack number that does not exist")
        return picked

    def _picked(self, run: Sequence[int]) -> Rows:
        low = run[0]
        rows = self.rows(low, run[-1] + 1, digests=False)
        return rows if len(run) == len(rows) else rows.pick([position - low for position in run])

    def rows(self, first: int = 0, stop: int | None = None, *, digests: bool = True) -> Rows:
        """The entries from *first* up to, not including, *stop*, as columns."""
        stop = self.count if stop is None else stop
        width = self.width
        block = self._range(self._digests_at + first * width, (stop - first) * width) if digests else b""
        parts, at = [], self._columns_at
        whole = self._range(at, self.count * _COLUMN_ROW) if (stop - first) * 2 > self.count else None
        for code, size in _COLUMNS:
            if whole is None:
                part = self._range(at + first * size, (stop - first) * size)
            else:
                begin = at - self._columns_at
                part = whole[begin + first * size : begin + stop * size]
            parts.append(part if code == "B" else to_column(code, part))
            at += self.count * size
        return Rows(block, *parts)  # type: ignore[arg-type]

    def digests(self) -> bytes:
        """All raw digests, sorted and joined."""
        if self._digests is not None:
            return self._digests
        return self._range(self._digests_at, self.count * self.width)

    def __iter__(self) -> Iterator[tuple[bytes, Place]]:
        for first in range(0, self.count, 65536):
            stop = min(first + 65536, self.count)
            block = self._range(self._digests_at + first * self.width, (stop - first) * self.width)
            raws = cut(block, self.width)
            yield from zip(raws, self.places(range(first, stop)), strict=True)

    def check(self) -> bool:
        """Whether the digests are in order and under their first byte, each once."""
        raws = cut(self.digests(), self.width)
        rising = all(map(lt, raws, raws[1:]))
        return rising and list(self._fanout) == [bisect_left(raws, bytes((byte,))) for byte in range(256)] + [len(raws)]

    def _blocks(self, raws: Sequence[bytes]) -> Callable[[int], bytes]:
        """What gives the digests under a first byte, for rising bytes; neighbours are read in one range."""
        wanted = sorted({raw[0] for raw in raws})
        starts = [self._fanout[byte] * self.width for byte in wanted]
        lengths = [(self._fanout[byte + 1] - self._fanout[byte]) * self.width for byte in wanted]
        ranges = join_ranges(starts, lengths, REQUEST_LIMIT)
        stop, begin, data = 0, 0, b""

        def block(byte: int) -> bytes:
            nonlocal stop, begin, data
            at = bisect_left(wanted, byte)
            while at >= stop:
                first, stop = next(ranges)
                begin = starts[first]
                end = starts[stop - 1] + lengths[stop - 1]
                if self._digests is not None:
                    data = self._digests[begin:end]
                else:
                    data = self._range(self._digests_at + begin, end - begin)
                    self._until_held -= end - begin
            return data[starts[at] - begin : starts[at] - begin + lengths[at]]

        return block

    def _bounded(self, positions: Sequence[int]) -> Iterator[Sequence[int]]:
        """The runs of positions; on a local disk, where more reads cost nothing, none that brings very much."""
        for run in self._runs(positions):
            first = 0
            while self._hold and run[-1] - run[first] >= _SPAN:
                stop = bisect_left(run, run[first] + _SPAN, first)
                yield run[first:stop]
                first = stop
            yield run[first:]

    def _runs(self, positions: Sequence[int]) -> Iterator[Sequence[int]]:
        """Cut positions where the gap is not worth reading over."""
        if len(positions) * 8 >= self.count or self.count * _COLUMN_ROW <= _GAP:
            yield positions
            return
        first, gap = 0, _GAP // (64 if self._hold else 8)
        for stop in range(1, len(positions)):
            if positions[stop] - positions[stop - 1] > gap:
                yield positions[first:stop]
                first = stop
        yield positions[first:]

    def _range(self, offset: int, length: int) -> bytes:
        data = self._read(offset, length) if length else b""
        if len(data) != length:
            raise self._corrupt("fewer bytes")
        return data

    def _corrupt(self, found: str) -> ObjectCorrupt:
        return ObjectCorrupt(f"index:{self._name}", actual=found)
