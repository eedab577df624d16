"""What a remote hands over is compared with its name, however it comes; a fetch without that check is caught."""

from __future__ import annotations

import random

import pytest

from kist.engine.storage.members import decode
from kist.engine.transfer import objects
from kist.engine.transfer.fetch_data import Brought, DataFetch
from kist.engine.transfer.remote_read import RemoteReader
from kist.errors import KistError, ObjectCorrupt, TransferError
from kist.model.digest import Digest
from kist.remotes.memory import MemoryRemote

SMALL = {f"f{number}": random.Random(number).randbytes(4000) for number in range(60)}
LARGE = {"large": random.Random("large").randbytes(2 << 20)}


@pytest.fixture
def remote():
    return MemoryRemote()


def damage(remote, prefix):
    """Flip one bit in the middle of the largest thing below a prefix, and every time it is read."""
    key = max((key for key in remote.objects if key.startswith(prefix)), key=lambda key: len(remote.objects[key].data))
    data = bytearray(remote.objects[key].data)
    data[len(data) // 2] ^= 1
    remote.objects[key] = remote.objects[key]._replace(data=bytes(data))


def by_itself(clone, remote):
    """A large object: it is fetched as a file."""
    here = clone(remote)
    version = here.add(LARGE | {"one": b"1"})
    here.push(version)
    damage(remote, "objects/")
    return version


def in_a_pack(clone, remote):
    """Small objects that are all wanted: the pack is fetched as a file."""
    here = clone(remote)
    version = here.add(SMALL)
    here.push(version)
    damage(remote, "packs/")
    return version


def in_a_range(clone, remote):
    """Small objects of which few are wanted: they are fetched by ranges of the pack, without its middle or with it."""
    here = clone(remote)
    here.push(whole := here.add(SMALL))
    few = here.add(dict(list(SMALL.items())[::3]))
    here.push(few, bases=[whole])
    damage(remote, "packs/")
    for key in [key for key in remote.objects if key.startswith("packs/")]:
        stored = remote.objects[key]
        data = bytearray(stored.data)
        for at in range(4000, len(data) - 4000, 2000):  # every member, wherever it lies
            data[at] ^= 1
        if len(data) > 100_000:
            remote.objects[key] = stored._replace(data=bytes(data))
    return few


WAYS = [by_itself, in_a_pack, in_a_range]


def check(clone, remote, version):
    """A fetch of damaged objects says so, and what it brought is what it is called."""
    there = clone(remote)
    with pytest.raises((TransferError, ObjectCorrupt)):
        there.fetch(version)
    folder = there.cache.root / "objects"
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert there.hasher.digest(path.read_bytes()).hex == path.parent.name + path.name
    for raw in map(there.hasher.raw, [*SMALL.values(), *LARGE.values()]):
        if not there.cache.missing("blake3", [raw]):
            there.cache.read_many("blake3", [raw])


@pytest.mark.parametrize("way", WAYS)
def test_2_1_what_comes_from_a_remote_is_compared_with_its_name(clone, remote, way):
    check(clone, remote, way(clone, remote))


# ── what the test must catch ─────────────────────────────────────────────────────────────────────────────────────────


def believes_files(patch):
    """An object by itself is stored as it came."""

    def bring(self, raw, size, session):
        digest, path = Digest.from_raw(self._hasher.name, raw), session.file()
        self._store.remote.get_file(objects.object_key(digest), path)
        session.put_loose_file(path, digest)
        return Brought(moved=size)

    patch.setattr(DataFetch, "_bring_loose", bring)


def believes_packs(patch):
    """A pack is adopted as it came."""
    patch.setattr(DataFetch, "_is_whole", lambda _self, _reader, _name: True)


def believes_ranges(patch):
    """Members of a range are stored as they came."""

    def believed(_reader, members, data, start):
        brought = Brought()
        for raw, offset, stored, plain, codec in members.rows():
            at = offset - start
            brought.raws.append(raw)
            brought.buffers.append(decode(codec, data[at : at + stored], plain))
        return brought

    patch.setattr(RemoteReader, "check", believed)


@pytest.mark.parametrize(
    ("mutant", "way"), [(believes_files, by_itself), (believes_packs, in_a_pack), (believes_ranges, in_a_range)]
)
def test_a_fetch_without_a_check_is_caught(clone, remote, monkeypatch, mutant, way):
    version = way(clone, remote)
    mutant(monkeypatch)
    with pytest.raises((AssertionError, KistError, pytest.fail.Exception)):  # false success, or what is false is found
        check(clone, remote, version)
