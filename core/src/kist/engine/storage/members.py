"""Columns of what lies in packs and indexes, and how stored bytes are read back from them."""

from __future__ import annotations

import os
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import ge
from pathlib import Path

from kist.util.atomic import storage_errors, write_all
from kist.util.gathering import cut, gather
from kist.util.slotted import slotted

ReadRange = Callable[[int, int], bytes]
"""Read *length* bytes from *offset*; fewer where the file ends earlier."""

PLAIN, ZLIB = 0, 1
"""Codecs: the bytes as they are, a zlib stream."""

RANGE_LIMIT = 1 << 20
"""Bytes that one read of a local file brings at most, unless a single member is longer."""

REQUEST_LIMIT = 4 << 20
"""Likewise where each read may be a request to a remote."""

RANGE_GAP = 64 << 10
"""Members that lie no further apart are read in one go."""

UNFOLD_LIMIT = 64 << 20
"""Bytes that members are unfolded to together at most, unless a single one has more."""

MAX_UNFOLDED = 18 << 20
"""Bytes that a deflated member may stand for: more than any manifest node has, and only these are deflated."""

FOOTER_ROW = 25
"""Bytes that a member takes in a footer beside its digest."""


_BLOCK = 256 << 10

_ZLIB_HEAD = b"\x78\x01"
_STORED_MOST = 0xFFFF
"""Bytes that one block of a zlib stream holds as they are."""

_DENSE = 1024
"""Bytes of digests from which on they are left as they are."""

_TURN = 4096
"""Digests that are looked at one by one at a time."""

_AT_ONCE = 1 << 14
"""Members of a pack whose digests are cut apart all at once to pick some."""


def to_bytes(column: array[int]) -> bytes:
    """The little-endian bytes of a column."""
    if sys.byteorder != "little":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def to_buffer(column: array[int]) -> bytes | memoryview:
    """The same without a copy where the machine has them in that order."""
    return memoryview(column).cast("B") if sys.byteorder == "little" else to_bytes(column)


def to_column(typecode: str, data: bytes | memoryview) -> array[int]:
    """The column whose little-endian bytes are *data*."""
    column = array(typecode)
    column.frombytes(data)
    if sys.byteorder != "little":
        column.byteswap()
    return column


def descriptor_reader(descriptor: int) -> ReadRange:
    """A reader of ranges over an open file, which stays the caller's to close."""

    def read(offset: int, length: int) -> bytes:
        with storage_errors():
            data = os.pread(descriptor, length, offset)
            while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
                data += more
            return data

    return read


class HeldFile:
    """A file that is read by ranges, perhaps in several threads, by whoever still has it.

    Args:
        descriptor: the open file, taken over.

    Attributes:
        size: its bytes.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = descriptor_reader(descriptor)
        self.size = os.fstat(descriptor).st_size

    @classmethod
    def new(cls, path: Path) -> HeldFile:
        """Make a file that is not there yet.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        with storage_errors(path):
            return cls(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))

    def __del__(self) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Read a range; whoever has this method has the file."""
        return self._read(offset, length)

    def append(self, data: bytes | memoryview) -> None:
        """Write at the end.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        with storage_errors():
            write_all(self._descriptor, data)
        self.size += len(data)

    def sha256(self) -> str:
        """The SHA-256 of its bytes."""
        from hashlib import sha256

        running, offset = sha256(usedforsecurity=False), 0
        while block := self.read(offset, _BLOCK):
            running.update(block)
            offset += len(block)
        return running.hexdigest()


def nameless(path: Path | None = None) -> HeldFile:
    """A new file that is gone with the process, or once nobody needs it.

    Args:
        path: where it may stand for a moment; None: where the system keeps temporary files.

    Raises:
        StorageError: the disk is full, read-only or failing.
    """
    if path is None:
        from tempfile import mkstemp

        with storage_errors():
            descriptor, name = mkstemp(prefix="kist-")
        file, path = HeldFile(descriptor), Path(name)
    else:
        file = HeldFile.new(path)
    with storage_errors(path):
        os.unlink(path)
    return file


def memory_reader(data: bytes) -> ReadRange:
    """A reader of ranges over bytes in memory."""
    return lambda offset, length: data[offset : offset + length]


