"""Links to the cache that were edited in place: the new content is kept, the damaged object never passes for good."""

import os

import pytest
from cli_support import cache_of, clone, commit, git, write

from kist.engine.cache import verified

CONTENT = {"data/a.bin": b"a" * 3000, "data/copy.bin": b"a" * 3000, "data/sub/b.bin": b"b" * 500, "data/c.bin": b"c"}


@pytest.fixture(params=["hardlink", "symlink"])
def linked(repo, request):
    return pushed(repo, request.param)


def pushed(repo, link_type):
    """A pushed repository whose files are links to the cache."""
    repo("config", "cache.type", link_type)
    write(repo.folder, CONTENT)
    repo("add", "data")
    assert is_link(repo.folder / "data" / "a.bin")
    repo("remote", "add", "-d", "store", "../store")
    repo("push")
    commit(repo.folder, "v1")
    return repo


def is_link(path):
    return path.is_symlink() or path.stat().st_nlink > 1


def edit(path, data=b"XXX"):
    """Change a file in place, as root can and as whoever gave himself the right can."""
    os.chmod(path, 0o644)
    with path.open("r+b") as file:
        file.write(data)


def set_aside(folder):
    return sorted(os.listdir(cache_of(folder) / "quarantine"))


def test_1_5_status_tells_of_the_edit(linked):
    edit(linked.folder / "data" / "sub" / "b.bin")
    for _ in range(2):
        data = linked.json("status").data
        assert [(one["path"], one["change"]) for one in data["changes"]] == [("data/sub/b.bin", "modified")]
        (warning,) = data["warnings"]
        assert "data/sub/b.bin was edited in place through a link" in warning
    assert "kist add" in linked("status").err
    assert set_aside(linked.folder) == []


@pytest.mark.parametrize("words", [("add", "data"), ("add", "data/sub/b.bin"), ("commit",)])
def test_1_5_the_next_version_has_the_edit_and_the_old_object_is_set_aside(linked, words):
    path = linked.folder / "data" / "sub" / "b.bin"
    edit(path)
    assert len(linked.json(*words, "--dry-run").data["warnings"]) == 1
    assert set_aside(linked.folder) == []
    (warning,) = linked.json(*words).data["warnings"]
    assert "is damaged and set aside" in warning
    assert "kist fetch --rev" in warning
    assert len(set_aside(linked.folder)) == 1
    assert path.read_bytes() == b"XXX" + b"b" * 497
    assert is_link(path)
    assert linked.json("status").data == linked.json("status").data | {"clean": True, "warnings": []}
    linked("verify", "data")
    linked("push")
    commit(linked.folder, "v2")
    other = clone(linked)
    linked("pull", folder=other)
    assert (other / "data" / "sub" / "b.bin").read_bytes() == b"XXX" + b"b" * 497


def test_doctor_knows_when_a_damaged_object_is_of_no_use_any_more(linked):
    """First nobody has another copy, then the cache has: the advice that was followed is not given again."""

    def told(*words):
        found = linked.json("doctor", *words).data["findings"]
        return next(((one["state"], one["fix"]) for one in found if one["label"] == "quarantine"), None)

    edit(linked.folder / "data" / "sub" / "b.bin")
    linked("commit")
    assert told() == ("warning", "kist verify --repair")
    linked("fetch", "--rev", "HEAD")
    assert told() == ("note", "kist doctor --fix")
    assert told("--fix")[0] == "ok"
    assert set_aside(linked.folder) == []
    assert told() is None


def test_an_edit_after_a_status_is_seen_by_add(linked):
    """The status learnt the new digest, and the object of the new content is here already."""
    write(linked.folder, {"extra": b"XXX" + b"b" * 497})
    linked("add", "extra")
    edit(linked.folder / "data" / "sub" / "b.bin")
    linked("status")
    assert len(linked.json("add", "data").data["warnings"]) == 1
    linked("verify", "data")


