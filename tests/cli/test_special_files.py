"""FIFOs, sockets and devices in a tracked directory: named, never opened, never recorded, and no hindrance elsewhere."""

import os

import pytest
from cli_support import commit, make_socket, tree, write


@pytest.fixture(params=[os.mkfifo, make_socket])
def special(tracked, request):
    request.param(tracked.folder / "data" / "sub" / "special")
    return tracked


def paths(result):
    return [one["path"] for one in result.data["changes"]]


@pytest.mark.parametrize("verb", ["status", "diff"])
def test_what_looks_at_the_workspace_names_it_and_tells_the_changes_too(special, verb):
    write(special.folder, {"data/sub/b.txt": "changed"})
    result = special.json(verb, code=6)
    assert paths(result) == ["data/sub/b.txt"]
    assert "data/sub/special is a" in result.json["errors"][0]["message"]
    assert ".kistignore" in special(verb, code=6).err
    assert special.json("status", "data/a.txt").data["clean"]


def test_data_that_look_like_a_broken_metafile_are_data(repo):
    """The first ``add`` finds them before anything says that they lie in an output."""
    write(repo.folder, {"data/sub/model.kist": "hello", "broken.kist": "hello"})
    assert repo.json("add", "data").data["outputs"][0]["files"] == 1
    assert [one["message"][:15] for one in repo.json("status", code=7).json["errors"]] == ["broken.kist:1:1"]


@pytest.mark.parametrize("words", [("add", "data"), ("add", "data/sub"), ("commit",)])
def test_it_is_not_recorded(special, words):
    before = (special.folder / "data.kist").read_bytes()
    write(special.folder, {"data/sub/b.txt": "changed"})
    assert special.json(*words, code=6).classes == ["PathConflict"]
    assert (special.folder / "data.kist").read_bytes() == before
    special("add", "data/sub/b.txt")
    write(special.folder, {".kistignore": "special\n"})
    special("add", "data")
    assert special.json("status").data["clean"]


def test_checkout_works_around_it(special):
    wanted = tree(special.folder / "data")
    write(special.folder, {"data/a.txt": None, "data/sub/b.txt": None})
    result = special.json("checkout")
    assert tree(special.folder / "data") == wanted
    (warning,) = result.data["warnings"]
    assert "data/sub/special" in warning
    assert "left as it is" in warning
    write(special.folder, {"data/sub/b.txt": None})
    assert special.json("checkout", "data/sub/b.txt").data["warnings"] == []
    special("checkout", "data/a.txt")
    assert os.path.lexists(special.folder / "data" / "sub" / "special")


def test_another_version_is_checked_out_around_it(special):
    write(special.folder, {"data/new/n.txt": "new", "data/sub/c.bin": None})
    (special.folder / "data" / "sub" / "special").rename(special.folder / "aside")
    special("add", "data")
    commit(special.folder, "v2")
    (special.folder / "aside").rename(special.folder / "data" / "new" / "special")
    special("checkout", "--rev", "v1")
    assert sorted(tree(special.folder / "data")) == ["a.txt", "sub/b.txt", "sub/c.bin"]
    assert os.path.lexists(special.folder / "data" / "new" / "special")


@pytest.mark.parametrize("words", [("checkout",), ("checkout", "--force"), ("checkout", "data/sub/b.txt")])
def test_one_that_stands_in_the_way_stops_the_checkout_before_its_first_change(special, words):
    (special.folder / "data" / "sub" / "special").rename(special.folder / "data" / "sub" / "aside")
    write(special.folder, {"data/a.txt": None, "data/sub/b.txt": None})
    (special.folder / "data" / "sub" / "aside").rename(special.folder / "data" / "sub" / "b.txt")
    result = special.json(*words, code=6)
    assert "data/sub/b.txt is a FIFO, socket or device and stands in the way" in result.json["errors"][0]["message"]
    assert not (special.folder / "data" / "a.txt").exists()


def test_what_takes_a_directory_away_leaves_it(special):
    special("remove", "data")
    assert tree(special.folder / "data") == {}
    assert os.path.lexists(special.folder / "data" / "sub" / "special")
