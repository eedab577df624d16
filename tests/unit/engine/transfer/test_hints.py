"""What is remembered of a remote: kept, forgotten, and never waited for."""

import errno
import os

import pytest

from kist.engine.transfer.hints import Hints


def test_what_was_remembered_is_recalled(tmp_path):
    hints = Hints(tmp_path / "memory")
    assert hints.empty
    hints.remember("index/one", b"bytes")
    assert (hints.recall("index/one"), hints.size("index/one"), hints.empty) == (b"bytes", 5, False)
    hints.forget("index/one")
    assert hints.recall("index/one") is None


def test_a_dry_run_keeps_nothing(tmp_path):
    hints = Hints(tmp_path / "memory")
    hints.frozen = True
    hints.remember("one", b"bytes")
    assert hints.recall("one") is None


def test_a_fifo_or_link_in_its_place_is_no_memory(tmp_path):
    hints = Hints(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "folder").mkdir()
    assert [hints.recall(name) for name in ("fifo", "link", "folder")] == [None] * 3


@pytest.mark.parametrize("apart", [False, True], ids=["one file system", "another"])
def test_a_file_is_taken_over(tmp_path, monkeypatch, apart):
    source, replace = tmp_path / "source", os.replace
    source.write_bytes(b"index")

    def refuse(old, new):
        if apart and old == source:
            raise OSError(errno.EXDEV, "another file system")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    hints = Hints(tmp_path / "memory")
    hints.adopt("index/ab", source)
    assert hints.recall("index/ab") == b"index"
    descriptor = hints.open("index/ab")
    assert os.read(descriptor, 9) == b"index"
    os.close(descriptor)
    assert os.listdir(tmp_path / "memory/index") == ["ab"]


def test_a_file_that_cannot_be_kept_is_no_failure(tmp_path):
    (tmp_path / "memory").write_bytes(b"in the way")
    (tmp_path / "source").write_bytes(b"index")
    hints = Hints(tmp_path / "memory")
    hints.adopt("index/ab", tmp_path / "source")
    assert hints.open("index/ab") == -1
    hints.frozen = True
    hints.adopt("index/ab", tmp_path / "source")
    Hints(None).adopt("index/ab", tmp_path / "source")
    assert (tmp_path / "source").read_bytes() == b"index"
