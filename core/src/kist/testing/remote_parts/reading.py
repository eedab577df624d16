"""Remote contract: ranges, listing, and that all methods tell the same."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.abc import Capabilities, ObjectInfo, Remote
from kist.errors import RemoteObjectNotFound
from kist.testing.base import difference
from kist.testing.remote_parts.common import RemoteFixtures, content, keys, needs, put, read, there, write_file

SIZE = 100_000

RANGES = [
    (0, None),
    (1, None),
    (SIZE - 1, None),
    (SIZE, None),
    (SIZE + 10, None),
    (0, 1),
    (0, SIZE),
    (0, SIZE + 10),
    (500, 1000),
    (SIZE - 10, 100),
    (SIZE + 10, 5),
    (500, 0),
]

LISTED = (
    "kist-remote",
    "objects/aa/1",
    "objects/ab",
    "objects/ab.c",
    "objects/abc/2",
    "objects/b/3",
    "packs/0",
    "roots/x",
)

PREFIXES = (
    "",
    "o",
    "objects",
    "objects/",
    "objects/a",
    "objects/ab",
    "objects/ab/",
    "objects/abc/",
    "objects/abc/2",
    "none",
    "z/",
)


class RangeContract(RemoteFixtures):
    """Parts of objects can be read."""

    __test__ = False

    @pytest.mark.parametrize(("start", "length"), RANGES)
    def test_range(self, remote: Remote, tmp_path: Path, start: int, length: int | None) -> None:
        """A range gives its bytes; what lies beyond the end is left out, without an error."""
        data = content(SIZE)
        put(remote, tmp_path, "objects/one", data)
        assert not difference(read(remote, "objects/one", start=start, length=length), data[start:][:length])

    @pytest.mark.parametrize("length", [None, 10])
    def test_range_of_empty(self, remote: Remote, tmp_path: Path, length: int | None) -> None:
        """An empty object is read as no bytes."""
        put(remote, tmp_path, "objects/one", b"")
        assert read(remote, "objects/one", length=length) == b""

    @pytest.mark.parametrize("piece", [1, 1000, 65536])
    def test_read_in_pieces(self, remote: Remote, tmp_path: Path, piece: int) -> None:
        """Reading piece by piece gives as many bytes as asked for until the end, and then none."""
        data = content(5 * piece + 1)
        put(remote, tmp_path, "objects/one", data)
        with remote.open("objects/one") as reader:
            pieces = [reader.read(piece) for _ in range(7)]
        assert [len(one) for one in pieces] == [piece] * 5 + [1, 0]
        assert not difference(b"".join(pieces), data)

    def test_open_missing(self, remote: Remote) -> None:
        """Opening a key that is not there raises RemoteObjectNotFound at once, not at the first read."""
        with pytest.raises(RemoteObjectNotFound) as caught:
            remote.open("objects/none")
        assert caught.value.key == "objects/none"

    def test_two_streams(self, remote: Remote, tmp_path: Path) -> None:
        """Streams of one object do not disturb each other."""
        data = content(SIZE)
        put(remote, tmp_path, "objects/one", data)
        with remote.open("objects/one") as first, remote.open("objects/one", start=10) as other:
            assert first.read(100) == data[:100]
            assert other.read(100) == data[10:110]
            assert not difference(first.read(), data[100:])

    def test_close_unread(self, remote: Remote, tmp_path: Path) -> None:
        """A stream may be closed before it was read to the end, and is closed then."""
        put(remote, tmp_path, "objects/one", content(SIZE))
        with remote.open("objects/one") as reader:
            reader.read(1)
        assert reader.closed


class ListingContract(RemoteFixtures):
    """Listing gives every key and nothing else."""

    __test__ = False

    def test_list_empty(self, remote: Remote) -> None:
        """A fresh remote lists nothing."""
        assert list(remote.list()) == []

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_list_prefix(self, remote: Remote, tmp_path: Path, prefix: str) -> None:
        """A prefix is a string, not a folder: each key that starts with it is listed, once, and no other."""
        for key in LISTED:
            put(remote, tmp_path, key, key.encode())
        assert keys(remote, prefix) == sorted(key for key in LISTED if key.startswith(prefix))

    def test_list_is_lazy(self, remote: Remote, tmp_path: Path) -> None:
        """Listing gives an iterator, so that nobody holds all keys in memory."""
        put(remote, tmp_path, "objects/one")
        listing = remote.list()
        assert isinstance(listing, Iterator)
        assert next(listing).key == "objects/one"

    def test_list_many(self, remote: Remote, tmp_path: Path) -> None:
        """More keys than fit on a page are listed, each once."""
        source = write_file(tmp_path, b"x")
        expected = [f"objects/{number % 16:x}/{number:05}" for number in range(self.many)]
        assert remote.put_many((key, source) for key in expected) == {}
        assert keys(remote) == sorted(expected)

    def test_list_tells_sizes(self, remote: Remote, tmp_path: Path) -> None:
        """Listing tells the size of every object."""
        sizes = {f"objects/{size}": size for size in (0, 1, 70_000)}
        for key, size in sizes.items():
            put(remote, tmp_path, key, content(size))
        assert {info.key: info.size for info in remote.list()} == sizes

    def test_delete_while_listing(self, remote: Remote, tmp_path: Path) -> None:
        """Keys may be deleted while they are listed, and the others are still given."""
        expected = [f"objects/{number:02}" for number in range(30)]
        for key in expected:
            put(remote, tmp_path, key)
        given = []
        for info in remote.list():
            given.append(info.key)
            remote.delete(info.key)
        assert sorted(given) == expected
        assert keys(remote) == []

    def test_list_after_delete(self, remote: Remote, tmp_path: Path) -> None:
        """What was deleted is not listed, and what was put again is."""
        for key in ("objects/one", "objects/two"):
            put(remote, tmp_path, key)
        remote.delete("objects/one")
        assert keys(remote) == ["objects/two"]
        put(remote, tmp_path, "objects/one")
        assert keys(remote) == ["objects/one", "objects/two"]


class AgreementContract(RemoteFixtures):
    """All methods tell the same story, now."""

    __test__ = False

    @pytest.mark.parametrize("size", [0, 1, 70_000])
    def test_stat_size(self, remote: Remote, tmp_path: Path, size: int) -> None:
        """Stat tells the key and the number of bytes that were put."""
        put(remote, tmp_path, "objects/one", content(size))
        info = remote.stat("objects/one")
        assert (info.key, info.size) == ("objects/one", size)

    def test_stat_missing(self, remote: Remote) -> None:
        """Stat of a key that is not there raises RemoteObjectNotFound with that key."""
        with pytest.raises(RemoteObjectNotFound) as caught:
            remote.stat("objects/none")
        assert caught.value.key == "objects/none"

    def test_stat_is_fresh(self, remote: Remote, tmp_path: Path) -> None:
        """Stat and the listing tell of the object as it is now, however often they were asked before."""
        for size in (10, 20, 5):
            put(remote, tmp_path, "objects/one", content(size))
            assert remote.stat("objects/one").size == size
            assert [info.size for info in remote.list()] == [size]

    def test_list_and_stat_agree(self, remote: Remote, tmp_path: Path) -> None:
        """Listing and stat tell the same size and, where both tell one, the same time to two seconds."""
        for number in range(5):
            put(remote, tmp_path, f"objects/{number}", content(number * 1000))
        for info in remote.list():
            told = remote.stat(info.key)
            assert (told.key, told.size) == (info.key, info.size)
            assert None in (told.mtime, info.mtime) or abs((told.mtime or 0) - (info.mtime or 0)) <= 2

    def test_time_is_now(self, remote: Remote, tmp_path: Path) -> None:
        """The time of an object, where it is told, is when it was put, in seconds since 1970 UTC."""
        put(remote, tmp_path, "objects/one")
        mtime = remote.stat("objects/one").mtime
        assert mtime is None or abs(mtime - time.time()) < 600

    def test_exists_many(self, remote: Remote, tmp_path: Path) -> None:
        """Exists_many tells of every key that was asked, with True or False."""
        for number in range(0, 10, 2):
            put(remote, tmp_path, f"objects/{number}")
        asked = [f"objects/{number}" for number in range(10)] + ["objects/none", "objects/0"]
        assert remote.exists_many(asked) == {
            key: key in {f"objects/{even}" for even in range(0, 10, 2)} for key in asked
        }

    def test_exists_none(self, remote: Remote) -> None:
        """Exists_many of no keys is empty."""
        assert remote.exists_many([]) == {}

    @pytest.mark.parametrize("method", ["stat", "open", "get_file", "exists_many"])
    def test_prefix_is_no_object(self, remote: Remote, tmp_path: Path, method: str) -> None:
        """The beginning of a key up to a slash is no object."""
        put(remote, tmp_path, "objects/ab/cd")
        assert not there(remote, method, "objects/ab", tmp_path)
        assert not there(remote, method, "objects", tmp_path)

    def test_digests(self, remote: Remote, tmp_path: Path) -> None:
        """The digests that stat tells are those of the bytes, of every algorithm that is declared."""
        declared = needs(remote, "server_digests").server_digests
        data = content(70_000)
        put(remote, tmp_path, "objects/one", data)
        told = remote.stat("objects/one").digests
        assert set(told) >= declared
        for algorithm in set(told) & hashlib.algorithms_available:
            assert told[algorithm] == hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()

    def test_information_is_plain(self, remote: Remote, tmp_path: Path) -> None:
        """Stat and listing give ObjectInfo, whose size is an int and whose time is a float or None."""
        put(remote, tmp_path, "objects/one")
        for info in (remote.stat("objects/one"), next(remote.list())):
            assert isinstance(info, ObjectInfo)
            assert type(info.size) is int
            assert info.mtime is None or type(info.mtime) is float

    def test_capabilities(self, remote: Remote) -> None:
        """Capabilities are the declared type, and allow at least one caller and one byte."""
        capabilities = remote.capabilities
        assert isinstance(capabilities, Capabilities)
        assert capabilities.max_concurrency >= 1
        assert capabilities.max_object_size is None or capabilities.max_object_size > 0

    def test_second_sees_put(self, remote: Remote, second: Remote, tmp_path: Path) -> None:
        """What one instance put or replaced, another on the same location sees at once."""
        assert keys(second) == []
        put(remote, tmp_path, "objects/one", b"first")
        assert read(second, "objects/one") == b"first"
        put(remote, tmp_path, "objects/one", b"longer than first")
        assert second.stat("objects/one").size == 17
        assert keys(second) == ["objects/one"]

    def test_second_sees_delete(self, remote: Remote, second: Remote, tmp_path: Path) -> None:
        """What one instance deleted, another on the same location sees no more."""
        put(remote, tmp_path, "objects/one")
        assert second.exists_many(["objects/one"]) == {"objects/one": True}
        remote.delete("objects/one")
        assert second.exists_many(["objects/one"]) == {"objects/one": False}
        assert keys(second) == []
