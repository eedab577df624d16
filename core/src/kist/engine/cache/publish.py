"""Make what a session wrote visible: files, then their folders, then the index; merge what has become many and small.

The order is what keeps a cache whole at any moment: a name appears after its content is durable, an index after its
packs, and an old pack or index goes after the one that takes its place is durable. A pack without an index is read by
its footer, an index without its pack counts for nothing, so a kill between two steps costs nothing but space.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kist.engine.cache.catalog import OpenIndex
from kist.engine.cache.folder import CacheFolder
from kist.engine.cache.moving import move
from kist.engine.cache.read import CacheReader
from kist.engine.process.syncing import Syncer
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import PackEntry, plan_merge
from kist.engine.storage.members import Members
from kist.engine.storage.pack_writer import PackWriter, copy_members
from kist.engine.storage.packs import DATA, NODES, PACK_LIMIT, PackReader
from kist.engine.storage.rows import NewFile
from kist.errors import KistError
from kist.util.atomic import storage_errors
from kist.util.slotted import field, slotted

if TYPE_CHECKING:
    from kist.engine.cache.loose_writer import LooseWriter

SMALL_PACK = PACK_LIMIT // 2
"""Packs shorter than this are merged with others of their kind."""

MAX_MERGED = 1 << 20
"""Entries that indexes merged into one may have together, so that a merge stays cheap in memory."""

NewPacks = dict[str, tuple[PackEntry, Members]]
"""Pack id -> its entry, its members."""


@slotted()
class Pending:
    """What a session has written and not yet published.

    Attributes:
        new_file: gives names for temporary files on the cache's file system.
        packs: algorithm -> pack id -> its entry.
        builders: algorithm -> kind of pack -> what collects their members for an index.
        files: pack id -> where it lies now.
        loose: algorithm -> raw digest -> where the object, which is durable, lies now.
        small: what wrote small loose objects, of which none need be durable yet.
        hashed: pack id -> inode, of packs that came whole and were hashed.
    """

    new_file: NewFile
    packs: dict[str, dict[str, PackEntry]] = field(default_factory=dict)
    builders: dict[str, dict[int, IndexBuilder]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    loose: dict[str, dict[bytes, Path]] = field(default_factory=dict)
    small: LooseWriter | None = None
    hashed: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.packs or self.loose or self.small)

    def add_pack(self, path: Path, algorithm: str, entry: PackEntry, members: Members) -> None:
        """Add a finished pack."""
        self.packs.setdefault(algorithm, {})[entry.id] = entry
        self.files[entry.id] = path
        if algorithm not in self.builders:
            self.builders[algorithm] = {
                kind: IndexBuilder(algorithm, members.width, self.new_file) for kind in (DATA, NODES)
            }
        self.builders[algorithm][entry.kind].add_pack(entry, members)

    def add_loose(self, path: Path, algorithm: str, raw: bytes) -> bool:
        """Add a loose object; returns whether it is new here."""
        return self.loose.setdefault(algorithm, {}).setdefault(raw, path) is path

    @property
    def loose_count(self) -> int:
        """How many loose objects wait."""
        return sum(map(len, self.loose.values()))

    def loose_alone(self) -> Pending:
        """The loose objects alone, to be published now; they stay here until :meth:`forget_loose`."""
        return Pending(self.new_file, loose=self.loose, small=self.small)

    def forget_loose(self) -> None:
        """Wait no longer for the loose objects, which are published."""
        self.loose, self.small = {}, None


def publish(reader: CacheReader, pending: Pending, syncer: Syncer) -> list[bytes]:
    """Make a session's work durable and visible.

    Args:
        reader: the cache.
        pending: what was written; packs and large loose objects are durable already.
        syncer: the session's.

    Returns:
        The raw digests of the small loose objects that are new in the cache.

    Raises:
        StorageError: the disk is full, read-only or failing.
    """
    folder = reader.folder
    if pending.small is not None and syncer.mode == "batch":
        syncer.files(pending.small.paths(), folder.tmp)
    reader.catalog.refresh(force=bool(pending.packs))  # before our packs are there: their footers are in memory
    folders = _place_loose(folder, pending)
    small: list[bytes] = []
    if pending.small is not None:
        small, changed = pending.small.put_in_place()
        folders |= changed
    for name, path in pending.files.items():
        move(path, folder.packs / name, replace=True)
        folders.add(folder.packs)
    forget_damage(folder, pending.files)
    syncer.folders(sorted(folders))
    if pending.small is not None:
        pending.small.settled()
    if not pending.packs:
        return small
    lock = folder.lock("merge.lock", what="the cache's packs", timeout=0)
    alone = lock.try_acquire()
    try:
        for algorithm, packs in pending.packs.items():
            _Indexer(reader, algorithm, syncer, pending).run(packs, merge=alone)
    finally:
        if alone:
            lock.release()
    return small


def write_index(folder: CacheFolder, builder: IndexBuilder, syncer: Syncer, new_file: NewFile) -> str:
    """Write an index file of what a builder collected, durably; returns its id.

    Raises:
        StorageError: the disk is full, read-only or failing.
    """
    path = new_file()
    name = builder.write(path)
    with storage_errors(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fchmod(descriptor, 0o444)
                syncer.sync(descriptor)
            finally:
                os.close(descriptor)
            syncer.wait()
            move(path, folder.index / name, replace=True)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    syncer.folders([folder.index])
    return name


class _Indexer:
    """Writes the index of new packs, together with what is merged into it."""

    def __init__(self, reader: CacheReader, algorithm: str, syncer: Syncer, pending: Pending) -> None:
        self.folder = reader.folder
        self.catalog = reader.catalog
        self.algorithm = algorithm
        self.width = reader.folder.hasher(algorithm).digest_size
        self.syncer = syncer
        self.new_file = pending.new_file
        self.builders = pending.builders[algorithm]
        # The catalog may be from before the lock was had. What was merged away since is in no index that is written
        # from here on: an object that an old and a merged pack both had would be looked for in the old one alone.
        self.present = self.catalog.packs & frozenset(self.folder.pack_ids())

    def run(self, packs: dict[str, PackEntry], *, merge: bool) -> None:
        """Index *packs*, which are in place; with *merge* nobody else merges now, so we may.

        Each kind of pack has indexes of its own: those of manifest nodes are merged with nearly every version that is
        recorded, and where the many files lie need not be written again each time.
        """
        gone: set[str] = set()
        merged: NewPacks = {}
        if merge:
            # What cannot be merged now (a damaged pack, a full disk) stays as it is: nothing depends on it.
            with suppress(KistError, FileNotFoundError):
                merged, gone = self._merge_packs(packs)
        for builder in self.builders.values():
            for name in gone:
                builder.drop_pack(name)
        for entry, members in merged.values():
            self.builders[entry.kind].add_pack(entry, members)
        here = (self.present | packs.keys() | merged.keys()) - gone
        sources = self.catalog.sources(self.algorithm) if merge else []
        old: set[str] = set()
        written: set[str] = set()
        for kind, builder in self.builders.items():
            for opened in _mergeable([one for one in sources if _kind(one) == kind], len(builder), gone):
                builder.add_index(opened.index, here.__contains__)
                old.add(opened.id)
            if len(builder):
                written.add(write_index(self.folder, builder, self.syncer, self.new_file))
        self._remove([self.folder.packs / pack for pack in gone])
        self._remove([self.folder.index / name for name in old - written if name])

    def _merge_packs(self, packs: dict[str, PackEntry]) -> tuple[NewPacks, set[str]]:
        known = {
            entry.id: entry
            for source in self.catalog.sources(self.algorithm)
            for entry in source.index.packs
            if entry.id in self.present
        }
        known |= packs
        aside = self.catalog.packs_with_damage()
        merged: NewPacks = {}
        gone: set[str] = set()
        for kind in sorted({entry.kind for entry in packs.values()}):
            small = [e for e in known.values() if e.kind == kind and e.size < SMALL_PACK and e.id not in aside]
            small.sort(key=lambda entry: (-entry.size, entry.id))
            count = plan_merge([entry.size for entry in small])
            if count:
                chosen = small[-count:]
                merged |= self._rewrite(kind, chosen)
                gone |= {entry.id for entry in chosen}
        self.syncer.folders([self.folder.packs] if merged else [])
        return merged, gone - merged.keys()

    def _rewrite(self, kind: int, chosen: list[PackEntry]) -> NewPacks:
        """Copy the members of some packs into as few new ones as their limit allows."""
        writers: list[PackWriter] = []
        seen: set[bytes] = set()
        try:
            for entry in chosen:
                with PackReader.open(self.folder.packs / entry.id) as source:
                    if not writers or writers[-1].size + source.size > PACK_LIMIT:
                        writers.append(PackWriter(self.new_file(), kind, self.algorithm, self.width))
                    members, raws = source.members, source.members.raws()
                    order = [at for at in members.in_offset_order() if raws[at] not in seen]
                    seen.update(raws)
                    copy_members(source, order, writers[-1], members)
            merged: NewPacks = {}
            for writer in writers:
                if len(writer):
                    members = writer.finish()
                    self.syncer.sync(writer.descriptor)
                    merged[writer.id] = PackEntry(writer.id, writer.size, kind), members
            self.syncer.wait()
            for writer in writers:
                if writer.id:
                    move(writer.path, self.folder.packs / writer.id, replace=True)
            return merged
        finally:
            for writer in writers:
                writer.close()
                writer.path.unlink(missing_ok=True)

    @staticmethod
    def _remove(paths: Iterable[Path]) -> None:
        # Left over, they only take space: whoever merges next, or gc, removes them.
        for path in paths:
            with suppress(OSError):
                path.unlink()


def _kind(opened: OpenIndex) -> int:
    """The kind of pack that an index is about; one of both kinds, as gc writes it, counts for that of the data."""
    return NODES if opened.index.packs and all(entry.kind == NODES for entry in opened.index.packs) else DATA


def _mergeable(sources: list[OpenIndex], count: int, gone: set[str]) -> list[OpenIndex]:
    """Indexes to merge into a new one of *count* entries: of similar size, or of packs that are gone."""
    sources.sort(key=lambda opened: -opened.index.count)
    similar = max(0, plan_merge([opened.index.count for opened in sources] + [count]) - 1) if count else 0
    chosen = sources[len(sources) - similar :]
    chosen += [
        opened
        for opened in sources[: len(sources) - similar]
        if not opened.id or any(entry.id in gone for entry in opened.index.packs)
    ]
    taken = []
    for opened in sorted(chosen, key=lambda opened: opened.index.count):
        count += opened.index.count
        if count <= MAX_MERGED:
            taken.append(opened)
    return taken


def _place_loose(folder: CacheFolder, pending: Pending) -> set[Path]:
    """Give loose objects their names, and forget those that were there already; returns the folders that changed."""
    changed: set[Path] = set()
    for algorithm, objects in pending.loose.items():
        top = folder.objects / algorithm
        if folder.make(top):
            changed.add(folder.objects)
        shards: dict[int, Path] = {}
        for raw, path in list(objects.items()):
            if raw[0] not in shards:
                shards[raw[0]] = shard = folder.loose_path(algorithm, raw).parent
                if folder.make(shard):
                    changed.add(top)
            if not move(path, f"{folder.objects}/{os.fsdecode(folder.loose_name(algorithm, raw))}"):
                del objects[raw]
        changed.update(shards.values())
    return changed


def forget_damage(folder: CacheFolder, packs: Container[str]) -> None:
    """Take back what is known of damage in packs that have just been replaced by whole ones.

    Args:
        folder: the cache's folder.
        packs: their ids.

    Raises:
        StorageError: the quarantine cannot be changed.
    """
    with storage_errors(folder.quarantine):
        for name in os.listdir(folder.quarantine):
            if name.startswith("packed-") and name.split("-")[1] in packs:
                (folder.quarantine / name).unlink(missing_ok=True)