def join_ranges(
    offsets: Sequence[int], lengths: Sequence[int], limit: int = RANGE_LIMIT, gap: int = RANGE_GAP
) -> Iterator[tuple[int, int]]:
    """Group members that lie close together, so that one read serves many.

    Args:
        offsets: where each one's bytes lie, ascending.
        lengths: how many bytes each one has.
        limit: bytes that one read brings at most, unless a single member is longer.
        gap: bytes that are not wanted which it reads over at most to get to the next member.

    Yields:
        (first, stop): positions whose bytes are read in one range.
    """
    first, count = 0, len(offsets)
    while first < count:
        start, stop = offsets[first], first + 1
        end = start + lengths[first]
        while stop < count:
            offset = offsets[stop]
            if offset - end > gap or offset + lengths[stop] - start > limit:
                break
            end = offset + lengths[stop]
            stop += 1
        yield first, stop
        first = stop


def split_unfolding(plains: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut what one read brought where it would unfold to too much: deflated bytes may stand for a thousand times more.

    Args:
        plains: how many bytes each member stands for.

    Yields:
        (first, stop): positions of members that have ``UNFOLD_LIMIT`` bytes together at most, or of a single one.
    """
    if sum(plains) <= UNFOLD_LIMIT:
        yield 0, len(plains)
        return
    first = total = 0
    for position, plain in enumerate(plains):
        if position > first and total + plain > UNFOLD_LIMIT:
            yield first, position
            first, total = position, 0
        total += plain
    yield first, len(plains)


def encode(data: bytes, dense: tuple[int, int] = (0, 0)) -> tuple[int, bytes]:
    """Codec and bytes in which a manifest node is stored: deflated where that saves at least 5 %.

    Args:
        data: the node.
        dense: where digests begin and end in it: they cannot be made smaller, and trying takes most of the time.
    """
    import zlib

    deflated = zlib.compress(data, 1) if dense[1] - dense[0] < _DENSE else _deflated_around(data, *dense)
    return (ZLIB, deflated) if len(deflated) * 20 <= len(data) * 19 else (PLAIN, data)


def _deflated_around(data: bytes, start: int, stop: int) -> bytes:
    """A zlib stream in which one part stands as it is."""
    import zlib

    before, after = (zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS) for _ in range(2))
    pieces = [_ZLIB_HEAD, before.compress(data[:start]), before.flush(zlib.Z_FULL_FLUSH)]
    for first in range(start, stop, _STORED_MOST):
        length = min(_STORED_MOST, stop - first)
        pieces += [struct.pack("<BHH", 0, length, length ^ 0xFFFF), data[first : first + length]]
    pieces += [after.compress(data[stop:]), after.flush(), struct.pack(">I", zlib.adler32(data))]
    return b"".join(pieces)


def decode(codec: int, stored: bytes, plain: int) -> bytes | None:
    """The plain bytes of a member, None if they are not what the codec and length promise."""
    if codec == PLAIN:
        return stored if len(stored) == plain else None
    if codec != ZLIB or plain > MAX_UNFOLDED:
        return None
    import zlib

    inflate = zlib.decompressobj()
    try:
        # One byte more than promised is enough to notice a stream that unfolds to far more.
        data = inflate.decompress(stored, plain + 1)
    except zlib.error:
        return None
    return data if len(data) == plain and inflate.eof and not inflate.unused_data else None


@slotted()
class Members:
    """Members of a pack as columns: all of them, sorted by digest, or some that were picked.

    Attributes:
        width: bytes of one raw digest.
        digests: the raw digests, joined.
        offsets: where each one's stored bytes begin.
        stored: how many bytes are stored.
        plains: how many bytes they stand for.
        codecs: one byte a member.
    """

    width: int
    digests: bytes
    offsets: array[int]
    stored: array[int]
    plains: array[int]
    codecs: bytes

    def __len__(self) -> int:
        return len(self.codecs)

    def raws(self) -> list[bytes]:
        """The raw digests, one by one."""
        return cut(self.digests, self.width)

    def rows(self) -> Iterator[tuple[bytes, int, int, int, int]]:
        """Digest, offset, stored bytes, plain bytes and codec of each, for few."""
        return zip(self.raws(), self.offsets, self.stored, self.plains, self.codecs, strict=True)

    def by_digest(self) -> Members:
        """The same, sorted by digest."""
        return self.pick(sorted(range(len(self)), key=self.raws().__getitem__))

    def pick(self, positions: Sequence[int]) -> Members:
        """Some of them, in the order of the positions given."""
        return Members(
            self.width,
            self._digests_at(positions),
            array("Q", gather(self.offsets, positions)),
            array("Q", gather(self.stored, positions)),
            array("Q", gather(self.plains, positions)),
            bytes(gather(self.codecs, positions)),
        )

    def _digests_at(self, positions: Sequence[int]) -> bytes:
        digests, width = self.digests, self.width
        if len(self) <= _AT_ONCE and len(positions) * 8 >= len(self):
            return b"".join(gather(self.raws(), positions))
        # In turns: a digest by itself takes three times its bytes, and a pack may have very many.
        turns = (positions[first : first + _TURN] for first in range(0, len(positions), _TURN))
        return b"".join([b"".join([digests[at * width : at * width + width] for at in turn]) for turn in turns])

    def are_rising(self) -> bool:
        """Whether the digests are in order, each once."""
        for first in range(0, len(self), _TURN):
            raws = cut(self.digests[first * self.width : (first + _TURN + 1) * self.width], self.width)
            if any(map(ge, raws, raws[1:])):
                return False
        return True

    def slice(self, first: int, stop: int) -> Members:
        """Those from *first* up to, not including, *stop*."""
        return Members(
            self.width,
            self.digests[first * self.width : stop * self.width],
            self.offsets[first:stop],
            self.stored[first:stop],
            self.plains[first:stop],
            self.codecs[first:stop],
        )

    @classmethod
    def join(cls, parts: Sequence[Members]) -> Members:
        """One of many, in their order."""
        whole = cls(
            parts[0].width,
            b"".join([part.digests for part in parts]),
            array("Q"),
            array("Q"),
            array("Q"),
            b"".join([part.codecs for part in parts]),
        )
        for part in parts:
            whole.offsets += part.offsets
            whole.stored += part.stored
            whole.plains += part.plains
        return whole

    def position(self, raw: bytes) -> int:
        """Where a digest stands in the columns if they are sorted by it, -1 if it is not among them."""
        width, digests = self.width, self.digests
        found = bisect_left(range(len(self)), raw, key=lambda i: digests[i * width : i * width + width])
        return found if digests[found * width : found * width + width] == raw else -1

    def in_offset_order(self) -> list[int]:
        """The positions in the order in which the members lie in the file."""
        return sorted(range(len(self)), key=self.offsets.tolist().__getitem__)

    def dump(self) -> bytes:
        """The footer."""
        columns = (to_bytes(self.offsets), to_bytes(self.stored), to_bytes(self.plains))
        return b"".join((len(self).to_bytes(8, "little"), self.digests, *columns, self.codecs))

    @classmethod
    def load(cls, footer: bytes, width: int) -> Members | None:
        """Read a footer; None if its length does not fit its count."""
        count = int.from_bytes(footer[:8], "little")
        if len(footer) != 8 + count * (width + FOOTER_ROW):
            return None
        at, size = 8 + count * width, 8 * count
        view = memoryview(footer)[at:]
        offsets, stored, plains = (to_column("Q", view[number * size : (number + 1) * size]) for number in range(3))
        return cls(width, footer[8:at], offsets, stored, plains, footer[at + 3 * size :])

    @classmethod
    def from_rows(cls, width: int, raws: Sequence[bytes], *columns: Sequence[int]) -> Members:
        """Members from unsorted columns: digests, offsets, stored lengths, plain lengths, codecs."""
        order = sorted(range(len(raws)), key=raws.__getitem__)
        offsets, stored, plains = (array("Q", gather(column, order)) for column in columns[:3])
        codecs = bytes(gather(columns[3], order))
        return cls(width, b"".join(gather(raws, order)), offsets, stored, plains, codecs)


EMPTY = Members(32, b"", array("Q"), array("Q"), array("Q"), b"")
"""No members."""
