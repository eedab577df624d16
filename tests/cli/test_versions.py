"""init, add, commit, status, diff, log, list, cat, checkout, move, remove: the daily verbs as a person types them."""

import base64
import json
import os
import subprocess

import pytest
from cli_support import DATA, cache_of, clone, commit, damage, git, stored_files, tree, write

from kist.errors import UnsavedChanges


def changes(result):
    return sorted((one["path"], one["change"]) for one in result.data["changes"])


def test_init(kist):
    would = kist.json("init", "--dry-run").data
    assert (would["root"], would["id"], would["dry_run"]) == (str(kist.folder), None, True)
    assert os.listdir(kist.folder) == []
    data = kist.json("init").data
    assert (data["root"], data["hash"]) == (str(kist.folder), would["hash"])
    assert kist.json("init", "--dry-run", code=5).classes == ["RepoError"]
    assert kist.json("init", code=5).classes == ["RepoError"]
    kist("status", folder=kist.folder)
    (kist.folder / "inner").mkdir()
    kist("init", "inner", "--hash", "sha256")
    write(kist.folder, {"inner/x": "1"})
    assert kist.json("add", "x", folder=kist.folder / "inner").data["outputs"][0]["digest"].startswith("sha256:")
    kist("init", "absent", code=2)
    kist("init", "--hash", "nothing", "inner", code=None)


def test_add(repo):
    write(repo.folder, DATA)
    assert repo.json("add", "data", "--dry-run").data["dry_run"]
    assert not (repo.folder / "data.kist").exists()
    data = repo.json("add", "data", "--description", "some data").data
    (one,) = data["outputs"]
    assert (one["path"], one["metafile"], one["files"]) == ("data", "data.kist", len(DATA))
    assert one["size"] == data["bytes_read"] == sum(map(len, tree(repo.folder / "data").values()))
    assert data["bytes_stored"] > 0
    assert "some data" in (repo.folder / "data.kist").read_text()
    assert "/data\n" in (repo.folder / ".gitignore").read_text()
    assert repo.json("add", "data").data["bytes_stored"] == 0


def test_add_tells_everything_that_went_wrong_and_does_the_rest(repo):
    write(repo.folder, {"good/x": "1", "bad/y": "2"})
    os.mkfifo(repo.folder / "bad" / "fifo")
    result = repo.json("add", "good", "bad", code=6)
    assert [one["path"] for one in result.data["outputs"]] == ["good"]
    assert "fifo" in str(result.json["errors"])


def test_add_refuses(tracked):
    assert tracked.json("add", "absent", code=2).classes == ["PathNotTracked"]
    assert "data" in tracked.json("add", "dat", code=2).json["errors"][0]["hint"]
    tracked("add", code=2)
    tracked("add", "..", code=2)
    write(tracked.folder, {"code/main.py": "1", ".kistignore": "hidden\n", "hidden/x": "1"})
    git(tracked.folder, "add", "code")
    assert tracked.json("add", "code", code=6).classes == ["PathConflict"]
    assert tracked.json("add", "hidden", code=2).classes == ["PathIgnored"]
    write(tracked.folder, {"outer/data/x": "1"})
    tracked("add", "outer/data")
    assert tracked.json("add", "outer", code=6).classes == ["PathConflict"]


def test_add_tells_what_no_version_can_hold(repo):
    """A Git repository in the data loses its history when it comes back from a version: nobody shall find out then."""
    write(repo.folder, {"data/inner/x": "1", "data/y": "2", "plain/z": "3"})
    git(repo.folder / "data" / "inner", "init", "-q")
    (warning,) = repo.json("add", "data").data["warnings"]
    assert "data/inner/.git" in warning
    assert "not recorded" in warning
    write(repo.folder, {"data/inner/x": "changed"})
    assert "data/inner/.git" in repo("add", "data/inner").err
    assert repo.json("add", "plain").data["warnings"] == []
    assert repo.json("status").data["clean"]
    assert (repo.folder / "data" / "inner" / ".git" / "HEAD").exists()


