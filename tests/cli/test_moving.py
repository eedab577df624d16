"""move, where outputs change folders; and what was killed where the version is gone since."""

import os
import shutil

import pytest
from cli_support import cache_of, clone, commit, git, tree, write

from kist import Repo
from kist.engine.checkout.relocate import move_path
from kist.operations.intents import intent_of
from kist.repo.targets import owner_of


def test_an_output_that_keeps_its_name_keeps_its_metafile(tracked):
    write(tracked.folder, {"model.bin": "m", "models/readme": "r"})
    tracked("add", "model.bin")
    before = (tracked.folder / "model.bin.kist").read_bytes()
    tracked("move", "model.bin", "models")
    assert (tracked.folder / "models" / "model.bin.kist").read_bytes() == before
    tracked("move", "data", "models/")
    assert [one["path"] for one in tracked.json("list").data["entries"]] == ["models/data", "models/model.bin"]
    assert tracked.json("status").data["clean"]


@pytest.mark.parametrize("step", ["_drop", "ignore_in_git", None])
def test_a_checkout_after_a_killed_move_tells_additions_from_what_another_version_removes(shared, monkeypatch, step):
    child = os.fork()
    if child == 0:
        try:
            if step is not None:
                monkeypatch.setattr(f"kist.operations.move.{step}", lambda *_: os._exit(9))
            with Repo(shared.folder) as repo:
                repo.move("data", "moved")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (0 if step is None else 9)
    assert ("finished a killed move" in shared("push").err) == (step is not None)
    commit(shared.folder, "v2")
    other = clone(shared)
    shared("pull", folder=other)
    shared("remove", "moved/a.txt", folder=other)
    write(shared.folder, {"moved/mine": (shared.folder / "moved/a.txt").read_text()})
    shared("push", folder=other)
    commit(other, "v3")
    git(shared.folder, "pull", "-q", str(other))
    shared("pull")
    assert tree(shared.folder / "moved").keys() == tree(other / "moved").keys() | {"mine"}


def test_1_2_a_name_too_long_for_a_metafile_moves_nothing(tracked):
    said = tracked("move", "data", "n" * 251, code=13)
    assert "shorter name" in said.err
    assert (tracked.folder / "data/a.txt").exists()
    tracked("status")
    assert tracked.json("status").data["clean"]


def test_1_2_a_move_that_was_killed_on_its_way_to_such_a_name_is_undone(tracked):
    name = "n" * 251
    with Repo(tracked.folder) as repo, repo.context.writing():
        intent = {"old_metafile": "data.kist", "new_metafile": f"{name}.kist"}
        move_path(repo.context.root, b"data", name.encode(), repo.context.journal, intent=intent).release()
    tracked("add", "data")
    assert tracked.json("status").data["clean"]
    assert not (tracked.folder / name).exists()


def test_1_2_a_killed_move_does_not_hold_up_a_version_that_git_brought_since(shared):
    """Whether the move was recorded cannot be read then: the manifest that the metafile names is still on the remote."""
    other = clone(shared)
    shared("pull", folder=other)
    with Repo(other) as repo, repo.context.writing():
        move_path(repo.context.root, b"data/a.txt", b"data/moved.txt", repo.context.journal, intent={}).release()
    write(shared.folder, {"data/a.txt": "newer\n"})
    shared("add", "data")
    shared("push")
    commit(shared.folder, "v2")
    git(other, "pull", "-q")
    assert "finished a killed move" in shared("pull", folder=other).err
    assert tree(other / "data") == tree(shared.folder / "data")
    assert shared.json("status", folder=other).data["clean"]


def test_1_2_a_killed_removal_does_not_hold_up_the_mending_of_a_lost_cache(shared):
    with Repo(shared.folder) as repo, repo.context.writing():
        target = owner_of(repo.context, "data/a.txt")
        repo.context.journal.begin(intent_of("remove", target)).release()
    shutil.rmtree(cache_of(shared.folder))
    shared("fetch")
    shared("verify")
    assert shared.json("status").data["clean"]
