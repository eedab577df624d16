"""resolve: branches that both changed what one metafile records."""

import os
import subprocess
from base64 import b64decode

import pytest
from cli_support import DATA, clone, commit, git, tree, write

BLOCK = "# kist: outputs that it tracks, kept by kist"


def change(kist, files, *targets):
    """Edit, record and commit on the branch that is checked out."""
    write(kist.folder, files)
    kist("add", *(targets or ("data",)))
    git(kist.folder, "add", "-A")
    git(kist.folder, "commit", "-q", "-m", "change")


def branch(kist, name, start):
    git(kist.folder, "checkout", "-q", "-b", name, start)
    kist("checkout", "--force")


def merge(kist, other="theirs", *, verb="merge"):
    """Let Git meet the conflict."""
    done = subprocess.run(["git", verb, other], cwd=kist.folder, capture_output=True, text=True, check=False)
    assert done.returncode, done.stdout + done.stderr


@pytest.fixture
def clash(tracked):
    """Makes two branches from v1, ``theirs`` and ``ours``, and the conflict of their merge on ``ours``."""

    def clash(ours, theirs, *targets):
        branch(tracked, "theirs", "v1")
        change(tracked, theirs, *targets)
        branch(tracked, "ours", "v1")
        change(tracked, ours, *targets)
        merge(tracked)
        return tracked

    return clash


def settle(kist, verb="checkout"):
    git(kist.folder, "add", "-A")
    git(kist.folder, "commit", "-q", "-m", "merged")
    kist(verb)


def test_each_side_gives_what_it_changed(clash):
    kist = clash(
        {"data/a.txt": "ours\n", "data/new/ours.txt": "o", "data/same.txt": "s"},
        {"data/sub/b.txt": None, "data/new/theirs.txt": "t", "data/same.txt": "s"},
    )
    before = tree(kist.folder / "data")
    told = kist.json("resolve").data
    assert told["written"] == ["data.kist"]
    assert told["clashes"] == told["settled"] == []
    (one,) = told["outputs"]
    assert (one["path"], one["files"], one["taken"]) == ("data", 5, 2)
    assert tree(kist.folder / "data") == before, "the workspace waits for a checkout"
    settle(kist)
    assert tree(kist.folder / "data") == {
        "a.txt": b"ours\n",
        "new/ours.txt": b"o",
        "new/theirs.txt": b"t",
        "same.txt": b"s",
        "sub/c.bin": DATA["data/sub/c.bin"],
    }
    assert kist.json("status").data["clean"]
    assert kist.json("add", "data").data["outputs"][0]["digest"] == one["digest"], "as if it had been added"


def test_until_it_is_resolved_every_verb_says_what_to_do(clash):
    kist = clash({"data/a.txt": "o"}, {"data/sub/b.txt": "t"})
    for words in (("status",), ("add", "data"), ("checkout", "data"), ("push",)):
        failed = kist.json(*words, code=None)
        assert "MetafileError" in failed.classes, words
        error = next(one for one in failed.json["errors"] if one["class"] == "MetafileError")
        assert "data.kist has a conflict that Git left" in error["message"]
        assert "kist resolve data.kist" in error["hint"]


def test_a_conflict_that_was_added_as_it_is_can_still_be_resolved(clash):
    """``git add -A`` with the marks still in the metafile: Git then knows of no conflict any more."""
    kist = clash({"data/a.txt": "ours\n"}, {"data/sub/b.txt": "theirs\n"})
    git(kist.folder, "add", "-A")
    for words in ((), ("data",), ("data.kist",)):
        done = kist("resolve", *words, code=7)
        assert "no metafile has a conflict" not in done.out
        assert "git checkout -m data.kist" in done.err
    git(kist.folder, "checkout", "-m", "data.kist")
    kist("resolve")
    settle(kist)
    assert tree(kist.folder / "data") == {
        "a.txt": b"ours\n",
        "sub/b.txt": b"theirs\n",
        "sub/c.bin": DATA["data/sub/c.bin"],
    }


