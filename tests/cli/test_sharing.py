"""push, fetch, pull: what moves, what need not, and what is told when something does not."""

import json
import time

import pytest
from cli_support import DATA, cache_of, clone, commit, damage, git, stored_files, tree, write


def test_push_fetch_pull(shared):
    other = clone(shared)
    assert shared.json("push").data["objects"] == 0
    fetched = shared.json("fetch", folder=other).data
    assert fetched["objects"] > 0
    assert fetched["requests"] > 0
    assert not (other / "data").exists()
    assert shared.json("pull", folder=other).data["files"] == 3
    assert tree(other / "data") == tree(shared.folder / "data")
    again = shared.json("pull", folder=other).data
    assert (again["objects"], again["requests"], again["files"]) == (0, 0, 0)


def test_dry_runs_move_nothing(tracked):
    tracked("remote", "add", "-d", "store", "../store")
    data = tracked.json("push", "--dry-run").data
    assert data["objects"] > 0
    assert data["bytes"] > 0
    assert not stored_files(tracked.folder.parent / "store")
    tracked("push")
    commit(tracked.folder, "remote")
    other = clone(tracked)
    assert tracked.json("fetch", "--dry-run", folder=other).data["objects"] > 0
    assert tracked.json("pull", "--dry-run", folder=other).data["objects"] > 0
    assert not (other / "data").exists()


def test_only_what_was_named(shared):
    other = clone(shared)
    shared("pull", "data/sub", folder=other)
    assert sorted(tree(other / "data")) == ["sub/b.txt", "sub/c.bin"]


def test_status_tells_what_a_remote_has(shared):
    def told(*words):
        (one,) = shared.json("status", *words).data["published"]
        return one

    assert "published" not in shared.json("status").data
    before = told("--remote")
    assert (before["path"], before["remote"], before["complete"], before["condemned"]) == ("data", "store", True, False)
    assert abs(before["since"] - time.time()) < 3600
    assert before["checked"] is None
    shared("verify", "--remote", "store")
    after = told("-r", "store")
    assert (after["since"], after["sample"]) == (before["since"], 100)
    assert before["since"] < after["checked"] + 1
    assert "read back 2" in shared("status", "-r", "store").out

    write(shared.folder, {"data/new.txt": "new"})
    shared("add", "data")
    assert told("--remote")["complete"] is False
    assert "not pushed" in shared("status", "--remote").out
    shared("push")
    assert (told("--remote")["complete"], told("--remote")["checked"]) == (True, None)
    assert shared.json("status", "--remote", "nowhere", code=3).classes == ["ConfigError"]


def test_status_tells_what_gc_condemned_on_a_remote(shared):
    shared("remove", "--keep", "data")
    commit(shared.folder, "gone")
    shared("gc", "-w", "-r", "store", "-f")
    git(shared.folder, "checkout", "-q", "HEAD~1", "--", ".")
    (one,) = shared.json("status", "--remote").data["published"]
    assert (one["complete"], one["condemned"]) == (True, True)
    assert "condemned" in shared("status", "--remote").out
    shared("push")
    assert shared.json("status", "--remote").data["published"][0]["condemned"] is False


def test_damage_on_a_remote_is_not_remembered_as_good(shared):
    store = shared.folder.parent / "store"
    for path in (store / "packs").iterdir():
        damage(path)
    shared("verify", "--remote", "store", code=8)
    assert shared.json("status", "--remote").data["published"][0]["checked"] is None


def test_other_versions(shared):
    write(shared.folder, {"data/a.txt": "second\n"})
    shared("add", "data")
    commit(shared.folder, "v2")
    shared("push", "-a", "-T")
    other = clone(shared)
    shared("fetch", "--rev", "v1", folder=other)
    shared("checkout", "--rev", "v1", folder=other)
    assert (other / "data" / "a.txt").read_text() == "one\n"
    shared("push", "--rev", "nothing", code=2)


def test_what_cannot_be_sent_is_named_and_the_rest_goes(tracked):
    tracked("remote", "add", "-d", "store", "../store")
    damage(stored_files(cache_of(tracked.folder))[0])
    result = tracked.json("push", code=8)
    assert result.classes == ["TransferError"]
    assert result.data["failures"]
    assert "data/sub/c.bin" in json.dumps(result.json) or result.data["failures"][0]["class"] == "ObjectCorrupt"


def test_what_was_never_pushed(shared):
    write(shared.folder, {"data/a.txt": "second\n"})
    shared("add", "data")
    commit(shared.folder, "v2")
    other = clone(shared)
    result = shared.json("pull", code=8, folder=other)
    assert "push" in json.dumps(result.json["errors"])


def test_damage_on_a_remote_never_arrives(shared):
    damage(stored_files(shared.folder.parent / "store")[0])
    other = clone(shared)
    result = shared.json("pull", code=8, folder=other)
    assert result.data["failures"] or result.data["missing"]
    assert not (other / "data" / "sub" / "c.bin").exists()
    shared("push", "--repair")
    shared("pull", folder=other)
    assert tree(other / "data") == tree(shared.folder / "data")


def test_remotes_that_are_not_there(tracked):
    assert tracked.json("push", code=3).classes == ["ConfigError"]
    tracked("remote", "add", "store", "../store")
    assert "'store'" in tracked.json("push", "-r", "stor", code=3).json["errors"][0]["hint"]
    tracked("push", "-j", "0", code=2)


def test_a_folder_that_holds_something_else(tracked):
    write(tracked.folder.parent, {"store/photos/a.jpg": "x"})
    tracked("remote", "add", "-d", "store", "../store")
    assert tracked.json("push", code=10).classes == ["RemoteFormatError"]
    assert tree(tracked.folder.parent / "store") == {"photos/a.jpg": b"x"}


@pytest.mark.parametrize("words", [("push",), ("fetch",), ("pull",), ("status",), ("commit",)])
def test_an_empty_repository_has_nothing_to_do(repo, words):
    repo("remote", "add", "-d", "store", "../store")
    assert repo.json(*words).json["ok"]
    assert repo(*words).out, "it is said, too"


def test_versions_of_what_the_workspace_no_longer_tracks(shared):
    """What is asked for of a revision is looked up in that revision."""
    kist = shared
    kist("remove", "data")
    commit(kist.folder, "v2")
    other = clone(kist)
    assert kist.json("fetch", "data", code=2, folder=other).classes == ["PathNotTracked"]
    part = kist.json("fetch", "--rev", "v1", "data/sub/b.txt", folder=other).data
    assert 0 < part["objects"] < 4, "the file and what leads to it"
    assert kist.json("fetch", "--rev", "v1", "--dry-run", "data/s*/*.bin", folder=other).data["objects"] > 0
    kist("fetch", "--rev", "v1", "data", folder=other)
    assert kist.json("fetch", "-T", "data.kist", folder=other).data["objects"] == 0
    kist("checkout", "--rev", "v1", "data", folder=other)
    assert {f"data/{path}" for path in tree(other / "data")} == set(DATA)
    assert kist.json("push", "--rev", "v1", "data").data["objects"] == 0
    failed = kist.json("fetch", "--rev", "v1", "dada", code=2, folder=other)
    assert failed.classes == ["PathNotTracked"]
    assert "dada" in failed.json["errors"][0]["message"]
