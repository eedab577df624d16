"""gc: always a plan first, nothing without a yes, a way back; others' data is spared."""

import json
import os
import shutil
import stat
import subprocess

import pytest
from cli_support import cache_of, clone, commit, stored_files, tree, write

from kist.util.atomic import temp_name


@pytest.fixture
def two(shared):
    """Two committed versions and a third that nobody committed and that is gone from the workspace again."""
    write(shared.folder, {"data/a.txt": "second\n"})
    shared("add", "data")
    commit(shared.folder, "v2")
    write(shared.folder, {"data/a.txt": "third, never committed\n"})
    shared("add", "data")
    write(shared.folder, {"data/a.txt": "second\n"})
    shared("add", "data")
    return shared


def test_nothing_to_do(tracked):
    data = tracked.json("gc").data
    assert (data["candidates"], data["bytes"], data["plan"]) == (0, 0, [])
    assert "nothing to collect" in tracked("gc", "-f").out


def test_without_a_yes_nothing_goes(two):
    before = tree(cache_of(two.folder))
    result = two.json("gc", code=2)
    assert result.classes == ["UsageError"]
    assert result.data["candidates"] == len(result.data["plan"]) > 0
    assert sum(one["bytes"] for one in result.data["plan"]) == result.data["bytes"]
    two("gc", "--plan")
    two("gc", "--dry-run")
    assert tree(cache_of(two.folder)) == before
    assert all(one["reason"] for one in result.data["plan"])


def test_what_no_commit_needs_goes_and_comes_back(two):
    data = two.json("gc", "-f").data
    assert data["collected"] == data["candidates"] > 0
    assert data["deleted"] == 0
    assert two.json("gc").data["candidates"] == 0
    two("verify")
    two("checkout", "--rev", "v1")
    two("checkout", "--rev", "v2")
    assert two.json("gc", "--undo", "--dry-run").data["restored"] > 0
    assert two.json("gc", "--undo").data["restored"] > 0
    assert two.json("gc", "--plan").data["candidates"] > 0
    two("verify")
    two("gc", "--undo", code=2)


def test_only_what_the_workspace_needs(two):
    some = two.json("gc", "--plan").data["candidates"]
    assert two.json("gc", "-w", "--plan").data["candidates"] > some
    assert two.json("gc", "-T", "--plan").data["candidates"] == some
    assert two.json("gc", "--rev", "v1", "--plan").data["candidates"] == some
    assert two.json("gc", "-a", "--plan").data["candidates"] > some
    two("gc", "-w", "-f", "--now")
    two("checkout", "--rev", "v1", code=8)
    two("gc", "--rev", "nothing", code=2)


def test_now_means_gone(two):
    data = two.json("gc", "-f", "--now").data
    assert data["deleted"] == data["candidates"] > 0
    two("gc", "--undo", code=2)
    two("verify")


def test_plans_in_files(two, tmp_path):
    plan = tmp_path / "plan.json"
    data = two.json("gc", "--plan", str(plan)).data
    document = json.loads(plan.read_text())
    assert document["candidates"] == data["candidates"]
    assert {one["name"] for one in document["plan"]} == {one["name"] for one in data["plan"]}
    assert two.json("gc", "--apply", str(plan)).data["collected"] == data["candidates"]
    assert two.json("gc").data["candidates"] == 0


def test_a_plan_takes_only_what_it_names(two, tmp_path):
    plan = tmp_path / "plan.json"
    two("gc", "--plan", str(plan))
    write(two.folder, {"data/a.txt": "fourth\n"})
    two("add", "data")
    write(two.folder, {"data/a.txt": "second\n"})
    two("add", "data")
    two("gc", "--apply", str(plan))
    assert two.json("gc", "--plan").data["candidates"] > 0