def test_what_both_changed_waits_for_a_decision(clash):
    kist = clash(
        {"data/a.txt": "ours", "data/sub/b.txt": None, "data/o.txt": "o", "data/both.txt": "1"},
        {"data/a.txt": "theirs", "data/sub/b.txt": "edited", "data/t.txt": "t", "data/both.txt": "2"},
    )
    conflict = (kist.folder / "data.kist").read_bytes()
    told = kist.json("resolve", code=6)
    assert told.classes == ["PathConflict"]
    assert told.data["outputs"] == told.data["written"] == []
    assert told.data["clashes"] == [
        {"path": "data/a.txt", "ours": "modified", "theirs": "modified"},
        {"path": "data/both.txt", "ours": "added", "theirs": "added"},
        {"path": "data/sub/b.txt", "ours": "deleted", "theirs": "modified"},
    ]
    assert (kist.folder / "data.kist").read_bytes() == conflict, "nothing is taken before somebody decides"


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ("ours", {"a.txt": b"ours", "o.txt": b"o", "t.txt": b"t"}),
        ("theirs", {"a.txt": b"theirs", "sub/b.txt": b"edited", "o.txt": b"o", "t.txt": b"t"}),
    ],
)
def test_a_side_decides_what_both_changed(clash, side, expected):
    kist = clash(
        {"data/a.txt": "ours", "data/sub/b.txt": None, "data/o.txt": "o"},
        {"data/a.txt": "theirs", "data/sub/b.txt": "edited", "data/t.txt": "t"},
    )
    planned = kist.json("resolve", f"--{side}", "--dry-run", "data").data
    assert planned["dry_run"]
    assert b"<<<<<<<" in (kist.folder / "data.kist").read_bytes()
    told = kist.json("resolve", f"--{side}", "data").data
    assert told == {**planned, "dry_run": False}
    settle(kist)
    assert tree(kist.folder / "data") == {**expected, "sub/c.bin": DATA["data/sub/c.bin"]}


def test_names_that_are_no_utf8_are_told_exactly(clash):
    name = os.fsdecode(b"data/f\xfe")
    kist = clash({name: "o"}, {name: "t"})
    (one,) = kist.json("resolve", code=6).data["clashes"]
    assert b64decode(one["path_b64"]) == b"data/f\xfe"
    kist("resolve", "--theirs")
    settle(kist)
    assert (kist.folder / name).read_text() == "t"


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_file_here_and_a_folder_there(clash, side):
    kist = clash({"data/x": "file"}, {"data/x/y/z.txt": "deep"})
    assert {one["path"] for one in kist.json("resolve", code=6).data["clashes"]} == {"data/x", "data/x/y/z.txt"}
    kist("resolve", f"--{side}")
    settle(kist)
    assert (kist.folder / "data" / "x").is_file() == (side == "ours")
    assert kist.json("status").data["clean"]


def test_two_new_outputs_in_one_folder_clash_in_gitignore_only(clash, tracked):
    write(tracked.folder, {"notes": "n"})
    branch(tracked, "theirs", "v1")
    change(tracked, {"beta/1.txt": "1"}, "beta")
    branch(tracked, "ours", "v1")
    change(tracked, {"alpha/1.txt": "1"}, "alpha")
    merge(tracked)
    assert tracked.json("resolve").data["written"] == [".gitignore"]
    rules = (tracked.folder / ".gitignore").read_text().splitlines()
    assert rules == [BLOCK, "/alpha", "/beta", "/data", "# kist: end"]
    settle(tracked)
    assert sorted(one["path"] for one in tracked.json("list").data["entries"]) == ["alpha", "beta", "data"]


def test_a_gitignore_that_people_changed_too_is_left_to_them(tracked):
    for name, rule, output in (("theirs", "*.tmp\n", "beta"), ("ours", "*.log\n", "alpha")):
        branch(tracked, name, "v1")
        ignore = tracked.folder / ".gitignore"
        ignore.write_text(rule + ignore.read_text())
        change(tracked, {f"{output}/1.txt": "1"}, output)
    merge(tracked)
    before = (tracked.folder / ".gitignore").read_bytes()
    assert b"<<<<<<<" in before
    assert tracked.json("resolve").data["written"] == []
    assert (tracked.folder / ".gitignore").read_bytes() == before


def test_both_made_the_directory(tracked):
    for name, content in (("theirs", "t"), ("ours", "o")):
        branch(tracked, name, "v1")
        change(tracked, {f"made/{name}.txt": content, "made/same.txt": "s"}, "made")
    merge(tracked)
    told = tracked.json("resolve").data
    assert [(one["path"], one["files"]) for one in told["outputs"]] == [("made", 3)]
    settle(tracked)
    assert sorted(tree(tracked.folder / "made")) == ["ours.txt", "same.txt", "theirs.txt"]


