"""Packs: files of many small objects.

    header   64 bytes   magic KISTPACK, version, kind, digest width, length of the algorithm's name, the name, zeros
    member   raw digest, codec u8, 7 zeros, stored length u64, plain length u64, then the stored bytes
    footer   count u64, then columns sorted by digest: digests, offsets of the stored bytes u64, stored u64, plain u64,
             codecs u8
    trailer  48 bytes   magic KISTPEND, footer offset u64, footer length u64, version u8, 7 zeros, first 16 bytes of the
             SHA-256 of header and footer

All numbers are little-endian. A pack is named by the SHA-256 of its footer, which covers the name, place and length of
every member; the members' bytes are covered by their digests. Members follow one another without gaps, so that a pack
whose footer is lost can be read from its members alone.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Self

from kist.abc.hasher import Hasher
from kist.engine.storage.members import (
    EMPTY,
    FOOTER_ROW,
    PLAIN,
    RANGE_LIMIT,
    ZLIB,
    Members,
    ReadRange,
    decode,
    descriptor_reader,
    join_ranges,
)
from kist.errors import ObjectCorrupt, RepoFormatError
from kist.util.atomic import storage_error, storage_errors
from kist.util.slotted import slotted

DATA, NODES = 0, 1
"""Kinds of pack: files' content, manifest nodes."""

PACK_LIMIT = 32 << 20
"""A pack is closed when the next member would make it longer than this."""

HEADER_SIZE, TRAILER_SIZE = 64, 48
_VERSION = 1
_HEADER = Struct("<8sBBBB")
LENGTHS = Struct("<8xQQ")
MEMBER = Struct("<B7sQQ")
_TRAILER = Struct("<8sQQB7x16s")
_MAGIC, _END = b"KISTPACK", b"KISTPEND"
_ZEROS = bytes(7)


def pack_id(footer: bytes) -> str:
    """The name of the pack with this footer."""
    from hashlib import sha256

    return sha256(footer, usedforsecurity=False).hexdigest()


def member_header(raw: bytes, stored: int, plain: int, codec: int) -> bytes:
    """The bytes that stand before a member's own.

    Args:
        raw: its raw digest.
        stored: how many bytes are stored.
        plain: how many there are unfolded.
        codec: how they are stored.
    """
    return raw + MEMBER.pack(codec, _ZEROS, stored, plain)


def stored_in_pack(stored: int, members: int, width: int) -> int:
    """Bytes of a pack's file that some of its members take: their own, the headers before them, their footer rows.

    Args:
        stored: how many bytes of theirs are stored.
        members: how many they are.
        width: bytes of a raw digest.
    """
    return stored + members * (width + MEMBER.size + width + FOOTER_ROW)


def file_header(kind: int, algorithm: str, width: int) -> bytes:
    """The bytes that a pack begins with.

    Args:
        kind: ``DATA`` or ``NODES``.
        algorithm: the hash algorithm of the digests.
        width: bytes of a raw digest.
    """
    name = algorithm.encode("ascii")
    return (_HEADER.pack(_MAGIC, _VERSION, kind, width, len(name)) + name).ljust(HEADER_SIZE, b"\0")


def trailer(head: bytes, footer: bytes, offset: int) -> bytes:
    """The bytes that a pack ends with.

    Args:
        head: what it begins with.
        footer: its footer.
        offset: where that stands.
    """
    return _TRAILER.pack(_END, offset, len(footer), _VERSION, _check_of(head, footer))


def _check_of(head: bytes, footer: bytes) -> bytes:
    from hashlib import sha256

    return sha256(head + footer, usedforsecurity=False).digest()[:16]


@slotted(frozen=True)
class PackPart:
    """Some members of a pack, read at once.

    Args:
        members: which ones, in the order in which they lie there.
        begins: where in *data* the header before each one begins.
        data: the bytes, until the next part is read; fewer than the columns promise where the file was cut off.
    """

    members: Members
    begins: Sequence[int]
    data: bytes | memoryview


