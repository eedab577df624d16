"""Check what lies on a remote, object by object, and mend it from the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from kist.engine.cache.cache import Cache
from kist.engine.process.workers import Workers
from kist.engine.storage.indexes import LOOSE, SEGMENTED
from kist.engine.storage.located import Group, Located
from kist.engine.transfer import objects
from kist.engine.transfer.fetch_data import alone
from kist.engine.transfer.hints import Hints
from kist.engine.transfer.pack_check import PackJob, is_whole
from kist.engine.transfer.parts import (
    FATAL,
    TransferSettings,
    Version,
    Walker,
    by_algorithm,
    content_sizes,
    in_blocks,
    named_paths,
)
from kist.engine.transfer.remote_index import RemoteIndexes, place_key
from kist.engine.transfer.remote_read import Brought, RemoteReader, Span, plan_spans, weight_of
from kist.engine.transfer.remote_store import Published, RemoteStore
from kist.engine.transfer.segments import SegmentTransfer
from kist.errors import KistError, ObjectCorrupt, ObjectError, ObjectMissing, RemoteObjectNotFound
from kist.model.digest import Digest
from kist.util.slotted import field, replace, slotted

_CHUNK = 1 << 20

_FIRST = "run 'kist verify --repair' to replace the cache's copy, which is damaged, then this again"

Job = Span | tuple[bytes, int]
"""A range of a pack, an object by itself and its size."""


@slotted()
class RemoteFindings:
    """What a check of a remote found.

    Attributes:
        checked: objects that were read and hashed.
        damaged: digest -> the workspace paths that need it.
        missing: likewise.
        keys: the keys that hold what is damaged or missing.
        unsent: name -> why a repair could not send it.
        sent_objects: objects that a repair sent again.
        sent_bytes: bytes that it moved for that.
    """

    checked: int = 0
    damaged: dict[Digest, tuple[str, ...]] = field(default_factory=dict)
    missing: dict[Digest, tuple[str, ...]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    unsent: dict[str, KistError] = field(default_factory=dict)
    sent_objects: int = 0
    sent_bytes: int = 0

    @property
    def bad(self) -> set[Digest]:
        """All that is not as it should be."""
        return {*self.damaged, *self.missing}

    def errors(self, store_name: str) -> list[tuple[str, KistError]]:
        """The same as pairs of an object's name and the error that says what is wrong with it."""
        where = f"the remote {store_name}"
        hints = {name: _FIRST for name, error in self.unsent.items() if isinstance(error, ObjectCorrupt)}
        errors: list[tuple[str, KistError]] = [
            (name, ObjectMissing(name, paths=paths, where=where, hint=hints.get(name)))
            for name, paths in ((str(digest), paths) for digest, paths in self.missing.items())
        ]
        damaged = map(str, self.damaged)
        return errors + [(name, ObjectCorrupt(name, where=where, hint=hints.get(name))) for name in damaged]


def verify_remote(
    store: RemoteStore, versions: Sequence[Version], settings: TransferSettings, *, sample: float = 100.0
) -> RemoteFindings:
    """Read versions back from a remote and hash every object, or a sample of them.

    Args:
        store: the remote.
        versions: what to check; a version without a marker counts as missing.
        settings: codec, jobs and progress.
        sample: percent of the contents to read; nodes are all read. Which ones follows from their digests.

    Returns:
        What is wrong, with the paths that need it.

    Raises:
        RemoteError: the remote refused or failed altogether.
    """
    findings = RemoteFindings()
    store.hints = Hints(None)  # what is remembered here must not stand in for what is there
    workers = store.workers(settings.jobs)
    published = _published(store, versions, workers)
    for version in versions:
        if version.root not in published:
            findings.missing[version.root] = (version.path,)
            findings.keys.add(objects.root_key(version.root))
    groups = by_algorithm(version.root for version in versions if version.root in published)
    for algorithm, roots in groups.items():
        mine = [version for version in versions if version.root in set(roots)]
        _AlgorithmCheck(store, algorithm, mine, workers, settings).run(published, sample, findings)
    return findings


