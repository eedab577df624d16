"""One writer's work on a cache: no pack is visible before the commit, nothing temporary is left after an abort."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kist.abc.hasher import Hasher
from kist.abc.progress import NullProgress, Progress
from kist.engine.cache.publish import Pending, publish
from kist.engine.cache.read import CacheReader
from kist.engine.cache.verified import VerifiedRecord
from kist.engine.manifest.format import dense_part
from kist.engine.process.scratch import Scratch, sweep
from kist.engine.process.syncing import Syncer
from kist.engine.storage.indexes import PackEntry
from kist.engine.storage.members import decode, encode
from kist.engine.storage.pack_writer import PackWriter
from kist.engine.storage.packs import DATA, NODES, PACK_LIMIT, PackReader
from kist.errors import ObjectCorrupt, WorkspaceError
from kist.model.digest import Digest
from kist.util.atomic import storage_error, storage_errors
from kist.util.gathering import cut

if TYPE_CHECKING:
    from kist.engine.cache.loose_writer import LooseWriter
    from kist.engine.cache.streams import StreamCopier

_SEEN_LIMIT = 1 << 19
_LOOSE_LIMIT = 1 << 15
"""Large loose objects that wait for the commit at most: of more than that all come into their places."""
_SMALL_LIMIT = 1 << 17
"""Small ones likewise: what is recorded of them takes memory."""


class CacheSession:
    """Stores objects; for a ``with`` statement, whose end without ``commit`` throws away what waits.

    It holds ``gc.lock`` shared, so that nothing that it relies on is collected meanwhile. Methods may be called from
    several threads.

    Args:
        reader: the cache.
        verified: learns what was hashed while it was written.
        algorithm: the hash algorithm of what ``put_small`` and ``put_node`` store.
        pack_threshold: objects of at least this many bytes become loose ones.
        sync: ``batch``, ``each`` or ``off``.

    Attributes:
        bytes_stored: bytes of content newly stored, before compression.
    """

    def __init__(
        self, reader: CacheReader, verified: VerifiedRecord, algorithm: str, *, pack_threshold: int, sync: str
    ) -> None:
        self.bytes_stored = 0
        self._reader = reader
        self._verified = verified
        self._folder = reader.folder
        self._hasher = reader.folder.hasher(algorithm)
        self._threshold = pack_threshold
        self._syncer = Syncer(sync)
        self._stack = ExitStack()
        self._scratch: Scratch | None = None
        self._lock = threading.RLock()
        self._writers: dict[int, PackWriter] = {}
        self._pending = Pending(self.file)
        self._seen: set[bytes] = set()
        self._nodes: dict[bytes, tuple[PackWriter, int, int, int, int]] = {}
        self._closed: list[PackWriter] = []
        self._loose: LooseWriter | None = None
        self._small_loose = 0
        self._streams: StreamCopier | None = None

    def __enter__(self) -> Self:
        self._folder.ensure()
        self._stack.enter_context(self._folder.lock("gc.lock", what="the cache", shared=True))
        try:
            sweep(self._folder.tmp)
            self._scratch = self._stack.enter_context(Scratch(self._folder.tmp, verb="cache"))
            self._reader.catalog.refresh()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._syncer.close()
        for writer in (*self._writers.values(), *self._closed):
            writer.close()
        self._writers, self._closed = {}, []
        if self._loose is not None:
            self._loose.close()
        self._stack.close()  # removes the scratch folder with all that was not committed

    def file(self, suffix: str = "") -> Path:
        """A name for a new temporary file on the cache's file system; removed at the end unless it is adopted."""
        if self._scratch is None:
            raise RuntimeError("a session is used inside its with statement")
        return self._scratch.file(suffix)

    def put_small(self, raws_block: bytes, buffers: Sequence[bytes]) -> None:
        """Store small objects; those that are here already cost nothing.

        Args:
            raws_block: their raw digests, joined.
            buffers: their contents, already hashed, in the same order.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        with self._lock:
            fresh = dict(zip(cut(raws_block, self._hasher.digest_size), buffers, strict=True))
            if not self._seen.isdisjoint(fresh):
                fresh = {raw: data for raw, data in fresh.items() if raw not in self._seen}
            absent = set(self._absent(fresh))
            if len(absent) < len(fresh):
                fresh = {raw: data for raw, data in fresh.items() if raw in absent}
            small = {raw: data for raw, data in fresh.items() if len(data) < self._threshold}
            if small:
                self._append(list(small), list(small.values()))
            if len(small) < len(fresh):
                self.put_loose({raw: data for raw, data in fresh.items() if raw not in small})
            self._remember(fresh)

    def put_node(self, data: bytes) -> bytes:
        """Store a manifest node; returns its raw digest.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        raw = self._hasher.raw(data)
        with self._lock:
            if raw in self._seen or raw in self._nodes or not self._absent((raw,)):
                return raw
            codec, stored = encode(data, dense_part(data))
            writer = self._writer(NODES, len(stored))
            self._nodes[raw] = (writer, writer.append(raw, stored, len(data), codec), len(stored), len(data), codec)
            self.bytes_stored += len(data)
        return raw

    def put_stream(
        self, reader: int, size: int | None = None, hasher: Hasher | None = None, progress: Progress = NullProgress()
    ) -> bytes:
        """Store a large object as a loose one; it is hashed while it is copied.

        Args:
            reader: an open descriptor, read from where it stands to its end.
            size: how many bytes there must be, None if any number is good.
            hasher: names it; None for the session's own.
            progress: advanced by the bytes that were read.

        Returns:
            its raw digest.

        Raises:
            WorkspaceError: there were more or fewer bytes than *size*: the file changed while it was read.
            StorageError: the disk is full, read-only or failing.
        """
        hasher = hasher or self._hasher
        path = self.file()
        try:
            raw, length = self._copier().copy(reader, path, hasher, size, progress)
            if size is not None and length != size:
                raise WorkspaceError("a file changed while it was read", hint="run the command again")
            with self._lock:
                if self._reader.missing(hasher.name, (raw,)):
                    self._adopt(path, hasher.name, raw, length)
                else:
                    path.unlink()
        except OSError as exc:
            path.unlink(missing_ok=True)
            raise storage_error(exc, path) from exc
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return raw

    def put_loose(self, objects: Mapping[bytes, bytes]) -> None:
        """Store objects as loose ones, whatever their sizes.

        Args:
            objects: raw digest, already computed, to content.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        with self._lock:
            self.bytes_stored += self.loose().write(objects.items())
            self._small_loose += len(objects)
            if self._small_loose >= _SMALL_LIMIT:
                self._publish_loose()

    def loose(self) -> LooseWriter:
        """What writes small loose objects, also in a process that is forked from here; :meth:`commit` is done here."""
        with self._lock:
            if self._loose is None:
                from kist.engine.cache.loose_writer import LooseWriter  # few commands store small objects as files

                self._loose = LooseWriter(self._folder, self._hasher.name, self.file("-loose"), self._syncer)
                self._loose.begin()
            self._pending.small = self._loose
            return self._loose

    def put_loose_file(self, path: Path, digest: Digest, *, synced: bool = False) -> None:
        """Take over a file whose content was checked against *digest*; it is moved away or removed.

        Args:
            path: the file; best one made by ``file``, on the cache's file system.
            digest: its name.
            synced: whether its content is durable already.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        raw = self._folder.raw(digest)
        with self._lock, storage_errors(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                size = os.fstat(descriptor).st_size
                os.fchmod(descriptor, 0o444)
                if not synced:
                    self._syncer.sync(descriptor)
            finally:
                os.close(descriptor)
            self._adopt(path, digest.algorithm, raw, size)

    def adopt_pack(self, path: Path, opened: PackReader | None = None, *, verified: bool = True) -> str:
        """Take over a whole pack, such as one from a remote; its structure is checked.

        Args:
            path: the file; best one made by ``file``, on the cache's file system.
            opened: a reader of it, where there is one; it is closed.
            verified: whether its members were hashed already; else they are now.

        Returns:
            the pack's id.

        Raises:
            ObjectCorrupt: it is no pack, or a member is damaged; it stays where it is.
            StorageError: the disk is full, read-only or failing.
        """
        with opened or PackReader.open(path) as reader, storage_errors(path):
            members = reader.members
            hasher = self._folder.hasher(reader.algorithm)
            if not verified:
                for position, good in reader.check(hasher):
                    if not good:
                        raise ObjectCorrupt(f"{hasher.name}:{members.raws()[position].hex()}", where=str(path))
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fchmod(descriptor, 0o444)
                self._syncer.sync(descriptor)
                inode = os.fstat(descriptor).st_ino
            finally:
                os.close(descriptor)
            with self._lock:
                entry = PackEntry(reader.id, reader.size, reader.kind)
                self._pending.hashed[entry.id] = inode
                self._pending.add_pack(path, reader.algorithm, entry, members)
                self.bytes_stored += sum(members.plains)
            return entry.id

    def read_nodes(self, raws: Sequence[bytes]) -> list[bytes]:
        """Read nodes, those of this session too.

        Raises:
            ObjectMissing: one of them is not here.
            ObjectCorrupt: one of them is damaged.
        """
        with self._lock:
            mine = {raw: self._read_own(raw) for raw in raws if raw in self._nodes}
        others = [raw for raw in raws if raw not in mine]
        found = dict(zip(others, self._reader.read_many(self._hasher.name, others), strict=True)) if others else {}
        return [mine[raw] if raw in mine else found[raw] for raw in raws]

    def commit(self, *, record: bool = True) -> None:
        """Make everything durable, then visible, then indexed; the session goes on empty.

        Args:
            record: whether to record that the loose objects were hashed; else the caller does.

        Raises:
            StorageError: the disk is full, read-only or failing; objects are then in place whole or not at all.
        """
        with self._lock:
            for writer in list(self._writers.values()):
                self._finish(writer)
            if self._pending:
                self._publish(self._pending, record=record)
            for writer in self._closed:
                writer.close()
            self._closed, self._nodes, self._pending, self._small_loose = [], {}, Pending(self.file), 0

    # Everything below runs under the lock.

    def _absent(self, raws: Iterable[bytes]) -> list[bytes]:
        # gc is kept out, so nothing goes meanwhile; to look for each of many small groups would take most of the time.
        return self._reader.missing(self._hasher.name, raws, within=0.05)

    def _remember(self, raws: Iterable[bytes]) -> None:
        # Bounds memory: what is forgotten is at worst stored twice, and the index names one of the two.
        if len(self._seen) > _SEEN_LIMIT:
            self._seen.clear()
        self._seen.update(raws)

    def _append(self, raws: list[bytes], buffers: list[bytes]) -> None:
        head = self._hasher.digest_size + 24
        first = 0
        while first < len(raws):
            writer = self._writer(DATA, len(buffers[first]))
            room = PACK_LIMIT - writer.size
            stop = first + 1
            for end in accumulate(len(buffer) + head for buffer in buffers[first:]):
                if end > room:
                    break
                stop += 1
            stop = max(first + 1, stop - 1)
            writer.append_many(raws[first:stop], buffers[first:stop])
            self.bytes_stored += sum(map(len, buffers[first:stop]))
            first = stop

    def _writer(self, kind: int, length: int) -> PackWriter:
        writer = self._writers.get(kind)
        if writer is not None and len(writer) and writer.size + length > PACK_LIMIT:
            self._finish(writer)
            writer = None
        if writer is None:
            writer = PackWriter(self.file(), kind, self._hasher.name, self._hasher.digest_size)
            self._writers[kind] = writer
        return writer

    def _finish(self, writer: PackWriter) -> None:
        del self._writers[writer.kind]
        self._closed.append(writer)
        if not len(writer):
            return
        members = writer.finish()
        self._syncer.sync(writer.descriptor)
        entry = PackEntry(writer.id, writer.size, writer.kind)
        self._pending.add_pack(writer.path, writer.algorithm, entry, members)
        if writer.kind == DATA:
            writer.close()

    def _read_own(self, raw: bytes) -> bytes:
        writer, offset, stored, plain, codec = self._nodes[raw]
        with storage_errors(writer.path):
            data = decode(codec, os.pread(writer.descriptor, stored, offset), plain)
        if data is None or self._hasher.raw(data) != raw:
            raise ObjectCorrupt(f"{self._hasher.name}:{raw.hex()}", where=str(writer.path))
        return data

    def _copier(self) -> StreamCopier:
        with self._lock:
            if self._streams is None:
                from kist.engine.cache.streams import StreamCopier

                self._streams = StreamCopier(self._syncer)
            return self._streams

    def _adopt(self, path: Path, algorithm: str, raw: bytes, size: int) -> None:
        if self._pending.add_loose(path, algorithm, raw):
            self.bytes_stored += size
        else:
            path.unlink(missing_ok=True)
        if self._pending.loose_count >= _LOOSE_LIMIT:
            self._publish_loose()

    def _publish_loose(self) -> None:
        self._publish(self._pending.loose_alone())
        self._pending.forget_loose()  # not before: where that fails, a commit must not leave any of them out
        self._small_loose = 0

    def _publish(self, pending: Pending, *, record: bool = True) -> None:
        self._syncer.wait()
        small = publish(self._reader, pending, self._syncer)
        self._reader.hashed.note(self._folder.packs, pending.hashed)
        if not record:
            return
        for algorithm, objects in pending.loose.items():
            self._verified.mark(algorithm, list(objects), stored=True)  # of those that are in their places
        if small:
            self._verified.mark(self._hasher.name, small)
