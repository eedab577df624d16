"""Lines that break, disks that fill up, processes that are killed, servers that can do less."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.abc import Progress
from kist.errors import RemoteError, RemotePermissionError, RemoteQuotaExceeded, RemoteUnavailable
from kist.remotes.wrappers import RetryingRemote, RetryPolicy
from kist.testing.remote_parts.changing import BatchContract, ConcurrencyContract
from kist.testing.remote_parts.storing import StoringContract
from kist_ssh.command import Address
from kist_ssh.options import SSHOptions
from kist_ssh.remote import SSHRemote
from servers.faultproxy import FaultProxy, Faults
from servers.file_systems import mounted
from servers.sshd import one_connection, running

LESS = "posix-rename,hardlink,fsync,statvfs,limits,copy-data"
"""Requests that servers other than OpenSSH's often do not have."""
SIZE = 24 << 20
UNDER_WAY = 2 << 20
"""Bytes of a session that ssh lets be under way, and that are lost when its line breaks."""


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large"
    path.write_bytes(os.urandom(SIZE))
    return path


def on(config: Path, folder: Path, **options) -> SSHRemote:
    return SSHRemote(Address("server", str(folder)), SSHOptions(config_file=str(config), **options))


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


class Action(Progress):
    """Does something once, after so many bytes."""

    def __init__(self, after: int, action) -> None:
        self._left, self._action = after, action

    def advance(self, amount: int) -> None:
        self._left -= amount
        if self._left <= 0 and self._action is not None:
            action, self._action = self._action, None
            action()


