"""The forms of a target: globs of recorded and of new files, and paths that nothing has."""

import base64
import os

import pytest
from cli_support import clone, commit, git, tree, write


def changed(result):
    return {(one["path"], one["change"]) for one in result.data["changes"]}


def test_globs_of_new_and_deleted_files_inside_a_tracked_directory(tracked):
    write(tracked.folder, {"data/new.txt": "n", "data/.hidden.txt": "h", "data/other.csv": "c", "data/a.txt": None})
    wanted = {("data/new.txt", "added"), ("data/.hidden.txt", "added"), ("data/a.txt", "deleted")}
    assert changed(tracked.json("status", "data/*.txt")) == wanted
    tracked("add", "data/*.txt")
    assert changed(tracked.json("status")) == {("data/other.csv", "added")}
    tracked("add", "data/*.none", code=2)


def test_a_glob_of_new_outputs_needs_no_manifest(shared):
    other = clone(shared)
    write(other, {"models/a.bin": "a", "models/b.bin": "b"})
    outputs = shared.json("add", "models/*.bin", folder=other).data["outputs"]
    assert [one["path"] for one in outputs] == ["models/a.bin", "models/b.bin"]


@pytest.mark.parametrize("verb", ["status", "checkout", "push", "fetch", "pull", "verify", "remove"])
def test_a_path_that_nothing_has_is_told_with_the_nearest_name(shared, verb):
    result = shared.json(verb, "data/sub/b.tx", code=2)
    assert result.classes == ["PathNotTracked"]
    assert "data/sub/b.txt" in result.json["errors"][0]["hint"]


def test_targets_of_a_revision(tracked):
    write(tracked.folder, {"data/a.txt": "changed\n", "data/sub/b.txt": "changed\n"})
    tracked("commit")
    commit(tracked.folder, "v2")
    assert tracked.json("checkout", "--rev", "v1", "data/*.txt").data["files"] == 1
    assert (tracked.folder / "data" / "a.txt").read_text() == "one\n"
    assert (tracked.folder / "data" / "sub" / "b.txt").read_text() == "changed\n"
    assert tracked.json("checkout", "--rev", "v1", "data/nothing", code=2).classes == ["PathNotTracked"]
    assert changed(tracked("--json", "diff", "v1", "v2", "--", "data/sub/*")) == {("data/sub/b.txt", "modified")}
    assert tracked("--json", "diff", "v1", "v2", "--", "nothing", code=2).classes == ["PathNotTracked"]
    entries = tracked.json("list", "data/*.txt").data["entries"]
    assert [one["path"] for one in entries] == ["data/a.txt"]


def test_diff_takes_paths_behind_any_number_of_revisions(tracked):
    write(tracked.folder, {"data/a.txt": "changed\n", "data/sub/b.txt": "changed\n"})
    for words in (["data/sub"], ["--", "data/sub"], ["v1", "--", "data/sub"], ["v1", "data/sub"]):
        assert changed(tracked("--json", "diff", *words)) == {("data/sub/b.txt", "modified")}, words
    tracked("commit")
    commit(tracked.folder, "v2")
    assert changed(tracked("--json", "diff", "v1", "v2", "--", "data/sub")) == {("data/sub/b.txt", "modified")}
    assert changed(tracked.json("diff", "v1", "v2", "data/sub")) == {("data/sub/b.txt", "modified")}


def test_several_parts_of_one_output_are_recorded_together(tracked):
    write(
        tracked.folder, {"data/1": "1", "data/2": "2", "data/sub/3": "3", "data/sub/b.txt": "changed\n", "data/4": "4"}
    )
    outputs = tracked.json("add", "data/1", "data/2", "data/sub", "data/sub/3").data["outputs"]
    assert len(outputs) == 1
    assert changed(tracked.json("status")) == {("data/4", "added")}
    write(tracked.folder, {"data/a.txt": "changed\n"})
    tracked("commit")
    commit(tracked.folder, "v2")
    tracked("checkout", "--rev", "v1", "data/1", "data/sub/b.txt", code=2)
    assert tracked.json("checkout", "--rev", "v1", "data/sub/b.txt", "data/a.txt").data["files"] == 2
    assert tracked.json("status").data["clean"]
    tracked("checkout", "--rev", "v2")
    tracked("checkout", "--rev", "v1", "data/sub/*.txt", "data/sub/c.bin")
    assert tracked.json("status").data["clean"]


