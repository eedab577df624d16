"""Check a cache as a whole, set damage aside."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import groupby

from kist.abc.executor import Executor, InLine
from kist.abc.progress import NullProgress, Progress
from kist.engine.cache.folder import CacheFolder
from kist.engine.cache.hashing import HashedFile, Sample, StoredFile, Told, hash_file, is_good
from kist.engine.cache.mend import has_member_header, read_place, rebuild_indexes
from kist.engine.cache.read import CacheReader
from kist.engine.process.syncing import Syncer
from kist.engine.storage.indexes import Place
from kist.engine.storage.packs import PackReader
from kist.errors import MetafileError, ObjectCorrupt, PluginError
from kist.model.digest import Digest
from kist.util.atomic import storage_errors, write_file
from kist.util.slotted import slotted

_BLOCK = 1 << 20
_ASIDE = re.compile(r"(?:packed-[0-9a-f]{64}|loose)-([a-z0-9][a-z0-9_-]{0,31})-([0-9a-f]{16,128})(?:-[0-9a-f]{8})?")


@slotted(frozen=True)
class LooseObject:
    """A loose object as it lies in the cache: what it is, its size in bytes and when it was last written."""

    algorithm: str
    raw: bytes
    size: int
    mtime: float


def loose_objects(reader: CacheReader) -> Iterator[LooseObject]:
    """Every loose object of a cache, by algorithm and digest."""
    folder = reader.folder
    for algorithm in folder.algorithms():
        width = folder.hasher(algorithm).digest_size
        for shard in folder.shards(algorithm):
            path = folder.objects / algorithm / shard
            with storage_errors(path):
                names = sorted(os.listdir(path))
                for name in names:
                    if len(name) != 2 * width - 2 or not set(name) <= set("0123456789abcdef"):
                        continue
                    with suppress(FileNotFoundError):
                        status = os.lstat(path / name)
                        yield LooseObject(algorithm, bytes.fromhex(shard + name), status.st_size, status.st_mtime)


def open_packs(reader: CacheReader) -> Iterator[PackReader]:
    """Every pack of a cache whose header can be read, open until the next one is asked for."""
    for name in reader.folder.pack_ids():
        with suppress(FileNotFoundError, ObjectCorrupt), PackReader.open(reader.folder.packs / name) as pack:
            yield pack


def stored_bytes(reader: CacheReader) -> int:
    """Bytes of all objects and packs of a cache: what :func:`verify` is going to read."""
    size = sum(one.size for one in loose_objects(reader))
    for name in reader.folder.pack_ids():
        with suppress(FileNotFoundError):
            size += (reader.folder.packs / name).stat().st_size
    return size


def verify(
    reader: CacheReader, progress: Progress = NullProgress(), sample: float = 100.0, executor: Executor | None = None
) -> Iterator[tuple[Digest, bool]]:
    """Hash what a cache holds, in bounded memory.

    Args:
        reader: the cache.
        progress: advanced by bytes.
        sample: how many percent of the objects to check, chosen anew each time.
        executor: hashes files; it need not share our memory. None: this thread does.

    Yields:
        (object, whether this copy is good). A pack or index whose structure is damaged is named ``pack:<id>`` or
        ``index:<id>``.

    Raises:
        StorageError: the cache cannot be read.
    """
    reader.catalog.refresh(force=True)
    folder, choose, told = reader.folder, Sample(sample), Told(progress)
    executor = executor or InLine()
    for name in reader.catalog.damaged_indexes:
        yield Digest("index", name), False
    for opened in reader.catalog.files():
        if not _index_is_good(reader, opened.id):
            yield Digest("index", opened.id), False

    def hashed(algorithm: str, files: Iterable[StoredFile]) -> Iterator[tuple[Digest, bool]]:
        for found in executor.map(partial(hash_file, folder.hasher(algorithm), choose, told), files):
            told.advance(found.untold)
            yield from _told(reader, algorithm, found)

    for algorithm, loose in groupby(loose_objects(reader), lambda one: one.algorithm):
        raws = (one.raw for one in loose if choose(one.raw))
        yield from hashed(algorithm, (StoredFile(folder.loose_path(algorithm, raw), raw) for raw in raws))
    packs, unreadable = _packs_by_algorithm(reader)
    for name in unreadable:
        yield from _verify_indexed(reader, name)
    for algorithm, names in packs.items():
        yield from hashed(algorithm, (StoredFile(folder.packs / name) for name in names))


def quarantine(reader: CacheReader, digest: Digest, syncer: Syncer) -> list[str]:
    """Set the damaged copies of an object aside, so that it counts as absent; good copies stay.

    A member of a pack whose content is good and whose header is not stays too: its pack is written anew.

    Args:
        reader: the cache.
        digest: the object.
        syncer: how to make what is written anew durable.

    Returns:
        what was set aside: a path in the quarantine for each damaged copy.

    Raises:
        StorageError: the cache cannot be written.
    """
    folder, algorithm = reader.folder, digest.algorithm
    raw = folder.raw(digest)
    reader.catalog.refresh(force=True)
    folder.ensure()
    done = []
    path = folder.loose_path(algorithm, raw)
    if path.exists() and not is_good(folder.hasher(algorithm), path, raw):
        target = folder.quarantine / f"loose-{algorithm}-{digest.hex}-{os.urandom(4).hex()}"
        with storage_errors(path):
            os.rename(path, target)
        done.append(str(target))
    rewrite = set()
    for place in reader.catalog.all_places(algorithm, raw):
        if reader.catalog.is_aside(place.pack, raw):
            continue
        if read_place(reader, algorithm, raw, place) is not None:
            if not has_member_header(reader, raw, place):
                rewrite.add(place.pack)
        else:
            target = folder.quarantine / f"packed-{place.pack}-{algorithm}-{digest.hex}"
            record = {"digest": str(digest), "pack": place.pack, "offset": place.offset, "stored": place.stored}
            write_file(target, json.dumps(record, sort_keys=True).encode() + b"\n", mode=0o444)
            done.append(str(target))
    reader.catalog.refresh(force=True)
    if rewrite:
        rebuild_indexes(reader, syncer, rewrite)
    return done


def quarantined(folder: CacheFolder) -> dict[Digest, str]:
    """The objects of which damaged copies were set aside, and where each is recorded.

    Args:
        folder: the cache's folder.
    """
    found = {}
    with suppress(FileNotFoundError):
        for name in os.listdir(folder.quarantine):
            match = _ASIDE.fullmatch(name)
            if match is not None:
                found[Digest(match[1], match[2])] = str(folder.quarantine / name)
    return found


def _index_is_good(reader: CacheReader, name: str) -> bool:
    from hashlib import sha256

    running = sha256(usedforsecurity=False)
    try:
        with (reader.folder.index / name).open("rb") as file:
            while block := file.read(_BLOCK):
                running.update(block)
    except FileNotFoundError:
        return True  # merged away meanwhile
    except OSError:
        return False
    return running.hexdigest() == name


def _packs_by_algorithm(reader: CacheReader) -> tuple[dict[str, list[str]], list[str]]:
    """The names of packs, by what their headers say; and those whose header says nothing that can be read."""
    packs: dict[str, list[str]] = {}
    unreadable: list[str] = []
    for name in reader.folder.pack_ids():
        try:
            with PackReader.open(reader.folder.packs / name) as pack:
                reader.folder.hasher(pack.algorithm)
                packs.setdefault(pack.algorithm, []).append(name)
        except FileNotFoundError:
            continue
        except (ObjectCorrupt, PluginError, MetafileError):  # the last two: a header that names no hash algorithm
            unreadable.append(name)
    return packs, unreadable


def _told(reader: CacheReader, algorithm: str, found: HashedFile) -> Iterator[tuple[Digest, bool]]:
    """What the check of one file says of the objects in it."""
    name = found.file.path.name
    if not found.readable:
        yield from _verify_indexed(reader, name)
        return
    if not found.whole:
        yield Digest("pack", name), False
        known = set(found.members)
        lost = [digest for digest, _ in _indexed(reader, name) if digest.raw not in known]
        yield from ((digest, False) for digest in lost)
    for raw, fine in zip(found.raws, found.good, strict=True):
        if found.file.raw is not None or not reader.catalog.is_aside(name, raw):
            yield Digest.from_raw(algorithm, raw), fine


def _verify_indexed(reader: CacheReader, name: str) -> Iterator[tuple[Digest, bool]]:
    """A pack whose header cannot be read: what is in it is known from the indexes alone."""
    yield Digest("pack", name), False
    for digest, place in _indexed(reader, name):
        if not reader.catalog.is_aside(name, digest.raw):
            yield digest, read_place(reader, digest.algorithm, digest.raw, place) is not None


def _indexed(reader: CacheReader, pack: str) -> Iterator[tuple[Digest, Place]]:
    """What the index files say lies in a pack."""
    for opened in reader.catalog.files():
        if any(entry.id == pack for entry in opened.index.packs):
            for raw, place in opened.index:
                if place.pack == pack:
                    yield Digest.from_raw(opened.index.algorithm, raw), place
