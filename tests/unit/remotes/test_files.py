"""Keys, sources, targets, limits: what every remote needs."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import RemoteError, StorageError
from kist.remotes.files import LimitedReader, check_key, read_source, write_target


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