def test_a_folder_that_is_empty_here_keeps_what_is_recorded_beside_the_part(tracked):
    write(tracked.folder, {"data/sub/b.txt": None, "data/sub/c.bin": None})
    assert (tracked.folder / "data/sub").is_dir()
    tracked("add", "data/sub/b.txt")
    assert changed(tracked.json("status")) == {("data/sub", "added"), ("data/sub/c.bin", "deleted")}
    tracked("add", "data/sub/c.bin")
    assert changed(tracked.json("status")) == set()


@pytest.mark.parametrize("verb", ["add", "remove"])
def test_a_folder_that_parts_empty_together_is_as_the_workspace_has_it(tracked, verb):
    if verb == "add":
        write(tracked.folder, {"data/sub/b.txt": None, "data/sub/c.bin": None})
    tracked(verb, "data/sub/b.txt", "data/sub/c.bin")
    assert changed(tracked.json("status")) == set()
    assert tree(tracked.folder / "data").keys() & {"sub/b.txt", "sub/c.bin"} == set()


def test_hidden_parts_of_a_tracked_directory_are_refused_by_name_and_skipped_by_globs(tracked):
    write(tracked.folder, {".kistignore": "*.tmp\nskip/\n", "data/x.tmp": "x", "data/y.txt": "y", "data/skip/z": "z"})
    for target in ("data/x.tmp", "data/skip", "data/skip/z"):
        assert tracked.json("add", target, code=2).classes == ["PathIgnored"]
    tracked("add", "data/*")
    entries = tracked.json("list", "-R").data["entries"]
    assert [one["path"] for one in entries] == ["data/a.txt", "data/sub/b.txt", "data/sub/c.bin", "data/y.txt"]
    assert tracked.json("status").data["clean"]
    tracked("add", "data/*.tmp", code=2)


def test_json_of_names_that_are_not_utf8_has_no_lone_surrogates(repo):
    name = os.fsdecode(b"\xfe.bin")
    write(repo.folder, {name: "1"})
    (one,) = repo("add", name, "--json").data["outputs"]
    assert (one["path"], base64.b64decode(one["path_b64"])) == ("\\xfe.bin", b"\xfe.bin")
    assert repo("list", "--json").data["entries"][0]["path"] == "\\xfe.bin"
    result = repo("remove", name, "--json")
    assert result.data["removed"] == ["\\xfe.bin"]
    assert "\\ud" not in result.out


def test_a_glob_in_a_fresh_clone_fetches_its_folder_and_checks_out_what_fits(shared):
    other = clone(shared)
    shared("pull", "data/sub/*.txt", folder=other)
    assert sorted(path.name for path in (other / "data").rglob("*")) == ["b.txt", "sub"]


def test_what_lies_beyond_a_link_is_not_ours(tracked, tmp_path):
    outside = tmp_path / "outside"
    write(outside, {"data.kist": (tracked.folder / "data.kist").read_bytes(), "new": "new"})
    (tracked.folder / "deep").symlink_to(outside)
    before = tree(outside)
    for words in (
        ("remove", "deep/data"),
        ("add", "deep/new"),
        ("move", "data", "deep/data2"),
        ("checkout", "deep/data.kist"),
    ):
        assert "beyond the symbolic link deep" in tracked(*words, code=2).err
    assert tracked.json("checkout", "deep", code=2).classes == ["PathNotTracked"]
    assert tree(outside) == before