def test_a_single_file_is_decided_as_a_whole(tracked):
    write(tracked.folder, {"model.bin": "0"})
    tracked("add", "model.bin")
    commit(tracked.folder, "v2")
    for name in ("theirs", "ours"):
        branch(tracked, name, "v2")
        change(tracked, {"model.bin": name}, "model.bin")
    merge(tracked)
    clashes = tracked.json("resolve", code=6).data["clashes"]
    assert clashes == [{"path": "model.bin", "ours": "modified", "theirs": "modified"}]
    tracked("resolve", "--theirs", "model.bin")
    settle(tracked)
    assert (tracked.folder / "model.bin").read_text() == "theirs"


def test_comments_and_unknown_keys_of_both_sides_survive(tracked):
    metafile = tracked.folder / "data.kist"
    metafile.write_text("# pictures of cats\n" + metafile.read_text() + "owner: me\n")
    commit(tracked.folder, "v2")
    branch(tracked, "theirs", "v2")
    metafile.write_text(metafile.read_text().replace("owner: me", "owner: you"))
    change(tracked, {"data/t.txt": "t"})
    branch(tracked, "ours", "v2")
    metafile.write_text(metafile.read_text() + "licence: CC0\n")
    change(tracked, {"data/o.txt": "o"})
    merge(tracked)
    tracked("resolve")
    text = metafile.read_text()
    assert text.startswith("# pictures of cats\n")
    assert "owner: you" in text
    assert "licence: CC0" in text


def test_a_deleted_output_is_decided_by_git_or_by_a_side(tracked):
    branch(tracked, "theirs", "v1")
    change(tracked, {"data/t.txt": "t"})
    branch(tracked, "ours", "v1")
    tracked("remove", "data")
    git(tracked.folder, "add", "-A")
    git(tracked.folder, "commit", "-q", "-m", "removed")
    merge(tracked)
    told = tracked.json("resolve", code=6)
    assert told.data["clashes"] == [{"path": "data.kist", "ours": "deleted", "theirs": "modified"}]
    assert "git rm" in told.json["errors"][0]["hint"]
    tracked("resolve", "--theirs")
    settle(tracked)
    assert (tracked.folder / "data" / "t.txt").read_text() == "t"
    ignored = subprocess.run(["git", "check-ignore", "data"], cwd=tracked.folder, capture_output=True, check=False)
    assert ignored.returncode == 0, "the rule that kept it out of Git is back"


def test_what_was_taken_is_counted_for_each_output(tracked):
    write(tracked.folder, {"more/1.txt": "1"})
    tracked("add", "more")
    commit(tracked.folder, "v2")
    branch(tracked, "theirs", "v2")
    change(tracked, {"data/t.txt": "t", "more/t.txt": "t"}, "data", "more")
    branch(tracked, "ours", "v2")
    write(tracked.folder, {"data/o.txt": "o"})
    tracked("add", "data")
    tracked("remove", "more")
    git(tracked.folder, "add", "-A")
    git(tracked.folder, "commit", "-q", "-m", "ours")
    merge(tracked)
    outputs = tracked.json("resolve", "--theirs").data["outputs"]
    assert [(one["path"], one["taken"]) for one in outputs] == [("data", 1), ("more", 0)]


def test_who_mended_the_file_by_hand_keeps_it(clash):
    kist = clash({"data/a.txt": "ours"}, {"data/sub/b.txt": "theirs"})
    git(kist.folder, "checkout", "--ours", "data.kist")
    before = (kist.folder / "data.kist").read_bytes()
    told = kist.json("resolve").data
    assert told["settled"] == ["data.kist"]
    assert told["outputs"] == []
    assert (kist.folder / "data.kist").read_bytes() == before


def test_a_rebase_is_resolved_alike(tracked):
    branch(tracked, "theirs", "v1")
    change(tracked, {"data/t.txt": "t"})
    branch(tracked, "ours", "v1")
    change(tracked, {"data/o.txt": "o"})
    merge(tracked, verb="rebase")
    tracked("resolve")
    git(tracked.folder, "add", "-A")
    subprocess.run(
        ["git", "-c", "core.editor=true", "rebase", "--continue"], cwd=tracked.folder, check=True, capture_output=True
    )
    tracked("checkout")
    assert {"o.txt", "t.txt"} <= set(tree(tracked.folder / "data"))


