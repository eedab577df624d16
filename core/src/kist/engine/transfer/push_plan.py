"""Plan a push: what the remote lacks, according to the markers of base versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain

from kist.engine.process.workers import Workers
from kist.engine.storage.indexes import SEGMENTED
from kist.engine.storage.located import Located
from kist.engine.transfer import objects
from kist.engine.transfer.index_repair import lost_indexes, put_back, rebuild_index
from kist.engine.transfer.local_side import LocalSide
from kist.engine.transfer.merging import Merge, plan_index_merge
from kist.engine.transfer.parts import (
    FATAL,
    Closure,
    TransferSettings,
    Version,
    Walker,
    by_algorithm,
    content_sizes,
    in_blocks,
)
from kist.engine.transfer.remote_index import RemoteIndexes, keys_of
from kist.engine.transfer.remote_store import Condemned, Published, RemoteStore, set_key
from kist.errors import (
    KistError,
    MetafileError,
    ObjectError,
    RemoteError,
    RemoteMissing,
    RemoteObjectNotFound,
    RemotePermissionError,
)
from kist.model.digest import Digest
from kist.util.slotted import field, slotted

Bases = Sequence[Digest] | Callable[[], Sequence[Digest]]
"""Versions that the remote may have, or what finds them, called only if something is to be sent."""

_LAST_SET = "last-set"
_UNFINISHED = "unfinished"
_MOST_LISTED = 64
_MOST_ASKED = 8
_INDEX_NAME = re.compile("[0-9a-f]{64}")


@slotted()
class Side:
    """What a push does for one hash algorithm.

    Attributes:
        algorithm: its name.
        versions: the versions that are not complete on the remote yet.
        proven: indexes that markers name: what lies below a node that they have is there too.
        closure: what the remote lacks.
        found: where contents lie that are on the remote although no marker says so.
        found_nodes: likewise, manifest nodes.
        hinted: the indexes that say so.
        merge: which indexes and packs are merged.
    """

    algorithm: str
    versions: list[Version]
    proven: RemoteIndexes
    closure: Closure
    found: Located
    found_nodes: Located
    hinted: RemoteIndexes | None = None
    merge: Merge = field(default_factory=Merge)


@slotted()
class PushPlan:
    """What a push has to do.

    Attributes:
        versions: the versions asked for, each once.
        published: what markers say of those that are complete already.
        evidence: what markers say of those and of base versions, as far as it is believed.
        set_written: whether the set of all of them stands there.
        condemned: keys that gc means to delete, as of the beginning.
        sides: one for each algorithm that has something to do.
        resend: keys that are sent even if they are there.
    """

    versions: list[Version]
    published: dict[Digest, Published] = field(default_factory=dict)
    evidence: dict[Digest, Published] = field(default_factory=dict)
    set_written: bool = False
    condemned: Condemned = field(default_factory=Condemned)
    sides: list[Side] = field(default_factory=list)

    resend: frozenset[str] = frozenset()

    @property
    def pending(self) -> list[Version]:
        """Versions without a marker."""
        return [version for version in self.versions if version.root not in self.published]

    @property
    def objects(self) -> int:
        """Objects to send."""
        return sum(len(side.closure.nodes) + side.closure.files for side in self.sides)

    @property
    def size(self) -> int:
        """Plain bytes to send."""
        return sum(side.closure.size for side in self.sides)


class PushPlanner:
    """Finds out what a push has to send.

    Args:
        local: the cache.
        store: the remote.
        workers: run the calls.
        settings: how to transfer.
    """

    def __init__(self, local: LocalSide, store: RemoteStore, workers: Workers, settings: TransferSettings) -> None:
        self._local = local
        self._store = store
        self._workers = workers
        self._settings = settings

    def plan(self, versions: Sequence[Version], bases: Bases) -> PushPlan:
        """Plan the push of *versions* to a remote that may have *bases*.

        Raises:
            RemoteError: the remote refused or failed.
            RemoteFormatError: the remote is not ours, or newer.
        """
        store = self._store
        plan = PushPlan(list({version.root: version for version in versions}.values()))
        roots = [version.root for version in plan.versions]
        known = store.assume()
        evidence = self._at_a_glance(roots, plan) if known else None
        if evidence is None:
            store.reopen()
            evidence = {}
            exists = store.open(create=not self._settings.dry_run, new=True)
            plan.condemned = store.read_condemned()
            if exists and not store.created:
                evidence = self._published(roots, bases, plan)
                if known or any(root not in evidence for root in roots):  # a first look at what is complete costs three
                    evidence = self._without_lost(evidence)
        plan.resend = frozenset(plan.condemned.keys)
        plan.evidence = evidence
        plan.published = {root: evidence[root] for root in roots if root in evidence}
        groups = by_algorithm(version.root for version in plan.pending)
        for algorithm, group in groups.items():
            wanted = set(group)
            pending = [version for version in plan.pending if version.root in wanted]
            plan.sides.append(self._side(algorithm, pending, evidence, plan.condemned))
        return plan

    def _at_a_glance(self, roots: Sequence[Digest], plan: PushPlan) -> dict[Digest, Published] | None:
        """What is published, if all is, told by what is remembered and three requests; None if more is to be done."""
        try:
            plan.condemned = self._store.read_condemned()
            evidence: dict[Digest, Published] = {}
            self._take(evidence, self._store.published(roots).values(), plan.condemned)
            whole = all(root in evidence for root in roots)
            if not whole or lost_indexes(self._store, evidence.values(), self._workers):
                return None
        except (RemoteMissing, ObjectError):
            return None
        plan.set_written = self._is_set_written(roots, plan)
        return evidence

    def _is_set_written(self, roots: Sequence[Digest], plan: PushPlan) -> bool:
        return len(roots) > 1 and self._stays([set_key(roots)], plan.condemned)

    def _without_lost(self, evidence: dict[Digest, Published]) -> dict[Digest, Published]:
        """What can be believed: index files that somebody deleted are put back, or made anew and found as a hint."""
        lost = lost_indexes(self._store, evidence.values(), self._workers)
        if not lost or self._settings.dry_run:
            return {root: one for root, one in evidence.items() if lost.isdisjoint(one.index_keys())}
        self._settings.progress.message(f"{len(lost)} index files of {self._store.name} are lost and are mended")
        lost = put_back(self._store, lost)
        gone = [one for one in evidence.values() if not lost.isdisjoint(one.index_keys())]
        names = [
            rebuild_index(self._store, one, self._workers) for one in {key for each in gone for key in each.indexes}
        ]
        if fresh := [name for name in names if name is not None]:
            remember_unfinished(self._store, fresh)
        return {root: one for root, one in evidence.items() if one not in gone}

    def plan_repair(
        self, versions: Sequence[Version], published: Mapping[Digest, Published], bad_keys: frozenset[str]
    ) -> PushPlan:
        """Plan to make versions whole of which some keys are missing or damaged.

        Nothing is taken on trust: every node is walked, and an object counts as there only at a good key.

        Args:
            versions: what to mend.
            published: what their markers say.
            bad_keys: keys whose content is missing or damaged.
        """
        plan = PushPlan(list({version.root: version for version in versions}.values()))
        self._store.open(create=True)
        plan.condemned = self._store.read_condemned()
        plan.resend = bad_keys | frozenset(plan.condemned.keys)
        for algorithm, group in by_algorithm(version.root for version in plan.versions).items():
            wanted = set(group)
            mine = [one for one in plan.versions if one.root in wanted]
            side = self._new_side(algorithm, mine, self._indexes(algorithm, ()))
            names = {name for root in group if root in published for name in published[root].indexes[algorithm]}
            side.hinted = self._indexes(algorithm, names, plan.resend)
            self._walk(side)
            plan.sides.append(side)
        return plan

    def _indexes(self, algorithm: str, names: Collection[str], exclude: Container[str] = frozenset()) -> RemoteIndexes:
        indexes = RemoteIndexes(self._store, algorithm, sorted(names), exclude)
        indexes.open(self._workers)
        return indexes

    # ── what is published ────────────────────────────────────────────────────────────────────────────────────────────

    def _published(self, roots: Sequence[Digest], bases: Bases, plan: PushPlan) -> dict[Digest, Published]:
        evidence: dict[Digest, Published] = {}
        self._take(evidence, self._store.published(roots).values(), plan.condemned)
        if all(root in evidence for root in roots):
            plan.set_written = self._is_set_written(roots, plan)
            return evidence
        bases = bases() if callable(bases) else bases
        last = self._last_set()
        asked = {frozenset(roots)}
        for candidate in (bases, last):
            distinct = frozenset(candidate)
            if len(distinct) > 1 and distinct not in asked:
                asked.add(distinct)
                found = self._store.read_set(distinct)
                if found is not None and self._stays([set_key(distinct)], plan.condemned):
                    self._take(evidence, (found.narrowed(root) for root in found.roots), plan.condemned)
        single = set(roots) if len(set(roots)) == 1 else set()
        recent = last if len(last) <= _MOST_ASKED else ()  # of many, their set tells
        candidates = dict.fromkeys([*roots, *bases, *recent])
        unknown = [root for root in candidates if root not in evidence and root not in single]
        for _, result in self._workers.run(self._store.read_marker, unknown):
            if isinstance(result, KistError):
                raise result
            if result is not None:
                self._take(evidence, [result], plan.condemned)
        return evidence

    def _take(self, evidence: dict[Digest, Published], found: Iterable[Published], condemned: Condemned) -> None:
        """Believe what is not about to be deleted."""
        for one in found:
            (root,) = one.roots
            if self._stays([objects.root_key(root), *one.index_keys()], condemned):
                evidence[root] = one

    def _stays(self, keys: Sequence[str], condemned: Condemned) -> bool:
        """Whether no key is about to be deleted: gc spares what was put again since, and so did whoever put it."""
        doomed = [key for key in keys if key in condemned]
        if not condemned.deleting.keys().isdisjoint(doomed):
            return False
        for key, result in self._workers.run(self._store.remote.stat, doomed):
            if isinstance(result, FATAL):
                raise result
            if isinstance(result, KistError) or result.mtime is None or result.mtime < condemned.keys[key]:
                return False
        return True

    def _last_set(self) -> list[Digest]:
        text = self._store.hints.recall(_LAST_SET) or b""
        try:
            return [Digest.parse(line) for line in text.decode("ascii").split()]
        except (MetafileError, UnicodeDecodeError):
            return []

    # ── what is missing ──────────────────────────────────────────────────────────────────────────────────────────────

    def _side(
        self, algorithm: str, versions: list[Version], evidence: dict[Digest, Published], condemned: Condemned
    ) -> Side:
        names = [name for one in evidence.values() for name in one.indexes.get(algorithm, ())]
        absent = set(condemned.keys)
        while True:
            proven = RemoteIndexes(self._store, algorithm, names, condemned.keys)
            side = self._new_side(algorithm, versions, proven)
            side.proven.open(self._workers)
            side.hinted = self._hints(side, absent)
            self._walk(side)
            if gone := self._gone(side):
                absent |= gone
                continue
            fresh = len(side.closure.nodes) + side.closure.files + len(side.found)
            if not side.proven.damaged:
                with suppress(ObjectError):
                    side.merge = plan_index_merge(side.proven, fresh)
                    return side
            names = []  # what a marker promises is gone: trust no marker of this algorithm, send all again

    def _new_side(self, algorithm: str, versions: list[Version], proven: RemoteIndexes) -> Side:
        here, there, nodes = (Located(self._store.hashers(algorithm).digest_size) for _ in range(3))
        return Side(algorithm, versions, proven, Closure(here), there, nodes)

    def _gone(self, side: Side) -> set[str]:
        """The keys of what hints speak of that are not there: no marker kept gc from deleting them.

        Of an object in segments the list proves nothing: it counts as absent, and who sends it asks for each segment.
        """
        keys: set[str] = set()
        gone: set[str] = set()
        for pack, group in (*side.found.groups.items(), *side.found_nodes.groups.items()):
            (gone if pack == SEGMENTED else keys).update(keys_of(pack, side.algorithm, group))
        for key, result in self._workers.run(self._store.remote.stat, sorted(keys)):
            if isinstance(result, RemoteObjectNotFound | RemotePermissionError):
                gone.add(key)
            elif isinstance(result, KistError):
                raise result
        return gone

    def _hints(self, side: Side, absent: Container[str]) -> RemoteIndexes | None:
        """Index files that no marker names: of pushes that were not finished, or of versions that we do not know."""
        if self._store.created or not self._store.open():
            return None
        names = set((self._store.hints.recall(_UNFINISHED) or b"").decode("ascii", "replace").split())
        if not side.proven.names and self._store.remote.capabilities.cheap_list:
            names |= set(self._listed())
        names = {name for name in names - set(side.proven.names) if _INDEX_NAME.fullmatch(name)}
        names = {name for name in names if f"index/{name}" not in absent}
        if not names:
            return None
        hinted = RemoteIndexes(self._store, side.algorithm, sorted(names), absent)
        hinted.open(self._workers)
        return hinted if hinted.names else None

    def _listed(self) -> Iterator[str]:
        try:
            for number, info in enumerate(self._store.remote.list("index/")):
                if number >= _MOST_LISTED:
                    return
                yield info.key.removeprefix("index/")
        except RemotePermissionError:
            return

    def _walk(self, side: Side) -> None:
        """Collect what is missing: nodes and contents that no index covers."""
        walker = Walker(self._settings.codec, side.algorithm, self._local.nodes_of(side.algorithm), side.proven.covered)
        closure = side.closure
        roots = [version.root.raw for version in side.versions if version.is_directory]
        single = {version.root.raw: version.size for version in side.versions if not version.is_directory}
        for block in in_blocks(chain([single], map(content_sizes, walker.leaves(roots)))):
            self._note(side, block)
        closure.nodes, closure.failed = walker.sizes, walker.failed
        if side.hinted is not None:
            absent = side.hinted.locate(list(closure.nodes), side.found_nodes)
            closure.nodes = {raw: closure.nodes[raw] for raw in absent}

    def _note(self, side: Side, block: Mapping[bytes, int]) -> None:
        missing = [raw for raw, there in zip(block, side.proven.covered(list(block)), strict=True) if not there]
        if side.hinted is not None and missing:
            missing = side.hinted.locate(missing, side.found)
        absent = self._local.locate(side.algorithm, missing, side.closure.contents)
        side.closure.absent |= {raw: block[raw] for raw in absent}


def remember_set(store: RemoteStore, roots: Iterable[Digest]) -> None:
    """Note which versions stood on the remote together, as a hint for the next push."""
    store.hints.remember(_LAST_SET, "".join(f"{root}\n" for root in roots).encode())


def remember_unfinished(store: RemoteStore, names: Iterable[str]) -> None:
    """Note indexes that no marker names yet, so that the next push finds what this one sent."""
    text = "".join(f"{name}\n" for name in names)
    if text:
        store.hints.remember(_UNFINISHED, text.encode())
    else:
        store.hints.forget(_UNFINISHED)


__all__ = ["PushPlan", "PushPlanner", "RemoteError", "Side", "remember_set", "remember_unfinished"]
