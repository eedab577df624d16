"""Mend a cache from what it holds itself: indexes made anew from packs, packs from their members."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from kist.engine.cache.publish import forget_damage, write_index
from kist.engine.cache.read import CacheReader
from kist.engine.process.scratch import Scratch
from kist.engine.process.syncing import Syncer
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import PackEntry, Place
from kist.engine.storage.members import Members, decode
from kist.engine.storage.pack_writer import PackWriter
from kist.engine.storage.packs import PackReader, member_header
from kist.errors import KistError, MetafileError, ObjectCorrupt, PluginError
from kist.util.atomic import storage_errors

Found = tuple[str, PackEntry, Members]
"""What an index needs of a pack: algorithm, entry, members."""


def rebuild_indexes(reader: CacheReader, syncer: Syncer, rewrite: Container[str] = ()) -> int:
    """Make the indexes anew from the packs, and damaged packs from their good members.

    Args:
        reader: the cache.
        syncer: how to make them durable.
        rewrite: packs that are written anew even if their footer is good.

    Returns:
        how many packs are indexed now.

    Raises:
        StorageError: the cache cannot be read or written.
        RepoFormatError: a pack was written by a newer version.
    """
    folder = reader.folder
    folder.ensure()
    reader.catalog.refresh(force=True)
    builders: dict[str, IndexBuilder] = {}
    with folder.lock("merge.lock", what="the cache's packs"), Scratch(folder.tmp, verb="rebuild") as scratch:
        old = folder.index_ids()
        count = 0
        for name in folder.pack_ids():
            found = None if name in rewrite else _read_footer(folder.packs / name)
            found = found or _mend(reader, name, syncer, scratch)
            if found is not None:
                algorithm, entry, members = found
                builder = builders.setdefault(algorithm, IndexBuilder(algorithm, members.width, scratch.file))
                builder.add_pack(entry, members)
                count += 1
        new = {write_index(folder, builder, syncer, scratch.file) for builder in builders.values()}
        for name in set(old) - new:
            (folder.index / name).unlink(missing_ok=True)
    reader.catalog.refresh(force=True)
    return count


def unindexed(reader: CacheReader) -> int:
    """How many packed objects no index leads to, in packs of indexes that also name a pack which is gone.

    An index keeps one place of an object. Where that was in the pack that is gone, another copy would not be found.

    Args:
        reader: the cache.
    """
    reader.catalog.refresh(force=True)
    count = 0
    for name in sorted({entry.id for one in reader.catalog.files() if not one.live for entry in one.index.packs}):
        found = _read_footer(reader.folder.packs / name)
        if found is not None:
            algorithm, _, members = found
            hidden = reader.catalog.missing(algorithm, members.raws())
            count += sum(not reader.catalog.is_aside(name, raw) for raw in hidden)
    return count


def read_place(reader: CacheReader, algorithm: str, raw: bytes, place: Place) -> bytes | None:
    """An object's content out of a pack; None if it is not what its name says.

    Args:
        reader: the cache.
        algorithm: the hash algorithm.
        raw: its raw digest.
        place: where it should lie.
    """
    try:
        with (reader.folder.packs / place.pack).open("rb") as file:
            data = decode(place.codec, os.pread(file.fileno(), place.stored, place.offset), place.plain)
    except OSError:
        return None
    return data if data is not None and reader.folder.hasher(algorithm).raw(data) == raw else None


def has_member_header(reader: CacheReader, raw: bytes, place: Place) -> bool:
    """Whether what stands before a member in its pack is right.

    Args:
        reader: the cache.
        raw: the member's raw digest.
        place: where it lies.
    """
    wanted = member_header(raw, place.stored, place.plain, place.codec)
    try:
        with (reader.folder.packs / place.pack).open("rb") as file:
            return os.pread(file.fileno(), len(wanted), place.offset - len(wanted)) == wanted
    except (OSError, ValueError):
        return False


def _read_footer(path: Path) -> Found | None:
    try:
        with PackReader.open(path) as pack:
            if pack.id == path.name:
                return pack.algorithm, PackEntry(pack.id, pack.size, pack.kind), pack.members
    except (FileNotFoundError, KistError):
        pass
    return None


def _mend(reader: CacheReader, name: str, syncer: Syncer, scratch: Scratch) -> Found | None:
    """Save the good members of a damaged pack into a new pack; the old one goes to the quarantine."""
    folder = reader.folder
    found: Found | None = None
    try:
        algorithm, kind, places = _possible(reader, name)
    except FileNotFoundError:
        return None
    good = [(place, raw) for raw, place in places if read_place(reader, algorithm, raw, place) is not None]
    if good:
        writer = PackWriter(scratch.file(), kind, algorithm, folder.hasher(algorithm).digest_size)
        try:
            _copy(folder.packs / name, good, writer)
            saved = writer.finish()
            syncer.sync(writer.descriptor)
            syncer.wait()
        finally:
            writer.close()
        with storage_errors(folder.packs):
            os.rename(writer.path, folder.packs / writer.id)
        forget_damage(folder, (writer.id,))
        found = algorithm, PackEntry(writer.id, writer.size, kind), saved
    with storage_errors(folder.packs):
        if found is None or found[1].id != name:
            os.rename(folder.packs / name, folder.quarantine / f"pack-{name}")
    syncer.folders([folder.packs, folder.quarantine])
    return found


def _possible(reader: CacheReader, name: str) -> tuple[str, int, list[tuple[bytes, Place]]]:
    """What a damaged pack may hold, by its members and by the indexes: algorithm, kind, and digests with places."""
    algorithm, kind = "", 0
    places: dict[tuple[bytes, Place], None] = {}
    for opened in reader.catalog.files():
        for entry in opened.index.packs:
            if entry.id == name:
                algorithm, kind = opened.index.algorithm, entry.kind
                places |= dict.fromkeys(item for item in opened.index if item[1].pack == name)
    try:
        with PackReader.open(reader.folder.packs / name) as pack:
            reader.folder.hasher(pack.algorithm)
            if not algorithm:
                algorithm, kind = pack.algorithm, pack.kind
            if pack.algorithm == algorithm:
                found = pack.scan()
                rows = zip(found.offsets, found.stored, found.plains, found.codecs, strict=True)
                places |= {(raw, Place(name, *row)): None for raw, row in zip(found.raws(), rows, strict=True)}
    except (ObjectCorrupt, PluginError, MetafileError):
        pass  # the header is damaged: what the indexes say is all that is known
    return algorithm, kind, list(places)


def _copy(path: Path, good: list[tuple[Place, bytes]], writer: PackWriter) -> None:
    """Copy members in their stored form, each once, in the order in which they lie."""
    done = set()
    with storage_errors(path), path.open("rb") as file:
        for place, raw in sorted(good, key=lambda item: item[0].offset):
            if raw not in done:
                done.add(raw)
                writer.append(raw, os.pread(file.fileno(), place.stored, place.offset), place.plain, place.codec)
