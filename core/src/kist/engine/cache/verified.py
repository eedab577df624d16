"""The record of verified objects: which loose objects were hashed, and how they looked then.

One file a writer (``record_file`` beside this module), named by the time; a later one overrules an earlier one. It is
only a record of what need not be done again: what cannot be read is left out.
"""

from __future__ import annotations

import os
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from kist.engine.cache.folder import CacheFolder
from kist.engine.cache.known_inodes import KnownInodes
from kist.engine.cache.record_file import Look, RecordFile, dump_record, merge_records
from kist.engine.storage.indexes import plan_merge
from kist.engine.storage.members import HeldFile, ReadRange, memory_reader
from kist.errors import StorageError
from kist.util.atomic import storage_errors, temp_name, write_file

_MERGE_AT = 8

_HELD = 16 << 20
"""Bytes of a file of the record that is kept in memory at most, where it will be asked very often."""

_MOST_OWN = 10_000
"""Objects whose looks are kept in memory."""

_TOGETHER = 8
"""Objects in one folder for which it is opened, rather than each is asked for by its whole path."""

_MASK = (1 << 64) - 1
_WRITABLE = 0o222

Records = list[tuple[Path, RecordFile]]
"""Files of the record, the oldest first."""

Loaded = dict[tuple[str, str], tuple[Look, RecordFile | None]]
"""Files of the record by algorithm and name: how each looked when it was opened; None for one of another algorithm."""