def repair_remote(
    cache: Cache, store: RemoteStore, versions: Sequence[Version], settings: TransferSettings, *, repository_id: str
) -> RemoteFindings:
    """Check versions on a remote, and send again from the cache what is missing or damaged there.

    Args:
        cache: where good copies are looked for.
        store: the remote.
        versions: what to mend.
        settings: codec, jobs and progress.
        repository_id: whose versions they are.

    Returns:
        What is still wrong afterwards.

    Raises:
        RemoteError: the remote refused or failed altogether.
    """
    from kist.engine.transfer.push import Push

    before: set[Digest] = set()
    bad_keys: set[str] = set()
    unsent: dict[str, KistError] = {}
    objects = moved = 0
    while True:
        found = verify_remote(store, versions, settings)
        findings = replace(found, sent_objects=objects, sent_bytes=moved, unsent=unsent)
        # A damaged node hides what lies below it, so a round may bring new findings; one that brings none is the last.
        if not findings.bad or findings.bad == before:
            return findings
        before, bad_keys = findings.bad, bad_keys | findings.keys
        workers = store.workers(settings.jobs)
        push = Push(cache, store, settings, repository_id=repository_id)
        push.plan_repair(versions, _published(store, versions, workers), bad_keys)
        report = push.run()
        unsent = dict(report.failures)
        objects, moved = objects + report.objects, moved + report.bytes


def _published(store: RemoteStore, versions: Sequence[Version], workers: Workers) -> dict[Digest, Published]:
    roots = list(dict.fromkeys(version.root for version in versions))
    found: dict[Digest, Published] = {}
    if not store.open():
        return found
    for root, result in workers.run(store.read_marker, roots):
        if isinstance(result, KistError):
            raise result
        if result is not None:
            found[root] = result
    return found


