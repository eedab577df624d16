"""One file of the record of verified objects: read by ranges and merged in portions, never in memory as a whole.

header   64 bytes   magic KISTVERI, version u8, digest width u8, length of the algorithm's name u8, the name, zeros
                    up to 48; count u64, 8 zeros
digests  sorted, joined
columns  u64 each: size, mtime in ns, ctime in ns, inode, number of links
check    first 16 bytes of the SHA-256 of all before
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import isqrt
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from kist.engine.storage.members import ReadRange, to_buffer, to_column
from kist.engine.storage.search import search_around, search_block
from kist.engine.storage.sections import Sections, new_file
from kist.errors import StorageError
from kist.util.atomic import write_all_at
from kist.util.gathering import cut, first_of_each, gather

FIELDS = 5
"""Columns beside the digests."""

INODE = 3
"""The column of inodes."""

_HEADER = Struct("<8sBBB37sQ8x")
_MAGIC, _VERSION = b"KISTVERI", 1
_CHECK = 16
_BLOCK = 1 << 20
_STEP = 1 << 15
"""Digests that are read at a time when all are."""

ROWS = 4096
"""Objects whose digests and inodes are in memory at a time when all are read."""

_WORTH = 16
"""Digests under one first byte are told apart by a table for a question about at least one in so many of them."""

Look = tuple[int, int, int, int, int]
"""Size, mtime, ctime, inode, number of links."""


class Portion(NamedTuple):
    """Sorted digests, joined, and their columns."""

    digests: bytes
    columns: list[array[int]]


class RecordFile:
    """One file of the record; what is held of it is where the digests with each first byte begin.

    Args:
        read: reads a range of the file.
        width: bytes of a raw digest.
        count: how many objects it tells of.
    """

    def __init__(self, read: ReadRange, width: int, count: int) -> None:
        self.count = count
        self._read = read
        self._width = width
        self._columns = _HEADER.size + count * width
        self._fanout: array[int] | None = None

    @classmethod
    def parse(cls, read: ReadRange, size: int, algorithm: str, width: int) -> RecordFile | None:
        """One of an algorithm, by its header; None if it is of another one, of another version, or of a wrong length.

        Args:
            read: reads a range of the file.
            size: its length.
            algorithm: the hash algorithm.
            width: bytes of its raw digests.

        Raises:
            StorageError: it cannot be read.
        """
        head = read(0, _HEADER.size)
        if len(head) < _HEADER.size:
            return None
        magic, version, found, length, name, count = _HEADER.unpack(head)
        if (magic, version, found, name[:length]) != (_MAGIC, _VERSION, width, algorithm.encode("ascii")):
            return None
        if size != _HEADER.size + count * (width + 8 * FIELDS) + _CHECK:
            return None
        return cls(read, width, count)

    @property
    def whole(self) -> bool:
        """Whether its check is right; once, all of it is read for that.

        Raises:
            StorageError: it cannot be read.
        """
        if self._fanout is None:
            self._fanout = self._checked()
        return bool(self._fanout)

    def looks(self, raws: Sequence[bytes]) -> Iterator[tuple[bytes, Look]]:
        """Those of some objects that it tells of, and how they looked; nothing if it is not whole.

        Args:
            raws: raw digests, sorted, each once.

        Raises:
            StorageError: it cannot be read.
        """
        fanout: Sequence[int] = (self._fanout if self.whole else None) or [0] * 257
        first = 0
        while first < len(raws):
            byte = raws[first][0]
            stop = bisect_left(raws, byte + 1, first, key=lambda raw: raw[0])
            if fanout[byte] < fanout[byte + 1]:
                yield from self._looks(raws[first:stop], fanout[byte], fanout[byte + 1])
            first = stop

    def under(self, byte: int) -> Portion:
        """What it tells of the objects whose digests begin with one byte; for one that is whole.

        Raises:
            StorageError: it cannot be read.
        """
        fanout = self._fanout or [0] * 257
        low, high = fanout[byte], fanout[byte + 1]
        return Portion(self._digests(low, high), [self._column(number, low, high) for number in range(FIELDS)])

    def inodes(self) -> Iterator[tuple[bytes, array[int]]]:
        """Digests, joined, and inodes of all objects, in blocks; for one that is whole.

        Raises:
            StorageError: it cannot be read.
        """
        for start in range(0, self.count, ROWS):
            stop = min(start + ROWS, self.count)
            yield self._digests(start, stop), self._column(INODE, start, stop)

    def _looks(self, raws: Sequence[bytes], low: int, high: int) -> Iterator[tuple[bytes, Look]]:
        """The same where all digests begin with the byte that those in *low* to *high* begin with."""
        size = high - low
        if len(raws) * 4 * isqrt(size) < size:  # what stands around each is less than all of them

            def read(start: int, stop: int) -> bytes:
                return self._digests(low + start, low + stop)

            places = [search_around(read, raw, size) for raw in raws]
        else:
            block = self._digests(low, high)
            if len(raws) * _WORTH < size:
                places = [search_block(block, raw, size) for raw in raws]
            else:
                known = dict(zip(cut(block, self._width), range(size), strict=True))
                places = [known.get(raw, -1) for raw in raws]
        found = [place for place in places if place >= 0]
        if not found:
            return
        start, stop = min(found), max(found) + 1
        at = [place - start for place in found]
        columns = (self._column(number, low + start, low + stop) for number in range(FIELDS))
        sizes, mtimes, ctimes, inodes, links = (gather(column, at) for column in columns)
        here = (raw for raw, place in zip(raws, places, strict=True) if place >= 0)
        yield from zip(here, zip(sizes, mtimes, ctimes, inodes, links, strict=True), strict=True)

    def _digests(self, start: int, stop: int) -> bytes:
        return self._range(_HEADER.size + start * self._width, (stop - start) * self._width)

    def _column(self, number: int, start: int, stop: int) -> array[int]:
        return to_column("Q", self._range(self._columns + 8 * (self.count * number + start), 8 * (stop - start)))

    def _range(self, offset: int, length: int) -> bytes:
        data = self._read(offset, length)
        if len(data) < length:
            raise StorageError("a record of verified objects was cut off while it was read")
        return data

    def _checked(self) -> array[int]:
        """Where the digests with each first byte begin, and the end; empty if the file is not whole."""
        from hashlib import sha256

        counts = [0] * 256
        running = sha256(self._range(0, _HEADER.size), usedforsecurity=False)
        for start in range(0, self.count, _STEP):
            block = self._digests(start, min(start + _STEP, self.count))
            running.update(block)
            firsts = block[:: self._width]
            for byte in range(firsts[0], firsts[-1] + 1):
                counts[byte] += firsts.count(byte)
        end = self._columns + self.count * 8 * FIELDS
        for offset in range(self._columns, end, _BLOCK):
            running.update(self._range(offset, min(_BLOCK, end - offset)))
        fine = running.digest()[:_CHECK] == self._range(end, _CHECK) and sum(counts) == self.count
        return array("Q", accumulate(counts, initial=0) if fine else ())


def dump_record(algorithm: str, raws: Sequence[bytes], looks: array[int]) -> bytes:
    """The bytes of a file of the record.

    Args:
        algorithm: the hash algorithm.
        raws: raw digests, sorted, at least one.
        looks: how each object looked, one after the other.
    """
    from hashlib import sha256

    columns = (to_buffer(looks[number::FIELDS]) for number in range(FIELDS))
    body = b"".join((_header(algorithm, len(raws[0]), len(raws)), *raws, *columns))
    return body + sha256(body, usedforsecurity=False).digest()[:_CHECK]


def merge_records(records: Sequence[RecordFile], algorithm: str, width: int, path: Path, mode: int) -> None:
    """Write what some files of the record tell to one new file.

    Args:
        records: whole ones of one algorithm, the oldest first: of an object that several tell of the last look counts.
        algorithm: that algorithm.
        width: bytes of its raw digests.
        path: the new file.
        mode: its permissions.

    Raises:
        StorageError: the disk is full, read-only or failing; nothing is left at *path*.
    """
    most = sum(record.count for record in records)
    with new_file(path) as (descriptor, file):
        sections = Sections(descriptor, _HEADER.size, (width, *[8] * FIELDS), most)
        count = 0
        for byte in range(256):
            digests, columns = _merged([record.under(byte) for record in reversed(records)], width)
            sections.add((digests, *map(to_buffer, columns)))
            count += len(columns[0])
        end = sections.close_up()
        write_all_at(descriptor, _header(algorithm, width, count), 0)
        write_all_at(descriptor, bytes.fromhex(file.sha256())[:_CHECK], end)
        os.fchmod(descriptor, mode)


def _merged(portions: Sequence[Portion], width: int) -> Portion:
    """What several portions tell; of an object that several tell of the first look counts."""
    filled = [portion for portion in portions if portion.digests]
    if len(filled) < 2:
        return (filled or portions)[0]
    raws = cut(b"".join([portion.digests for portion in filled]), width)
    chosen = first_of_each(raws)
    merged = []
    for number in range(FIELDS):
        column = array("Q")
        for portion in filled:
            column += portion.columns[number]
        merged.append(array("Q", gather(column, chosen)))
    return Portion(b"".join(gather(raws, chosen)), merged)


def _header(algorithm: str, width: int, count: int) -> bytes:
    name = algorithm.encode("ascii")
    return _HEADER.pack(_MAGIC, _VERSION, width, len(name), name, count)