class VerifiedRecord:
    """Tells which loose objects are as they were when they were last hashed.

    Args:
        folder: the cache's folder.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self._folder = folder
        self._process = os.getpid()
        self._kept: dict[str, Records] | None = None
        self._loaded: Loaded = {}
        self._held: Loaded = {}
        self._inodes: dict[str, tuple[list[RecordFile], KnownInodes]] = {}
        self._own: dict[tuple[str, bytes], Look] = {}

    def kept(self) -> VerifiedRecord:
        """The same for many questions one after the other: it looks once which files of the record there are, and what
        others record meanwhile is not seen. What it reads of a file is there for the next such one.
        """
        other = VerifiedRecord(self._folder)
        other._kept, other._loaded, other._inodes = {}, self._held, self._inodes
        return other

    def check_many(self, algorithm: str, raws: Sequence[bytes]) -> list[bool]:
        """Whether each loose object may be trusted without hashing it.

        Making or removing a link changes an object's ctime. So an object that is or was linked is compared without
        it; and one that somebody made writable is not trusted.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests, in any order; best many at once.
        """
        known: dict[bytes, Look] = {}
        left = sorted(set(raws))
        for _, record in reversed(self._records(algorithm) if left else []):
            with suppress(StorageError):
                known.update(record.looks(left))
            left = [raw for raw in left if raw not in known]
            if not left:
                break
        good = {
            raw
            for raw, status in self._stats(algorithm, sorted(known))
            if status is not None and _is_unchanged(known[raw], status)
        }
        return [raw in good for raw in raws]

    def inodes(self, algorithm: str) -> KnownInodes:
        """Which recorded object had which inode when it was hashed; made once while the record stays as it is."""
        records = [record for _, record in self._records(algorithm)]
        of, known = self._inodes.get(algorithm, (None, None))
        if known is None or of != records:
            known = KnownInodes(records, self._folder.hasher(algorithm).digest_size)
            self._inodes[algorithm] = records, known
        return known

    def mark(self, algorithm: str, raws: Sequence[bytes], *, stored: bool = False) -> None:
        """Record loose objects that were just hashed and found good; without the right to write nothing happens.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests.
            stored: whether this process stored them just now: then :meth:`take` tells how they look.
        """
        good, looks = [], array("Q")
        for raw, status in self._stats(algorithm, sorted(set(raws))):
            if status is not None:
                look = look_of(status)
                good.append(raw)
                looks.extend(look)
                if stored and len(self._own) < _MOST_OWN:
                    self._own[algorithm, raw] = look
        if not good:
            return
        with suppress(StorageError):
            file = self._new_file(f"{time.time_ns():016x}")
            write_file(file, dump_record(algorithm, good, looks), mode=self._mode, sync=False)
            if os.getpid() == self._process:  # else others run beside this one, and whoever started them sees to it
                self._merge(algorithm)

    def take(self, algorithm: str, raw: bytes) -> Look | None:
        """How an object looked when this process stored it, None if it did not; told once, so for one use of it.

        Args:
            algorithm: the hash algorithm.
            raw: its raw digest.
        """
        return self._own.pop((algorithm, raw), None)

    def _stats(self, algorithm: str, raws: Sequence[bytes]) -> Iterator[tuple[bytes, os.stat_result | None]]:
        """What the system tells of each loose object of some sorted digests; None of one that is not there."""
        size = self._folder.hasher(algorithm).digest_size
        first = 0
        while first < len(raws):
            stop = bisect_left(raws, raws[first][0] + 1, first, key=lambda raw: raw[0])
            group = raws[first:stop]
            if stop - first < _TOGETHER or any(len(raw) != size for raw in group):
                prefix = f"{self._folder.objects}/"
                for raw in group:
                    yield raw, _stat(prefix + os.fsdecode(self._folder.loose_name(algorithm, raw)), None)
            else:
                yield from self._stats_in(f"{self._folder.objects}/{algorithm}/{raws[first][0]:02x}", group)
            first = stop

    @staticmethod
    def _stats_in(shard: str, raws: Sequence[bytes]) -> Iterator[tuple[bytes, os.stat_result | None]]:
        """The same of objects in one folder."""
        try:
            folder = os.open(shard, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            for raw in raws:
                yield raw, None
            return
        try:
            names = [raw.hex()[2:] for raw in raws]
            found: list[os.stat_result | None]
            try:
                found = list(map(partial(os.lstat, dir_fd=folder), names))
            except OSError:
                found = [_stat(name, folder) for name in names]
        finally:
            os.close(folder)
        yield from zip(raws, found, strict=True)

    def _records(self, algorithm: str) -> Records:
        """Files of the record that are of an algorithm; whether they are whole is seen when they are asked."""
        if self._kept is None:
            return self._open_records(algorithm)
        if algorithm not in self._kept:
            self._kept[algorithm] = self._open_records(algorithm)
        return self._kept[algorithm]

    def _open_records(self, algorithm: str) -> Records:
        loaded = {key: one for key, one in self._loaded.items() if key[0] != algorithm}
        records: Records = []
        for name in self._names():
            path = self._folder.verified / name
            with suppress(OSError, StorageError):
                look, known = look_of(path.stat()), self._loaded.get((algorithm, name))
                if known is None or known[0] != look:
                    known = look, self._open(path, algorithm)
                loaded[algorithm, name] = known
                if known[1] is not None:
                    records.append((path, known[1]))
        self._loaded.clear()  # which others may share
        self._loaded.update(loaded)
        return records

    def _open(self, path: Path, algorithm: str) -> RecordFile | None:
        file = HeldFile(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        read: ReadRange = file.read
        if self._kept is not None and file.size <= _HELD:
            read = memory_reader(file.read(0, file.size))
        return RecordFile.parse(read, file.size, algorithm, self._folder.hasher(algorithm).digest_size)

    def _names(self) -> list[str]:
        """The files of the record, of all algorithms, the oldest first."""
        try:
            return sorted(name for name in os.listdir(self._folder.verified) if not name.startswith("."))
        except OSError:
            return []

    def _merge(self, algorithm: str) -> None:
        """Merge the newest files where there are many, so that each object is rewritten a few times only."""
        if len(self._names()) < _MERGE_AT:
            return
        records = self._records(algorithm)
        count = plan_merge([record.count for _, record in records])
        chosen = [(path, record) for path, record in records[len(records) - count :] if record.whole]
        if len(chosen) < 2:
            return
        # What was recorded meanwhile is newer than any of them and stays so.
        path = self._new_file(chosen[-1][0].name.partition("-")[0])
        temporary = path.with_name(temp_name(path.name))
        width = self._folder.hasher(algorithm).digest_size
        merge_records([record for _, record in chosen], algorithm, width, temporary, self._mode)
        with storage_errors(path):
            temporary.rename(path)
            for old, _ in chosen:
                old.unlink(missing_ok=True)

    def _new_file(self, moment: str) -> Path:
        return self._folder.verified / f"{moment}-{os.urandom(4).hex()}"

    @property
    def _mode(self) -> int:
        return 0o444 if self._folder.shared else 0o600


def look_of(status: os.stat_result) -> Look:
    """How an object looks, as far as that tells whether somebody changed it."""
    return (
        status.st_size,
        status.st_mtime_ns & _MASK,
        status.st_ctime_ns & _MASK,
        status.st_ino & _MASK,
        status.st_nlink,
    )


def _is_unchanged(then: Look, status: os.stat_result) -> bool:
    now = look_of(status)
    if now == then:
        return True
    same = (now[0], now[1], now[3]) == (then[0], then[1], then[3])
    linked = now[4] > 1 or now[4] != then[4]
    return same and linked and not status.st_mode & _WRITABLE


def _stat(path: str, folder: int | None) -> os.stat_result | None:
    try:
        return os.lstat(path, dir_fd=folder)
    except OSError:
        return None
