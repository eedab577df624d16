"""What is special about remotes in folders."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.abc import Options, Progress, RemoteURL
from kist.errors import (
    InvalidOption,
    RemoteError,
    RemoteMissing,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemoteQuotaExceeded,
    RemoteUnavailable,
    StorageError,
)
from kist_local import kist_open_remote, kist_remote_options
from kist_local.options import LocalOptions
from kist_local.remote import LocalRemote

NOBODY = 65534


def unable(*args: object, **kwargs: object) -> None:
    """What a file system answers that does not know a call."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"some bytes")
    return path


@pytest.fixture
def closed() -> Iterator[Path]:
    """A remote with the object ``a`` that we may only read: rights do not bind root, so such a test gives them up."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        (Path(name) / "source").write_bytes(b"x")
        folder = Path(name) / "closed"
        folder.mkdir()
        (folder / "a").write_bytes(b"there")
        folder.chmod(0o555)
        privileged = os.geteuid() == 0
        if privileged:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if privileged:
                os.seteuid(0)
            folder.chmod(0o755)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


class TestOpening:
    @pytest.mark.parametrize("text", ["/folder/x", "file:///folder/x", "file://localhost/folder/x"])
    def test_address(self, text) -> None:
        assert repr(kist_open_remote(RemoteURL.parse(text), Options())) == "LocalRemote('/folder/x')"

    @pytest.mark.parametrize("text", ["file://server/folder", "file://"])
    def test_address_of_no_folder(self, text) -> None:
        with pytest.raises(InvalidOption):
            kist_open_remote(RemoteURL.parse(text), Options())

    def test_percent_in_url_and_path(self) -> None:
        assert repr(kist_open_remote(RemoteURL.parse("file:///a%20b"), Options())) == "LocalRemote('/a b')"
        assert repr(kist_open_remote(RemoteURL.parse("/a%20b"), Options())) == "LocalRemote('/a%20b')"

    def test_other_schemes_are_left_alone(self) -> None:
        assert kist_remote_options("box") is None
        assert kist_open_remote(RemoteURL.parse("box://x"), Options()) is None
        assert kist_remote_options("file") is LocalOptions

    def test_a_folder_that_is_not_there_is_no_empty_remote(self, root, tmp_path) -> None:
        remote = LocalRemote(root)
        calls = (
            lambda: list(remote.list()),
            lambda: remote.exists_many(["a"]),
            lambda: remote.delete("a"),
            lambda: remote.stat("a/b"),
            lambda: remote.open("a"),
            lambda: remote.get_file("a", tmp_path / "target"),
            remote.sweep,
        )
        for call in calls:
            with pytest.raises(RemoteMissing) as caught:
                call()
            assert str(root) in str(caught.value)
            assert "mounted" in str(caught.value.hint)
        remote.sync()
        assert not root.exists()
        assert ("access", "the folder is not there yet") in remote.describe_access()

    def test_first_put_makes_the_folder_but_not_what_it_stands_in(self, root, source) -> None:
        LocalRemote(root).put_file("c/d", source)
        assert files(root) == ["c/d"]
        with pytest.raises(RemoteMissing, match=r"no folder .*/a to make b in"):
            LocalRemote(root / "a" / "b").put_file("c/d", source)

    def test_a_file_is_no_folder(self, source) -> None:
        with pytest.raises(RemoteMissing):
            list(LocalRemote(source).list())
        with pytest.raises(RemoteMissing):
            LocalRemote(source / "below").put_file("a", source)

    def test_describe_access(self, root, source) -> None:
        remote = LocalRemote(root)
        remote.put_file("a", source)
        assert ("access", "read and write") in remote.describe_access()


class TestSymbolicLinks:
    """Nothing leads out of the folder; the folder itself may be a link."""

    def test_root_may_be_a_link(self, tmp_path, source) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        remote = LocalRemote(tmp_path / "link")
        remote.put_file("a/b", source)
        assert files(tmp_path / "real") == ["a/b"]
        assert [info.key for info in remote.list()] == ["a/b"]

    def test_linked_folder(self, root, tmp_path, source) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "there").write_bytes(b"secret")
        root.mkdir()
        (root / "way").symlink_to(outside)
        remote = LocalRemote(root)
        for call in (
            lambda: remote.put_file("way/new", source),
            lambda: remote.stat("way/there"),
            lambda: remote.open("way/there"),
            lambda: remote.delete("way/there"),
            lambda: list(remote.list("way/")),
        ):
            with pytest.raises(RemoteError, match="symbolic link"):
                call()
        assert list(remote.list()) == []
        assert remote.sweep() == 0
        assert files(outside) == ["there"]

    def test_linked_object(self, root, tmp_path, source) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        root.mkdir()
        (root / "a").symlink_to(tmp_path / "secret")
        remote = LocalRemote(root)
        with pytest.raises(RemoteError):
            remote.open("a")
        with pytest.raises(RemoteObjectNotFound):
            remote.stat("a")
        assert list(remote.list()) == []
        remote.put_file("a", source)
        assert (tmp_path / "secret").read_bytes() == b"secret"
        assert (root / "a").read_bytes() == b"some bytes"
        assert not (root / "a").is_symlink()

    def test_fifo_is_no_object(self, root) -> None:
        root.mkdir()
        os.mkfifo(root / "pipe")
        remote = LocalRemote(root)
        with pytest.raises(RemoteObjectNotFound):
            remote.open("pipe")
        assert list(remote.list()) == []


class TestFailures:
    def test_root_is_a_file(self, tmp_path, source) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(RemoteError):
            LocalRemote(tmp_path / "file").put_file("a", source)

    def test_root_below_a_file(self, tmp_path, source) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(RemoteError, match="is no folder"):
            LocalRemote(tmp_path / "file" / "root").put_file("a", source)

    def test_root_in_a_place_without_files(self, source) -> None:
        with pytest.raises(RemoteError) as caught:
            LocalRemote(Path("/proc/kist/root")).put_file("a", source)
        assert "/proc/kist" in str(caught.value)

    def test_key_below_an_object(self, root, source) -> None:
        remote = LocalRemote(root)
        remote.put_file("a", source)
        with pytest.raises(RemoteError, match="stands where a folder is needed"):
            remote.put_file("a/b", source)
        with pytest.raises(RemoteObjectNotFound):
            remote.stat("a/b")

    def test_key_of_a_folder(self, root, source) -> None:
        remote = LocalRemote(root)
        remote.put_file("a/b", source)
        with pytest.raises(RemoteError, match="in its way"):
            remote.put_file("a", source)
        assert files(root) == ["a/b"]

    def test_key_of_a_temporary(self, root, source) -> None:
        with pytest.raises(RemoteError, match="temporary"):
            LocalRemote(root).put_file("a/.b.kist-tmp-1", source)

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.ENOSPC, RemoteQuotaExceeded),
            (errno.EDQUOT, RemoteQuotaExceeded),
            (errno.EROFS, RemotePermissionError),
            (errno.EACCES, RemotePermissionError),
            (errno.EIO, RemoteUnavailable),
            (errno.ESTALE, RemoteUnavailable),
        ],
    )
    @pytest.mark.parametrize("call", ["copy_file_range", "fsync", "replace"])
    def test_disk_refuses(self, root, source, monkeypatch, call, number, kind) -> None:
        remote = LocalRemote(root)

        def refuse(*args, **kwargs):
            raise OSError(number, os.strerror(number))

        root.mkdir()
        monkeypatch.setattr("kist_local.copying.share_blocks", unable)
        monkeypatch.setattr(os, call, refuse)
        if call == "copy_file_range":
            monkeypatch.setattr(os, "pread", refuse)  # what the kernel cannot copy is read and written
        with pytest.raises(kind):
            remote.put_file("a", source)
        monkeypatch.undo()
        assert files(root) == []

    def test_full_disk_of_the_reader_is_not_the_remotes(self, root, source, tmp_path, monkeypatch) -> None:
        remote = LocalRemote(root)
        remote.put_file("a", source)

        def refuse(*args, **kwargs):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("kist_local.copying.share_blocks", unable)
        monkeypatch.setattr(os, "copy_file_range", refuse)
        with pytest.raises(StorageError):
            remote.get_file("a", tmp_path / "target")
        assert not (tmp_path / "target").exists()

    def test_no_right_to_write(self, closed) -> None:
        source = closed.parent / "source"
        remote = LocalRemote(closed)
        for call in (
            lambda: remote.put_file("b", source),
            lambda: remote.put_file("c/d", source),
            lambda: remote.put_file("b", source, if_absent=True),
            lambda: remote.delete("a"),
            lambda: LocalRemote(closed / "new").put_file("a", source),
        ):
            with pytest.raises(RemotePermissionError):
                call()
        assert set(remote.put_many([("b", source)])) == {"b"}
        assert [info.key for info in remote.list()] == ["a"]
        assert ("access", "read only") in remote.describe_access()


class TestDurability:
    @pytest.fixture
    def synced(self, monkeypatch) -> Counter[str]:
        counted: Counter[str] = Counter()
        real = os.fsync

        def fsync(descriptor: int) -> None:
            counted["folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"] += 1
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        return counted

    def test_put_waits_for_file_and_folder(self, root, source, synced) -> None:
        remote = LocalRemote(root)
        remote.put_file("a/b", source)
        synced.clear()
        remote.put_file("a/c", source)
        assert synced == {"file": 1, "folder": 1}

    def test_batch_waits_once_a_folder(self, root, source, synced) -> None:
        remote = LocalRemote(root)
        remote.put_many([("a/0", source), ("b/0", source)])
        synced.clear()
        assert remote.put_many([(f"{folder}/{number}", source) for folder in "ab" for number in range(20)]) == {}
        assert synced == {"file": 40, "folder": 2}

    def test_new_folders_are_durable_too(self, root, source, synced) -> None:
        LocalRemote(root).put_file("a/b/c", source)
        assert synced["folder"] >= 4

    def test_deletions_are_durable_after_sync(self, root, source, synced) -> None:
        remote = LocalRemote(root)
        remote.put_many([(f"a/{number}", source) for number in range(5)])
        synced.clear()
        for number in range(5):
            remote.delete(f"a/{number}")
        remote.sync()
        remote.sync()
        assert synced == {"folder": 1}

    def test_off(self, root, source, synced) -> None:
        remote = LocalRemote(root, LocalOptions(fsync=False))
        remote.put_file("a/b", source)
        remote.delete("a/b")
        remote.sync()
        assert synced == {}

    def test_name_appears_after_the_content_is_durable(self, root, source, monkeypatch) -> None:
        order: list[str] = []
        real_sync, real_replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), real_sync(fd))[1])
        monkeypatch.setattr(os, "replace", lambda *a, **k: (order.append("rename"), real_replace(*a, **k))[1])
        root.mkdir()
        LocalRemote(root).put_file("a", source)
        assert order == ["sync", "rename", "sync"]


class TestModes:
    @pytest.fixture(autouse=True)
    def umask(self) -> Iterator[None]:
        old = os.umask(0o027)
        yield
        os.umask(old)

    @pytest.mark.parametrize(
        ("options", "file", "folder"),
        [
            (LocalOptions(), 0o640, 0o750),
            (LocalOptions(shared="group"), 0o664, 0o2775),
            (LocalOptions(shared="everyone"), 0o666, 0o2777),
            (LocalOptions(file_mode="0444", dir_mode="0700"), 0o444, 0o700),
        ],
    )
    def test_modes(self, root, source, options, file, folder) -> None:
        LocalRemote(root, options).put_file("a/b", source)
        assert stat.S_IMODE((root / "a" / "b").stat().st_mode) == file
        assert stat.S_IMODE((root / "a").stat().st_mode) == folder
        assert stat.S_IMODE(root.stat().st_mode) == folder

    @pytest.mark.parametrize(
        "options", [{"file_mode": "rw"}, {"file_mode": "99"}, {"file_mode": "0044"}, {"dir_mode": "0500"}]
    )
    def test_bad_modes(self, root, options) -> None:
        with pytest.raises(InvalidOption):
            LocalRemote(root, LocalOptions(**options))

    def test_options_from_text(self) -> None:
        options = LocalOptions.from_mapping({"fsync": "off", "shared": "group"})
        assert (options.fsync, options.shared) == (False, "group")
        with pytest.raises(InvalidOption):
            LocalOptions.from_mapping({"shared": "all"})


class TestLeftOvers:
    def temporary(self, root: Path, age: float) -> Path:
        path = root / "objects" / ".one.kist-tmp-host-1-0"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
        return path

    def test_left_over_is_neither_listed_nor_found(self, root) -> None:
        self.temporary(root, 0)
        remote = LocalRemote(root)
        assert list(remote.list()) == []
        assert list(remote.list("objects/.one")) == []

    def test_sweep_removes_what_nobody_holds(self, root) -> None:
        path = self.temporary(root, 3600)
        assert LocalRemote(root).sweep() == 1
        assert not path.exists()

    def test_a_temporary_that_is_swept_before_it_is_locked_is_made_anew(self, root, source, monkeypatch) -> None:
        remote, locks, swept = LocalRemote(root), fcntl.flock, []

        def swept_first(descriptor, how):
            if not swept:
                swept.append(descriptor)
                swept.append(LocalRemote(root).sweep())
            locks(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", swept_first)
        remote.put_file("a", source)
        assert swept[1] == 1
        assert files(root) == ["a"]
        assert (root / "a").read_bytes() == source.read_bytes()

    def test_sweep_spares_what_a_living_process_writes(self, root) -> None:
        path = self.temporary(root, 3600)
        with path.open("rb") as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            assert LocalRemote(root).sweep() == 0
        assert LocalRemote(root).sweep() == 1

    def test_sweep_without_locks_goes_by_age(self, root, monkeypatch) -> None:
        def refuse(*args):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
        self.temporary(root, 3600)
        assert LocalRemote(root).sweep() == 0
        self.temporary(root, 100_000)
        assert LocalRemote(root).sweep() == 1

    def test_writer_holds_a_lock(self, root, source, monkeypatch) -> None:
        class Looking(Progress):
            swept = -1

            def advance(self, amount: int) -> None:
                for path in (root / "objects").iterdir():
                    os.utime(path, (time.time() - 3600,) * 2)
                self.swept = LocalRemote(root).sweep()

        looking = Looking()
        LocalRemote(root).put_file("objects/one", source, progress=looking)
        assert looking.swept == 0
        assert files(root) == ["objects/one"]

    def test_killed_writer(self, root, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"x" * 1000)
        code = (
            "import os, sys, pathlib; from kist.abc import Progress; from kist_local.remote import LocalRemote\n"
            "class Die(Progress):\n    def advance(self, amount): os.kill(os.getpid(), 9)\n"
            "LocalRemote(pathlib.Path(sys.argv[1])).put_file('a/b', pathlib.Path(sys.argv[2]), progress=Die())"
        )
        done = subprocess.run([sys.executable, "-c", code, str(root), str(tmp_path / "source")], check=False)
        assert done.returncode == -9
        remote = LocalRemote(root)
        assert list(remote.list()) == []
        (left,) = (root / "a").iterdir()
        os.utime(left, (time.time() - 3600,) * 2)
        assert remote.sweep() == 1
        remote.put_file("a/b", tmp_path / "source")
        assert files(root) == ["a/b"]

    def test_left_over_with_our_name_is_no_obstacle(self, root, source, monkeypatch) -> None:
        names = iter([".a.kist-tmp-same", ".a.kist-tmp-other"])
        monkeypatch.setattr("kist_local.writing.temp_name", lambda name, token: next(names))
        root.mkdir()
        (root / ".a.kist-tmp-same").touch()
        LocalRemote(root).put_file("a", source)
        assert (root / "a").read_bytes() == b"some bytes"


class TestCopying:
    """Every way of copying gives the same."""

    @pytest.fixture(params=["as it comes", "no clone", "neither"])
    def way(self, request, monkeypatch) -> str:
        if request.param != "as it comes":
            monkeypatch.setattr("kist_local.copying.share_blocks", unable)
        if request.param == "neither":
            monkeypatch.setattr(os, "copy_file_range", unable)
        return request.param

    @pytest.mark.parametrize("size", [0, 1, 3_000_000])
    def test_round_trip(self, root, tmp_path, way, size) -> None:
        data = os.urandom(size)
        (tmp_path / "source").write_bytes(data)
        remote = LocalRemote(root)
        remote.put_file("a", tmp_path / "source")
        remote.copy("a", "b")
        remote.get_file("b", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == data

    def test_if_absent_without_hard_links(self, root, source, monkeypatch) -> None:
        from kist.errors import RemoteExists

        def unable(*args, **kwargs):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", unable)
        remote = LocalRemote(root)
        remote.put_file("a", source, if_absent=True)
        with pytest.raises(RemoteExists):
            remote.put_file("a", source, if_absent=True)
        assert files(root) == ["a"]
