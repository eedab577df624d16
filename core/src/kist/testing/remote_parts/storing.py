"""Remote contract: put and get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kist.abc import Remote
from kist.errors import RemoteError, RemoteObjectNotFound, StorageError
from kist.testing.base import difference
from kist.testing.remote_parts.common import (
    VIEWS,
    Abort,
    RawStore,
    Recorder,
    RemoteFixtures,
    content,
    keys,
    needs,
    put,
    read,
    run_threads,
    there,
    write_file,
)

LARGE = (8 << 20) + 1
"""One byte more than the usual size of a part of a multi-part upload."""

KEYS = (
    "a",
    "0",
    "kist-remote",
    "objects/blake3/ab/cdef0123456789",
    "a.b-c_d",
    "a/.b",
    "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p",
    "k" * 200,
    "/".join(["0123456789abcdef"] * 15),
)

FOREIGN_KEYS = (
    "Upper",
    "with space",
    "per%20cent",
    "plus+hash#question?",
    "gr\u00fc\u00df/\u6570\u636e",
    "semi;colon&'quote\"",
)


class StoringContract(RemoteFixtures):
    """What is put can be got."""

    __test__ = False

    @pytest.mark.parametrize("method", ["put_file", "put_bytes"])
    @pytest.mark.parametrize("size", [0, 1, 1000, 65536, 1 << 20, LARGE])
    def test_put_then_get(self, remote: Remote, tmp_path: Path, size: int, method: str) -> None:
        """The bytes that were put, from a file or out of memory, come back, from none to more than a part."""
        if method == "put_file":
            remote.put_file("objects/one", write_file(tmp_path, content(size)))
        else:
            remote.put_bytes("objects/one", content(size))
        remote.get_file("objects/one", tmp_path / "target")
        assert not difference((tmp_path / "target").read_bytes(), content(size))

    @pytest.mark.parametrize("key", KEYS)
    def test_any_portable_key(self, remote: Remote, tmp_path: Path, key: str) -> None:
        """Every key of the portable grammar can be put, told of, listed, read and deleted."""
        put(remote, tmp_path, key, key.encode())
        assert remote.stat(key).key == key
        assert keys(remote) == [key]
        assert read(remote, key) == key.encode()
        remote.delete(key)
        assert keys(remote) == []

    @pytest.mark.parametrize("key", FOREIGN_KEYS)
    def test_any_other_key(self, remote: Remote, tmp_path: Path, key: str) -> None:
        """A remote that declares ``any_key`` takes any text as a key, as it is."""
        needs(remote, "any_key")
        put(remote, tmp_path, key, key.encode())
        assert keys(remote) == [key]
        assert read(remote, key) == key.encode()

    def test_keys_that_differ_in_case(self, remote: Remote, tmp_path: Path) -> None:
        """A remote that declares ``any_key`` tells upper from lower case."""
        needs(remote, "any_key")
        for key in ("name", "Name", "NAME"):
            put(remote, tmp_path, key, key.encode())
        assert [read(remote, key) for key in ("name", "Name", "NAME")] == [b"name", b"Name", b"NAME"]

    def test_similar_keys(self, remote: Remote, tmp_path: Path) -> None:
        """Keys that begin alike are independent of each other."""
        similar = ("o/ab", "o/ab.c", "o/ab-c", "o/abc", "o/ab_c/d", "o/a")
        for key in similar:
            put(remote, tmp_path, key, key.encode())
        assert [read(remote, key) for key in similar] == [key.encode() for key in similar]

    def test_put_the_same_twice(self, remote: Remote, tmp_path: Path) -> None:
        """Putting the same bytes again is fine and changes nothing."""
        put(remote, tmp_path, "objects/one", b"same")
        put(remote, tmp_path, "objects/one", b"same")
        assert keys(remote) == ["objects/one"]
        assert read(remote, "objects/one") == b"same"

    @pytest.mark.parametrize("sizes", [(10, 20), (70000, 3), (5, 0)])
    def test_put_replaces(self, remote: Remote, tmp_path: Path, sizes: tuple[int, int]) -> None:
        """A put replaces what was there, whole, be the new bytes fewer or more."""
        for seed, size in enumerate(sizes):
            put(remote, tmp_path, "objects/one", content(size, seed))
        assert not difference(read(remote, "objects/one"), content(sizes[1], 1))

    def test_bytes_are_bytes(self, remote: Remote, tmp_path: Path) -> None:
        """No byte is translated: line ends, NUL and all others come back as they were."""
        data = bytes(range(256)) + b"\r\n\n\r\x00\x1a" + b"\xef\xbb\xbf\xff\xfe"
        put(remote, tmp_path, "objects/one", data)
        assert read(remote, "objects/one") == data
        remote.get_file("objects/one", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == data

    def test_get_replaces_target(self, remote: Remote, tmp_path: Path) -> None:
        """A file that is in the place of the target is replaced whole."""
        put(remote, tmp_path, "objects/one", b"new")
        target = write_file(tmp_path, b"old and longer", "target")
        remote.get_file("objects/one", target)
        assert target.read_bytes() == b"new"

    def test_get_missing(self, remote: Remote, tmp_path: Path) -> None:
        """Getting a key that is not there raises RemoteObjectNotFound with that key."""
        with pytest.raises(RemoteObjectNotFound) as caught:
            remote.get_file("objects/none", tmp_path / "target")
        assert caught.value.key == "objects/none"

    def test_get_missing_leaves_no_target(self, remote: Remote, tmp_path: Path) -> None:
        """A get that fails leaves no file, neither the target nor a temporary one."""
        folder = tmp_path / "contract-in"
        folder.mkdir()
        with pytest.raises(RemoteObjectNotFound):
            remote.get_file("objects/none", folder / "target")
        assert os.listdir(folder) == []

    def test_get_leaves_only_target(self, remote: Remote, tmp_path: Path) -> None:
        """A get makes the target and no other file beside it."""
        put(remote, tmp_path, "objects/one")
        folder = tmp_path / "contract-in"
        folder.mkdir()
        remote.get_file("objects/one", folder / "target")
        assert os.listdir(folder) == ["target"]

    def test_put_keeps_source(self, remote: Remote, tmp_path: Path) -> None:
        """The file that is put stays as it is."""
        source = write_file(tmp_path, b"mine")
        remote.put_file("objects/one", source)
        assert source.read_bytes() == b"mine"

    def test_put_unreadable_source(self, remote: Remote, tmp_path: Path) -> None:
        """A source that cannot be read raises StorageError or a RemoteError, and nothing is put."""
        with pytest.raises((StorageError, RemoteError)):
            remote.put_file("objects/one", tmp_path / "none")
        assert keys(remote) == []

    def test_get_into_missing_folder(self, remote: Remote, tmp_path: Path) -> None:
        """A target that cannot be written raises StorageError or a RemoteError."""
        put(remote, tmp_path, "objects/one")
        with pytest.raises((StorageError, RemoteError)):
            remote.get_file("objects/one", tmp_path / "none" / "target")

    def test_put_lands_where_it_should(self, remote: Remote, raw: RawStore, tmp_path: Path) -> None:
        """The object lies at the location under exactly its key, and nothing else does."""
        put(remote, tmp_path, "objects/one", b"bytes")
        assert list(raw.keys()) == ["objects/one"]
        assert raw.read("objects/one") == b"bytes"

    def test_reads_what_others_wrote(self, remote: Remote, raw: RawStore) -> None:
        """An object that came to the location another way is found and read."""
        raw.write("objects/one", b"theirs")
        assert remote.stat("objects/one").size == 6
        assert read(remote, "objects/one") == b"theirs"


class TornContract(RemoteFixtures):
    """Nothing half-done is ever visible."""

    __test__ = False

    @pytest.mark.parametrize("view", VIEWS)
    def test_aborted_put_is_invisible(self, remote: Remote, tmp_path: Path, view: str) -> None:
        """A put that is broken off makes the key visible to no method."""
        source = write_file(tmp_path, content(3 << 20))
        with pytest.raises(Abort):
            remote.put_file("objects/one", source, progress=Recorder(Abort()))
        assert not there(remote, view, "objects/one", tmp_path)

    def test_aborted_put_keeps_old(self, remote: Remote, tmp_path: Path) -> None:
        """A put that is broken off leaves the object that it would have replaced."""
        put(remote, tmp_path, "objects/one", b"old")
        source = write_file(tmp_path, content(3 << 20))
        with pytest.raises(Abort):
            remote.put_file("objects/one", source, progress=Recorder(Abort()))
        assert read(remote, "objects/one") == b"old"

    def test_aborted_put_leaves_nothing(self, remote: Remote, raw: RawStore, tmp_path: Path) -> None:
        """After a put that is broken off nothing of it lies at the location."""
        source = write_file(tmp_path, content(3 << 20))
        with pytest.raises(Abort):
            remote.put_file("objects/one", source, progress=Recorder(Abort()))
        assert list(raw.keys()) == []

    def test_put_again_after_abort(self, remote: Remote, tmp_path: Path) -> None:
        """A put that was broken off can be repeated."""
        source = write_file(tmp_path, content(3 << 20))
        with pytest.raises(Abort):
            remote.put_file("objects/one", source, progress=Recorder(Abort()))
        remote.put_file("objects/one", source)
        assert remote.stat("objects/one").size == 3 << 20

    def test_unfinished_put_is_invisible(self, remote: Remote, tmp_path: Path) -> None:
        """While a put is under way its key is neither listed nor there, and no temporary is listed."""
        if remote.capabilities.max_concurrency < 2:
            pytest.skip("the remote declares max_concurrency=1")
        seen: list[object] = []

        def look() -> None:
            seen.extend(run_threads([lambda: (keys(remote), remote.exists_many(["objects/one"]))]))

        source = write_file(tmp_path, content(3 << 20))
        remote.put_file("objects/one", source, progress=Recorder(action=look))
        assert seen == [([], {"objects/one": False})]

    def test_aborted_get_leaves_nothing(self, remote: Remote, tmp_path: Path) -> None:
        """A get that is broken off leaves no file, neither the target nor a temporary one."""
        put(remote, tmp_path, "objects/one", content(3 << 20))
        folder = tmp_path / "contract-in"
        folder.mkdir()
        with pytest.raises(Abort):
            remote.get_file("objects/one", folder / "target", progress=Recorder(Abort()))
        assert os.listdir(folder) == []

    def test_replacing_is_one_step(self, remote: Remote, tmp_path: Path) -> None:
        """Where ``atomic_put`` is declared, who reads while an object is replaced gets all of the old or of the new."""
        needs(remote, "atomic_put")
        versions = [content(200_000, seed) for seed in (1, 2)]
        files = [write_file(tmp_path, data, f"version-{number}") for number, data in enumerate(versions)]
        remote.put_file("objects/one", files[0])

        def write() -> None:
            for number in range(1, 9):
                remote.put_file("objects/one", files[number % 2])

        def look() -> bool:
            return all(read(remote, "objects/one") in versions for _ in range(12))

        assert run_threads([write, look, look][: max(remote.capabilities.max_concurrency, 2)])[:2] == [None, True]