def test_plans_that_are_none(two, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text("{}")
    two("gc", "--apply", str(plan), code=2)
    two("gc", "--apply", str(tmp_path / "absent"), code=13)
    two("gc", "--plan", str(plan))
    plan.write_text(plan.read_text().replace('"repository": "', '"repository": "0'))
    two("gc", "--apply", str(plan), code=2)
    two("gc", "--apply", str(plan), "--undo", code=2)


def test_a_metafile_that_cannot_be_read_stops_it(two):
    write(two.folder, {"other.kist": "format: kist/1\npath: [\n"})
    before = tree(cache_of(two.folder))
    assert two.json("gc", "-f", code=7).classes == ["MetafileSyntaxError"]
    assert tree(cache_of(two.folder)) == before


def test_other_repositories_of_one_cache_are_spared(kist, tmp_path, monkeypatch):
    monkeypatch.setenv("KIST_CACHE_DIR", str(tmp_path / "cache"))
    folders = [tmp_path / name for name in ("one", "two")]
    ids = []
    for folder in folders:
        folder.mkdir()
        ids.append(kist.json("init", folder=folder).data["id"])
        write(folder, {"data/x": folder.name})
        kist("add", "data", folder=folder)
    assert kist.json("gc", "-w", "--plan", folder=folders[0]).data["candidates"] == 0
    kist("gc", "-w", "-f", "--now", folder=folders[0])
    kist("verify", "data", folder=folders[1])
    assert sorted(path.name for path in (tmp_path / "cache" / "refs").iterdir()) == sorted(ids)
    kist("gc", "--forget", "nothing", code=2, folder=folders[0])
    kist("gc", "--forget", ids[0], code=2, folder=folders[0])
    assert kist.json("gc", "--forget", ids[1], folder=folders[0]).data["refs"] == 1
    assert kist.json("gc", "-w", "--plan", folder=folders[0]).data["candidates"] > 0


def test_a_clone_that_is_gone_can_be_forgotten(tracked, tmp_path, monkeypatch):
    """Also one that was moved: its old folder would be spared for ever, and nobody would know."""
    monkeypatch.setenv("KIST_CACHE_DIR", str(tmp_path / "cache"))
    tracked("add", "data")
    gone = clone(tracked)
    write(gone, {"data/alone": "x"})
    tracked("add", "data", folder=gone)
    plan = tracked("gc", "-w", "--plan")
    assert str(gone) in plan.err
    assert "is gone" not in plan.err
    assert "gc" in tracked.json("gc", "--forget", str(gone), code=2).json["errors"][0]["hint"]
    shutil.rmtree(gone)
    assert f"kist gc --forget {gone}" in tracked("gc", "-w", "--plan").err
    assert tracked.json("gc", "-w", "--plan").data["candidates"] == 0
    error = tracked.json("gc", "--forget", str(tmp_path / "elsewhere"), code=2).json["errors"][0]
    assert str(gone) in error["hint"]
    assert tracked.json("gc", "--forget", str(gone), "--dry-run").data["refs"] == 1
    assert tracked.json("gc", "--forget", str(gone)).data["refs"] == 1
    plan = tracked("gc", "-w", "--plan")
    assert str(gone) not in plan.err
    assert tracked.json("gc", "-w", "--plan").data["candidates"] > 0


def test_plugins_name_roots(two, site):
    digest = two.json("gc", "--plan").data["plan"]
    code = (
        "from kist import Digest, hookimpl\n@hookimpl\ndef kist_gc_roots(repo):\n"
        f"    return [Digest.parse(text) for text in {[one['name'] for one in digest]!r}]\n"
    )
    site.install("kist-keeper", {"hooks": {"gc_roots": "keeper_plugin"}}, {"keeper_plugin": code})
    assert two.json("gc", "--plan").data["candidates"] == 0


@pytest.mark.parametrize("answer", ["['sha256:' + 64 * '0']", "7", "(1 / 0 for _ in 'x')"])
@pytest.mark.parametrize("words", [("-f",), ("-r", "store", "-f")])
def test_roots_that_cannot_be_understood_stop_gc(two, site, answer, words):
    two("push")
    code = f"from kist import hookimpl\n@hookimpl\ndef kist_gc_roots(repo): return {answer}\n"
    site.install("kist-keeper", {"hooks": {"gc_roots": "keeper_plugin"}}, {"keeper_plugin": code})
    before = stored_files(cache_of(two.folder)), remote_keys(two)
    [error] = two.json("gc", *words, code=4).json["errors"]
    assert "kist-keeper" in error["message"]
    assert "kist_gc_roots" in error["message"]
    assert (stored_files(cache_of(two.folder)), remote_keys(two)) == before


def remote_keys(kist):
    return sorted(path.name for path in (kist.folder.parent / "store").rglob("*") if path.is_file())


def test_a_remote_condemns_first(two):
    two("push")
    write(two.folder, {"data/a.txt": "pushed, never committed\n"})
    two("add", "data")
    two("push")
    write(two.folder, {"data/a.txt": "second\n"})
    two("add", "data")
    before = len(remote_keys(two))
    two.json("gc", "-r", "store", code=2)
    assert len(remote_keys(two)) == before
    data = two.json("gc", "-r", "store", "-f").data
    assert data["candidates"] > 0
    assert data["deleted"] == 0
    assert "condemned" in remote_keys(two)
    two("verify", "--remote", "store")
    assert two.json("gc", "--undo", "-r", "store").data["restored"] > 0
    assert "condemned" not in remote_keys(two)
    two("gc", "-r", "store", "--now", code=2)


def test_after_the_grace_it_is_deleted_and_living_versions_stay(two):
    two("push")
    write(two.folder, {"data/a.txt": "pushed, never committed\n"})
    two("add", "data")
    two("push")
    write(two.folder, {"data/a.txt": "second\n"})
    two("add", "data")
    two("config", "--local", "gc.grace", "0s")
    two("gc", "-r", "store", "-f")
    deleted = two.json("gc", "-r", "store", "-f").data["deleted"]
    assert deleted >= 0
    two("verify", "--remote", "store")
    other = clone(two)
    two("pull", folder=other)
    assert tree(other / "data") == tree(two.folder / "data")
    assert stored_files(two.folder.parent / "store")


def test_a_plan_is_written_to_a_file_only(two):
    """A device or a folder at that place stays what it is."""
    pipe = two.folder / "pipe"
    os.mkfifo(pipe)
    for place in (pipe, two.folder):
        assert "is no file" in two("gc", "--plan", place, code=2).err
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_1_2_what_a_killed_gc_of_a_remote_remembered_by_half_goes_with_the_next_command_that_writes(shared):
    shared("gc", "-r", "store", "-f")
    (folder,) = (shared.folder / ".git" / "kist").glob("*/remotes/*/index")
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = [one / temp_name("0123").replace(f"-{os.getpid()}-", f"-{dead.pid}-") for one in (folder, folder.parent)]
    for path in left:
        path.write_bytes(b"half")
    shared("status")
    assert all(path.exists() for path in left)
    shared("commit")
    assert not any(path.exists() for path in left)
