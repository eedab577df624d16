"""The small texts of a remote, its keys, and how strictly both are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine.transfer import objects
from kist.engine.transfer.remote_store import Condemned, Published, RemoteStore, set_key
from kist.errors import (
    MetafileVersionError,
    ObjectCorrupt,
    RemoteFormatError,
    RemoteObjectNotFound,
    RemotePermissionError,
)
from kist.model.digest import Digest
from kist.remotes.memory import MemoryRemote, Stored
from kist_blake3.hasher import Blake3Hasher

HASHER = Blake3Hasher()
ROOT, OTHER = HASHER.digest(b"root"), HASHER.digest(b"other")
INDEX = "ab" * 32


def store_on(remote, **options):
    return RemoteStore(remote, hashers=lambda name: HASHER, **options)


def put(remote, key, data):
    remote.objects[key] = Stored(data, 0.0, "")


def test_format_is_the_same_from_every_first_pusher():
    texts = []
    for _ in range(2):
        remote = MemoryRemote()
        store = store_on(remote)
        assert not store.open()
        assert store.open(create=True)
        assert store.created
        texts.append(remote.objects["kist-remote"].data)
        assert store_on(remote).open()
    assert texts[0] == texts[1]


def test_newer_format(newer_text):
    remote = MemoryRemote()
    put(remote, "kist-remote", newer_text(objects.dump_text("remote", {})))
    with pytest.raises(RemoteFormatError, match="newer"):
        store_on(remote).open()


def test_forbidden_altogether_is_an_error():
    def gate(method):
        raise RemotePermissionError("no")

    with pytest.raises(RemotePermissionError):
        store_on(MemoryRemote(gate=gate)).open()


def test_marker_and_set():
    store = store_on(MemoryRemote())
    store.open(create=True)
    assert store.published([ROOT]) == store.published([ROOT, OTHER]) == store.published([]) == {}
    one = Published((ROOT,), {"blake3": (INDEX,)}, ("me",))
    store.write_marker(one)
    assert store.published([ROOT, ROOT]) == {ROOT: one}
    assert store.read_marker(OTHER) is None
    store.write_set(Published((OTHER, ROOT), {"blake3": (INDEX,)}, ()))
    assert store.published([ROOT, OTHER])[ROOT].indexes == {"blake3": (INDEX,)}
    assert set_key([ROOT, OTHER]) == set_key([OTHER, ROOT, OTHER])


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"roots": [str(OTHER)], "indexes": {}, "repositories": []},
        {"roots": [str(ROOT)], "indexes": [], "repositories": []},
        {"roots": [str(ROOT)], "indexes": {"blake3": ["../x"]}, "repositories": []},
        {"roots": [str(ROOT)], "indexes": {"blake3": [INDEX] * 33}, "repositories": []},
        {"roots": [str(ROOT)], "indexes": {}, "repositories": ["a/b"]},
        {"roots": "x", "indexes": {}, "repositories": []},
    ],
)
def test_marker_that_makes_no_sense_counts_as_absent(value):
    remote = MemoryRemote()
    store = store_on(remote)
    store.open(create=True)
    put(remote, objects.root_key(ROOT), objects.dump_text("root", value))
    assert store.read_marker(ROOT) is None


def test_2_2_marker_of_another_version_is_no_proof():
    remote = MemoryRemote()
    store = store_on(remote)
    store.open(create=True)
    store.write_marker(Published((OTHER,)))
    remote.objects[objects.root_key(ROOT)] = remote.objects[objects.root_key(OTHER)]
    assert store.read_marker(ROOT) is None


def test_condemned():
    remote = MemoryRemote()
    store = store_on(remote)
    store.open(create=True)
    store = store_on(remote)
    assert not store.read_condemned().keys
    store.write_condemned(Condemned({"packs/x": 12.5}))
    condemned = store.read_condemned()
    assert "packs/x" in condemned
    assert not condemned.stale
    store.write_condemned(Condemned())
    assert "condemned" not in remote.objects
    put(remote, "condemned", b"junk")
    with pytest.raises(ObjectCorrupt):
        store.read_condemned()


def test_memory_is_only_a_hint(tmp_path):
    store = store_on(MemoryRemote(), memory=tmp_path / "memory")
    assert store.hints.recall("x") is None
    store.hints.remember("index/x", b"1")
    assert store.hints.recall("index/x") == b"1"
    store.hints.forget("index/x")
    assert store.hints.recall("index/x") is None
    (tmp_path / "file").write_bytes(b"")
    store_on(MemoryRemote(), memory=tmp_path / "file").hints.remember("index/x", b"1")
    store_on(MemoryRemote()).hints.remember("x", b"")


def test_keys():
    digest = Digest("sha256", "ab" * 32)
    assert objects.object_key(digest) == f"objects/sha256/ab/{'ab' * 31}"
    for key in (objects.object_key(digest), objects.segments_key(digest)):
        assert objects.parse_object_key(key) == digest
        assert objects.is_own_key(key)
    assert objects.parse_root_key(objects.root_key(digest)) == digest
    assert objects.parse_ref_key(objects.ref_key("repo.1", digest)) == ("repo.1", digest)
    for foreign in ("files/md5/aa/bb", "packs/x", "roots/a/../b", "refs/x", "kist-remote2", "", "objects/sha256/AB/cd"):
        assert not objects.is_own_key(foreign)
        assert objects.parse_object_key(foreign) is objects.parse_root_key(foreign) is None
        assert objects.parse_ref_key(foreign) is None


@given(st.binary(max_size=200))
def test_random_bytes_are_no_text(data):
    with pytest.raises((ObjectCorrupt, MetafileVersionError)):
        objects.load_text("root", data, where="roots/x")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_flipped_byte_is_noticed(position, mask):
    data = bytearray(objects.dump_text("root", {"roots": [str(ROOT)], "indexes": {}, "repositories": ["me"]}))
    data[position % len(data)] ^= mask
    with pytest.raises((ObjectCorrupt, MetafileVersionError)):
        objects.load_text("root", bytes(data), where="roots/x")


def test_bounded_reading():
    remote = MemoryRemote()
    put(remote, "x", b"12345")
    assert objects.get_bytes(remote, "x", limit=5) == b"12345"
    with pytest.raises(ObjectCorrupt):
        objects.get_bytes(remote, "x", limit=4)
    assert objects.get_range(remote, "x", 1, 3) == b"234"
    with pytest.raises(ObjectCorrupt):
        objects.get_range(remote, "x", 3, 3)
    with pytest.raises(RemoteObjectNotFound):
        objects.get_range(remote, "y", 3, 3)
