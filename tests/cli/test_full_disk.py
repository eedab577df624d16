"""A disk that is full to the last byte: what frees space works there, for nobody could get out of it else."""

import errno
import os

import pytest
from cli_support import Kist, write

from servers.file_systems import mounted

BIG = 3 << 20


@pytest.fixture
def kist(tmp_path, capsys, monkeypatch):
    """Data in three versions, the last of which is needed, on a small file system."""
    with mounted("ext4", tmp_path) as disk:
        kist = Kist(disk / "work", capsys, monkeypatch)
        kist.folder.mkdir()
        kist("init")
        for content in (b"1", b"2", b"3"):
            write(kist.folder, {"data/big.bin": content * BIG, "data/small.txt": content, "data/same.txt": b"same"})
            kist("add", "data")
        yield kist
        monkeypatch.chdir(tmp_path)


def fill(folder):
    """Leave not one byte."""
    with open(folder / "ballast", "wb", buffering=0) as stream:
        for block in (1 << 20, 4096, 1):
            try:
                while stream.write(b"\0" * block) == block:
                    pass
            except OSError:
                continue
    os.sync()


def test_1_1_gc_makes_room_on_a_full_disk(kist):
    fill(kist.folder.parent)
    assert "free some space" in kist("commit", code=13).err
    assert "deleted 6 objects" in kist("gc", "-f", "--now").out
    kist("verify")
    assert kist.json("status").data["clean"]
    write(kist.folder, {"data/small.txt": "now there is room"})
    kist("add", "data")


def test_1_1_a_push_brings_data_away_from_a_full_disk(kist, tmp_path):
    kist("remote", "add", "-d", "store", tmp_path / "store")
    fill(kist.folder.parent)
    assert "sent 4 objects" in kist("push").out
    assert "everything is there already" in kist("push").out
    kist("verify", "--remote", "store")
    (kist.folder.parent / "ballast").unlink()
    kist("fetch")
    write(kist.folder, {"data/small.txt": "now there is room"})
    kist("commit")
    kist("push")


def test_1_1_a_full_disk_of_the_cache_holds_up_no_checkout_elsewhere(tmp_path, capsys, monkeypatch):
    """Which links work cannot be tried there, so copies are made, and it is tried again next time."""
    repo = Kist(tmp_path, capsys, monkeypatch)
    repo("init")
    with mounted("ext4", tmp_path) as disk:
        repo("config", "--local", "cache.dir", disk / "cache")
        write(repo.folder, {"data/big.bin": b"1" * BIG, "data/small.txt": b"1"})
        repo("add", "data")
        for path in repo.folder.glob(".kist/private/*/links.json"):
            path.unlink()
        for name in ("big.bin", "small.txt"):
            (repo.folder / "data" / name).unlink()
        fill(disk)
        assert "copies are made this time, for links cannot be tried" in repo("checkout").err
        assert repo.json("status").data["clean"]
        assert not list(repo.folder.glob(".kist/private/*/links.json"))


def test_1_2_links_that_a_full_disk_lets_nobody_try_are_no_success(tmp_path, capsys, monkeypatch):
    """Nothing is lost, but what was asked for is not done; with room again the same command does it."""
    repo = Kist(tmp_path, capsys, monkeypatch)
    repo("init")
    repo("config", "--local", "cache.type", "symlink")
    write(repo.folder, {"data/small.txt": b"1"})

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:  # the last block went to the version itself
        patch.setattr(os, "symlink", full)
        assert "free some space" in repo("add", "data", code=13).err
    assert (repo.folder / "data/small.txt").read_bytes() == b"1"
    assert repo.json("status").data["clean"]
    repo("add", "data")
    assert (repo.folder / "data/small.txt").is_symlink()


def test_1_1_the_trash_is_emptied_on_a_full_disk(kist):
    write(kist.folder, {"data/big.bin": b"never added" * (BIG // 11)})
    kist("checkout", "--force")
    fill(kist.folder.parent)
    assert "deleted 1 entry" in kist("trash", "empty", "--older-than", "0s").out
    write(kist.folder, {"data/small.txt": "now there is room"})
    kist("add", "data")