def test_the_other_sides_version_comes_from_the_remote(shared):
    there = clone(shared)
    shared("pull", folder=there)
    write(there, {"data/t.txt": "the other side's data"})
    shared("add", "data", folder=there)
    shared("push", folder=there)
    commit(there, "theirs")
    change(shared, {"data/o.txt": "o"})
    git(shared.folder, "fetch", "-q", "../clone", "main:theirs")
    merge(shared)
    before = (shared.folder / "data.kist").read_bytes()
    for words in (("config", "--local", "remote.store.url", "../gone"), ("config", "--local", "core.remote", "none")):
        shared(*words)
        failed = shared.json("resolve", code=8)
        assert failed.classes == ["ObjectMissing"]
        assert "kist fetch --rev MERGE_HEAD" in failed.json["errors"][0]["hint"]
        shared("config", "--local", "--unset", words[2])
    assert shared.json("resolve", "--dry-run", code=8).classes == ["ObjectMissing"]
    assert (shared.folder / "data.kist").read_bytes() == before
    assert "1 change taken over" in shared("resolve").out
    settle(shared, "pull")
    assert (shared.folder / "data/t.txt").read_text() == "the other side's data"
    assert {"o.txt", "t.txt"} <= set(tree(shared.folder / "data"))


def test_nothing_to_resolve(tracked):
    assert tracked("resolve").out == "no metafile has a conflict\n"
    failed = tracked.json("resolve", "data", code=2)
    assert failed.classes == ["UsageError"]


def test_without_git(plain):
    assert plain.json("resolve", code=2).classes == ["UsageError"]


def test_a_conflict_in_a_link_or_fifo_is_not_read(clash, tmp_path):
    kist = clash({"data/a.txt": "o"}, {"data/sub/b.txt": "t"})
    secret = tmp_path / "secret"
    secret.write_text("s")
    (kist.folder / "data.kist").unlink()
    (kist.folder / "data.kist").symlink_to(secret)
    assert kist.json("resolve", code=7).classes == ["MetafileError"]
    assert secret.read_text() == "s"


@pytest.mark.parametrize("fetched", [True, False])
def test_an_add_that_takes_back_what_came_through_git_says_so(shared, fetched):
    there = clone(shared)
    shared("pull", folder=there)
    write(shared.folder, {"data/b.txt": "b", "data/a.txt": "edited"})
    shared("add", "data")
    shared("push")
    commit(shared.folder, "second")
    git(there, "pull", "-q")
    write(there, {"data/mine.txt": "m"})
    if fetched:
        shared("fetch", folder=there)
    assert not shared.json("status", folder=there).data["clean"]
    (warning,) = shared.json("add", "data", folder=there).data["warnings"]
    told = "2 changes of that (data/a.txt, data/b.txt)" if fetched else "what is new in that"
    assert f"this takes back {told}" in warning
    git(there, "checkout", "-q", "data.kist")  # what the warning says
    shared("fetch", folder=there)
    assert shared.json("add", "data/mine.txt", folder=there).data["warnings"] == []
    shared("pull", folder=there)
    assert sorted(tree(there / "data")) == ["a.txt", "b.txt", "mine.txt", "sub/b.txt", "sub/c.bin"]
    assert shared.json("add", "data", folder=there).data["warnings"] == []


def test_adding_a_part_takes_nothing_back(shared):
    there = clone(shared)
    shared("pull", folder=there)
    write(shared.folder, {"data/b.txt": "b"})
    shared("add", "data")
    shared("push")
    commit(shared.folder, "second")
    git(there, "pull", "-q")
    shared("fetch", folder=there)
    write(there, {"data/mine.txt": "m"})
    assert shared.json("add", "data/mine.txt", folder=there).data["warnings"] == []
    shared("pull", folder=there)
    assert {"b.txt", "mine.txt"} <= set(tree(there / "data"))
    write(there, {"data/mine.txt": "again"})
    assert shared.json("add", "data", folder=there).data["warnings"] == []
