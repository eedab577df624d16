"""Keys, sources, targets, limits: what every remote needs."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import RemoteError, RemoteObjectNotFound, RemoteUnavailable, StorageError
from kist.remotes.files import LimitedReader, RangeReader, check_key, read_data, read_source, write_target


@pytest.mark.parametrize("key", ["a", "0", "a/b", "a/.b", "a.b-c_d", "k" * 255, "kist-remote", "a/...", "a/b.."])
def test_good_key(key) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "a/..",
        "..",
        ".a",
        "-a",
        "A",
        "a b",
        "a\n",
        "\u00e4",
        "k" * 256,
        "a/./b",
        "a\0",
    ],
)
def test_bad_key(key) -> None:
    with pytest.raises(RemoteError):
        check_key(key)


@given(st.text(max_size=40))
def test_good_keys_are_plain_paths(key) -> None:
    try:
        check_key(key)
    except RemoteError:
        return
    assert key.isascii()
    assert not {"", ".", ".."} & set(key.split("/"))


def test_read_source_that_is_missing(tmp_path) -> None:
    with pytest.raises(StorageError):
        list(read_source(tmp_path / "none"))


def test_read_source_that_is_a_folder(tmp_path) -> None:
    with pytest.raises(StorageError):
        list(read_source(tmp_path))


def test_write_target_tells_how_much(tmp_path) -> None:
    assert write_target(tmp_path / "target", [b"ab", b"c"]) == 3
    assert (tmp_path / "target").read_bytes() == b"abc"


def test_write_target_fails_whole(tmp_path) -> None:
    (tmp_path / "target").write_bytes(b"old")

    def pieces():
        yield b"new"
        raise RemoteError("broken")

    with pytest.raises(RemoteError):
        write_target(tmp_path / "target", pieces())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [None, 0, 3, 100])
def test_limited_reader(length) -> None:
    inner = io.BytesIO(b"0123456789")
    reader = LimitedReader(inner, length)  # type: ignore[arg-type]
    assert reader.read() == b"0123456789"[:length]
    reader.close()
    assert inner.closed


class Ranges:
    """An object whose requests are counted."""

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        self.data, self.error, self.asked, self.sized = data, error, [], 0

    def fetch(self, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        if self.error is not None:
            raise self.error
        return self.data[start:end]

    def size(self) -> int:
        self.sized += 1
        return len(self.data)

    def read(self, start: int, length: int | None) -> bytes:
        return RangeReader(self.fetch, self.size, start, length, 10).readall()


@given(st.binary(max_size=45), st.integers(0, 50), st.none() | st.integers(0, 50))
def test_range_reader(data, start, length) -> None:
    ranges = Ranges(data)
    assert ranges.read(start, length) == data[start : None if length is None else start + length]
    assert ranges.sized <= 1
    assert len(ranges.asked) <= len(data) // 10 + 2


def test_a_range_of_one_request_asks_for_no_size() -> None:
    ranges = Ranges(bytes(100))
    assert len(ranges.read(5, 10)) == 10
    assert (ranges.asked, ranges.sized) == ([(5, 15)], 0)


def test_a_range_that_is_refused_may_be_an_empty_one() -> None:
    ranges = Ranges(b"", RemoteError("416"))
    assert ranges.read(0, None) == b""
    assert ranges.sized == 1


@pytest.mark.parametrize("error", [RemoteObjectNotFound("a"), RemoteUnavailable("no")])
def test_a_range_that_cannot_be_had_is_told_at_once(error) -> None:
    ranges = Ranges(b"", error)
    with pytest.raises(type(error)):
        RangeReader(ranges.fetch, ranges.size, 0, None, 10)
    assert ranges.sized == 0


def test_bytes_are_handed_out_without_a_copy() -> None:
    data = bytes(3 << 20)
    pieces = list(read_data(data))
    assert [len(piece) for piece in pieces] == [1 << 20] * 3
    assert all(piece.obj is data for piece in pieces)
