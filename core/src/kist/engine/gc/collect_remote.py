"""gc of a remote: condemn what nothing reaches, delete it after a grace, never what a push came to need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from kist.abc.remote import ObjectInfo
from kist.engine.cache.cache import Cache
from kist.engine.gc.places import choose_places
from kist.engine.gc.reach import reach, telling_large_files
from kist.engine.gc.roots import GcRoot
from kist.engine.gc.word import Word
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import LOOSE, SEGMENTED, PackEntry, Place, index_id
from kist.engine.storage.members import Members
from kist.engine.transfer import objects
from kist.engine.transfer.local_side import LocalSide
from kist.engine.transfer.parts import ReadNodes, TransferSettings
from kist.engine.transfer.published import FRESH
from kist.engine.transfer.remote_index import RemoteIndexes, place_key
from kist.engine.transfer.remote_read import RemoteReader
from kist.engine.transfer.remote_store import (
    CONDEMNED_KEY,
    FORMAT_KEY,
    GRACE,
    Condemned,
    Published,
    RemoteStore,
    set_key,
    write_markers,
)
from kist.engine.transfer.segments import SegmentTransfer
from kist.errors import (
    KistError,
    ObjectCorrupt,
    ObjectMissing,
    RemoteError,
    RemoteObjectNotFound,
    RemotePrecondition,
)
from kist.model.digest import Digest
from kist.util import clock
from kist.util.slotted import field, replace, slotted

_ORDER = ("sets/", "roots/", "refs/", "index/", "packs/", "objects/")
"""What is deleted first: nothing ever speaks of what is gone already."""


@slotted()
class RemoteGcPlan:
    """What a gc of a remote does.

    Attributes:
        dead: keys that nothing reaches -> bytes.
        due: those that have been condemned for the whole grace, by our clock; the remote's decides.
        known: the list of condemned keys, as read.
        unreadable: whether that list is damaged.
        markers: what the markers of living versions say.
        places: algorithm -> where each living object lies; only these stand in the new index.
        packs: the packs that the indexes mention.
        reindex: algorithms whose indexes speak of dead objects and are replaced.
        dropped: versions that others need and we no longer do.
        sets: what the sets say that speak of living versions only.
    """

    dead: dict[str, int] = field(default_factory=dict)
    due: list[str] = field(default_factory=list)
    known: Condemned = field(default_factory=Condemned)
    unreadable: bool = False
    markers: dict[Digest, Published] = field(default_factory=dict)
    places: dict[str, dict[bytes, Place]] = field(default_factory=dict)
    packs: dict[str, PackEntry] = field(default_factory=dict)
    reindex: set[str] = field(default_factory=set)
    dropped: set[Digest] = field(default_factory=set)
    sets: list[Published] = field(default_factory=list)

    @property
    def candidates(self) -> int:
        """Keys that are or will be condemned."""
        return len(self.dead)

    @property
    def since(self) -> Mapping[str, float]:
        """Key -> since when it is condemned, as read."""
        return self.known.keys

    @property
    def bytes(self) -> int:
        """Bytes under them."""
        return sum(self.dead.values())

    @property
    def requests_expected(self) -> int:
        """Requests that carrying it out will take, as far as can be told before."""
        if not (self.dead or self.since or self.known.deleting or self.unreadable):
            return 0
        marked = [one for one in self.markers.values() if not self.reindex.isdisjoint(one.indexes)]
        again = len(marked) + len(self.dropped - {one.roots[0] for one in marked})
        listed = sum(not self.reindex.isdisjoint(one.indexes) for one in self.sets)
        deleted = 2 * len(self.due) + 1 if self.due else 0  # a look and a call each, and the list of what is left
        return 3 + len(self.reindex) + again + listed + deleted


class RemoteCollector:
    """Collects on one remote; whoever shares it keeps what it refers to.

    Args:
        store: the remote; it must allow listing.
        repository_id: ours: only our own refs may go.
        settings: codec and jobs.
        cache: where nodes are looked for first, None for none.
        grace: seconds from being condemned to being deleted, by the remote's own clock.
    """

    def __init__(
        self,
        store: RemoteStore,
        repository_id: str,
        settings: TransferSettings,
        *,
        cache: Cache | None = None,
        grace: float = GRACE,
    ) -> None:
        self._store = store
        self._repository = repository_id
        self._settings = settings
        self._local = LocalSide(cache) if cache is not None else None
        self._grace = grace
        self._workers = store.workers(settings.jobs)

    # ── plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def plan(self, keep: Iterable[GcRoot]) -> RemoteGcPlan:
        """Find out what nothing reaches; nothing is changed.

        Args:
            keep: our versions that must live; those of other repositories live by their refs.

        Raises:
            ObjectMissing: a living version is not whole, so that nobody can tell what it needs.
            ObjectCorrupt: likewise, it is damaged.
            RemoteError: the remote refused or failed.
        """
        plan = RemoteGcPlan()
        if not self._store.open():
            return plan
        try:
            plan.known = self._store.read_condemned(again=True)
        except ObjectCorrupt:  # it is written anew, and every grace begins anew
            plan.known, plan.unreadable = Condemned(read_at=clock.steady()), True
        listed = {one.key: one for one in self._store.remote.list() if objects.is_own_key(one.key)}
        ours = list(keep)
        roots = self._living_roots(ours, listed)
        plan.markers = self._markers([root.digest for root in roots if objects.root_key(root.digest) in listed])
        needed = {root.digest for root in ours}
        plan.dropped = {
            root for root, one in plan.markers.items() if self._repository in one.repositories and root not in needed
        }
        alive = self._living_keys(plan, [root for root in roots if root.digest in plan.markers], listed)
        alive |= {key for key in listed if self._is_living_ref(key, needed)} | self._living_sets(plan, listed)
        plan.dead = {key: one.size for key, one in listed.items() if key not in alive}
        now = time.time()
        plan.due = [key for key in plan.dead if key in plan.since and plan.since[key] + self._grace <= now]
        return plan

    def _living_roots(self, keep: Sequence[GcRoot], listed: Iterable[str]) -> list[GcRoot]:
        """Our versions in use, and those that another repository refers to."""
        roots = {root.digest: root for root in keep}
        for key in listed:
            ref = objects.parse_ref_key(key)
            if ref is not None and ref[0] != self._repository:
                roots.setdefault(ref[1], GcRoot(ref[1]))
        return list(roots.values())

    def _markers(self, roots: Sequence[Digest]) -> dict[Digest, Published]:
        found: dict[Digest, Published] = {}
        for root, result in self._workers.run(self._store.read_marker, roots):
            if isinstance(result, KistError):
                raise result
            if result is not None:
                found[root] = result
        return found

    def _living_keys(self, plan: RemoteGcPlan, roots: Sequence[GcRoot], listed: Mapping[str, ObjectInfo]) -> set[str]:
        alive = {FORMAT_KEY, CONDEMNED_KEY}
        readers: dict[str, ReadNodes] = {}
        indexes: dict[str, RemoteIndexes] = {}
        for algorithm in sorted({root.digest.algorithm for root in roots}):
            names = [name for one in plan.markers.values() for name in one.indexes.get(algorithm, ())]
            indexes[algorithm] = RemoteIndexes(self._store, algorithm, names)
            indexes[algorithm].open(self._workers)
            for error in indexes[algorithm].damaged.values():
                raise error
            readers[algorithm] = self._reader(algorithm, indexes[algorithm])
        told = telling_large_files(roots, lambda root: indexes[root.algorithm].place_of(root.raw))
        reached = reach(told, self._settings.codec, readers)
        for digest in reached.unknown:
            raise self._missing(digest)
        for algorithm, raws in reached.alive.items():
            chosen = choose_places(algorithm, map(indexes[algorithm].whole, indexes[algorithm].names), raws, listed)
            plan.places[algorithm] = chosen.places
            plan.packs |= chosen.packs
            if chosen.stale:
                plan.reindex.add(algorithm)
            alive |= self._keys_of(algorithm, plan.places[algorithm], raws)
        for root in plan.markers:
            alive.add(objects.root_key(root))
            alive.update(plan.markers[root].index_keys() if root.algorithm not in plan.reindex else ())
        return alive

    def _is_living_ref(self, key: str, needed: set[Digest]) -> bool:
        ref = objects.parse_ref_key(key)
        return ref is not None and (ref[0] != self._repository or ref[1] in needed)

    def _living_sets(self, plan: RemoteGcPlan, listed: Iterable[str]) -> set[str]:
        """Sets that speak of living versions only."""
        keys = [key for key in listed if key.startswith("sets/") and key not in plan.since]
        for _, result in self._workers.run(self._store.read_any_set, keys):
            if isinstance(result, KistError):
                raise result
            if result is not None and all(root in plan.markers for root in result.roots):
                plan.sets.append(result)
        return {set_key(one.roots) for one in plan.sets}

    def _reader(self, algorithm: str, indexes: RemoteIndexes) -> ReadNodes:
        remote = RemoteReader(self._store, indexes, self._workers, algorithm)
        local = self._local.nodes_of(algorithm) if self._local is not None else None

        def read(raws: Sequence[bytes]) -> list[bytes | KistError]:
            found: dict[bytes, bytes | KistError] = dict(zip(raws, local(raws), strict=True)) if local else {}
            absent = [raw for raw in raws if not isinstance(found.get(raw), bytes)]
            found |= remote.read_nodes(absent) if absent else {}
            return [found[raw] for raw in raws]

        return read

    def _keys_of(self, algorithm: str, places: Mapping[bytes, Place], raws: Iterable[bytes]) -> set[str]:
        keys: set[str] = set()
        hasher = self._store.hashers(algorithm)
        segmented = []
        for raw in raws:
            digest = Digest.from_raw(algorithm, raw)
            place = places.get(raw)
            if place is None:
                raise self._missing(digest)
            keys.add(place_key(place.pack, digest))
            if place.pack == SEGMENTED:
                segmented.append(digest)
        transfer = SegmentTransfer(self._store.remote, hasher, self._workers)
        for digest, result in self._workers.run(transfer.read_list, segmented):
            if isinstance(result, RemoteObjectNotFound):
                raise self._missing(digest)
            if isinstance(result, KistError):
                raise result
            keys |= {objects.object_key(part) for part, _ in result.segments}
        return keys

    def _missing(self, digest: Digest) -> ObjectMissing:
        """The error for what a living version lacks, so that nobody can tell what it needs."""
        name = self._store.name
        hint = (
            "run 'kist push --repair' where it was added; if it is lost for good, name its version nowhere any more: "
            f"in no metafile here, and 'kist gc --remote {name} --forget ID' for a repository that is gone"
        )
        return ObjectMissing(str(digest), where=f"the remote {name}", hint=hint)

    # ── apply ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, plan: RemoteGcPlan) -> list[str]:
        """Condemn what is dead, and delete what has been condemned for the whole grace.

        Living versions get an index that speaks of living objects only, before anything that the old one spoke of is
        condemned. What was put again since it was condemned is spared.

        Args:
            plan: made just before, so that it knows all markers and refs.

        Returns:
            The keys that were deleted.

        Raises:
            RemoteError: the remote refused or failed; a later gc goes on from there.
        """
        with suppress(RemoteError):  # left-overs of killed transfers, in nobody's way
            self._store.remote.sweep()
        if not (plan.dead or plan.since or plan.known.deleting or plan.unreadable):
            return []
        new_keys = self._reindex(plan)
        dead = plan.dead.keys() - new_keys
        known = replace(plan.known, grace=self._grace)
        now = self._store.stamp_condemned(known)
        # What another gc may be deleting now stays listed, until it takes it off or is long dead.
        others = known.going(now)
        condemned = {key: known.keys[key] for key in others if key in known.keys}
        condemned |= {key: known.keys.get(key, now) for key in dead}
        # Whoever put a key before it was condemned has the whole grace for the marker, and we saw all of that time.
        seen = now - known.age if self._grace else now
        due = sorted(key for key, since in condemned.items() if since + self._grace <= seen and key in dead)
        listed = self._without(known, replace(known, keys=condemned, deleting=others), now, plan.unreadable)
        deleted = self._delete(due, condemned, Word(self._store, listed, due, now))
        if due:
            # What was put again since it was condemned begins its time anew.
            gone = set(deleted)
            left = {key: now if key in due else since for key, since in condemned.items() if key not in gone}
            waiting = {key: said for key, said in others.items() if key not in due}
            self._store.write_condemned(self._without(listed, replace(listed, keys=left, deleting=waiting), now))
        return deleted

    @staticmethod
    def _without(old: Condemned, new: Condemned, now: float, unreadable: bool = False) -> Condemned:
        """The new list, which says so if keys came off the old one: they may be gone, and stand in no list any more."""
        return replace(new, collected=now) if unreadable or old.keys.keys() - new.keys.keys() else new

    def _reindex(self, plan: RemoteGcPlan) -> set[str]:
        """Replace indexes that speak of dead objects, and put the markers that name them again."""
        names: dict[str, tuple[str, ...]] = {}
        for algorithm in plan.reindex:
            builder = IndexBuilder(algorithm, self._store.hashers(algorithm).digest_size)
            groups: dict[str, list[bytes]] = {}
            for raw, place in plan.places[algorithm].items():
                groups.setdefault(place.pack, []).append(raw)
            for pack, raws in groups.items():
                places = [plan.places[algorithm][raw] for raw in raws]
                if pack in (LOOSE, SEGMENTED):
                    builder.add_loose(raws, [place.plain for place in places], segmented=pack == SEGMENTED)
                else:
                    _, *columns = zip(*places, strict=True)
                    builder.add_pack(plan.packs[pack], Members.from_rows(builder.width, raws, *columns))
            data = builder.build()
            names[algorithm] = (index_id(data),)
            self._store.put_bytes(f"index/{names[algorithm][0]}", data)
        self._store.remote.sync()
        if plan.known.age > max(FRESH, self._grace / 2):  # another gc may have condemned what these indexes speak of
            raise RemotePrecondition(
                f"gc of {self._store.name} took too long: what it saw is old",
                hint="run it again",
                remote=self._store.name,
            )
        again = [self._renewed(plan, one, names) for one in plan.markers.values()]
        write_markers(self._store, [one for one in again if one != plan.markers[one.roots[0]]], self._workers)
        sets = [(one, self._renewed(plan, one, names)) for one in plan.sets]
        self._each(self._store.write_set, [new for old, new in sets if old != new])
        return {f"index/{name}" for found in names.values() for name in found}

    def _renewed(self, plan: RemoteGcPlan, one: Published, names: Mapping[str, tuple[str, ...]]) -> Published:
        """A marker or set with the new indexes, and without us where we dropped a version."""
        indexes = {algorithm: names.get(algorithm, found) for algorithm, found in one.indexes.items()}
        owners = one.repositories
        if not plan.dropped.isdisjoint(one.roots):
            owners = tuple(owner for owner in owners if owner != self._repository)
        return Published(one.roots, indexes, owners)

    def _delete(self, due: Sequence[str], since: Mapping[str, float], word: Word) -> list[str]:
        """Delete in the order in which nothing speaks of what is gone; spare what was put again meanwhile."""
        deleted: list[str] = []
        for prefix in _ORDER:
            keys = [key for key in due if key.startswith(prefix)]
            for key, result in self._workers.run(partial(self._delete_one, since, word), keys):
                if isinstance(result, KistError):
                    raise result
                if result:
                    deleted.append(key)
        return deleted

    def _delete_one(self, since: Mapping[str, float], word: Word, key: str) -> bool:
        while True:
            word.keep()
            try:
                written = self._store.remote.stat(key).mtime
            except RemoteObjectNotFound:
                return False
            if written is not None and written >= since[key] and self._grace > 0:
                return False
            if word.holds:
                self._store.remote.delete(key)
                return True

    def _each(self, function: Callable[[Published], None], items: Iterable[Published]) -> None:
        for _, result in self._workers.run(function, items):
            if isinstance(result, KistError):
                raise result
