"""gc: collect what nothing needs, in the cache or on a remote; always a plan first, and a way back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from kist.engine.cache.check import quarantined
from kist.engine.gc.collect import DeadPack, GcPlan, apply_cache_gc, plan_cache_gc
from kist.engine.gc.roots import GcRoot
from kist.engine.storage.trash import Trash
from kist.errors import ObjectMissing, UsageError
from kist.operations.gc_memory import NothingDead
from kist.operations.gc_revisions import roots_of
from kist.operations.selection import Selection
from kist.repo import cache_refs
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.writing import making_room
from kist.util.slotted import field, replace, slotted
from kist.util.units import show_count


@slotted(frozen=True)
class GcOptions:
    """How to collect.

    Args:
        select: versions of Git revisions that must live beside the workspace's.
        workspace: only the workspace's versions and the selected ones; where nothing is selected either, every
            commit's live.
        remote: collect on this remote instead of the cache.
        now: delete at once instead of moving to the trash; remotes keep their grace.
        dry_run: only plan.
        only: names that an earlier plan listed; nothing else may go.
        jobs: how many requests at once, None for the configured number.
        without: Git revisions whose metafiles may be unreadable.
    """

    select: Selection = field(default_factory=Selection)
    workspace: bool = False
    remote: str | None = None
    now: bool = False
    dry_run: bool = False
    only: frozenset[str] | None = None
    jobs: int | None = None
    without: tuple[str, ...] = ()


@slotted(frozen=True)
class Candidate:
    """One thing that would go: an object's digest (or a remote's key), its bytes, and why."""

    name: str
    bytes: int
    reason: str


@slotted(frozen=True)
class GcReport:
    """What gc found or did.

    Args:
        candidates: how many objects (on a remote: keys) nothing needs.
        bytes: how many bytes they take.
        plan: each of them.
        collected: how many went: to the trash, were deleted, or on a remote were condemned or deleted.
        deleted: how many of those are gone for good.
        notes: what to tell about it.
        requests: calls to the remote so far, 0 for a cache.
        requests_expected: how many a run takes in all that carries the plan out, as far as can be told before.
    """

    candidates: int
    bytes: int
    plan: tuple[Candidate, ...]
    collected: int = 0
    deleted: int = 0
    notes: tuple[str, ...] = ()
    requests: int = 0
    requests_expected: int = 0


def gc(context: RepoContext, options: GcOptions = GcOptions()) -> GcReport:
    """Collect what nothing needs.

    Args:
        context: the repository.
        options: what must live, where, and how.

    Returns:
        What went.

    Raises:
        MetafileError: a metafile cannot be read, so nobody can tell what it needs; nothing was changed.
        RepoLocked: somebody uses the cache and did not end in time.
        RemoteError: the remote refused or failed.
    """
    collection = plan(context, options)
    if options.dry_run:
        return collection.report
    return collection.apply()


class Collection(ABC):
    """A plan that was made, to be looked at and then carried out or dropped.

    Attributes:
        report: what it would take away.
    """

    report: GcReport

    @abstractmethod
    def apply(self) -> GcReport:
        """Carry it out; what somebody came to need meanwhile stays."""


def plan(context: RepoContext, options: GcOptions) -> Collection:
    """Find out what nothing needs; nothing is changed.

    Args:
        context: the repository.
        options: what must live, and where.

    Returns:
        The plan.

    Raises:
        MetafileError: a metafile cannot be read, so nobody can tell what it needs.
        UsageError: options that do not go together.
    """
    if options.remote is not None:
        if options.now:
            raise UsageError(
                "--now does not hold for remotes: what is condemned there is kept for those who push at this moment",
                hint="'kist config --local gc.grace 3d' makes it shorter",
            )
        return _RemoteCollection(context, options)
    return _CacheCollection(context, options)


# ── roots ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def own_roots(context: RepoContext, options: GcOptions) -> set[GcRoot]:
    """What this worktree needs: its workspace's versions, those of the chosen revisions, and what plugins name.

    Args:
        context: the repository.
        options: which revisions.

    Raises:
        MetafileError: a metafile cannot be read.
        KistError: a plugin objects.
    """
    everything = not options.select and not options.workspace
    select = replace(options.select, commits=True) if everything else options.select
    roots = {_root(one) for one in _workspace(context)}
    if context.git is not None and select:
        roots.update(roots_of(context, list(_commits(context, select)), options.without))
    elif select and not everything:
        raise UsageError("there is no Git repository here, so there are no revisions", hint="git init")
    named, errors = context.plugins.collect("kist_gc_roots", repo=context)
    for error in errors:
        raise error
    roots.update(GcRoot(digest) for one in named for digest in one)
    return roots


def _root(one: Tracked) -> GcRoot:
    return GcRoot(one.output.digest, one.output.is_directory)


def _workspace(context: RepoContext) -> Sequence[Tracked]:
    """The workspace's outputs; a metafile that cannot be read stops gc."""
    before = len(context.problems)
    found = context.tracked()
    if len(context.problems) > before:
        error = context.problems[before]
        del context.problems[before:]
        raise error
    return found


