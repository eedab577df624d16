"""Write packs: members as they come, then the footer that names the file."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, compress
from pathlib import Path

from kist.engine.storage.members import Members
from kist.engine.storage.packs import (
    LENGTHS,
    MEMBER,
    PackPart,
    PackReader,
    file_header,
    member_header,
    pack_id,
    trailer,
)
from kist.errors import ObjectCorrupt
from kist.util.atomic import storage_errors, write_all


class PackWriter:
    """Writes one pack; the caller sees to it that no digest is appended twice.

    Attributes:
        path: the file, made here.
        kind: ``DATA`` or ``NODES``.
        algorithm: the hash algorithm of the digests.
        descriptor: the open file, for reading back what was appended.
        size: bytes so far.
        id: the pack's name, once it is finished.

    Raises:
        StorageError: the disk is full, read-only or failing; what was appended before is still good.
    """

    def __init__(self, path: Path, kind: int, algorithm: str, width: int) -> None:
        self.path = path
        self.kind = kind
        self.algorithm = algorithm
        self.width = width
        self.id = ""
        self._raws: list[bytes] = []
        self._columns: tuple[array[int], array[int], array[int]] = (array("Q"), array("Q"), array("Q"))
        self._codecs = bytearray()
        with storage_errors(path):
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.size = 0
        self._head = file_header(kind, algorithm, width)
        self._write([self._head])

    def __len__(self) -> int:
        return len(self._raws)

    def append_many(self, raws: Sequence[bytes], buffers: Sequence[bytes]) -> None:
        """Append plain members.

        Args:
            raws: their digests.
            buffers: their bytes, in the same order.
        """
        lengths = array("Q", map(len, buffers))
        pack = LENGTHS.pack
        headers = [raw + pack(length, length) for raw, length in zip(raws, lengths, strict=True)]
        step = self.width + MEMBER.size
        start = self.size
        self._write(list(chain.from_iterable(zip(headers, buffers, strict=True))))
        ends = accumulate(lengths, lambda end, length: end + step + length, initial=start)
        self._columns[0].extend(end + step for end, _ in zip(ends, lengths, strict=False))
        self._columns[1].extend(lengths)
        self._columns[2].extend(lengths)
        self._codecs += bytes(len(lengths))
        self._raws += raws

    def append_part(self, part: PackPart, good: Sequence[bool]) -> None:
        """Append the good members of a part of another pack in their stored form.

        Args:
            part: what was read of it.
            good: which of the members in it to take.
        """
        step, view = self.width + MEMBER.size, memoryview(part.data)
        members = part.members.pick([position for position, taken in enumerate(good) if taken])
        pieces, start, end = [], 0, 0
        for begin, length in zip(compress(part.begins, good), members.stored, strict=True):
            if begin != end:
                pieces.append(view[start:end])
                start = begin
            end = begin + step + length
        offsets = accumulate(members.stored, lambda offset, length: offset + length + step, initial=self.size + step)
        self._write([*pieces, view[start:end]])
        self._columns[0].extend(offset for offset, _ in zip(offsets, members.stored, strict=False))
        self._columns[1].extend(members.stored)
        self._columns[2].extend(members.plains)
        self._codecs += members.codecs
        self._raws += members.raws()

    def append(self, raw: bytes, stored: bytes, plain: int, codec: int) -> int:
        """Append one member in its stored form; returns where its stored bytes begin."""
        offset = self.size + self.width + MEMBER.size
        self._write([member_header(raw, len(stored), plain, codec), stored])
        for column, value in zip(self._columns, (offset, len(stored), plain), strict=True):
            column.append(value)
        self._codecs.append(codec)
        self._raws.append(raw)
        return offset

    def finish(self) -> Members:
        """Write footer and trailer, make the file read-only and set ``id``; the descriptor stays open."""
        members = Members.from_rows(self.width, self._raws, *self._columns, self._codecs)
        footer = members.dump()
        self.id = pack_id(footer)
        self._write([footer, trailer(self._head, footer, self.size)])
        with storage_errors(self.path):
            os.fchmod(self.descriptor, 0o444)
        self._raws = []
        return members

    def close(self) -> None:
        """Close the descriptor; may be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _write(self, pieces: Sequence[bytes | memoryview]) -> None:
        descriptor, start = self.descriptor, self.size
        with storage_errors(self.path):
            try:
                for first in range(0, len(pieces), 1024):
                    part = pieces[first : first + 1024]
                    length = sum(map(len, part))
                    written = os.writev(descriptor, part)
                    if written < length:  # nearly full disk, or a signal: the rest goes out the slow way
                        write_all(descriptor, b"".join(part)[written:])
                    self.size += length
            except BaseException:
                # A torn member must not stand between good ones.
                self.size = start
                os.ftruncate(descriptor, start)
                os.lseek(descriptor, start, os.SEEK_SET)
                raise


def copy_members(reader: PackReader, positions: Iterable[int], writer: PackWriter, members: Members) -> None:
    """Copy members to another pack in their stored form.

    Args:
        reader: where they lie.
        positions: which ones, in the order in which they lie there.
        writer: where they go.
        members: the columns that *positions* refer to.

    Raises:
        ObjectCorrupt: the source is shorter than its columns say.
        StorageError: the disk is full, read-only or failing.
    """
    width = members.width
    for position, stored in reader.read_many(list(positions), members):
        raw = members.digests[position * width : position * width + width]
        if len(stored) != members.stored[position]:
            raise ObjectCorrupt(f"{reader.algorithm}:{raw.hex()}", actual="fewer bytes", where=reader.where)
        writer.append(raw, stored, members.plains[position], members.codecs[position])
