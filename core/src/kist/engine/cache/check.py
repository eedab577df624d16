"""Check a cache as a whole, set damage aside."""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from kist.abc.hasher import Hasher
from kist.abc.progress import NullProgress, Progress
from kist.engine.cache.folder import CacheFolder
from kist.engine.cache.mend import has_member_header, read_place, rebuild_indexes
from kist.engine.cache.read import CacheReader
from kist.engine.process.syncing import Syncer
from kist.engine.storage.indexes import Place
from kist.engine.storage.members import Members
from kist.engine.storage.packs import PackReader
from kist.errors import MetafileError, ObjectCorrupt, PluginError, StorageError
from kist.model.digest import Digest
from kist.util.atomic import storage_errors, write_file

_BLOCK = 1 << 20
_ASIDE = re.compile(r"(?:packed-[0-9a-f]{64}|loose)-([a-z0-9][a-z0-9_-]{0,31})-([0-9a-f]{16,128})(?:-[0-9a-f]{8})?")


@dataclass(frozen=True, slots=True)
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
    reader: CacheReader, progress: Progress = NullProgress(), sample: float = 100.0
) -> Iterator[tuple[Digest, bool]]:
    """Hash what a cache holds, in bounded memory.

    Args:
        reader: the cache.
        progress: advanced by bytes.
        sample: how many percent of the objects to check, chosen anew each time.

    Yields:
        (object, whether this copy is good). A pack or index whose structure is damaged is named ``pack:<id>`` or
        ``index:<id>``.

    Raises:
        StorageError: the cache cannot be read.
    """
    reader.catalog.refresh(force=True)
    choose = _Sample(sample)
    for name in reader.catalog.damaged_indexes:
        yield Digest("index", name), False
    for opened in reader.catalog.files():
        if not _index_is_good(reader, opened.id):
            yield Digest("index", opened.id), False
    for one in loose_objects(reader):
        if choose(one.raw):
            yield Digest.from_raw(one.algorithm, one.raw), _hash_loose(reader, one, progress)
    for name in reader.folder.pack_ids():
        yield from _verify_pack(reader, name, choose, progress)


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
    if path.exists() and not _hash_loose(reader, LooseObject(algorithm, raw, 0, 0), NullProgress()):
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


def digest_of(descriptor: int, hasher: Hasher, progress: Progress = NullProgress()) -> bytes | None:
    """Hash an open file in bounded memory.

    Args:
        descriptor: the file, read from where it stands.
        hasher: of the algorithm.
        progress: advanced by bytes.

    Returns:
        The raw digest; None if it cannot be read: a bad sector is damage, not a reason to stop looking.
    """
    running = hasher.new()
    block = bytearray(_BLOCK)
    view = memoryview(block)
    try:
        while count := os.readv(descriptor, [block]):
            running.update(view[:count])
            progress.advance(count)
    except OSError:
        return None
    return running.digest()


class _Sample:
    """Chooses objects by a part of their digest that is mixed with a new random number each time."""

    def __init__(self, percent: float) -> None:
        self._limit = int(percent / 100 * (1 << 32))
        self._salt = int.from_bytes(os.urandom(4), "big")

    def __call__(self, raw: bytes) -> bool:
        return (int.from_bytes(raw[:4], "big") ^ self._salt) < self._limit


def _hash_loose(reader: CacheReader, one: LooseObject, progress: Progress) -> bool:
    descriptor = reader.open_loose(one.algorithm, one.raw)
    if descriptor < 0:
        return False
    try:
        return digest_of(descriptor, reader.folder.hasher(one.algorithm), progress) == one.raw
    finally:
        os.close(descriptor)


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


def _verify_pack(reader: CacheReader, name: str, choose: _Sample, progress: Progress) -> Iterator[tuple[Digest, bool]]:
    try:
        pack = PackReader.open(reader.folder.packs / name)
    except FileNotFoundError:
        return
    except ObjectCorrupt:
        yield from _verify_indexed(reader, name)
        return
    with pack:
        try:
            hasher = reader.folder.hasher(pack.algorithm)
        except (PluginError, MetafileError):  # a header that names no hash algorithm
            yield from _verify_indexed(reader, name)
            return
        try:
            members = pack.members
            good = pack.id == name
        except (ObjectCorrupt, StorageError):
            members, good = pack.scan(), False
        if not good:
            yield Digest("pack", name), False
            known = set(members.raws())
            lost = [digest for digest, _ in _indexed(reader, name) if digest.raw not in known]
            yield from ((digest, False) for digest in lost)
        chosen = _choose(members, choose)
        raws = chosen.raws()
        for position, fine in pack.check(hasher, chosen):
            progress.advance(chosen.stored[position])
            if not reader.catalog.is_aside(name, raws[position]):
                yield Digest.from_raw(pack.algorithm, raws[position]), fine
        if len(raws) == len(members):  # what lies between the members was read too
            progress.advance(pack.size - sum(members.stored))


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


def _choose(members: Members, choose: _Sample) -> Members:
    raws = members.raws()
    kept = [position for position, raw in enumerate(raws) if choose(raw)]
    if len(kept) == len(raws):
        return members
    return Members(
        members.width,
        b"".join([raws[position] for position in kept]),
        array("Q", [members.offsets[position] for position in kept]),
        array("Q", [members.stored[position] for position in kept]),
        array("Q", [members.plains[position] for position in kept]),
        bytes(members.codecs[position] for position in kept),
    )