def _commits(context: RepoContext, select: Selection) -> Iterator[str]:
    git = context.git
    assert git is not None
    if select.branches:
        yield from git.branches()
    if select.tags:
        yield from git.tags()
    if select.commits:
        yield from git.changing(context.metafile_names.patterns)
    for revision in select.revisions:
        yield git.resolve(revision)


# ── a cache ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _CacheCollection(Collection):
    def __init__(self, context: RepoContext, options: GcOptions) -> None:
        self._context = context
        self._options = options
        self._own = own_roots(context, options)
        roots = self._roots()
        memory = NothingDead(context, roots)
        if memory.holds():
            found = GcPlan()
        else:
            found = plan_cache_gc(context.cache, roots, context.codec)
            memory.note(found)
        _check_set_aside(context, found)
        self._plan = _limited(found, options.only)
        self.report = GcReport(
            self._plan.candidates,
            self._plan.bytes,
            tuple(_candidates(self._plan)),
            notes=_notes(context, self._plan),
        )

    def _roots(self) -> list[GcRoot]:
        return [*self._own, *cache_refs.others(self._context)]

    def _roots_now(self) -> list[GcRoot]:
        self._own = own_roots(self._context, self._options)
        return self._roots()

    def apply(self) -> GcReport:
        """Move it to the cache's trash, or delete it at once; and delete what has been in either trash for long."""
        context, now = self._context, self._options.now
        trash = cache_trash(context)
        with making_room(context), context.cache.exclusive(), context.write_lock():
            done = apply_cache_gc(context.cache, self._plan, self._roots_now(), context.codec, None if now else trash)
            cache_refs.replace(context, self._own)
            trash.clean(float(context.config.get("gc.grace")))
            context.trash.clean(float(context.config.get("trash.keep")))
        report = replace(self.report, collected=done.candidates, deleted=done.candidates if now else 0)
        return replace(report, bytes=done.bytes)


def cache_trash(context: RepoContext) -> Trash:
    """Where gc keeps what it took out of the cache."""
    folder = context.cache.folder
    return Trash(folder.trash, sync=context.sync, shared=folder.shared)


def _limited(found: GcPlan, only: frozenset[str] | None) -> GcPlan:
    if only is None:
        return found
    loose = {digest: size for digest, size in found.loose.items() if str(digest) in only}
    packs = {name: pack for name, pack in found.packs.items() if all(name in only for name in _names(pack))}
    return GcPlan(loose, packs, found.unknown, found.malformed)


def _names(pack: DeadPack) -> Iterator[str]:
    return (f"{pack.algorithm}:{raw.hex()}" for raw in pack.dead)


