"""What the tests share: the server, an agent, a server that says nothing, a user with a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.processes import program, served
from servers.sshd import sshd

__all__ = ["sshd"]


class Agent:
    """A running ssh-agent."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def add(self, key: Path, passphrase: str) -> None:
        """Give it a key that is locked with a passphrase."""
        asking = self.socket.with_name("askpass")
        asking.write_text(f"#!/bin/sh\nprintf '%s\\n' '{passphrase}'\n")
        asking.chmod(0o700)
        env = {**os.environ, "SSH_AUTH_SOCK": str(self.socket), "SSH_ASKPASS": str(asking)}
        env["SSH_ASKPASS_REQUIRE"] = "force"
        subprocess.run(["ssh-add", "-q", key], env=env, check=True, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for sockets, whose paths must be short."""
    with tempfile.TemporaryDirectory(prefix="kist-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def agent(short_folder: Path) -> Iterator[Agent]:
    """An agent without keys."""
    path = short_folder / "agent"
    with served([program("ssh-agent", "openssh-client"), "-D", "-a", path], short_folder) as process:
        process.wait_until(path.exists, "socket")
        yield Agent(path)


@pytest.fixture
def black_hole() -> Iterator[int]:
    """The port of a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def user_with_password() -> Iterator[tuple[str, str, Path]]:
    """A new user of this machine: name, password, and a folder that is theirs."""
    if os.geteuid() != 0 or shutil.which("useradd") is None or not Path("/etc/pam.d/sshd").exists():
        pytest.skip("making a user of this machine needs root, useradd and PAM")
    name, password = f"kist{os.getpid()}", os.urandom(12).hex()
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True, capture_output=True)
    folder = Path(tempfile.mkdtemp(prefix="kist-user-", dir="/tmp"))
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{password}\n", text=True, check=True, capture_output=True)
        shutil.chown(folder, name)
        folder.chmod(0o755)
        yield name, password, folder
    finally:
        subprocess.run(["userdel", name], check=False, capture_output=True)
        shutil.rmtree(folder)