def test_status(tracked):
    assert tracked.json("status").data == {
        "clean": True,
        "changes": [],
        "outputs": [{"path": "data", "metafile": "data.kist", "clean": True}],
        "warnings": [],
        "sections": [],
    }
    assert tracked("status").out == "clean\n"
    write(tracked.folder, {"data/a.txt": "changed\n", "data/new": "n", "data/sub/b.txt": None})
    result = tracked.json("status", "--exit-code", code=20)
    assert changes(result) == [("data/a.txt", "modified"), ("data/new", "added"), ("data/sub/b.txt", "deleted")]
    assert changes(tracked.json("status", "data/sub")) == [("data/sub/b.txt", "deleted")]
    assert changes(tracked.json("status", "b.txt", folder=tracked.folder / "data" / "sub")) == [
        ("data/sub/b.txt", "deleted")
    ]
    assert "modified  data/a.txt" in tracked("status").out
    tracked("status", "absent", code=2)


def test_status_of_renamed_and_missing(tracked):
    (tracked.folder / "data" / "sub" / "c.bin").rename(tracked.folder / "data" / "moved.bin")
    (one,) = tracked.json("status").data["changes"]
    assert (one["path"], one["change"], one["old_path"]) == ("data/moved.bin", "renamed", "data/sub/c.bin")
    (tracked.folder / "data").rename(tracked.folder / "elsewhere")
    assert changes(tracked.json("status")) == [("data", "missing")]


def test_names_that_are_not_utf8(repo):
    write(repo.folder, {"data/x": "1"})
    repo("add", "data")
    with open(os.fsencode(repo.folder) + b"/data/\xff.bin", "wb") as stream:
        stream.write(b"1")
    (one,) = repo.json("status").data["changes"]
    assert base64.b64decode(one["path_b64"]) == b"data/\xff.bin"
    assert "\\xff" in repo("status").out


def test_commit(tracked):
    assert tracked.json("commit").data["outputs"] == []
    write(tracked.folder, {"data/a.txt": "changed\n"})
    assert tracked.json("commit", "--dry-run").data["outputs"]
    assert not tracked.json("status").data["clean"]
    (one,) = tracked.json("commit").data["outputs"]
    assert one["path"] == "data"
    assert tracked.json("status").data["clean"]


def test_diff_and_log(tracked):
    write(tracked.folder, {"data/a.txt": "changed\n", "data/new": "n"})
    result = tracked.json("diff")
    assert changes(result) == [("data/a.txt", "modified"), ("data/new", "added")]
    modified = next(one for one in result.data["changes"] if one["change"] == "modified")
    assert modified["old"]["size"] == 4
    assert modified["new"]["kind"] == "file"
    assert modified["new"]["digest"]
    assert result.data["totals"]["added"] == 1
    tracked("add", "data")
    commit(tracked.folder, "v2")
    assert tracked.json("diff").data["changes"] == []
    assert changes(tracked.json("diff", "v1", "v2")) == changes(result)
    assert changes(tracked.json("diff", "v1", "v2", "data/new")) == [("data/new", "added")]
    tracked("diff", "v1", "--exit-code", code=20)
    tracked("diff", "nothing", code=2)
    versions = tracked.json("log", "data").data["versions"]
    assert [one["subject"] for one in versions] == ["v2", "v1"]
    assert [one["files"] for one in versions] == [4, 3]
    assert len(tracked.json("log", "-n", "1").data["versions"]) == 1


def test_list_and_cat(tracked):
    (one,) = tracked.json("list").data["entries"]
    assert (one["path"], one["kind"], one["files"]) == ("data", "directory", 3)
    assert [one["path"] for one in tracked.json("list", "data").data["entries"]] == ["data/a.txt", "data/sub"]
    assert sorted(one["path"] for one in tracked.json("list", "-R").data["entries"]) == sorted(DATA)
    assert "data/a.txt" in tracked("list", "-R", "--size", "data").out
    assert tracked("cat", "data/a.txt").out == "one\n"
    assert base64.b64decode(tracked.json("cat", "data/sub/c.bin").data["content_b64"]) == DATA["data/sub/c.bin"]
    write(tracked.folder, {"data/a.txt": "changed\n"})
    tracked("add", "data")
    assert tracked("cat", "data/a.txt").out == "changed\n"
    assert tracked("cat", "--rev", "v1", "data/a.txt").out == "one\n"
    tracked("cat", "data/absent", code=2)
    tracked("cat", "data", code=2)


