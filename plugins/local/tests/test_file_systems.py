"""Remotes on other file systems than the repository's: another disk, a full one, one that is away, one that can little.

The limits of network shares are played by refusing the calls that they lack: no hard links and no shared blocks, as on
SMB and FAT; no locks, as on NFS without its lock service; handles that went stale. Their caches on other machines are
not played.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.errors import RemoteError, RemoteExists, RemoteQuotaExceeded
from kist.remotes.wrappers import RetryingRemote, RetryPolicy
from kist_local.remote import LocalRemote
from servers.file_systems import mounted
from servers.scenario import Place, Team, some_files


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3_000_000))
    return path


def team_at(tmp_path: Path, store: Path) -> Team:
    team = Team(tmp_path / "team", Place(str(store)))
    team.found()
    return team


@pytest.fixture
def memory_disk() -> Iterator[Path]:
    """A folder on a file system in memory, which every Linux has and everybody may use."""
    if not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == os.stat(tempfile.gettempdir()).st_dev:
        pytest.skip("there is no /dev/shm that is another file system")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def test_another_file_system(tmp_path, memory_disk) -> None:
    team = team_at(tmp_path, memory_disk / "store")
    team.record("first", some_files(), "one")
    team.kist("first", "push")
    team.clone("second")
    team.kist("second", "pull")
    assert team.files("second") == some_files()
    team.kist("second", "verify", "--remote", "store")


def test_a_disk_that_fills_up(tmp_path) -> None:
    with mounted("ext4", tmp_path) as disk:
        team = team_at(tmp_path, disk / "store")
        team.record("first", {"small": b"s" * 5000}, "one")
        team.kist("first", "push")
        team.record("first", {f"{number}": os.urandom(9 << 20) for number in range(9)}, "two")
        failed = team.json("first", "push", code=10)
        assert failed.errors[0]["class"] == "RemoteQuotaExceeded"
        assert "space" in failed.errors[0]["hint"]
        team.git("first", "checkout", "-q", "HEAD~1")
        team.kist("first", "verify", "--remote", "store")
        team.git("first", "checkout", "-q", "main")
        (team.folder / "first" / "data" / "8").unlink()
        team.record("first", dict.fromkeys(map(str, range(3, 8))), "three")
        for path in (disk / "store" / "objects").rglob("[!.]*"):  # make room, as an administrator would
            if path.is_file():
                path.unlink()
        team.kist("first", "push")
        # Also of a file that was being written when the other calls failed, and had not stopped when the process ended.
        assert [path for path in disk.rglob(".*") if path.is_file()] == []
        team.clone("second")
        team.kist("second", "pull")
        assert team.files("second") == team.files("first")


def test_a_disk_that_is_read_only(tmp_path) -> None:
    with mounted("ext4", tmp_path) as disk:
        team = team_at(tmp_path, disk / "store")
        team.record("first", some_files(), "one")
        team.kist("first", "push")
        os.system(f"mount -o remount,ro {disk}")
        team.clone("second")
        team.kist("second", "pull")
        assert team.files("second") == some_files()
        team.record("first", {"more": b"more"}, "two")
        failed = team.json("first", "push", code=10)
        assert failed.errors[0]["class"] == "RemotePermissionError"


def test_a_share_that_is_not_mounted(tmp_path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    team = team_at(tmp_path, share / "store")
    team.record("first", some_files(), "one")
    team.kist("first", "push")
    team.clone("second")
    team.clone("third")
    team.kist("third", "pull")
    (share / "store").rename(tmp_path / "unmounted")
    for clone, verb in (
        ("second", ["fetch"]),
        ("second", ["pull"]),
        ("first", ["verify", "--remote", "store"]),
        ("first", ["gc", "--remote", "store", "-f"]),
        ("first", ["push"]),
    ):
        failed = team.json(clone, *verb, code=10)
        assert failed.errors[0]["class"] == "RemoteMissing"
        assert failed.errors[0]["remote"] == "store"
        assert "mounted" in failed.errors[0]["hint"]
    assert not (share / "store").exists()
    found = team.json("first", "doctor", "--remote", "store", code=1).data["findings"]
    assert [one for one in found if one["label"] == "remote store: format" and one["state"] == "error"]
    (tmp_path / "unmounted").rename(share / "store")
    team.kist("second", "pull")
    assert team.files("second") == some_files()
    (share / "store").rename(tmp_path / "gone")
    team.json("first", "doctor", "--fix", "--remote", "store", code=None)
    team.kist("first", "push")
    team.kist("first", "verify", "--remote", "store")


def refuse(number: int):
    def call(*_args, **_options):
        raise OSError(number, os.strerror(number))

    return call


@pytest.fixture(params=["no hard links", "no locks", "no copies in the kernel"])
def poor(request, monkeypatch, tmp_path) -> LocalRemote:
    """A remote on a file system that can little."""
    if request.param == "no hard links":
        monkeypatch.setattr(os, "link", refuse(errno.EOPNOTSUPP))
    elif request.param == "no locks":
        monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    else:
        monkeypatch.setattr(os, "copy_file_range", refuse(errno.EXDEV))
    return LocalRemote(tmp_path / "store")


def test_what_is_lacking_is_not_missed(poor, source, tmp_path) -> None:
    poor.put_file("a/b", source)
    poor.put_file("a/b", source)
    poor.put_file("a/c", source, if_absent=True)
    with pytest.raises(RemoteExists):
        poor.put_file("a/c", source, if_absent=True)
    poor.get_file("a/b", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert sorted(one.key for one in poor.list()) == ["a/b", "a/c"]
    poor.copy("a/b", "d")
    poor.delete("a/b")
    assert poor.exists_many(["a/b", "d"]) == {"a/b": False, "d": True}
    assert poor.sweep() == 0


def test_without_links_and_locks_no_condition_is_promised(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EOPNOTSUPP))
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    remote = LocalRemote(tmp_path / "store")
    remote.put_file("a", source)
    with pytest.raises(RemoteError, match="neither hard links nor locks"):
        remote.put_file("b", source, if_absent=True)
    assert [one.key for one in remote.list()] == ["a"]


def test_a_stale_handle_is_tried_again(source, tmp_path, monkeypatch) -> None:
    remote = LocalRemote(tmp_path / "store")
    remote.put_file("a", source)
    before, failures = os.open, [errno.ESTALE, errno.EIO]

    def open_later(path, *args, **options):
        if path == "a" and failures:
            raise OSError(failures.pop(), "stale")
        return before(path, *args, **options)

    monkeypatch.setattr(os, "open", open_later)
    RetryingRemote(remote, RetryPolicy(base_delay=0)).get_file("a", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert not failures


def test_a_quota_is_a_quota(source, tmp_path, monkeypatch) -> None:
    remote = LocalRemote(tmp_path / "store")
    monkeypatch.setattr(os, "fsync", refuse(errno.EDQUOT))
    with pytest.raises(RemoteQuotaExceeded):
        remote.put_file("a", source)
