"""The record of verified objects: which loose objects were hashed, and how they looked then.

    header   64 bytes   magic KISTVERI, version u8, digest width u8, length of the algorithm's name u8, the name, zeros
                        up to 48; count u64, 8 zeros
    digests  sorted, joined
    columns  u64 each: size, mtime in ns, ctime in ns, inode, number of links
    check    first 16 bytes of the SHA-256 of all before

One file a writer, named by the time; a later one overrules an earlier one. It is only a record of what need not be
done again: what cannot be read is left out.
"""

from __future__ import annotations

import os
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from kist.engine.cache.folder import CacheFolder
from kist.engine.storage.members import split_raws, to_bytes, to_column
from kist.errors import StorageError
from kist.util.atomic import write_file

_HEADER = Struct("<8sBBB37sQ8x")
_MAGIC, _VERSION = b"KISTVERI", 1
_FIELDS = 5
_MERGE_AT = 8
_MANY = 256
"""Questions at once from which on it pays to index a record."""
_MOST = 500_000
"""Objects of a record that is indexed at most: an index takes about 150 bytes for each."""

_MOST_OWN = 10_000
"""Objects whose looks are kept in memory."""

_MASK = (1 << 64) - 1
_WRITABLE = 0o222

Look = tuple[int, int, int, int, int]
"""Size, mtime, ctime, inode, number of links."""


@dataclass(slots=True)
class _Record:
    width: int
    digests: bytes
    columns: list[array[int]]
    places: dict[bytes, int] | None = None

    def index(self) -> None:
        """Make ready for many questions."""
        if self.places is None and len(self.digests) <= _MOST * self.width:
            raws = split_raws(self.digests, self.width)
            self.places = dict(zip(raws, range(len(raws)), strict=True))

    def find(self, raw: bytes) -> Look | None:
        at = self._bisected(raw) if self.places is None else self.places.get(raw, -1)
        if at < 0:
            return None
        size, mtime, ctime, inode, links = (column[at] for column in self.columns)
        return size, mtime, ctime, inode, links

    def _bisected(self, raw: bytes) -> int:
        width, digests = self.width, self.digests
        count = len(digests) // width
        at = bisect_left(range(count), raw, key=lambda i: digests[i * width : i * width + width])
        return at if digests[at * width : at * width + width] == raw else -1