def test_checkout(tracked):
    write(tracked.folder, {"data/a.txt": "second\n", "data/new": "n"})
    tracked("add", "data")
    commit(tracked.folder, "v2")
    data = tracked.json("checkout", "--rev", "v1", "--dry-run").data
    assert (data["files"], data["deleted"]) == (1, 1)
    assert (tracked.folder / "data" / "new").exists()
    tracked("checkout", "--rev", "v1")
    assert tree(tracked.folder)["data/a.txt"] == b"one\n"
    assert not (tracked.folder / "data" / "new").exists()
    git(tracked.folder, "checkout", "-q", "--", ".")
    tracked("checkout")
    assert tree(tracked.folder)["data/a.txt"] == b"second\n"
    write(tracked.folder, {"data/sub/b.txt": None})
    assert tracked.json("checkout", "data/sub/b.txt").data["files"] == 1


def test_checkout_never_loses_unsaved_work(tracked):
    write(tracked.folder, {"data/a.txt": "mine\n"})
    result = tracked.json("checkout", code=UnsavedChanges.exit_code)
    assert result.classes == ["UnsavedChanges"]
    assert "--force" in result.json["errors"][0]["hint"]
    assert tree(tracked.folder)["data/a.txt"] == b"mine\n"
    assert tracked.json("checkout", "--force").data["trashed"]
    assert tree(tracked.folder)["data/a.txt"] == b"one\n"


def test_checkout_brings_what_it_has_and_lists_the_rest(tracked):
    damage(stored_files(cache_of(tracked.folder))[0])
    for path in (tracked.folder / "data").rglob("*"):
        if path.is_file():
            path.unlink()
    result = tracked.json("checkout", code=8)
    assert (tracked.folder / "data" / "a.txt").read_text() == "one\n"
    assert "data/sub/c.bin" in json.dumps(result.json)


def test_move_and_remove(tracked):
    assert tracked.json("move", "data", "moved", "--dry-run").data["dry_run"]
    assert tracked.json("move", "data", "moved").data["moved"] == [{"from": "data", "to": "moved"}]
    assert (tracked.folder / "moved.kist").exists()
    assert tree(tracked.folder / "moved")["a.txt"] == b"one\n"
    tracked("move", "moved/a.txt", "moved/z.txt")
    assert tracked.json("status").data["clean"]
    assert tracked("cat", "moved/z.txt").out == "one\n"
    tracked("remove", "moved/z.txt")
    assert tracked.json("status").data["clean"]
    assert not (tracked.folder / "moved" / "z.txt").exists()
    write(tracked.folder, {"moved/sub/b.txt": "mine\n"})
    tracked("remove", "moved", code=6)
    tracked("remove", "--keep", "moved")
    assert (tracked.folder / "moved" / "sub" / "b.txt").exists()
    assert not (tracked.folder / "moved.kist").exists()
    tracked("remove", "moved", code=2)
    tracked("move", "absent", "x", code=2)


def test_targets_inside_and_globs(tracked):
    write(tracked.folder, {"data/a.txt": "changed\n", "data/sub/b.txt": "changed too\n"})
    tracked("add", "data/sub/b.txt")
    assert changes(tracked.json("status")) == [("data/a.txt", "modified")]
    assert changes(tracked.json("status", "data/*.txt")) == [("data/a.txt", "modified")]
    tracked("add", "data.kist")
    assert tracked.json("status").data["clean"]


def test_in_another_folder(tracked):
    assert tracked("-C", str(tracked.folder / "data"), "status", folder=tracked.folder.parent).out == "clean\n"
    tracked("status", "-C", "absent", code=2)


@pytest.mark.parametrize("word", ["ls", "mv", "rm"])
def test_short_forms(tracked, word):
    assert f"usage: kist {dict(ls='list', mv='move', rm='remove')[word]}" in tracked(word, "--help").out


def test_remove_tells_what_becomes_of_the_files(tracked):
    tree_of_all = tree(tracked.folder / "data")
    size = sum(len(text) for text in DATA.values())
    would = tracked.json("remove", "data", "--dry-run").data
    assert (would["removed"], would["files"], would["bytes"], would["trashed"]) == (["data"], len(DATA), size, [])
    write(tracked.folder, {"data/a.txt": "unsaved", "data/mine.txt": "mine"})
    for words in ((), ("--dry-run",)):
        assert tracked.json("remove", "data", *words, code=6).classes == ["UnsavedChanges"]
    would = tracked.json("remove", "data", "--dry-run", "--force").data
    assert (would["trashed"], would["kept"]) == (["data/a.txt"], ["data/mine.txt"])
    assert tree(tracked.folder / "data") == {**tree_of_all, **tree(tracked.folder / "data")}
    assert (tracked.folder / "data.kist").exists()
    done = tracked("remove", "data", "--force")
    assert "moved to the trash: data/a.txt" in done.out
    assert "left as it is (not tracked): data/mine.txt" in done.err
    assert list(tree(tracked.folder / "data")) == ["mine.txt"]


