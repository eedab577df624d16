"""The contract of remotes, for a folder on a real OpenSSH server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kist.testing import RegistrationContract
from kist.testing.remote import StrictRemoteContract
from kist_ssh.command import Address
from kist_ssh.options import SSHOptions
from kist_ssh.remote import SSHRemote
from servers.processes import free_port
from servers.sshd import one_connection, running


class RawFolder:
    """The server's folder, which is on this machine too."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keys(self) -> list[str]:
        return [
            os.path.relpath(os.path.join(folder, name), self.root)
            for folder, _, names in os.walk(self.root)
            for name in names
        ]

    def write(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()


@pytest.fixture(scope="module")
def shared_config(sshd) -> Iterator[Path]:
    """A configuration of ssh with one connection for all."""
    with one_connection(sshd) as config:
        yield config


class SSHContract(StrictRemoteContract):
    __test__ = False

    options = SSHOptions()

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "remote"

    @pytest.fixture
    def config(self, sshd) -> Path:
        return sshd.config

    @pytest.fixture
    def make(self, config, root):
        made: list[SSHRemote] = []

        def make(config: Path = config, folder: str = str(root)) -> SSHRemote:
            options = replace(self.options, config_file=str(config))
            made.append(SSHRemote(Address("server", folder), options))
            return made[-1]

        yield make
        for one in made:
            one.close()

    @pytest.fixture
    def remote(self, make) -> SSHRemote:
        return make()

    @pytest.fixture
    def second(self, make) -> SSHRemote:
        return make()

    @pytest.fixture
    def raw(self, root: Path) -> RawFolder:
        return RawFolder(root)

    @pytest.fixture
    def broken_credentials(self, sshd, make) -> SSHRemote:
        stranger = sshd.folder / "stranger"
        if not stranger.exists():
            sshd.make_key("stranger", accepted=False)
        return make(sshd.write_config("config-stranger", IdentityFile=stranger))

    @pytest.fixture
    def unreachable(self, sshd, make) -> SSHRemote:
        return make(sshd.write_config("config-unreachable", Port=free_port()))

    @pytest.fixture
    def read_only(self, sshd, make, root) -> Iterator[SSHRemote]:
        """Rights do not bind root, so the server itself refuses to write."""
        RawFolder(root).write("objects/ab/cd", b"there")
        key_folder = root.parent / "read-only-server"
        key_folder.mkdir()
        with running(key_folder, sftp="internal-sftp -R") as server:
            yield make(server.config)


class TestSSH(SSHContract):
    pass


class TestSSHShared(SSHContract):
    """Several sessions over one connection of ssh (ControlMaster), and without waiting for the disk."""

    options = SSHOptions(connections=3, fsync=False)

    @pytest.fixture
    def config(self, shared_config) -> Path:
        return shared_config


class TestSSHRegistration(RegistrationContract):
    group, key, module = "remotes", "ssh", "kist_ssh"


class TestSFTPRegistration(RegistrationContract):
    group, key, module = "remotes", "sftp", "kist_ssh"