def _candidates(found: GcPlan) -> Iterator[Candidate]:
    for digest, size in sorted(found.loose.items()):
        yield Candidate(str(digest), size, "no version in use needs it")
    for pack in sorted(found.packs.values(), key=lambda one: one.id):
        each, rest = divmod(pack.bytes, len(pack.dead))
        what = "goes" if not pack.alive else f"is written anew with {show_count(pack.alive, 'other object')}"
        for position, name in enumerate(_names(pack)):
            reason = f"no version in use needs it; its pack {pack.id[:12]} {what}"
            yield Candidate(name, each + (position < rest), reason)


def _check_set_aside(context: RepoContext, found: GcPlan) -> None:
    """Refuse to collect what only a damaged manifest names: it may come back."""
    aside = quarantined(context.cache.folder)
    lost = next((digest for digest in found.unknown if digest in aside), None)
    if lost is not None:
        raise ObjectMissing(
            str(lost),
            where="the cache: it was damaged and set aside, so nobody can tell what it needs",
            hint="'kist verify --repair' or 'kist fetch' brings it back; if it is lost for good, remove "
            f"{aside[lost]} and what it needs can be collected",
        )


def _notes(context: RepoContext, found: GcPlan) -> tuple[str, ...]:
    notes = []
    if found.malformed:
        notes.append(
            f"{found.malformed[0]} stands for a directory in a recorded version and is no manifest: it is kept, and no "
            "version can be made of it"
        )
    if found.unknown:
        nodes = show_count(len(found.unknown), "manifest node is", "manifest nodes are")
        notes.append(
            f"{nodes} not in the cache: contents that nothing else names may be collected; "
            "'kist fetch -A' brings all versions"
        )
    return (*notes, *_spared(context))


def _spared(context: RepoContext) -> Iterator[str]:
    for owner in cache_refs.owners(context):
        places = cache_refs.places(context, owner)
        if owner != context.id or places:
            who = (
                "this repository's other clones and worktrees need"
                if owner == context.id
                else f"repository {owner} needs"
            )
            where = ", ".join(dict.fromkeys(one.root for one in places)) or "unknown place"
            yield f"what {who} is spared ({where})"
        for root in dict.fromkeys(one.root for one in places if one.gone):
            yield f"{root} is gone; if that is for good, 'kist gc --forget {root}' no longer spares what it needed"


# ── a remote ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _RemoteCollection(Collection):
    def __init__(self, context: RepoContext, options: GcOptions) -> None:
        from kist.engine.gc.collect_remote import RemoteCollector
        from kist.engine.transfer.parts import TransferSettings
        from kist.repo.remotes import open_remote

        self._opened = open_remote(context, options.remote)
        settings = TransferSettings(context.codec, options.jobs or context.jobs, context.progress)
        self._collector = RemoteCollector(
            self._opened.store,
            context.id,
            settings,
            cache=context.cache,
            grace=float(context.config.get("gc.grace")),
        )
        self._plan = self._collector.plan({*own_roots(context, options), *cache_refs.others(context)})
        if options.only is not None:
            self._plan.dead = {key: size for key, size in self._plan.dead.items() if key in options.only}
        due = set(self._plan.due)
        items = tuple(
            Candidate(key, size, "condemned for the whole grace" if key in due else _why(key, self._plan.since))
            for key, size in sorted(self._plan.dead.items())
        )
        requests = self._opened.requests
        expected = requests + self._plan.requests_expected
        self.report = GcReport(
            self._plan.candidates, self._plan.bytes, items, requests=requests, requests_expected=expected
        )

    def apply(self) -> GcReport:
        """Condemn what is dead, delete what was condemned for the whole grace."""
        try:
            deleted = self._collector.apply(self._plan)
        finally:
            self._opened.close()
        requests = self._opened.requests
        return replace(self.report, collected=self._plan.candidates, deleted=len(deleted), requests=requests)


def _why(key: str, since: Mapping[str, float]) -> str:
    return "condemned, kept for the grace" if key in since else "no version in use needs it"
