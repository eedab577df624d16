"""The data of a fetch: whole packs, ranges of packs, large objects; all checked before they are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kist.abc.progress import Progress
from kist.engine.cache.cache import Cache
from kist.engine.cache.session import CacheSession
from kist.engine.process.workers import Workers
from kist.engine.storage.indexes import LOOSE, SEGMENTED
from kist.engine.storage.located import Group, Located
from kist.engine.storage.members import join_ranges
from kist.engine.storage.packs import DATA, PackReader, stored_in_pack
from kist.engine.transfer import objects
from kist.engine.transfer.parts import FATAL, ItemProgress
from kist.engine.transfer.remote_read import Brought, RemoteReader, Span, plan_spans, weight_of
from kist.engine.transfer.remote_store import RemoteStore
from kist.engine.transfer.segments import SegmentTransfer
from kist.errors import KistError, ObjectCorrupt, ObjectError, RemoteObjectNotFound, RepoFormatError
from kist.model.digest import Digest

WHOLE_FROM = 0.9
"""A pack of whose bytes at least this part is wanted is brought as one file, and kept as one if all of it is good."""

COMMIT_EVERY = 512 << 20
"""Bytes after which what came is made permanent, so that a killed fetch does not begin anew."""

_MEMBER_COST = 320
"""Bytes in memory for each member of a pack that is checked as a whole; packs of tiny files come one by one."""

_CHUNK = 1 << 20

Job = Span | str | tuple[bytes, int]
"""Ranges of a pack, a whole pack's id, an object by itself and its size."""


def packed_jobs(groups: Mapping[str, Group], reader: RemoteReader, small: int) -> Iterator[Span | str]:
    """What is to be asked for of packs: whole ones where that is nearly all, else ranges.

    Args:
        groups: what is wanted, by pack.
        reader: knows the remote's packs.
        small: size from which the cache keeps an object by itself.
    """
    for name in list(groups):
        group, entry = groups[name], reader.packs.get(name)
        taken = stored_in_pack(group.stored, len(group), group.members.width)
        packable = max(group.members.plains) < small
        if packable and entry is not None and entry.kind == DATA and taken >= WHOLE_FROM * entry.size:
            yield name
        else:
            yield from plan_spans(name, group.members)


def alone(group: Group | None) -> Iterator[tuple[bytes, int]]:
    """Objects that lie by themselves, each with its size."""
    if group is not None:
        yield from zip(group.members.raws(), group.members.plains, strict=True)


