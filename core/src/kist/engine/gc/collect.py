"""gc of a cache: what no root reaches goes to the trash; packs that are partly dead are written anew."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from kist.abc.metafile import ManifestCodec
from kist.engine.cache.cache import Cache
from kist.engine.cache.publish import write_index
from kist.engine.gc.reach import Reached, reach
from kist.engine.gc.roots import GcRoot
from kist.engine.process.scratch import Scratch
from kist.engine.process.syncing import Syncer
from kist.engine.storage.digest_set import DigestSet
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import PackEntry
from kist.engine.storage.members import Members
from kist.engine.storage.pack_writer import PackWriter, copy_members
from kist.engine.storage.packs import PackReader
from kist.engine.storage.trash import Trash
from kist.engine.transfer.local_side import LocalSide
from kist.errors import ObjectError
from kist.model.digest import Digest
from kist.util.atomic import storage_errors, sync_directory
from kist.util.gathering import cut
from kist.util.slotted import field, slotted

REASON = "gc: no version in use needs it"

REWRITE_FROM = 0.1
"""A pack is written anew if at least this part of its bytes is dead."""

SMALL_PACK = 4 << 20
"""A pack of less than this many bytes is written anew whatever part of it is dead."""


@slotted(frozen=True)
class DeadPack:
    """A pack that goes, or is written anew without its dead members.

    Args:
        id: its name.
        algorithm: the hash algorithm of its members.
        size: bytes of the file.
        dead: raw digests of the members that no root reaches.
        alive: how many members stay.
        bytes: stored bytes of the dead members.
    """

    id: str
    algorithm: str
    size: int
    dead: tuple[bytes, ...]
    alive: int
    bytes: int


@slotted()
class GcPlan:
    """What a gc of a cache would take away.

    Attributes:
        loose: digest -> bytes.
        packs: pack id -> what happens to it.
        unknown: nodes of roots that are not here; what only they reach may be among the candidates.
        malformed: objects that roots name as manifests and that are none; they stay.
        passed_over: whether something was left out: packs that cannot be read, files from the future.
    """

    loose: dict[Digest, int] = field(default_factory=dict)
    packs: dict[str, DeadPack] = field(default_factory=dict)
    unknown: list[Digest] = field(default_factory=list)
    malformed: list[Digest] = field(default_factory=list)
    passed_over: bool = False

    @property
    def candidates(self) -> int:
        """Objects that would go."""
        return len(self.loose) + sum(len(pack.dead) for pack in self.packs.values())

    @property
    def bytes(self) -> int:
        """Bytes that would be freed."""
        return sum(self.loose.values()) + sum(pack.bytes for pack in self.packs.values())

    @property
    def id(self) -> str:
        """Names exactly this set of candidates, so that a plan that was shown can be confirmed later."""
        names = [str(digest) for digest in self.loose]
        names += [f"{pack.id}:{raw.hex()}" for pack in self.packs.values() for raw in pack.dead]
        return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]

    def objects(self) -> list[Digest]:
        """The candidates by name, sorted."""
        packed = (Digest.from_raw(pack.algorithm, raw) for pack in self.packs.values() for raw in pack.dead)
        return sorted({*self.loose, *packed})


def plan_cache_gc(cache: Cache, roots: Iterable[GcRoot], codec: ManifestCodec, *, grace: float = 0.0) -> GcPlan:
    """Find out what no root reaches; nothing is changed.

    Args:
        cache: the cache.
        roots: what must live.
        codec: reads manifests.
        grace: seconds; what was written later than that is spared.

    Returns:
        The plan.

    Raises:
        ObjectCorrupt: a node is damaged, so that nobody can tell what it needs.
        StorageError: the cache cannot be read.
    """
    roots = list(roots)
    local = LocalSide(cache)
    reached = reach(roots, codec, {root.digest.algorithm: local.nodes_of(root.digest.algorithm) for root in roots})
    plan = GcPlan(unknown=reached.unknown, malformed=reached.malformed)
    before = time.time() - grace
    for one in cache.objects():
        if reached.has(one.algorithm, one.raw):
            continue
        if one.mtime <= before:
            plan.loose[Digest.from_raw(one.algorithm, one.raw)] = one.size
        else:
            plan.passed_over = True
    read = 0
    for reader in cache.packs():
        if reader.mtime <= before:
            with suppress(ObjectError):  # a damaged pack is for verify, which can save what is good in it
                _plan_pack(plan, reader, reached)
                read += 1
    plan.passed_over |= read < len(cache.folder.pack_ids())
    return plan


def _plan_pack(plan: GcPlan, reader: PackReader, reached: Reached) -> None:
    alive = reached.alive.get(reader.algorithm, DigestSet())
    raws = cut(reader.digests, reader.width)
    dead = alive.lacks(raws)
    if not dead:
        return
    members = reader.members
    size = sum(members.stored[position] for position in dead)
    whole = len(dead) == len(raws)
    if dead and (whole or reader.size < SMALL_PACK or size >= REWRITE_FROM * reader.size):
        gone = tuple(raws[position] for position in dead)
        name = Path(reader.where).name
        plan.packs[name] = DeadPack(name, reader.algorithm, reader.size, gone, len(raws) - len(dead), size)


def apply_cache_gc(
    cache: Cache,
    plan: GcPlan,
    roots: Iterable[GcRoot],
    codec: ManifestCodec,
    trash: Trash | None,
) -> GcPlan:
    """Take away what a plan names and what is still reached by no root; the caller holds ``cache.exclusive()``.

    The roots are read again: what somebody came to need since the plan stays.

    Args:
        cache: the cache.
        plan: what may go.
        roots: tells what must live by now.
        codec: reads manifests.
        trash: where it goes; None: it is deleted at once.

    Returns:
        What went.

    Raises:
        ObjectCorrupt: a node is damaged, so that nobody can tell what it needs.
        StorageError: the disk is full, read-only or failing; what was not moved is where it was.
    """
    now = plan_cache_gc(cache, roots, codec)
    loose = {digest: size for digest, size in now.loose.items() if digest in plan.loose}
    packs = {
        name: pack
        for name, pack in now.packs.items()
        if name in plan.packs and set(pack.dead) <= set(plan.packs[name].dead)
    }
    done = GcPlan(loose, packs, now.unknown)
    if not done.candidates:
        return done
    paths = [cache.folder.loose_path(digest.algorithm, digest.raw) for digest in loose]
    if trash is None:  # first, for the rest may need the room
        _take_away(paths, None)
        paths = []
    new = _rewrite(cache, [pack for pack in packs.values() if pack.alive])
    _replace_indexes(cache, set(packs), new)
    paths += [cache.folder.packs / name for name in packs if name not in {entry.id for entry, _, _ in new}]
    _take_away(paths, trash)
    cache.catalog.refresh(force=True)
    return done


NewPack = tuple[PackEntry, Members, str]
"""A new pack, its members, their algorithm."""


def _rewrite(cache: Cache, packs: Sequence[DeadPack]) -> list[NewPack]:
    """Write packs anew without their dead members; they are in place and durable on return."""
    new: list[NewPack] = []
    syncer = Syncer(cache.sync)
    with Scratch(cache.folder.tmp, verb="gc") as scratch:
        for pack in packs:
            dead = set(pack.dead)
            with PackReader.open(cache.folder.packs / pack.id) as reader:
                members = reader.members
                raws = members.raws()
                writer = PackWriter(scratch.file(), reader.kind, reader.algorithm, reader.width)
                try:
                    copy_members(
                        reader, [at for at in members.in_offset_order() if raws[at] not in dead], writer, members
                    )
                    kept = writer.finish()
                    syncer.sync(writer.descriptor)
                    syncer.wait()
                finally:
                    writer.close()
            with storage_errors(cache.folder.packs):
                os.replace(writer.path, cache.folder.packs / writer.id)
            new.append((PackEntry(writer.id, writer.size, writer.kind), kept, writer.algorithm))
        if new:
            with storage_errors(cache.folder.packs):
                sync_directory(cache.folder.packs)
    syncer.close()
    return new


def _replace_indexes(cache: Cache, gone: set[str], new: Sequence[NewPack]) -> None:
    """Write an index of what stays before anything goes: no index names a pack that is not there."""
    if not gone:
        return
    cache.catalog.refresh(force=True)
    builders: dict[str, IndexBuilder] = {}
    old: list[str] = []
    syncer = Syncer(cache.sync)
    with Scratch(cache.folder.tmp, verb="gc") as scratch:

        def builder(algorithm: str, width: int) -> IndexBuilder:
            return builders.setdefault(algorithm, IndexBuilder(algorithm, width, scratch.file))

        for entry, members, algorithm in new:
            builder(algorithm, members.width).add_pack(entry, members)
        for opened in cache.catalog.files():
            index = opened.index
            if gone.isdisjoint(entry.id for entry in index.packs):
                continue
            builder(index.algorithm, index.width).add_index(index, lambda name: name not in gone)
            old.append(opened.id)
        written = {write_index(cache.folder, one, syncer, scratch.file) for one in builders.values() if len(one)}
    syncer.close()
    for name in old:
        if name not in written:
            with suppress(OSError):  # left over, it only takes space: it counts for nothing without its packs
                (cache.folder.index / name).unlink()


def _take_away(paths: Sequence[Path], trash: Trash | None) -> None:
    present = [path for path in paths if os.path.lexists(path)]
    if trash is not None and present:
        trash.put_many([(path, str(path)) for path in present], REASON)
        return
    for path in present:
        with storage_errors(path):
            path.unlink()