def test_a_closed_pipe_is_no_error(tracked):
    import subprocess
    import sys

    write(tracked.folder, {f"data/{n}": str(n) for n in range(3000)})
    tracked("add", "data")
    line = f"{sys.executable} -m kist list -R data | head -1"
    done = subprocess.run(["sh", "-c", line], cwd=tracked.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_of_talk_ends_no_work(tracked):
    import subprocess
    import sys

    write(tracked.folder, {"data/new.txt": "new"})
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "kist", "add", "data", "--progress", "json"]
    with open(writer, "wb") as closed:
        done = subprocess.run(
            command, cwd=tracked.folder, stdout=subprocess.PIPE, stderr=closed, text=True, check=False
        )
    assert (done.returncode, done.stdout.splitlines()[-1][:13]) == (0, "recorded data")
    assert tracked("status").out == "clean\n"


def test_a_path_that_neither_version_has_is_no_path(tracked):
    write(tracked.folder, {"data/a.txt": None, "data/new.txt": "n"})
    for words in (("--", "data/nope"), ("v1", "--", "data/sub/nope"), ("HEAD", "v1", "--", "data/nope")):
        assert "is not tracked" in tracked("diff", *words, code=2).err, words
    for path in ("data/a.txt", "data/new.txt", "data/sub", "data"):
        tracked("diff", "--", path)
    assert changes(tracked.json("diff", "HEAD", "data/new.txt")) == [("data/new.txt", "added")]
    assert changes(tracked.json("diff", "HEAD", "data/a.txt")) == [("data/a.txt", "deleted")]


def test_one_is_one(tracked):
    write(tracked.folder, {"single": "1"})
    assert "recorded single: 1 file," in tracked("add", "single").out
    tracked("remote", "add", "-d", "store", "../store")
    assert "sent 1 object," in tracked("push", "single").out
    assert "1 files" not in tracked("log").out


def test_a_version_that_is_not_here(shared):
    """Whoever has only the newest version is told how to get the one he asks for, and nothing is changed."""
    write(shared.folder, {"data/second": "2"})
    shared("commit")
    commit(shared.folder, "second")
    shared("push")
    other = clone(shared)
    shared("pull", folder=other)
    before = (other / "data.kist").read_bytes(), tree(other / "data")
    for words in (["checkout"], ["list", "data"], ["cat", "data/a.txt"], ["checkout", "data/a.txt"], ["checkout", "*"]):
        result = shared.json(words[0], "--rev", "v1", *words[1:], code=8, folder=other)
        assert "'kist fetch --rev v1" in result.json["errors"][0]["hint"], words
    assert "'kist fetch --rev v1'" in shared.json("diff", "v1", code=8, folder=other).json["errors"][0]["hint"]
    assert ((other / "data.kist").read_bytes(), tree(other / "data")) == before
    shared("fetch", "--rev", "v1", folder=other)
    shared("checkout", "--rev", "v1", folder=other)
    assert not (other / "data" / "second").exists()


def test_log_has_the_versions_of_merged_branches(tracked):
    """As in git log: what a colleague recorded on a branch is a version; a merge counts where it is like neither side."""
    git(tracked.folder, "branch", "other")
    write(tracked.folder, {"data/ours": "1"})
    tracked("add", "data")
    commit(tracked.folder, "v2")
    git(tracked.folder, "checkout", "-q", "other")
    tracked("checkout")
    write(tracked.folder, {"data/theirs": "2"})
    tracked("add", "data")
    commit(tracked.folder, "v3")
    git(tracked.folder, "checkout", "-q", "main")
    tracked("checkout")
    merged = subprocess.run(["git", "merge", "-q", "other"], cwd=tracked.folder, check=False, capture_output=True)
    assert merged.returncode == 1, merged
    tracked("resolve")
    commit(tracked.folder, "v4")
    versions = tracked.json("log", "data").data["versions"]
    assert [one["subject"] for one in versions] in (["v4", "v3", "v2", "v1"], ["v4", "v2", "v3", "v1"])
    assert len({one["digest"] for one in versions}) == 4
    assert versions[0]["files"] == len(DATA) + 2


