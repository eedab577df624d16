"""How a server is reached, with all that people have in their configuration, and what is said where it is not."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from kist.abc import RemoteScope
from kist.errors import RemoteAuthError, RemoteError, RemoteUnavailable
from kist_ssh.command import Address
from kist_ssh.options import SSHOptions
from kist_ssh.remote import SSHRemote
from servers.processes import free_port
from servers.sshd import running

WITHIN = 20.0
"""Seconds in which every failure must be told."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"some bytes")
    return path


@pytest.fixture
def reach(root, source):
    """Opens a remote, and closes it at the end."""
    made: list[SSHRemote] = []

    def reach(config: Path | None, host: str = "server", scope: RemoteScope = RemoteScope(), **options) -> SSHRemote:
        address = Address(host, str(root), options.get("user"), options.get("port"))
        chosen = SSHOptions(config_file=str(config) if config else None, **options)
        made.append(SSHRemote(address, chosen, scope))
        return made[-1]

    yield reach
    for one in made:
        one.close()


def works(remote: SSHRemote, source: Path) -> None:
    remote.put_file("objects/one", source)
    assert remote.open("objects/one").read() == source.read_bytes()
    remote.close()


def failure(remote: SSHRemote) -> RemoteError:
    """The error of a first call, which must come soon."""
    began = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        remote.stat("objects/one")
    assert time.monotonic() - began < WITHIN
    assert caught.value.hint
    assert remote._address.host in str(caught.value)
    return caught.value


class TestWays:
    """Ways that work in a terminal work here."""

    def test_options_instead_of_a_configuration(self, sshd, reach, source):
        config = sshd.folder / "config-hosts-only"
        config.write_text(f"Host *\n  UserKnownHostsFile {sshd.known_hosts}\n  IdentitiesOnly yes\n")
        works(reach(config, "127.0.0.1", user=sshd.user, port=sshd.port, identity_file=str(sshd.key)), source)

    def test_a_program_of_the_user(self, sshd, reach, source, tmp_path):
        """As ``~/.ssh/config`` is found by ssh itself, so here by a program that stands for it."""
        script = tmp_path / "my ssh"
        script.write_text(f'#!/bin/sh\nexec ssh -F {sshd.config} "$@"\n')
        script.chmod(0o755)
        works(reach(None, program=str(script)), source)

    def test_agent(self, sshd, reach, source, tmp_path, agent):
        key = sshd.folder / "locked"
        if not key.exists():
            sshd.make_key("locked", "the passphrase")
        failure(reach(sshd.write_config("config-locked", IdentityFile=key)))
        agent.add(key, "the passphrase")
        works(reach(sshd.write_config("config-agent", IdentityFile=key, IdentityAgent=agent.socket)), source)

    def test_passphrase_by_askpass(self, sshd, reach, source, tmp_path, monkeypatch):
        key = sshd.folder / "asked"
        if not key.exists():
            sshd.make_key("asked", "the passphrase")
        monkeypatch.setenv("SSH_ASKPASS", str(answering(tmp_path, "the passphrase")))
        monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
        works(reach(sshd.write_config("config-asked", IdentityFile=key)), source)

    def test_jump(self, sshd, reach, source, tmp_path):
        (tmp_path / "gate").mkdir()
        with running(tmp_path / "gate") as gate:
            both = (sshd.write_config().read_text(), gate.write_config().read_text().replace("server", "gate", 1))
            config = tmp_path / "config"
            config.write_text("\n".join(both).replace("Host server", "Host server\n  ProxyJump gate", 1))
            remote = reach(config)
            works(remote, source)
            assert ("by way of", "gate") in remote.describe_access()

    def test_only_sftp(self, reach, source, tmp_path):
        with running(tmp_path, "ForceCommand internal-sftp", "PermitTTY no", "AllowTcpForwarding no") as server:
            works(reach(server.config), source)

    def test_own_program_of_the_server(self, reach, source, tmp_path):
        path = Path("/usr/lib/openssh/sftp-server")
        if not path.exists():
            pytest.skip("no sftp-server in its usual place")
        with running(tmp_path, sftp=path) as server:
            works(reach(server.config), source)

    @pytest.mark.parametrize("shared", [False, True])
    def test_few_sessions(self, reach, source, tmp_path, shared, short_folder):
        """Where the server refuses more sessions on one connection, what there is is used."""
        with running(tmp_path, "MaxSessions 2") as server:
            settings = {"ControlMaster": "auto", "ControlPath": short_folder / "c"} if shared else {}
            remote = reach(server.write_config(**settings), connections=6)
            items = [(f"objects/{number}", source) for number in range(60)]
            assert remote.put_many(items) == {}
            assert sum(1 for _ in remote.list()) == 60

    def test_remote_command_in_the_configuration(self, sshd, reach, source):
        works(reach(sshd.write_config("config-command", RemoteCommand="false", RequestTTY="yes")), source)

    def test_login_folder(self, sshd, source, tmp_path):
        """A folder that is not absolute lies where the server's session begins."""
        name = f".kist-test-{os.getpid()}-{time.monotonic_ns()}"
        remote = SSHRemote(Address("server", name), SSHOptions(config_file=str(sshd.config)))
        try:
            remote.put_file("objects/one", source)
            (folder,) = [text for label, text in remote.describe_access() if label == "folder"]
            assert folder.endswith(name)
            assert (Path(folder) / "objects" / "one").read_bytes() == source.read_bytes()
        finally:
            remote.close()
            subprocess.run(["rm", "-rf", str(Path.home() / name)], check=True)