class DataFetch:
    """Brings contents of one algorithm into the cache.

    Args:
        cache: where to.
        store: the remote.
        reader: reads from it.
        workers: run the calls.
        progress: is told of plain bytes.

    Attributes:
        failed: objects that are missing or damaged on the remote.
    """

    def __init__(
        self, cache: Cache, store: RemoteStore, reader: RemoteReader, workers: Workers, progress: Progress
    ) -> None:
        self.failed: dict[bytes, KistError] = {}
        self._cache = cache
        self._store = store
        self._reader = reader
        self._workers = workers
        self._progress = progress
        self._moved = 0
        self._fresh = 0
        self._groups: dict[str, Group] = {}

    def run(self, algorithm: str, located: Located) -> int:
        """Bring objects; what came stays also if this is interrupted.

        Args:
            algorithm: their hash algorithm.
            located: where they lie on the remote; used up.

        Returns:
            Bytes that moved.

        Raises:
            RemoteError: the remote refused or failed altogether.
            StorageError: the disk is full, read-only or failing.
        """
        self._hasher = self._store.hashers(algorithm)
        self._groups = located.take()
        with self._cache.session(algorithm) as session:
            try:
                self._run_all(session)
            finally:
                session.commit()
        return self._moved

    def _run_all(self, session: CacheSession) -> None:
        segmented = self._groups.pop(SEGMENTED, None)
        self._progresses = self._workers.progress(self._progress)
        for job, result in self._workers.run(lambda job: self._bring(job, session), self._jobs(), weigh=self._weigh):
            if isinstance(result, FATAL):
                raise result
            if isinstance(result, KistError):
                self._fail(job, result)
            else:
                self._store_brought(result, session)
            if isinstance(job, str):
                del self._groups[job]
        for raw, size in alone(segmented):
            self._bring_segmented(raw, size, session)

    def _jobs(self) -> Iterator[Job]:
        """Large objects first, then packs."""
        yield from sorted(alone(self._groups.pop(LOOSE, None)), key=lambda item: -item[1])
        yield from packed_jobs(self._groups, self._reader, self._cache.pack_threshold)

    def _weigh(self, job: Job) -> int:
        """Bytes that a job holds in memory: of a whole pack the columns of all members, several times."""
        return weight_of(job) + (len(self._groups[job]) * _MEMBER_COST if isinstance(job, str) else 0)

    # ── in worker threads ────────────────────────────────────────────────────────────────────────────────────────────

    def _bring(self, job: Job, session: CacheSession) -> Brought:
        if isinstance(job, Span):
            brought = self._reader.bring(job)
            self._progresses.advance(job.plain)
            return brought
        if isinstance(job, str):
            return self._bring_pack(job, session)
        return self._bring_loose(*job, session)

    def _bring_pack(self, name: str, session: CacheSession) -> Brought:
        """A whole pack: adopted if all of it is good, else its good members are taken."""
        group = self._groups[name]
        path = session.file()
        item = ItemProgress(self._progresses, group.plain)
        brought, moved = Brought(), 0
        remote, key = self._store.remote, f"packs/{name}"
        for _ in objects.tries(remote, key):
            item.restart()
            moved += self._reader.packs[name].size
            remote.get_file(key, path, progress=item)
            if self._adopted(path, name, session):
                brought = Brought()
                break
            brought = self._salvage(path, group)
            path.unlink()
            if not brought.bad:
                break
        brought.moved = moved
        item.complete()
        return brought

    def _adopted(self, path: Path, name: str, session: CacheSession) -> bool:
        """Whether a pack is good and the session has it; the file stays where it is until that commits."""
        try:
            with PackReader.open(path) as reader:
                if not self._is_whole(reader, name):
                    return False
                session.adopt_pack(path, reader)
                return True
        except (ObjectError, RepoFormatError):
            return False

    def _is_whole(self, reader: PackReader, name: str) -> bool:
        if reader.id != name or reader.algorithm != self._hasher.name:
            return False
        return max(reader.members.plains) < self._cache.pack_threshold and reader.is_whole(self._hasher)

    def _salvage(self, path: Path, group: Group) -> Brought:
        whole = Brought()
        with path.open("rb") as file:
            for first, stop in join_ranges(group.members.offsets, group.members.stored):
                part = group.members.slice(first, stop)
                file.seek(part.offsets[0])
                data = file.read(part.offsets[-1] + part.stored[-1] - part.offsets[0])
                brought = self._reader.check(part, data, part.offsets[0])
                whole.raws += brought.raws
                whole.buffers += brought.buffers
                whole.bad |= brought.bad
        return whole

    def _bring_loose(self, raw: bytes, size: int, session: CacheSession) -> Brought:
        digest = Digest.from_raw(self._hasher.name, raw)
        path = session.file()
        item = ItemProgress(self._progresses, size)
        moved = 0
        remote, key = self._store.remote, objects.object_key(digest)
        for _ in objects.tries(remote, key):
            moved += size
            item.restart()
            remote.get_file(key, path, progress=item)
            if self._digest_of(path) == raw:
                item.complete()
                session.put_loose_file(path, digest)
                return Brought(moved=moved)
            path.unlink()
        item.complete()
        return Brought(bad={raw: self._reader.damaged(raw)}, moved=moved)

    def _digest_of(self, path: Path) -> bytes:
        running = self._hasher.new()
        with path.open("rb", buffering=0) as file:
            while data := file.read(_CHUNK):
                running.update(data)
        return running.digest()

    # ── in the main thread ───────────────────────────────────────────────────────────────────────────────────────────

    def _bring_segmented(self, raw: bytes, size: int, session: CacheSession) -> None:
        digest = Digest.from_raw(self._hasher.name, raw)
        folder = self._cache.root / "partial"
        self._cache.folder.make(folder)
        try:
            item = ItemProgress(self._progress, size)
            remote = self._store.remote
            transfer = SegmentTransfer(remote, self._hasher, self._workers, item)
            with (
                self._cache.copies.making(digest, size) as copy,
                transfer.get(digest, folder, copy.follow) as path,
            ):
                session.put_loose_file(path, digest)
                session.commit()  # moves it to its place while the block still protects it
                self._moved += size
        except FATAL:
            raise
        except RemoteObjectNotFound:
            self.failed[raw] = self._reader.missing(raw)
        except ObjectCorrupt:
            self.failed[raw] = self._reader.damaged(raw)

    def _store_brought(self, brought: Brought, session: CacheSession) -> None:
        self.failed |= brought.bad
        self._moved += brought.moved
        if brought.raws:
            session.put_small(b"".join(brought.raws), brought.buffers)
        self._fresh += sum(map(len, brought.buffers))
        if self._fresh >= COMMIT_EVERY:
            self._fresh = 0
            session.commit()

    def _fail(self, job: Job, error: KistError) -> None:
        """What a file that could not be read was to bring."""
        if isinstance(job, Span):
            raws = job.members.raws()
        else:
            raws = self._groups[job].members.raws() if isinstance(job, str) else [job[0]]
        for raw in raws:
            if isinstance(error, RemoteObjectNotFound):
                self.failed[raw] = self._reader.missing(raw)
            else:
                self.failed[raw] = self._reader.damaged(raw) if isinstance(error, ObjectCorrupt) else error
