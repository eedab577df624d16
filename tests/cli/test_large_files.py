"""Large files in a pull: they are written for the workspace as they arrive."""

import os

import pytest
from cli_support import cache_of, clone, commit, git

from kist.engine.checkout import contents
from kist.engine.transfer import push_side
from servers.file_systems import mounted

SIZE = 9 << 20


@pytest.fixture
def large(repo, monkeypatch):
    """A repository whose remote has a large file, one that is executable, and a large one in a directory."""
    monkeypatch.setattr(push_side, "SEGMENTED_FROM", 1 << 20)
    folder = repo.folder
    (folder / "data").mkdir()
    for name in ("plain", "program", "data/inside"):
        (folder / name).write_bytes(os.urandom(SIZE))
    (folder / "program").chmod(0o755)
    (folder / "data" / "small").write_bytes(b"small")
    repo("add", "plain", "program", "data")
    repo("remote", "add", "-d", "store", "../store")
    repo("push")
    commit(folder, "one")
    return repo


def contents_of(folder):
    found = {name: folder / name for name in ("plain", "program", "data/inside", "data/small")}
    return {name: (path.read_bytes(), path.stat().st_mode) for name, path in found.items()}


def scratch_of(folder):
    return list((folder / ".git" / "kist").rglob("copy-*"))


def copied(monkeypatch):
    """Sizes of what is copied out of the cache from now on."""
    sizes, copy = [], contents.copy_rest

    def told(reader, writer, advance):
        sizes.append(os.fstat(reader).st_size)
        copy(reader, writer, advance)

    monkeypatch.setattr(contents, "copy_rest", told)
    return sizes


def test_nothing_is_copied_again(large, monkeypatch):
    large("config", "set", "cache.type", "copy", "--local")
    other = clone(large)
    large("config", "set", "cache.type", "copy", "--local", folder=other)
    sizes = copied(monkeypatch)
    report = large.json("pull", folder=other).data
    assert report["files"] == 4
    assert contents_of(other) == contents_of(large.folder)
    assert sizes == []
    assert scratch_of(other) == []
    assert all(one["clean"] for one in large.json("status", folder=other).data["outputs"])
    large("verify", folder=other)


def test_links_need_no_copies(large, monkeypatch):
    other = clone(large)
    large("config", "set", "cache.type", "hardlink", "--local", folder=other)
    sizes = copied(monkeypatch)
    large("pull", "plain", folder=other)
    assert (other / "plain").stat().st_nlink == 2
    assert (sizes, scratch_of(other)) == ([], [])


def test_a_fetch_makes_none(large, monkeypatch):
    other = clone(large)
    large("config", "set", "cache.type", "copy", "--local", folder=other)
    sizes = copied(monkeypatch)
    large("fetch", folder=other)
    assert scratch_of(other) == []
    large("checkout", folder=other)
    assert contents_of(other) == contents_of(large.folder)
    assert sizes == []  # another command: hashed anew on the way, not copied by the kernel


def test_unsaved_changes_stay(large):
    other = clone(large)
    large("config", "set", "cache.type", "copy", "--local", folder=other)
    (other / "plain").write_bytes(b"mine")
    large("pull", folder=other, code=6)
    assert (other / "plain").read_bytes() == b"mine"
    assert scratch_of(other) == []
    large("pull", "--force", folder=other)
    assert contents_of(other) == contents_of(large.folder)


def test_a_workspace_that_has_the_file_keeps_it(large, monkeypatch):
    folder = large.folder
    before = {name: (folder / name).stat().st_ino for name in ("plain", "program")}
    cache = cache_of(folder)
    cache.rename(cache.with_name("gone"))
    large("pull", folder=folder)
    assert {name: (folder / name).stat().st_ino for name in before} == before
    assert scratch_of(folder) == []
    large("verify", folder=folder)


def test_what_is_there_already_needs_no_room(large, tmp_path):
    with mounted("ext4", tmp_path) as disk:
        other = disk / "clone"
        git(disk, "clone", "-q", str(large.folder), "clone")
        large("config", "set", "cache.type", "copy", "--local", folder=other)
        large("remote", "add", "--local", "near", large.folder.parent / "store", folder=other)
        room = os.statvfs(disk)
        ballast = room.f_bavail * room.f_frsize - int(2.5 * SIZE)
        with open(disk / "ballast", "wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, ballast)
        large("pull", "-r", "near", "plain", folder=other)
        assert (other / "plain").read_bytes() == (large.folder / "plain").read_bytes()
        left = os.statvfs(disk)
        assert left.f_bavail * left.f_frsize < SIZE