@pytest.fixture
def submodule(shared):
    """A repository with a submodule that is a repository of ours, and one that is not."""
    for name in ("ours", "plain"):
        other = shared.folder.parent / name
        other.mkdir()
        git(other, "init", "-q", "-b", "main")
        write(other, {"README": "text"})
        if name == "ours":
            shared("init", folder=other)
            write(other, {"inner/x.txt": "1"})
            shared("add", "inner", folder=other)
        commit(other, "v1")
        git(shared.folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), name)
    return shared


@pytest.mark.parametrize(
    "words", [("add",), ("status",), ("checkout",), ("list",), ("remove",), ("push",), ("verify",)]
)
def test_a_submodule_is_no_target(submodule, words):
    error = submodule.json(*words, "ours", code=2).json["errors"][0]
    assert error["message"] == "ours is a repository of its own inside this one"
    assert error["hint"] == "work there: kist -C ours …"
    error = submodule.json(*words, "plain", code=2).json["errors"][0]
    assert error["hint"] == "'kist -C plain init' lets it track data of its own"
    error = submodule.json(*words, "ours/inner", code=2).json["errors"][0]
    assert error["hint"] == "work there: kist -C ours …"


def test_work_in_a_submodule(submodule):
    assert [one["path"] for one in submodule.json("-C", "ours", "list").data["entries"]] == ["inner"]
    assert submodule.json("status").data["changes"] == []
    submodule("-C", "plain", "init")
    write(submodule.folder, {"plain/data/x": "1"})
    submodule("-C", "plain", "add", "data")
    assert submodule.json("status").data["changes"] == []


def test_no_revision_reaches_into_a_repository_inside_this_one(shared):
    """Both in one Git repository: each tells and brings its own versions only."""
    write(shared.folder, {"inner/x/1": "1"})
    shared("init", folder=shared.folder / "inner")
    for number in ("2", "3"):
        write(shared.folder, {"inner/x/1": number, "data/a.txt": number})
        shared("-C", "inner", "add", "x")
        shared("add", "data")
        commit(shared.folder, f"v{number}")
    before = tree(shared.folder / "inner" / "x")
    assert [one["path"] for one in shared.json("list", "--rev", "v2").data["entries"]] == ["data"]
    assert {one["path"] for one in shared.json("log").data["versions"]} == {"data"}
    assert [one["path"] for one in shared.json("diff", "v2", "v3").data["changes"]] == ["data/a.txt"]
    shared("checkout", "--rev", "v2")
    assert tree(shared.folder / "inner" / "x") == before
    assert {one["path"] for one in shared.json("-C", "inner", "log").data["versions"]} == {"x"}
    shared("-C", "inner", "checkout", "--rev", "v2")
    assert tree(shared.folder / "inner" / "x") == {"1": b"2"}
    assert shared.json("cat", "--rev", "v2", "inner/x/1", code=2).json["errors"][0]["hint"].startswith("work there")


def test_a_clone_may_be_data(repo):
    """What Git does not know as a submodule is tracked like any folder, without its private folder."""
    write(repo.folder, {"clone/x.txt": "1"})
    git(repo.folder / "clone", "init", "-q")
    assert repo.json("add", "clone").data["outputs"][0]["files"] == 1
    assert repo.json("status", "clone").data["clean"]


def test_what_a_metafile_of_another_name_describes_is_found_and_not_recorded_twice(tracked):
    (tracked.folder / "data").rename(tracked.folder / "other")
    metafile = tracked.folder / "data.kist"
    metafile.write_text(metafile.read_text().replace("path: data", "path: other"))
    assert tracked.json("status", "other").data["clean"]
    error = tracked.json("add", "other", code=6).json["errors"][0]
    assert error["message"] == "other is described by data.kist"
    assert "other.kist" in error["hint"]
    metafile.rename(tracked.folder / "other.kist")
    tracked("add", "other")
