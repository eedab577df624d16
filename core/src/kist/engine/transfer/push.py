"""Push: send what a remote lacks, then the index, refs, and last of all the markers that say "complete"."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar, Unpack

from kist.engine.cache.cache import Cache
from kist.engine.process.scratch import Scratch
from kist.engine.process.workers import Workers
from kist.engine.transfer.gc_guard import GcGuard
from kist.engine.transfer.local_side import LocalSide
from kist.engine.transfer.objects import ref_key, root_key
from kist.engine.transfer.parts import (
    TransferArguments,
    TransferSettings,
    Version,
)
from kist.engine.transfer.push_plan import Bases, PushPlan, PushPlanner, remember_set, remember_unfinished
from kist.engine.transfer.push_side import PushState, SidePush
from kist.engine.transfer.remote_store import Published, RemoteStore, write_markers
from kist.errors import KistError, RemoteError, RemotePrecondition, StorageError
from kist.model.digest import Digest
from kist.model.plan import TransferPlan
from kist.model.report import TransferReport
from kist.util.atomic import FULL, storage_errors
from kist.util.slotted import replace

A = TypeVar("A")

_SENDING = "sending"
"""The hint that stands while a push sends: who finds it knows that one was killed and may have left something."""


def push_versions(
    cache: Cache,
    store: RemoteStore,
    versions: Sequence[Version],
    bases: Bases = (),
    *,
    repository_id: str,
    repair: bool = False,
    **options: Unpack[TransferArguments],
) -> TransferReport:
    """Make versions complete on a remote.

    Args:
        cache: where their objects are.
        store: the remote.
        versions: what to send.
        bases: versions that the remote may have already (HEAD, upstream, merge base), or what tells them if needed.
        repository_id: whose versions they are.
        repair: also check every object of versions that are there, and send again what is missing or damaged.
        options: codec, jobs, progress, dry_run, before: see :class:`TransferSettings`.

    Returns:
        What moved; ``failures`` names objects that are missing or damaged here, or did not arrive: all others did, and
        versions without failures are complete.

    Raises:
        RemoteError: the remote refused or failed altogether.
        RemoteFormatError: the remote is not ours, or newer.
    """
    before = store.requests
    if repair and not options.get("dry_run"):
        _mend_indexes(store, versions, store.workers(options.get("jobs", 8)))
    push = Push(cache, store, TransferSettings(**options), repository_id=repository_id)
    push.settings.announce(push.plan(versions, bases))
    report = push.run()
    if repair and push.settings.dry_run:
        return _repair_foreseen(store, push, report)
    if repair:
        from kist.engine.transfer.remote_check import repair_remote

        left = repair_remote(cache, store, list(versions), push.settings, repository_id=repository_id)
        known = dict(report.failures)
        failures = tuple((name, error) for name, error in left.errors(store.name) if name not in known)
        report = replace(
            report,
            objects=report.objects + left.sent_objects,
            bytes=report.bytes + left.sent_bytes,
            failures=report.failures + failures,
            requests=store.requests - before,
        )
    return report


def _repair_foreseen(store: RemoteStore, push: Push, report: TransferReport) -> TransferReport:
    """What a repair would send beside what was planned: the remote is read, as the repair itself does it."""
    from kist.engine.transfer.remote_check import verify_remote

    before = store.requests
    bad = verify_remote(store, push.complete, push.settings).bad if push.complete else set()
    read = store.requests - before
    expected = None if bad or report.requests_expected is None else report.requests_expected + read
    return replace(
        report, objects=report.objects + len(bad), requests=report.requests + read, requests_expected=expected
    )


def _mend_indexes(store: RemoteStore, versions: Sequence[Version], workers: Workers) -> None:
    """Put damaged indexes back; of those without a copy here nothing is left, so that the push makes them anew."""
    from kist.engine.transfer.index_repair import damaged_indexes, put_back

    if not store.open(create=True, new=True) or store.created:
        return
    keys: set[str] = set()
    for _, result in workers.run(store.read_marker, [version.root for version in versions]):
        if isinstance(result, KistError):
            raise result
        keys.update(result.index_keys() if result is not None else ())
    for key in put_back(store, damaged_indexes(store, keys, workers)):
        store.remote.delete(key)


class Push:
    """One push: :meth:`plan`, then :meth:`run`.

    Args:
        cache: where the objects are.
        store: the remote.
        settings: how to transfer.
        repository_id: whose versions they are.
    """

    def __init__(self, cache: Cache, store: RemoteStore, settings: TransferSettings, *, repository_id: str) -> None:
        self.local = LocalSide(cache)
        self.store = store
        self.settings = settings
        self._repository = repository_id
        self._workers = store.workers(settings.jobs)
        self._plan = PushPlan([])
        self._before = store.requests
        self._state = PushState(self.local, store, self._workers, settings)
        self._guard = GcGuard(store, self._workers, self._plan, self._state)

    def plan(self, versions: Sequence[Version], bases: Bases = ()) -> TransferPlan:
        """Find out what is missing; nothing is sent but the remote's ``kist-remote`` where it is new.

        Raises:
            RemoteError: the remote refused or failed.
            RemoteFormatError: the remote is not ours, or newer.
        """
        planner = PushPlanner(self.local, self.store, self._workers, self.settings)
        self._plan = plan = planner.plan(versions, bases)
        roots = tuple(str(version.root) for version in plan.pending)
        return TransferPlan("push", self.store.name, plan.objects, plan.size, roots)

    @property
    def complete(self) -> list[Version]:
        """The versions of the plan that are complete on the remote already, as far as their markers tell."""
        return [version for version in self._plan.versions if version.root in self._plan.published]

    def plan_repair(
        self, versions: Sequence[Version], published: Mapping[Digest, Published], bad_keys: Collection[str]
    ) -> None:
        """Plan to send again what lies under *bad_keys*, and to mark the versions anew.

        Args:
            versions: what to mend.
            published: what their markers say.
            bad_keys: keys whose content is missing or damaged.
        """
        planner = PushPlanner(self.local, self.store, self._workers, self.settings)
        self._plan = planner.plan_repair(versions, published, frozenset(bad_keys))

    def run(self) -> TransferReport:
        """Send what was planned; what could not be sent is among the report's failures.

        Raises:
            RemoteError: the remote refused or failed altogether.
        """
        plan = self._plan
        self._state.resend = plan.resend
        self._guard = GcGuard(self.store, self._workers, plan, self._state)
        if self.settings.dry_run:
            report = self._report(plan.objects, plan.size, [version.root for version in plan.pending])
            return replace(report, requests_expected=report.requests + self._expected())
        killed = self.store.hints.recall(_SENDING) is not None
        done: dict[Digest, Published] = {}
        if plan.sides:
            self.settings.progress.start("push", total=plan.size)
            try:
                with _working_on(self.local.cache, self.store) as scratch:
                    self.store.hints.remember(_SENDING, b"")
                    done = self._send(scratch)
            finally:
                self.settings.progress.finish()
        else:
            self._publish(done)
        if killed:
            with suppress(RemoteError):  # they are in nobody's way
                self.store.remote.sweep()
        if killed or plan.sides:
            self.store.hints.forget(_SENDING)
        return self._report(self._state.objects, self._state.moved, [*plan.published, *done])

    def _expected(self) -> int:
        """Requests that carrying out the plan will take."""
        from kist.engine.transfer.expect import push_requests

        store = self.store
        return push_requests(
            self._plan,
            self.local,
            pack_threshold=store.pack_threshold,
            new=not store.open(new=True),
            owner=self._repository,
        )

    def _send(self, scratch: Path) -> dict[Digest, Published]:
        """Send what is missing and publish what is complete then."""
        self.local.cache.close()  # what it holds of large indexes served the plan
        done: dict[Digest, Published] = {}
        for side in self._plan.sides:
            done |= SidePush(self._state, side, scratch).run()
        self._publish(done)
        return done

    # ── refs, markers, set ───────────────────────────────────────────────────────────────────────────────────────────

    def _publish(self, done: dict[Digest, Published]) -> None:
        """Write refs, then markers, then the set: each only after all that it speaks of.

        Raises:
            RemotePrecondition: gc crossed this push; running it again sends what is missing.
        """
        try:
            self._write_all(done)
        except RemotePrecondition:
            remember_unfinished(self.store, self._state.unmarked)  # the next push looks whether it is still there
            raise

    def _write_all(self, done: dict[Digest, Published]) -> None:
        plan, me = self._plan, self._repository
        strangers = {root: one for root, one in plan.published.items() if me not in one.repositories}
        markers = {
            root: Published(one.roots, one.indexes, tuple(sorted({*one.repositories, me})))
            for root, one in (strangers | done).items()
        }
        if markers:
            self.store.remote.sync()
            self._guard.check()
            self.store.write_refs(me, markers, self._workers)
            write_markers(self.store, markers.values(), self._workers)
            self._guard.check_standing([key for root in markers for key in (ref_key(me, root), root_key(root))])
        everything = plan.published | markers
        roots = [version.root for version in plan.versions]
        complete = all(root in everything for root in roots)
        wants_set = complete and len(roots) > 1 and (markers or not plan.set_written)
        if wants_set:
            self._write_set([everything[root] for root in roots])
        if markers or wants_set:
            self._guard.check_again(markers.values(), roots if wants_set else ())
        if complete and (markers or not plan.set_written):
            remember_set(self.store, roots)
        if markers or self._state.unmarked:
            remember_unfinished(self.store, [] if complete else self._state.unmarked)

    def _write_set(self, parts: Sequence[Published]) -> None:
        from kist.engine.transfer.remote_store import MAX_INDEXES

        indexes: dict[str, dict[str, None]] = {}
        for part in parts:
            for algorithm, names in part.indexes.items():
                indexes.setdefault(algorithm, {}).update(dict.fromkeys(names))
        if all(len(names) <= MAX_INDEXES for names in indexes.values()):
            named = {algorithm: tuple(names) for algorithm, names in indexes.items()}
            owners = set.intersection(*(set(part.repositories) | {self._repository} for part in parts))
            self.store.write_set(Published(tuple(part.roots[0] for part in parts), named, tuple(sorted(owners))))

    def _report(self, count: int, size: int, roots: Sequence[Digest]) -> TransferReport:
        total = sum(version.size for version in self._plan.versions)
        return TransferReport(
            "push",
            self.store.name,
            objects=count,
            bytes=size,
            bytes_saved=max(0, total - size),
            requests=self.store.requests - self._before,
            roots=tuple(str(root) for root in roots),
            failures=tuple(self._state.failures.items()),
        )


@contextmanager
def _working_on(cache: Cache, store: RemoteStore) -> Iterator[Path]:
    """Keep gc out of the cache and lend a folder for new packs, which the next command sweeps if we are killed.

    A cache that we cannot write in is not ours to collect either. Who has no room left can still bring data away.
    """
    with ExitStack() as stack:
        folder: Path | None = None
        if os.access(cache.root, os.W_OK):
            stack.enter_context(cache.in_use())
            folder = _room_in(cache, stack)
        if folder is None:
            with storage_errors():
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="kist-push-")))
        store.scratch = folder
        try:
            yield folder
        finally:
            store.scratch = None


def _room_in(cache: Cache, stack: ExitStack) -> Path | None:
    """A scratch folder in the cache, None if its disk is full."""
    try:
        return stack.enter_context(Scratch(cache.folder.tmp, verb="push")).path
    except StorageError as error:
        if error.errno not in FULL:
            raise
        return None