def test_what_was_never_recorded_stays_in_every_checkout(tracked):
    """Also a copy of a recorded file, whose content is saved; also after status saw it, and after other edits."""
    copy = tracked.folder / "data" / "copy"
    tracked("checkout")
    copy.write_bytes((tracked.folder / "data" / "a.txt").read_bytes())
    for words in (
        ["checkout"],
        ["checkout"],
        ["status"],
        ["checkout"],
        ["checkout", "--rev", "v1"],
        ["diff"],
        ["checkout"],
    ):
        tracked(*words)
        assert copy.exists(), words
    write(tracked.folder, {"data/new": "1"})
    tracked("add", "data/new")
    tracked("remove", "data/sub")
    tracked("checkout")
    assert copy.exists()
    commit(tracked.folder, "v2")
    tracked("checkout", "--rev", "v1")
    assert sorted(tree(tracked.folder / "data")) == sorted([*(path.removeprefix("data/") for path in DATA), "copy"])
    tracked("add", "data")
    commit(tracked.folder, "v3")
    tracked("checkout", "--rev", "v1")
    assert not copy.exists(), "it was recorded, and v1 does not have it"


def test_what_is_kept_by_remove_stays_in_a_checkout(tracked):
    tracked("checkout")
    tracked("remove", "--keep", "data/a.txt")
    for words in (["checkout"], ["status"], ["checkout"]):
        tracked(*words)
        assert (tracked.folder / "data" / "a.txt").exists(), words
    assert changes(tracked.json("status")) == [("data/a.txt", "added")]


def test_a_part_is_recorded_beside_what_was_not_brought_here(tracked):
    """A metafile of a newer version, as after git pull: recording one file does not make the workspace that version."""
    tracked("checkout")
    write(tracked.folder, {"data/theirs": "1"})
    tracked("commit")
    newer = (tracked.folder / "data.kist").read_bytes()
    commit(tracked.folder, "v2")
    tracked("checkout", "--rev", "v1")
    (tracked.folder / "data.kist").write_bytes(newer)
    write(tracked.folder, {"data/mine": "2"})
    tracked("add", "data/mine")
    assert changes(tracked.json("status")) == [("data/theirs", "deleted")]
    tracked("checkout")
    assert {"mine", "theirs"} <= set(tree(tracked.folder / "data"))
    assert tracked.json("status").data["clean"]


@pytest.mark.parametrize("part", ["data/sub", "data/sub/b.txt"])
def test_what_a_move_recorded_elsewhere_goes_with_its_version(tracked, part):
    tracked("checkout")
    before = tree(tracked.folder / "data")
    tracked("move", part, "data/moved")
    commit(tracked.folder, "v2")
    tracked("checkout", "--rev", "v1")
    assert tree(tracked.folder / "data") == before


def test_what_a_move_recorded_in_another_output_goes_with_its_version(tracked):
    write(tracked.folder, {"other/x": "1"})
    tracked("add", "other")
    commit(tracked.folder, "v2")
    tracked("move", "data/a.txt", "other")
    commit(tracked.folder, "v3")
    tracked("checkout", "--rev", "v2")
    assert os.listdir(tracked.folder / "other") == ["x"]
    assert (tracked.folder / "data" / "a.txt").exists()


def test_what_an_output_held_that_was_moved_here_goes_with_its_version(tracked):
    tracked("checkout")
    before = tree(tracked.folder / "data")
    write(tracked.folder, {"other/x": "1"})
    tracked("add", "other")
    commit(tracked.folder, "v2")
    tracked("move", "data", "elsewhere")
    tracked("move", "other", "data")
    commit(tracked.folder, "v3")
    git(tracked.folder, "checkout", "-q", "v2")
    tracked("checkout")
    assert tree(tracked.folder / "data") == before


def test_what_a_checkout_of_a_part_brought_goes_with_its_version(tracked):
    tracked("checkout")
    tracked("remove", "data/sub")
    commit(tracked.folder, "v2")
    for words in (["checkout", "--rev", "v1", "data/sub"], ["checkout", "--rev", "v1", "data/sub/b.txt"]):
        tracked(*words)
        git(tracked.folder, "checkout", "-q", "data.kist")
        tracked("checkout")
        assert "sub" not in {path.split("/")[0] for path in tree(tracked.folder / "data")}, words
