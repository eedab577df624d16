"""trash: what --force moves out of the way can be listed, had back, and is deleted by age only."""

import os
import time

import pytest
from cli_support import write


@pytest.fixture
def displaced(tracked):
    """A repository where a forced checkout displaced two changed files."""
    write(tracked.folder, {"data/a.txt": "mine\n", "data/sub/b.txt": "mine too\n"})
    tracked("checkout", "data", code=6)
    tracked("checkout", "--force", "data")
    return tracked


def test_what_force_displaces_is_listed(displaced):
    entries = displaced.json("trash", "list").data["entries"]
    assert sorted(one["path"] for one in entries) == ["data/a.txt", "data/sub/b.txt"]
    assert sorted(one["size"] for one in entries) == [5, 9]
    assert all(abs(one["when"] - time.time()) < 300 and one["reason"] for one in entries)
    assert "data/a.txt" in displaced("trash").out


def test_restore_by_path(displaced):
    displaced("trash", "restore", "data/a.txt", code=6)
    (displaced.folder / "data" / "a.txt").unlink()
    assert displaced.json("trash", "restore", "data/a.txt", "--dry-run").data["restored"] == ["data/a.txt"]
    assert not (displaced.folder / "data" / "a.txt").exists()
    assert displaced.json("trash", "restore", "data/a.txt").data["restored"] == ["data/a.txt"]
    assert (displaced.folder / "data" / "a.txt").read_text() == "mine\n"
    assert [one["path"] for one in displaced.json("trash").data["entries"]] == ["data/sub/b.txt"]


def test_restore_elsewhere_and_whole_entries(displaced):
    displaced("trash", "restore", "data/a.txt", "--to", "old.txt")
    assert (displaced.folder / "old.txt").read_text() == "mine\n"
    (one,) = displaced.json("trash").data["entries"]
    (displaced.folder / "data" / "sub" / "b.txt").unlink()
    displaced("trash", "restore", one["id"])
    assert (displaced.folder / "data" / "sub" / "b.txt").read_text() == "mine too\n"
    assert displaced.json("trash").data["entries"] == []


def test_restore_never_goes_through_a_link(displaced, tmp_path):
    import shutil

    shutil.rmtree(displaced.folder / "data")
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", displaced.folder / "data")
    displaced("trash", "restore", "data/a.txt", code=6)
    assert not list((tmp_path / "outside").iterdir())


def test_what_is_not_there(displaced):
    assert "data/a.txt" in displaced.json("trash", "restore", "data/a.tx", code=2).json["errors"][0]["hint"]
    displaced("trash", "restore", "../outside", code=2)


def test_empty_goes_by_age(displaced):
    assert displaced.json("trash", "empty").data == {"entries": 0, "bytes": 0, "dry_run": False}
    time.sleep(1.1)
    assert displaced.json("trash", "empty", "--older-than", "1s", "--dry-run").data["bytes"] == 14
    assert displaced.json("trash", "empty", "--older-than", "1s").data["entries"] == 1
    assert displaced.json("trash").data["entries"] == []
    displaced("trash", "empty", "--older-than", "long", code=2)


def test_1_1_a_clock_that_jumps_ahead_takes_nothing_away(displaced, monkeypatch):
    write(displaced.folder, {"data/a.txt": "nobody's version\n"})
    displaced("add", "data")
    displaced("checkout", "data", "--rev", "HEAD", "--force")
    displaced("commit")
    collected = displaced.json("gc", "-f", "-A").data["collected"]
    assert collected
    right = time.time
    monkeypatch.setattr("time.time", lambda: right() + 365 * 86400)
    write(displaced.folder, {"data/a.txt": "one more\n"})
    displaced("add", "data")
    write(displaced.folder, {"data/a.txt": "mine again\n"})
    displaced("checkout", "data", "--rev", "HEAD", "--force")
    displaced("commit")
    assert displaced.json("gc", "-f", "-A").data["collected"]
    monkeypatch.setattr("time.time", right)
    displaced("checkout", "data")
    assert {"data/a.txt", "data/sub/b.txt"} <= {one["path"] for one in displaced.json("trash", "list").data["entries"]}
    displaced("trash", "restore", "data/sub/b.txt", "--to", "back.txt")
    assert (displaced.folder / "back.txt").read_text() == "mine too\n"
    assert displaced.json("gc", "--undo").data["restored"] >= collected
    displaced("verify")