class PackReader:
    """Reads one pack through ranges; validates all that it relies on.

    Args:
        read: reads a range of the pack's file.
        size: the file's length.
        where: what to call the pack in errors.
        reach: bytes of members that one read brings at most, unless a single one is longer.

    Attributes:
        kind: ``DATA`` or ``NODES``.
        algorithm: the hash algorithm of the digests.
        width: bytes of one raw digest.

    Raises:
        ObjectCorrupt: the header is not that of a pack.
        RepoFormatError: the pack was written by a newer version.
    """

    def __init__(self, read: ReadRange, size: int, where: str, *, reach: int = RANGE_LIMIT) -> None:
        self.size = size
        self.where = where
        self.read_range = read
        self._reach = reach
        self._descriptor = -1
        self._head = b""
        self._footer: bytes | None = None
        self._members: tuple[Members, Members] | None = None
        self._buffer = memoryview(b"")
        head = read(0, HEADER_SIZE)
        if len(head) < HEADER_SIZE or not head.startswith(_MAGIC):
            raise self._corrupt("no pack header")
        _, version, self.kind, self.width, length = _HEADER.unpack_from(head)
        if version > _VERSION and not self._ends_as(_VERSION):
            raise RepoFormatError(f"pack {where} is of version {version}: a newer kist wrote it", path=where)
        name = head[_HEADER.size : _HEADER.size + length]
        if version != _VERSION or self.kind > NODES or not 8 <= self.width <= 64 or not 1 <= length <= 32:
            raise self._corrupt("a header that makes no sense")
        if not name.isascii() or head != head[: _HEADER.size + length].ljust(HEADER_SIZE, b"\0"):
            raise self._corrupt("a header that makes no sense")
        self.algorithm = name.decode("ascii")
        self._head = head

    @classmethod
    def open(cls, path: Path) -> PackReader:
        """Open a pack on this machine.

        Raises:
            StorageError: it cannot be read.
            ObjectCorrupt: it is no pack.
            RepoFormatError: a newer version wrote it.
            FileNotFoundError: it is not there (any more); the caller looks again.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise storage_error(exc, path) from exc
        try:
            reader = cls(descriptor_reader(descriptor), os.fstat(descriptor).st_size, str(path))
        except BaseException:
            os.close(descriptor)
            raise
        reader._descriptor = descriptor
        return reader

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file if this reader opened it, and let go of what was read of it; may be called twice."""
        self._footer = self._members = None
        self._buffer = memoryview(b"")
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def mtime(self) -> float:
        """When the file that :meth:`open` opened was last written, UTC seconds, also if it has no name any more."""
        return os.fstat(self._descriptor).st_mtime

    @property
    def id(self) -> str:
        """The pack's name, computed from its footer."""
        return pack_id(self._load_footer())

    @property
    def members(self) -> Members:
        """The members according to the footer, checked for sense.

        Raises:
            ObjectCorrupt: the footer is missing or damaged; ``scan`` may still find members.
        """
        return self._load_members()[0]

    @property
    def digests(self) -> bytes:
        """The raw digests of the members, joined: the quick look at a footer, of which only the check was made."""
        members = Members.load(self._load_footer(), self.width)
        return members.digests if members else b""

    @property
    def in_order(self) -> Members:
        """The same in the order in which they lie in the file."""
        return self._load_members()[1]

    def scan(self) -> Members:
        """Find the members without the footer, by walking from one to the next until something else comes.

        Nothing is proved yet: a digest found here counts only once its bytes were hashed.
        """
        rows: dict[bytes, tuple[int, int, int, int]] = {}
        offset, step = HEADER_SIZE, self.width + MEMBER.size
        while len(head := self.read_range(offset, step)) == step:
            codec, zeros, stored, plain = MEMBER.unpack_from(head, self.width)
            if codec > ZLIB or any(zeros) or offset + step + stored > self.size:
                break
            rows.setdefault(head[: self.width], (offset + step, stored, plain, codec))
            offset += step + stored
        return Members.from_rows(self.width, list(rows), *zip(*rows.values(), strict=True)) if rows else EMPTY

    def read_many(self, positions: Sequence[int], members: Members) -> Iterator[tuple[int, bytes]]:
        """Read stored bytes, adjacent ones in one range.

        Args:
            positions: which members, in the order in which they lie in the file.
            members: their columns.

        Yields:
            (position, stored bytes): shorter than promised where the file was cut off.
        """
        offsets = [members.offsets[position] for position in positions]
        lengths = [members.stored[position] for position in positions]
        for first, stop in join_ranges(offsets, lengths, self._reach):
            start = offsets[first]
            data = self.read_range(start, offsets[stop - 1] + lengths[stop - 1] - start)
            for index in range(first, stop):
                begin = offsets[index] - start
                yield positions[index], data[begin : begin + lengths[index]]

    def check(self, hasher: Hasher, members: Members | None = None) -> Iterator[tuple[int, bool]]:
        """Hash every member and compare the header before it with the columns.

        Args:
            hasher: of the pack's algorithm.
            members: what to check; None for what the footer lists.

        Yields:
            (position, whether it is good), in the order in which they lie in the file.
        """
        members = self.members if members is None else members
        order = members.in_offset_order()
        positions = iter(order)
        for _, good in self.check_parts(hasher, members.pick(order)):
            yield from ((position, fine) for fine, position in zip(good, positions, strict=False))

    def is_whole(self, hasher: Hasher) -> bool:
        """Whether every member is what the footer says; see ``check``."""
        return all(all(good) for _, good in self.check_parts(hasher, self.in_order))

    def check_parts(self, hasher: Hasher, members: Members) -> Iterator[tuple[PackPart, list[bool]]]:
        """Read members with the headers before them, adjacent ones in one range, and check both.

        Args:
            hasher: of the pack's algorithm.
            members: which ones, in the order in which they lie in the file.

        Yields:
            What one read brought, and whether each member in it is good.
        """
        step = self.width + MEMBER.size
        starts = array("q", [offset - step for offset in members.offsets])
        lengths = array("Q", map(step.__add__, members.stored))
        for first, stop in join_ranges(starts, lengths, self._reach):
            start = starts[first]
            data = self._read_part(start, starts[stop - 1] + lengths[stop - 1] - start)
            part = PackPart(members.slice(first, stop), [begin - start for begin in starts[first:stop]], data)
            # Many hashed at once cost much less than each by itself; what may unfold to more is not held together.
            if self._all_plain(hasher, part):
                yield part, [True] * (stop - first)
            else:
                yield part, [self._is_good(hasher, part, position) for position in range(stop - first)]

    def _read_part(self, start: int, length: int) -> bytes | memoryview:
        """A range of the file; of one on this machine in a buffer that serves again and goes back to the system."""
        if self._descriptor < 0:
            return self.read_range(start, length)
        if len(self._buffer) < length:
            from mmap import mmap

            self._buffer = memoryview(mmap(-1, max(length, self._reach)))
        view, done = self._buffer[:length], 0
        with storage_errors():
            while done < length and (more := os.preadv(self._descriptor, [view[done:]], start + done)):
                done += more
        return view[:done]

    def _all_plain(self, hasher: Hasher, part: PackPart) -> bool:
        """Whether all members of a part are stored as they are, and are what the columns say."""
        members, view = part.members, memoryview(part.data)
        step, pack = self.width + MEMBER.size, LENGTHS.pack
        if members.codecs.count(PLAIN) < len(members):
            return False
        sizes = map(pack, members.stored, members.plains)
        headers = b"".join(chain.from_iterable(zip(members.raws(), sizes, strict=True)))
        if headers != b"".join([view[begin : begin + step] for begin in part.begins]):
            return False
        contents = [view[at + step : at + step + size] for at, size in zip(part.begins, members.stored, strict=True)]
        return list(map(len, contents)) == list(members.plains) and hasher.raw_many(contents) == members.digests

    def _is_good(self, hasher: Hasher, part: PackPart, position: int) -> bool:
        """Whether one member of a part is what the columns say."""
        members, data, begin, width = part.members, part.data, part.begins[position], self.width
        at = begin + width + MEMBER.size
        stored, plain, codec = members.stored[position], members.plains[position], members.codecs[position]
        raw = members.digests[position * width : position * width + width]
        if data[begin:at] != member_header(raw, stored, plain, codec) or len(data) < at + stored:
            return False
        content = decode(codec, bytes(data[at : at + stored]), plain)
        return content is not None and hasher.raw(content) == raw

    def _load_footer(self) -> bytes:
        if self._footer is None:
            trailer = self.read_range(max(0, self.size - TRAILER_SIZE), TRAILER_SIZE)
            if len(trailer) < TRAILER_SIZE or not trailer.startswith(_END):
                raise self._corrupt("no trailer: the file was cut off")
            _, offset, length, version, check = _TRAILER.unpack(trailer)
            if trailer != _TRAILER.pack(_END, offset, length, _VERSION, check) or version != _VERSION:
                raise self._corrupt("a trailer that makes no sense")
            if offset < HEADER_SIZE or offset + length + TRAILER_SIZE != self.size:
                raise self._corrupt("a trailer that does not fit the file")
            footer = self.read_range(offset, length)
            if _check_of(self._head, footer) != check:
                raise self._corrupt("a damaged footer")
            self._footer = footer
        return self._footer

    def _ends_as(self, version: int) -> bool:
        """Whether the trailer is one of this version: then a header that says something else is damaged."""
        trailer = self.read_range(max(0, self.size - TRAILER_SIZE), TRAILER_SIZE)
        return len(trailer) == TRAILER_SIZE and trailer.startswith(_END) and _TRAILER.unpack(trailer)[3] == version

    def _load_members(self) -> tuple[Members, Members]:
        """The members by digest, and in the order in which they lie in the file."""
        if self._members is None:
            members = Members.load(self._load_footer(), self.width)
            if not members or not members.are_rising():
                raise self._corrupt("a footer that makes no sense")
            # Without gaps and overlaps the members are exactly what lies between header and footer.
            step, ordered = self.width + MEMBER.size, members.pick(members.in_offset_order())
            starts = array("Q", accumulate(map(step.__add__, ordered.stored), initial=HEADER_SIZE + step))
            end = starts.pop() - step + TRAILER_SIZE + len(self._load_footer())
            if max(members.codecs) > ZLIB or ordered.offsets != starts or end != self.size:
                raise self._corrupt("a footer that makes no sense")
            self._members = members, ordered
        return self._members

    def _corrupt(self, found: str) -> ObjectCorrupt:
        return ObjectCorrupt(f"pack:{Path(self.where).name}", actual=found, where=self.where)