class VerifiedRecord:
    """Tells which loose objects are as they were when they were last hashed.

    Args:
        folder: the cache's folder.
        keep: read the files of the record once, for many questions one after the other; what others record meanwhile
            is not seen.
    """

    def __init__(self, folder: CacheFolder, *, keep: bool = False) -> None:
        self._folder = folder
        self._kept: dict[str, list[tuple[Path, _Record]]] | None = {} if keep else None
        self._loaded: dict[tuple[str, str], tuple[Look, _Record | None]] = {}
        self._own: dict[tuple[str, bytes], Look] = {}

    def check_many(self, algorithm: str, raws: Sequence[bytes]) -> list[bool]:
        """Whether each loose object may be trusted without hashing it.

        Making or removing a link changes an object's ctime. So an object that is or was linked is compared without
        it; and one that somebody made writable is not trusted.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests, in any order.
        """
        records = [record for _, record in self._records(algorithm)][::-1]
        if len(raws) >= _MANY:
            for record in records:
                record.index()
        prefix = f"{self._folder.objects}/"
        return [self._unchanged(records, prefix, algorithm, raw) for raw in raws]

    def inodes(self, algorithm: str) -> dict[int, bytes]:
        """The inode that each recorded object had when it was hashed -> its raw digest; the newest counts."""
        found: dict[int, bytes] = {}
        for _, record in self._records(algorithm):
            found.update(zip(record.columns[3], split_raws(record.digests, record.width), strict=True))
        return found

    def mark(self, algorithm: str, raws: Sequence[bytes]) -> None:
        """Record loose objects that were just hashed and found good; without the right to write nothing happens.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests.
        """
        looks: dict[bytes, Look] = {}
        prefix = f"{self._folder.objects}/"
        for raw in raws:
            with suppress(OSError):
                looks[raw] = look_of(os.lstat(prefix + os.fsdecode(self._folder.loose_name(algorithm, raw))))
        if not looks:
            return
        if len(self._own) < _MOST_OWN:
            self._own |= {(algorithm, raw): look for raw, look in looks.items()}
        with suppress(StorageError):
            replaced: list[Path] = []
            if len(self._names()) >= _MERGE_AT:
                old = list(self._records(algorithm))
                looks = self._merge(old) | looks
                replaced = [path for path, _ in old]
            self._write(algorithm, looks)
            for path in replaced:
                path.unlink(missing_ok=True)
                self._loaded.pop((algorithm, path.name), None)

    def take(self, algorithm: str, raw: bytes) -> Look | None:
        """How an object looked when this process marked it, None if it did not; told once, so for one use of it.

        Args:
            algorithm: the hash algorithm.
            raw: its raw digest.
        """
        return self._own.pop((algorithm, raw), None)

    def _unchanged(self, records: list[_Record], prefix: str, algorithm: str, raw: bytes) -> bool:
        then = next((look for record in records if (look := record.find(raw)) is not None), None)
        if then is None:
            return False
        try:
            status = os.lstat(prefix + os.fsdecode(self._folder.loose_name(algorithm, raw)))
        except OSError:
            return False
        now = look_of(status)
        if now == then:
            return True
        same = (now[0], now[1], now[3]) == (then[0], then[1], then[3])
        linked = now[4] > 1 or now[4] != then[4]
        return same and linked and not status.st_mode & _WRITABLE

    def _records(self, algorithm: str) -> Iterable[tuple[Path, _Record]]:
        """Readable records of an algorithm, the oldest first."""
        if self._kept is None:
            return self._read_records(algorithm)
        if algorithm not in self._kept:
            self._kept[algorithm] = list(self._read_records(algorithm))
        return self._kept[algorithm]

    def _read_records(self, algorithm: str) -> Iterator[tuple[Path, _Record]]:
        width = self._folder.hasher(algorithm).digest_size
        for name in self._names():
            path = self._folder.verified / name
            with suppress(OSError):
                look = look_of(path.stat())
                loaded = self._loaded.get((algorithm, name))
                if loaded is None or loaded[0] != look:
                    loaded = self._loaded[algorithm, name] = look, _load(path.read_bytes(), algorithm, width)
                if loaded[1] is not None:
                    yield path, loaded[1]

    def _names(self) -> list[str]:
        """The files of the record, of all algorithms, the oldest first."""
        try:
            return sorted(name for name in os.listdir(self._folder.verified) if not name.startswith("."))
        except OSError:
            return []

    @staticmethod
    def _merge(records: list[tuple[Path, _Record]]) -> dict[bytes, Look]:
        looks: dict[bytes, Look] = {}
        for _, record in records:
            raws = split_raws(record.digests, record.width)
            looks.update(zip(raws, zip(*record.columns, strict=True), strict=True))
        return looks

    def _write(self, algorithm: str, looks: dict[bytes, Look]) -> None:
        from hashlib import sha256

        raws = sorted(looks)
        width = self._folder.hasher(algorithm).digest_size
        name = algorithm.encode("ascii")
        columns = (array("Q", [looks[raw][position] for raw in raws]) for position in range(_FIELDS))
        body = b"".join(
            (
                _HEADER.pack(_MAGIC, _VERSION, width, len(name), name, len(raws)),
                *raws,
                *map(to_bytes, columns),
            )
        )
        file = self._folder.verified / f"{time.time_ns():016x}-{os.urandom(4).hex()}"
        mode = 0o444 if self._folder.shared else 0o600
        write_file(file, body + sha256(body, usedforsecurity=False).digest()[:16], mode=mode, sync=False)


def look_of(status: os.stat_result) -> Look:
    """How an object looks, as far as that tells whether somebody changed it."""
    return (
        status.st_size,
        status.st_mtime_ns & _MASK,
        status.st_ctime_ns & _MASK,
        status.st_ino & _MASK,
        status.st_nlink,
    )


def _load(data: bytes, algorithm: str, width: int) -> _Record | None:
    from hashlib import sha256

    body = data[:-16]
    if len(data) < _HEADER.size + 16 or sha256(body, usedforsecurity=False).digest()[:16] != data[-16:]:
        return None
    magic, version, found, length, name, count = _HEADER.unpack_from(body)
    if (magic, version, found, name[:length]) != (_MAGIC, _VERSION, width, algorithm.encode("ascii")):
        return None
    at = _HEADER.size + count * width
    if len(body) != at + _FIELDS * 8 * count:
        return None
    columns = [to_column("Q", body[at + 8 * count * i : at + 8 * count * (i + 1)]) for i in range(_FIELDS)]
    return _Record(width, body[_HEADER.size : at], columns)
