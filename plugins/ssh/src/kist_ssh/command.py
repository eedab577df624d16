"""The command line of ssh: what is asked of the user's program, and nothing that a URL could slip in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kist.abc import RemoteURL
from kist.errors import InvalidOption, RemoteError
from kist_ssh import ciphers
from kist_ssh.options import SSHOptions

# ssh itself hands host and user to a shell where the configuration has ProxyCommand or Match exec.
_HOST = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}(%[0-9A-Za-z._-]{1,32})?\]")
_USER = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._@+\\-]{0,254}(?<!\\)\$?")

_INSTALL = (
    "install an OpenSSH client (Debian and Ubuntu: apt install openssh-client; Fedora: dnf install openssh-clients), "
    "or name one with the option 'program'"
)

_FIXED = (
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
)
"""As sftp sets them: a session that carries files needs none of these, and a RemoteCommand would take its place."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a remote lies.

    Args:
        host: name or address as ssh knows it, without brackets.
        folder: path on the server; relative to the login folder unless it starts with ``/``.
        user: who logs in, None as ssh's configuration has it.
        port: None as ssh's configuration has it.
    """

    host: str
    folder: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, url: RemoteURL, options: SSHOptions) -> Address:
        """Take a URL and the options apart.

        Args:
            url: ``ssh://[user@]host[:port]/path``; ``/~/path`` is relative to the login folder.
            options: give user and port where the URL does not.

        Returns:
            The address.

        Raises:
            InvalidOption: no host, no path, or a host, user or port that is none.
        """
        user = url.user if url.user is not None else options.user
        port = url.port if url.port is not None else options.port
        if not _HOST.fullmatch(url.host):
            raise InvalidOption(f"not the name of a host: {url.host[:80]!r}", hint="write ssh://host/folder")
        if user is not None and not _USER.fullmatch(user):
            raise InvalidOption(f"not the name of a user of {url.host}: {user[:80]!r}")
        if port is not None and not 0 < port < 65536:
            raise InvalidOption(f"not a port: {port}")
        if not url.path or url.query or "\0" in url.path:
            raise InvalidOption(
                f"the URL of a remote on {url.host} must name a folder there and no more: {str(url)[:200]!r}",
                hint=f"write {url.scheme}://{url.host}/folder, or /~/folder for one below the login folder",
            )
        folder = url.path
        if folder == "/~" or folder.startswith("/~/"):
            folder = folder[3:].lstrip("/") or "."
        elif folder.startswith("/~"):
            raise InvalidOption(
                f"the folder of another user must be given by its path: {folder[:80]!r}",
                hint="write /~/folder for one below your own login folder",
            )
        return cls(
            url.host.strip("[]").replace("%25", "%"), folder if folder == "/" else folder.rstrip("/"), user, port
        )

    def __str__(self) -> str:
        return self.host if self.user is None else f"{self.user}@{self.host}"


class Command:
    """Makes the command lines for one address.

    Args:
        address: where to.
        options: what the user set.
        interactive: whether ssh may ask the user for something.
        name: the remote's, for messages.
        environment: to look for the program.
    """

    def __init__(
        self,
        address: Address,
        options: SSHOptions,
        *,
        interactive: bool,
        name: str = "remote",
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.address = address
        self.interactive = interactive
        self.label = f"the remote {name} (ssh to {address})"
        self._options = options
        self._path = environment.get("PATH")
        self._ciphers: Sequence[str] | None = None

    def program(self) -> str:
        """The path of the ssh program.

        Returns:
            The path.

        Raises:
            RemoteError: there is none.
        """
        import shutil

        name = os.path.expanduser(self._options.program)
        found = shutil.which(name, path=self._path)
        if found is None:
            raise RemoteError(f"{self.label}: there is no ssh program {name!r} here", hint=_INSTALL)
        return found

    def subsystem(self, *, verbose: bool = False) -> list[str]:
        """What opens the SFTP subsystem of the server.

        Args:
            verbose: whether ssh tells what it does.

        Returns:
            The arguments, the program first.

        Raises:
            RemoteError: there is no ssh program.
        """
        if self._ciphers is None:
            self._ciphers = ciphers.setting(self.resolved())
        words = [*self._settings(), *self._ciphers]
        return [self.program(), *(["-v"] if verbose else []), *words, "-s", "--", self.address.host, "sftp"]

    def resolved(self) -> list[str]:
        """What prints the settings that ssh comes to, without a connection.

        Returns:
            The arguments, the program first.

        Raises:
            RemoteError: there is no ssh program.
        """
        return [self.program(), "-G", *self._settings(), "--", self.address.host]

    def typed(self) -> str:
        """What a user would type to try the same by hand."""
        port = f" -p {self.address.port}" if self.address.port is not None else ""
        return f"ssh{port} {self.address}"

    def _settings(self) -> Sequence[str]:
        options, address = self._options, self.address
        arguments: list[str] = []
        if options.config_file:
            arguments += ["-F", os.path.expanduser(options.config_file)]
        for setting in _FIXED:
            arguments += ["-o", setting]
        arguments += ["-o", f"BatchMode={'no' if self.interactive else 'yes'}"]
        if options.connect_timeout > 0:
            arguments += ["-o", f"ConnectTimeout={options.connect_timeout}"]
        if options.keepalive > 0:
            arguments += ["-o", f"ServerAliveInterval={options.keepalive}", "-o", "ServerAliveCountMax=3"]
        if options.identity_file:
            arguments += ["-i", os.path.expanduser(options.identity_file)]
        if address.port is not None:
            arguments += ["-p", str(address.port)]
        if address.user is not None:
            arguments += ["-l", address.user]
        return arguments


def may_ask(*, terminal: bool, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody, or a program in their stead, can answer what ssh asks.

    Args:
        terminal: whether kist runs on a terminal.
        environment: may name an askpass program and say that it is to be used.

    Returns:
        False where a question would only wait for ever.
    """
    if terminal:
        return True
    if not environment.get("SSH_ASKPASS"):
        return False
    wish = environment.get("SSH_ASKPASS_REQUIRE", "").lower()
    shown = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return wish in ("force", "prefer") or (bool(shown) and wish != "never")
