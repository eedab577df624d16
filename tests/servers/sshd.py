"""OpenSSH's server, with keys of its own; logs in the user who runs the tests, and nobody else."""

import contextlib
import getpass
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from servers.processes import free_port, program, served

_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100:30:200
Subsystem sftp {sftp}
"""


class Server:
    """A running sshd.

    Args:
        port: where it listens.
        folder: keys and configuration.
        user: who may log in.
    """

    def __init__(self, port, folder, user):
        self.port, self.folder, self.user = port, Path(folder), user
        self.key = self.folder / "key"
        self.known_hosts = self.folder / "known_hosts"
        self.config = self.folder / "config"

    def write_config(self, name="config", **settings):
        """Make a configuration for ssh that reaches the server as the host ``server``.

        Args:
            name: of the file.
            settings: keyword of ssh_config to value, None to leave one out.

        Returns:
            The file.
        """
        known = {
            "HostName": "127.0.0.1",
            "Port": self.port,
            "User": self.user,
            "IdentityFile": self.key,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.known_hosts,
            "GlobalKnownHostsFile": "none",
            "StrictHostKeyChecking": "yes",
        }
        lines = [f"  {word} {value}" for word, value in {**known, **settings}.items() if value is not None]
        path = self.folder / name
        path.write_text("\n".join(["Host server", *lines, ""]))
        path.chmod(0o600)
        return path

    def make_key(self, name, passphrase="", *, accepted=True):
        """Make a key pair.

        Returns:
            The file of the private key.
        """
        path = self.folder / name
        _make_key(path, passphrase)
        if accepted:
            with (self.folder / "authorized_keys").open("a") as stream:
                stream.write(path.with_suffix(".pub").read_text())
        return path

    def know(self, port, name="known_hosts"):
        """Make a file of known hosts that knows this server under a port.

        Returns:
            The file.
        """
        path = self.folder / name
        key = (self.folder / "host_key.pub").read_text().split()[:2]
        path.write_text(f"[127.0.0.1]:{port} {' '.join(key)}\n")
        return path


@contextlib.contextmanager
def running(folder, *settings, sftp="internal-sftp"):
    """Run a server while the block runs.

    Args:
        folder: an existing folder for its keys.
        settings: further lines of its configuration, which come first and so win.
        sftp: the program of the subsystem, None for no such subsystem.

    Yields:
        The server.
    """
    path, folder = program("sshd", "openssh-server"), Path(folder)
    program("ssh", "openssh-client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd gives its rights up
    server = Server(free_port(), folder, getpass.getuser())
    _make_key(folder / "host_key")
    server.make_key("key")
    server.know(server.port)
    server.write_config()
    text = _CONFIG.format(port=server.port, folder=folder, sftp=sftp)
    if sftp is None:
        text = text.replace("Subsystem sftp None\n", "")
    (folder / "sshd_config").write_text("\n".join(settings) + text)
    with served([path, "-D", "-e", "-f", folder / "sshd_config"], folder, server.port):
        yield server


@contextlib.contextmanager
def one_connection(server):
    """A configuration of ssh with one connection for all sessions, so that each of many tests begins at once.

    Yields:
        The file.
    """
    with tempfile.TemporaryDirectory(prefix="kist-", dir="/tmp") as folder:  # the path of a socket must be short
        path = server.write_config(
            "config-one-connection", ControlMaster="auto", ControlPath=f"{folder}/%C", ControlPersist=60
        )
        try:
            yield path
        finally:
            subprocess.run(["ssh", "-F", path, "-O", "exit", "server"], check=False, capture_output=True)


def _make_key(path, passphrase=""):
    maker = program("ssh-keygen", "openssh-client")
    subprocess.run([maker, "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path], check=True)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    """A server for all tests of a session."""
    with running(tmp_path_factory.mktemp("sshd")) as server:
        yield server