class TestCuts:
    @pytest.fixture
    def proxied(self, sshd, tmp_path):
        """A remote behind a proxy, and the proxy."""
        opened = contextlib.ExitStack()

        def proxied(**faults):
            proxy = opened.enter_context(contextlib.closing(FaultProxy(sshd.port, faults=Faults(**faults))))
            known = sshd.know(proxy.port, f"known-{proxy.port}")
            config = sshd.write_config(f"config-{proxy.port}", Port=proxy.port, UserKnownHostsFile=known)
            return opened.enter_context(contextlib.closing(on(config, tmp_path / "remote"))), proxy

        with opened:
            yield proxied

    @pytest.mark.parametrize("method", ["put_file", "get_file"])
    def test_cut_in_the_middle(self, proxied, large, tmp_path, method):
        """A cut is a typed error that may be retried; nothing half-written is listed, or stays here."""
        remote, proxy = proxied()
        if method == "get_file":
            remote.put_file("objects/one", large)
        target = tmp_path / "in" / "target"
        target.parent.mkdir()
        cut = Action(SIZE // 2, proxy.cut)
        with pytest.raises(RemoteUnavailable) as caught:
            if method == "put_file":
                remote.put_file("objects/one", large, progress=cut)
            else:
                remote.get_file("objects/one", target, progress=cut)
        assert "server" in str(caught.value)
        assert os.listdir(target.parent) == []
        listed = [info.key for info in remote.list()]
        assert listed == (["objects/one"] if method == "get_file" else [])
        if method == "put_file":
            remote.put_file("objects/one", large)
            assert remote.stat("objects/one").size == SIZE

    def test_read_goes_on_where_it_broke(self, proxied, large, tmp_path):
        """Reading through cuts costs what was under way at each of them, while beginning anew would cost 1.75 times."""
        remote, proxy = proxied()
        remote.put_file("objects/one", large)
        proxy.traffic.down = 0
        proxy.faults = Faults(cut_every=SIZE // 4, cuts=3)
        patient = RetryingRemote(remote, RetryPolicy(base_delay=0.01))
        patient.get_file("objects/one", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == large.read_bytes()
        assert proxy.traffic.resets == 3
        assert proxy.traffic.down < 1.05 * SIZE + 3 * UNDER_WAY

    def test_long_line(self, proxied, tmp_path):
        """On a line with a delay many requests are under way, so that distance is paid only a few times."""
        source = tmp_path / "source"
        source.write_bytes(b"x")
        remote, proxy = proxied()
        keys = [f"objects/{number % 20}/{number}" for number in range(200)]
        assert remote.put_many([(key, source) for key in keys]) == {}
        proxy.faults = Faults(latency=0.05)
        began = time.monotonic()
        assert all(remote.exists_many(keys).values())
        assert len(list(remote.list())) == 200
        assert remote.delete_many(keys) == {}
        assert time.monotonic() - began < 400 * 0.1 / 2

    def test_killed_ssh(self, sshd, large, tmp_path):
        """Whoever was under way hears of it; the next call makes a new connection."""
        with contextlib.closing(on(sshd.config, tmp_path / "remote")) as remote:
            remote.exists_many(["a"])
            (connection,) = remote._pool._connections

            def kill() -> None:
                os.kill(connection._process._running.pid, signal.SIGKILL)

            with pytest.raises(RemoteUnavailable):
                remote.put_file("objects/one", large, progress=Action(SIZE // 2, kill))
            assert list(remote.list()) == []

    def test_close_while_others_work(self, sshd, large, tmp_path):
        remote = on(sshd.config, tmp_path / "remote")
        errors = []

        def work() -> None:
            try:
                remote.put_file("objects/one", large, progress=Action(SIZE // 2, began.set))
            except RemoteError as exc:
                errors.append(exc)

        began = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        began.wait(30)
        remote.close()
        thread.join(30)
        assert not thread.is_alive()
        assert all(isinstance(one, RemoteUnavailable) for one in errors)


class TestLeftOvers:
    def test_killed_put(self, sshd, large, tmp_path):
        """What a killed process leaves is not listed, and swept when it is a day old."""
        root = tmp_path / "remote"
        program = (
            "import sys; from pathlib import Path; from kist_ssh.remote import SSHRemote\n"
            "from kist_ssh.command import Address; from kist_ssh.options import SSHOptions\n"
            "from kist.abc import Progress\n"
            "class Slow(Progress):\n"
            "    def advance(self, amount):\n"
            "        import time; print('.', flush=True); time.sleep(0.2)\n"
            "remote = SSHRemote(Address('server', sys.argv[1]), SSHOptions(config_file=sys.argv[2]))\n"
            "remote.put_file('objects/one', Path(sys.argv[3]), progress=Slow())\n"
        )
        command = [sys.executable, "-c", program, str(root), str(sshd.config), str(large)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
            for _ in range(6):
                running.stdout.readline()
            running.kill()
        (left,) = files(root)
        with contextlib.closing(on(sshd.config, root)) as remote:
            assert list(remote.list()) == []
            assert list(remote.list("objects/.one")) == []
            assert remote.exists_many(["objects/one"]) == {"objects/one": False}
            assert remote.sweep() == 0
            os.utime(root / left, (time.time() - 25 * 3600,) * 2)
            assert remote.sweep() == 1
            assert files(root) == []

    def test_names_of_temporaries_are_no_keys(self, sshd, large, tmp_path):
        with contextlib.closing(on(sshd.config, tmp_path)) as remote, pytest.raises(RemoteError, match="temporary"):
            remote.put_file("objects/.one.kist-tmp-1", large)


class TestDisks:
    @pytest.mark.parametrize("fsync", [True, False])
    def test_full(self, sshd, tmp_path, fsync):
        """A full disk is told as one, at whatever point the server notices; nothing stays."""
        source = tmp_path / "source"
        with source.open("wb") as stream:
            stream.truncate(80 << 20)
        with mounted("ext4", tmp_path) as disk:
            with contextlib.closing(on(sshd.config, disk / "remote", fsync=fsync)) as remote:
                with pytest.raises(RemoteQuotaExceeded) as caught:
                    remote.put_file("objects/one", source)
                assert f"server:{disk}/remote/objects/one" in str(caught.value)
                assert list(remote.list()) == []
            assert files(disk / "remote") == []

    def test_read_only(self, sshd, tmp_path, large):
        with mounted("ext4", tmp_path) as disk:
            (disk / "remote").mkdir()
            (disk / "remote" / "one").write_bytes(b"there")
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            with contextlib.closing(on(sshd.config, disk / "remote")) as remote:
                assert remote.open("one").read() == b"there"
                for call in (
                    lambda: remote.put_file("objects/two", large),
                    lambda: remote.put_file("two", large),
                    lambda: remote.delete("one"),
                ):
                    with pytest.raises(RemotePermissionError, match="read-only"):
                        call()

    def test_in_the_way(self, sshd, tmp_path, large):
        root = tmp_path / "remote"
        with contextlib.closing(on(sshd.config, root)) as remote:
            source = tmp_path / "source"
            source.write_bytes(b"x")
            remote.put_file("a", source)
            remote.put_file("b/c", source)
            with pytest.raises(RemoteError, match="a file stands where a folder is needed"):
                remote.put_file("a/b", source)
            with pytest.raises(RemoteError, match="the key of another object stands in its way"):
                remote.put_file("b", source)
            with pytest.raises(RemoteError, match=r"in its way|already"):
                remote.put_file("b", source, if_absent=True)
            assert files(root) == ["a", "b/c"]

    def test_nowhere(self, sshd, large):
        """A file system that takes no folder says of a new one that something is missing, though nothing is."""
        with contextlib.closing(on(sshd.config, Path("/proc/kist"))) as remote:
            with pytest.raises(RemoteError, match="cannot be made") as caught:
                remote.put_file("objects/one", large)
            assert caught.value.hint

    @pytest.mark.parametrize(("shared", "file", "folder"), [("group", 0o664, 0o2775), ("everyone", 0o666, 0o2777)])
    def test_modes(self, sshd, tmp_path, shared, file, folder):
        root = tmp_path / "remote"
        source = tmp_path / "source"
        source.write_bytes(b"x")
        with contextlib.closing(on(sshd.config, root, shared=shared)) as remote:
            remote.put_file("a/b", source)
        assert (root / "a" / "b").stat().st_mode & 0o7777 == file
        assert (root / "a").stat().st_mode & 0o7777 == folder
        assert root.stat().st_mode & 0o7777 == folder


@pytest.fixture(scope="module")
def lesser(tmp_path_factory) -> Iterator[Path]:
    """A server without any extension of the protocol."""
    with (
        running(tmp_path_factory.mktemp("lesser"), sftp=f"internal-sftp -P {LESS}") as server,
        one_connection(server) as config,
    ):
        yield config


class TestLesserServer(StoringContract, BatchContract, ConcurrencyContract):
    """Servers that have no more than the protocol can be used too, with fewer promises."""

    __test__ = True
    many = 100

    @pytest.fixture
    def remote(self, lesser, tmp_path):
        remote = on(lesser, tmp_path / "remote")
        remote.exists_many(["connected"])
        yield remote
        remote.close()

    @pytest.fixture
    def second(self, lesser, tmp_path):
        remote = on(lesser, tmp_path / "remote")
        yield remote
        remote.close()

    def test_promises_less(self, remote):
        assert not remote.capabilities.atomic_put
        assert not remote.capabilities.if_absent
        assert dict(remote.describe_access())["server offers"].find("posix-rename") == -1