class TestRefusals:
    """Each failure is told in the words of kist, with what ssh said and what to do."""

    def test_a_file_is_no_empty_remote(self, sshd, reach, root):
        remote = reach(sshd.config)
        assert not list(remote.list())
        root.write_bytes(b"no folder")
        with pytest.raises(RemoteError, match="is no folder") as caught:
            list(remote.list())
        assert "path" in caught.value.hint

    def test_wrong_key(self, sshd, reach):
        key = sshd.folder / "unknown"
        if not key.exists():
            sshd.make_key("unknown", accepted=False)
        error = failure(reach(sshd.write_config("config-unknown", IdentityFile=key), scope=RemoteScope("store")))
        assert isinstance(error, RemoteAuthError)
        assert "the remote store" in str(error)
        assert "Permission denied (publickey)" in str(error)
        assert "ssh-add" in error.hint

    def test_4_6_host_key_changed(self, sshd, reach, tmp_path):
        (tmp_path / "other").mkdir()
        with running(tmp_path / "other") as other:
            known = other.know(sshd.port, "known-other")
            error = failure(reach(sshd.write_config("config-changed", UserKnownHostsFile=known)))
        assert isinstance(error, RemoteAuthError)
        assert "ssh-keygen -R" in error.hint

    @pytest.mark.parametrize("checking", ["yes", "ask"])
    def test_4_6_host_key_unknown(self, sshd, reach, tmp_path, checking):
        settings = {"UserKnownHostsFile": tmp_path / "none", "StrictHostKeyChecking": checking}
        error = failure(reach(sshd.write_config("config-new", **settings)))
        assert isinstance(error, RemoteAuthError)
        assert "not known here" in error.hint
        assert not (tmp_path / "none").exists()

    def test_refused(self, sshd, reach):
        error = failure(reach(sshd.write_config("config-refused", Port=free_port())))
        assert isinstance(error, RemoteUnavailable)
        assert "Connection refused" in str(error)

    def test_no_such_host(self, sshd, reach):
        error = failure(reach(sshd.config, "no-such-host.invalid"))
        assert isinstance(error, RemoteUnavailable)

    def test_silent_server(self, sshd, reach, black_hole):
        error = failure(reach(sshd.write_config("config-silent", Port=black_hole), connect_timeout=1))
        assert isinstance(error, RemoteUnavailable)

    def test_no_sftp(self, reach, tmp_path):
        with running(tmp_path, sftp=None) as server:
            error = failure(reach(server.config))
        assert not error.retryable
        assert "Subsystem sftp" in error.hint

    def test_missing_sftp_program(self, reach, tmp_path):
        with running(tmp_path, sftp="/no/such/sftp-server") as server:
            failure(reach(server.config))

    def test_talkative_login(self, reach, tmp_path):
        with running(tmp_path, sftp="/bin/echo Welcome to \x1b[31mthis machine") as server:
            error = failure(reach(server.config))
        assert not error.retryable
        assert "Welcome to" in str(error)
        assert "\x1b" not in str(error)
        assert "login script" in error.hint

    def test_no_ssh_here(self, reach):
        with pytest.raises(RemoteError) as caught:
            reach(None, program="no-such-ssh").stat("objects/one")
        assert not caught.value.retryable
        assert "install" in caught.value.hint

    def test_broken_configuration(self, sshd, reach, tmp_path):
        config = tmp_path / "config"
        config.write_text("Host *\n  NoSuchWord yes\n")
        error = failure(reach(config))
        assert not error.retryable
        assert "NoSuchWord".lower() in str(error).lower()

    def test_not_trusted(self, sshd, reach):
        remote = reach(sshd.config, scope=RemoteScope("store", trusted=False))
        for call in (lambda: remote.stat("a"), lambda: list(remote.list()), remote.describe_access):
            with pytest.raises(RemoteAuthError) as caught:
                call()
            assert "kist remote trust store" in caught.value.hint

    def test_threads_share_one_refusal(self, sshd, reach, source, tmp_path):
        """A wrong key is not offered once for each thread."""
        key = sshd.folder / "offered"
        if not key.exists():
            sshd.make_key("offered", accepted=False)
        log = tmp_path / "calls"
        script = tmp_path / "counting"
        config = sshd.write_config("config-offered", IdentityFile=key)
        script.write_text(f'#!/bin/sh\necho >> {log}\nexec ssh -F {config} "$@"\n')
        script.chmod(0o755)
        failed = reach(None, program=str(script)).put_many([(f"o/{number}", source) for number in range(8)])
        assert {type(one) for one in failed.values()} == {RemoteAuthError}
        assert len(log.read_text()) <= 2

    def test_describe_access_tells_failures(self, sshd, reach):
        key = sshd.folder / "described"
        if not key.exists():
            sshd.make_key("described", accepted=False)
        told = dict(reach(sshd.write_config("config-described", IdentityFile=key)).describe_access())
        assert str(key) in told["key offered"]
        assert "Permission denied" in told["sftp"]
        assert "logged in" not in told


class TestPassword:
    """Keyboard-interactive, with a password that PAM knows; needs root to make a user."""

    def test_keyboard_interactive(self, reach, source, tmp_path, monkeypatch, user_with_password):
        name, password, folder = user_with_password
        ways = ("UsePAM yes", "KbdInteractiveAuthentication yes", "AuthenticationMethods keyboard-interactive")
        server_folder = folder / "server"
        server_folder.mkdir()
        with running(server_folder, *ways) as server:
            config = server.write_config("config-password", User=name, IdentityFile=None)
            monkeypatch.setenv("SSH_ASKPASS", str(answering(tmp_path, password)))
            monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
            options = SSHOptions(config_file=str(config))
            remote = SSHRemote(Address("server", str(folder / "remote")), options)
            works(remote, source)
            monkeypatch.setenv("SSH_ASKPASS", str(answering(tmp_path, "wrong")))
            other = SSHRemote(Address("server", str(folder / "remote")), options)
            error = failure(other)
            other.close()
        assert isinstance(error, RemoteAuthError)
        assert password not in str(error)


def answering(folder: Path, answer: str) -> Path:
    """A program that gives one answer to every question."""
    path = folder / "askpass"
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{answer}'\n")
    path.chmod(0o755)
    return path
