"""demo: the whole tour, and that it says so when a step goes wrong."""

import os
import shutil

import pytest

from kist.cli.commands.demo import compare_folders
from kist.errors import KistError


@pytest.mark.parametrize("git", [True, False])
def test_the_tour(kist, tmp_path, monkeypatch, git):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if not git:
        monkeypatch.setattr("kist.cli.commands.demo.shutil.which", lambda name: None)
    before = set(os.listdir(tmp_path))
    data = kist.json("demo").data
    assert data["files"] >= 300
    assert data["compared"] >= data["files"]
    assert data["repaired"] >= 1
    assert data["git"] is git
    assert data["seconds"] < 60
    verbs = {step["command"].split()[1] for step in data["steps"] if step["command"].startswith("kist ")}
    assert {"init", "add", "status", "remote", "push", "pull", "verify"} <= verbs
    assert any("--repair" in step["command"] for step in data["steps"])
    assert set(os.listdir(tmp_path)) == before


def test_it_can_be_kept(kist, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    result = kist("demo", "--keep")
    (folder,) = tmp_path.glob("kist-demo-*")
    assert str(folder) in result.err
    assert "work$ kist add data" in result.out
    compare_folders(folder / "work" / "data", folder / "clone" / "data")
    shutil.rmtree(folder)


@pytest.mark.parametrize("change", ["content", "mode", "missing", "link", "folder"])
def test_the_comparison_finds_every_difference(tmp_path, change):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "empty").mkdir(parents=True)
        (folder / "file").write_text("x")
        os.symlink("file", folder / "link")
    assert compare_folders(one, other) == 3
    if change == "content":
        (other / "file").write_text("y")
    elif change == "mode":
        (other / "file").chmod(0o755)
    elif change == "missing":
        (other / "file").unlink()
    elif change == "link":
        (other / "link").unlink()
        os.symlink("empty", other / "link")
    else:
        (other / "empty").rmdir()
    with pytest.raises(KistError, match="not the same"):
        compare_folders(one, other)


def test_a_step_that_goes_wrong_ends_it(kist, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("kist.cli.commands.demo.sys.executable", shutil.which("false"))
    assert kist.json("demo", code=1).classes == ["KistError"]
    assert not list(tmp_path.glob("kist-demo-*"))