def test_all_links_to_the_object_get_the_new_content(linked):
    edit(linked.folder / "data" / "a.bin")
    (warning,) = linked.json("add", "data").data["warnings"]
    assert "(and 1 more)" in warning
    for name in ("a.bin", "copy.bin"):
        assert (linked.folder / "data" / name).read_bytes() == b"XXX" + b"a" * 2997
    linked("verify", "data")


def test_a_file_that_needs_the_damaged_object_brings_it_back(linked):
    """A plain copy of the old content is recorded in the same command, after the edit was found."""
    edit(linked.folder / "data" / "sub" / "b.bin")
    write(linked.folder, {"data/zz.bin": b"b" * 500, "data/0.bin": b"b" * 500})
    linked("add", "data")
    linked("verify", "data")
    linked("push")
    assert (linked.folder / "data" / "zz.bin").read_bytes() == b"b" * 500
    git(linked.folder, "checkout", "-q", "v1", "--", "data.kist")
    linked("checkout")
    assert (linked.folder / "data" / "sub" / "b.bin").read_bytes() == b"b" * 500


def test_1_5_the_old_version_comes_back_from_a_remote(linked):
    path = linked.folder / "data" / "sub" / "b.bin"
    edit(path, b"longer" * 200)
    linked("add", "data")
    commit(linked.folder, "v2")
    git(linked.folder, "checkout", "-q", "v1", "--", "data.kist")
    assert linked.json("checkout", code=8).classes == ["ObjectMissing"]
    assert path.read_bytes() == b"longer" * 200
    linked("pull")
    assert path.read_bytes() == b"b" * 500
    assert linked.json("status").data["clean"]


def test_nothing_that_is_damaged_is_sent(linked):
    edit(linked.folder / "data" / "sub" / "b.bin")
    linked("remote", "add", "second", "../second")
    result = linked.json("push", "-r", "second", code=8)
    assert [one["class"] for one in result.data["failures"]] == ["ObjectCorrupt"]
    assert not list((linked.folder.parent / "second").glob("roots/*/*"))
    linked("add", "data")
    linked("push", "-r", "second")
    linked("verify", "--remote", "second")


def test_checkout_does_not_lose_the_edit(linked):
    path = linked.folder / "data" / "sub" / "b.bin"
    edit(path)
    assert linked.json("checkout", code=6).classes == ["UnsavedChanges"]
    assert path.read_bytes().startswith(b"XXX")


def test_a_repair_keeps_the_edit_in_the_workspace(linked):
    path = linked.folder / "data" / "sub" / "b.bin"
    edit(path)
    linked("verify", "--repair")
    assert path.read_bytes() == b"XXX" + b"b" * 497
    assert [one["path"] for one in linked.json("status").data["changes"]] == ["data/sub/b.bin"]
    linked("verify")


def test_symbolic_links_whose_object_is_gone(repo):
    linked = pushed(repo, "symlink")
    path = linked.folder / "data" / "sub" / "b.bin"
    os.unlink(path.resolve())
    assert [one["change"] for one in linked.json("status").data["changes"]] == ["modified"]
    assert linked.json("add", "data", code=8).classes == ["ObjectMissing"]
    linked("pull")
    assert path.read_bytes() == b"b" * 500
    assert linked.json("status").data["clean"]


def test_known_inodes_are_read_once_for_all_outputs(repo, monkeypatch):
    repo("config", "cache.type", "hardlink")
    for number in range(4):
        write(repo.folder, {f"data{number}/one.bin": b"%d" % number, f"data{number}/two.bin": b"more %d" % number})
        repo("add", f"data{number}")
    assert is_link(repo.folder / "data0" / "one.bin")
    for number in range(4):
        write(repo.folder, {f"data{number}/three.bin": b"a file that makes the folder be read"})
    made = []

    class Counted(verified.KnownInodes):
        def __init__(self, *args):
            made.append(args)
            super().__init__(*args)

    monkeypatch.setattr(verified, "KnownInodes", Counted)
    assert len(repo.json("status").data["changes"]) == 4
    assert len(made) == 1