class _AlgorithmCheck:
    """Checks the versions of one algorithm."""

    def __init__(
        self,
        store: RemoteStore,
        algorithm: str,
        versions: Sequence[Version],
        workers: Workers,
        settings: TransferSettings,
    ) -> None:
        self._store = store
        self._algorithm = algorithm
        self._versions = versions
        self._workers = workers
        self._settings = settings
        self._hasher = store.hashers(algorithm)

    def run(self, published: dict[Digest, Published], sample: float, findings: RemoteFindings) -> None:
        """Read nodes, then contents."""
        names = [
            name for version in self._versions for name in published[version.root].indexes.get(self._algorithm, ())
        ]
        indexes = RemoteIndexes(self._store, self._algorithm, names)
        indexes.open(self._workers)
        reader = RemoteReader(self._store, indexes, self._workers, self._algorithm)
        bad: dict[bytes, KistError] = {}
        walker = self._walker(reader)
        located, nodes = Located(self._hasher.digest_size), Located(self._hasher.digest_size)
        for block in in_blocks(self._contents(walker)):
            bad |= reader.locate([raw for raw in block if _in_sample(raw, sample)], located)
        findings.checked += len(walker.sizes) + len(located) + len(bad)
        self._settings.progress.start("verify", total=located.plain)
        try:
            groups = dict(located.groups)
            if sample >= 100:
                reader.locate(list(walker.sizes), nodes)
                for pack in self._check_packs(reader, groups, groups.keys() | nodes.groups.keys(), findings):
                    groups.pop(pack, None)
            bad |= self._read_all(reader, groups)
            while (again := reader.elsewhere(bad)) is not None:
                bad |= self._read_all(reader, dict(again.groups))
        finally:
            self._settings.progress.finish()
        bad |= walker.failed
        self._report(findings, bad, reader)
        self._report_copies(findings, indexes.bad, bad)
        findings.keys |= indexes.bad_keys()

    def _contents(self, walker: Walker) -> Iterator[Mapping[bytes, int]]:
        yield {version.root.raw: version.size for version in self._versions if not version.is_directory}
        roots = [version.root.raw for version in self._versions if version.is_directory]
        yield from map(content_sizes, walker.leaves(roots))

    def _walker(self, reader: RemoteReader) -> Walker:
        def read(raws: Sequence[bytes]) -> list[bytes | KistError]:
            found = reader.read_nodes(raws)
            return [found[raw] for raw in raws]

        return Walker(self._settings.codec, self._algorithm, read)

    def _check_packs(
        self, reader: RemoteReader, groups: Mapping[str, Group], packs: Iterable[str], findings: RemoteFindings
    ) -> set[str]:
        """Read the packs that are needed as they are; returns those that are whole, so that no member need be read."""
        jobs = [PackJob(entry) for name in packs if (entry := reader.packs.get(name))]
        whole: set[str] = set()
        check = partial(is_whole, self._store, self._hasher)
        for job, result in self._workers.run(check, jobs, weigh=lambda job: job.weight):
            if isinstance(result, FATAL):
                raise result
            if result is True:
                whole.add(job.entry.id)
                self._settings.progress.advance(groups[job.entry.id].plain if job.entry.id in groups else 0)
            elif result is False:
                findings.damaged[Digest("pack", job.entry.id)] = ()
                findings.keys.add(f"packs/{job.entry.id}")
            # A pack that is not there is told by the objects that are missing with it.
        return whole

    def _read_all(self, reader: RemoteReader, groups: dict[str, Group]) -> dict[bytes, KistError]:
        bad: dict[bytes, KistError] = {}
        segmented = groups.pop(SEGMENTED, None)
        for job, result in self._workers.run(lambda job: self._read(reader, job), _jobs(groups), weigh=weight_of):
            if isinstance(result, FATAL):
                raise result
            if isinstance(result, KistError):
                raws = job.members.raws() if isinstance(job, Span) else [job[0]]
                gone = isinstance(result, RemoteObjectNotFound)
                bad |= {raw: reader.missing(raw) if gone else reader.damaged(raw) for raw in raws}
            else:
                bad |= result.bad
                self._settings.progress.advance(result.moved)
        for raw, _ in alone(segmented):
            bad |= self._read_segments(reader, raw)
        return bad

    def _read(self, reader: RemoteReader, job: Job) -> Brought:
        if isinstance(job, Span):
            return reader.bring(job)
        raw, size = job
        good = self._is_good(raw) or self._is_good(raw)  # a line damages what the remote has whole
        return Brought(bad={} if good else {raw: reader.damaged(raw)}, moved=size)

    def _is_good(self, raw: bytes) -> bool:
        running = self._hasher.new()
        with self._store.remote.open(objects.object_key(Digest.from_raw(self._algorithm, raw))) as stream:
            while data := stream.read(_CHUNK):
                running.update(data)
        return running.digest() == raw

    def _read_segments(self, reader: RemoteReader, raw: bytes) -> dict[bytes, KistError]:
        transfer = SegmentTransfer(self._store.remote, self._hasher, self._workers, self._settings.progress)
        try:
            transfer.check(Digest.from_raw(self._algorithm, raw))
        except RemoteObjectNotFound:
            return {raw: reader.missing(raw)}
        except ObjectError:
            return {raw: reader.damaged(raw)}
        return {}

    def _report(self, findings: RemoteFindings, bad: dict[bytes, KistError], reader: RemoteReader) -> None:
        located = Located(self._hasher.digest_size)
        reader.locate(list(bad), located)
        packs = {raw: pack for pack, group in located.groups.items() for raw in group.members.raws()}
        paths = self._paths_of(reader, set(bad)) if bad else {}
        for raw, error in bad.items():
            digest = Digest.from_raw(self._algorithm, raw)
            where = tuple(paths.get(raw, ()))
            if isinstance(error, ObjectMissing):
                findings.missing[digest] = where
            elif isinstance(error, ObjectCorrupt):
                findings.damaged[digest] = where
            else:
                raise error
            if raw in packs:
                findings.keys.add(place_key(packs[raw], digest))

    def _report_copies(
        self, findings: RemoteFindings, copies: Iterable[tuple[str, bytes]], bad: Mapping[bytes, KistError]
    ) -> None:
        """Name what holds a damaged copy of an object of which another copy was found good."""
        for pack, raw in copies:
            if raw not in bad:
                alone = pack in (LOOSE, SEGMENTED)
                holder = Digest.from_raw(self._algorithm, raw) if alone else Digest("pack", pack)
                findings.damaged.setdefault(holder, ())

    def _paths_of(self, reader: RemoteReader, bad: set[bytes]) -> dict[bytes, list[str]]:
        """The workspace paths that need objects; a manifest node counts for its whole output."""
        paths: dict[bytes, list[str]] = {}
        for version in self._versions:
            walker = self._walker(reader)
            roots = [version.root.raw]
            for columns in walker.leaves(roots) if version.is_directory else ():
                for raw, path in named_paths(columns, bad):
                    text = path.decode("utf-8", "backslashreplace")
                    paths.setdefault(raw, []).append(f"{version.path}/{text}" if version.path else text)
            for raw in bad & {*roots, *walker.sizes, *walker.failed}:
                paths.setdefault(raw, []).append(version.path)
        return paths


def _jobs(groups: dict[str, Group]) -> Iterator[Job]:
    yield from alone(groups.pop(LOOSE, None))
    for name, group in groups.items():
        yield from plan_spans(name, group.members)


def _in_sample(raw: bytes, percent: float) -> bool:
    """Whether an object belongs to the sample; a larger sample holds a smaller one."""
    return percent >= 100 or int.from_bytes(raw[-4:], "big") < percent / 100 * (1 << 32)
