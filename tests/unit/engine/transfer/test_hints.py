"""What is remembered of a remote: kept, forgotten, and never waited for."""

import os

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
