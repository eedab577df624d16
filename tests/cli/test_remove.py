"""remove: what stays in the workspace is the user's own, and what goes to the trash has room there."""

import os
import stat

import pytest
from cli_support import DATA, commit, tree, write


@pytest.fixture(params=["hardlink", "symlink"])
def linked(repo, request):
    """A tracked directory and a tracked file whose files are links into the cache."""
    repo("config", "--local", "cache.type", request.param)
    write(repo.folder, {**DATA, "single.bin": b"one file" * 100})
    repo("add", "data", "single.bin")
    commit(repo.folder, "v1")
    repo("checkout")
    assert is_link(repo.folder / "data/a.txt")
    assert is_link(repo.folder / "single.bin")
    return repo


def is_link(path):
    return path.is_symlink() or path.lstat().st_nlink > 1


def files_of(folder):
    return [path for path in folder.rglob("*") if not path.is_dir()]


def forget_all(linked):
    """Take what no version needs out of the cache."""
    linked("gc", "-w", "--now", "-f")


def test_1_1_what_is_kept_outlives_gc(linked):
    before = {name: data if isinstance(data, bytes) else data.encode() for name, data in DATA.items()}
    linked("remove", "--keep", "data", "single.bin")
    paths = [*files_of(linked.folder / "data"), linked.folder / "single.bin"]
    assert len(paths) == 4
    for path in paths:
        assert not is_link(path)
        assert path.stat().st_mode & stat.S_IWUSR
    forget_all(linked)
    assert {f"data/{name}": data for name, data in tree(linked.folder / "data").items()} == before
    assert (linked.folder / "single.bin").read_bytes() == b"one file" * 100
    linked("add", "data")
    linked("verify")


def test_1_1_a_part_of_a_directory_is_kept_as_a_file_of_its_own(linked):
    linked("remove", "--keep", "data/a.txt")
    assert not is_link(linked.folder / "data/a.txt")
    assert is_link(linked.folder / "data/sub/b.txt")
    forget_all(linked)
    assert (linked.folder / "data/a.txt").read_bytes() == b"one\n"


def test_1_1_an_edit_through_a_link_is_kept(linked):
    path = linked.folder / "data/a.txt"
    os.chmod(path, 0o644)  # the object's, where it is a symbolic link
    path.write_bytes(b"edited in place\n")
    linked("remove", "--keep", "data")
    assert not is_link(path)
    assert path.read_bytes() == b"edited in place\n"


@pytest.mark.parametrize("linked", ["symlink"], indirect=True)
def test_1_1_a_link_without_its_object_stops_it_before_the_first_change(linked):
    path = linked.folder / "data/a.txt"
    os.unlink(os.path.realpath(path))
    failed = linked.json("remove", "--keep", "single.bin", "data", code=8)
    assert failed.classes == ["ObjectMissing"]
    assert is_link(linked.folder / "single.bin")
    assert (linked.folder / "single.bin.kist").exists()


def test_the_users_own_links_stay(linked):
    target = linked.folder / "elsewhere"
    target.write_bytes(b"mine")
    os.symlink("../elsewhere", linked.folder / "data/mine")
    os.link(target, linked.folder / "data/hard")
    linked("add", "data")
    linked("remove", "--keep", "data")
    assert os.readlink(linked.folder / "data/mine") == "../elsewhere"


def test_1_1_more_than_the_trash_may_hold_is_refused_before_the_first_change(tracked):
    write(tracked.folder, {"data/a.txt": "x" * 100, "data/sub/b.txt": "y" * 100})
    tracked("config", "--local", "trash.limit", "150")
    before = tree(tracked.folder / "data")
    failed = tracked.json("remove", "--force", "data", code=6)
    assert failed.classes == ["UnsavedChanges"]
    assert "may hold" in failed.json["errors"][0]["message"]
    assert tree(tracked.folder / "data") == before
    assert (tracked.folder / "data.kist").exists()
    assert tracked.json("trash", "list").data["entries"] == []
    tracked("config", "--local", "trash.limit", "250")
    tracked("remove", "--force", "data")
    assert not (tracked.folder / "data").exists()
    assert len(tracked.json("trash", "list").data["entries"]) > 0
