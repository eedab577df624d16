"""Tell how a server is reached and who we are there, as ssh itself tells it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from kist.errors import RemoteError
from kist_ssh.command import Command
from kist_ssh.failures import of_ssh, shown

_SHOWN = ("user", "hostname", "port", "proxyjump", "controlmaster", "userknownhostsfile")
_PATIENCE = 60.0
_MOST = 1 << 20
_FACTS = (
    (r"debug1: Offering public key: (.*)", "key offered"),
    (r"debug1: Server accepts key: (.*)", "key accepted"),
    (r"debug1: Next authentication method: (.*)", "method tried"),
    (r"Authenticated to (.*)", "logged in"),
    (r"debug1: auto-mux: Trying existing master(.*)", "shared connection (ControlMaster)"),
)


def settings(command: Command) -> list[tuple[str, str]]:
    """What ssh's configuration comes to for this server; no connection is made.

    Args:
        command: for the server.

    Returns:
        Labels and texts.

    Raises:
        RemoteError: there is no ssh program, or it does not accept its configuration.
    """
    arguments = command.resolved()
    done = _run(command, arguments)
    told: dict[str, str] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(" ")
        if name in _SHOWN:
            told[name] = shown(value)
    if done.returncode or "hostname" not in told:
        talk = [shown(line) for line in done.stderr.decode("utf-8", "replace").splitlines()]
        raise of_ssh(command, talk, f"ssh -G ended with code {done.returncode}").error()
    pairs = [
        ("ssh program", arguments[0]),
        ("server", f"{told.get('user', '?')}@{told['hostname']} port {told.get('port', '22')}"),
        ("known hosts", told.get("userknownhostsfile", "none")),
    ]
    if "proxyjump" in told:
        pairs.append(("by way of", told["proxyjump"]))
    if told.get("controlmaster", "false") != "false":
        pairs.append(("ControlMaster", told["controlmaster"]))
    return pairs


def login(command: Command) -> list[tuple[str, str]]:
    """Log in once more with ssh telling what it does.

    Args:
        command: for the server.

    Returns:
        Labels and texts: the keys and methods that were tried, and which won.

    Raises:
        RemoteError: there is no ssh program, or it cannot be run.
    """
    done = _run(command, command.subsystem(verbose=True))
    facts: list[tuple[str, str]] = []
    for line in done.stderr[:_MOST].decode("utf-8", "replace").splitlines():
        for pattern, label in _FACTS:
            if found := re.match(pattern, line.strip()):
                facts.append((label, shown(found[1]) or "yes"))
    return facts


def describe(command: Command) -> list[tuple[str, str]]:
    """How the server is reached: first by configuration, then by trying.

    Args:
        command: for the server.

    Returns:
        Labels and texts; what fails is told as text.
    """
    pairs: list[tuple[str, str]] = []
    for part in (settings, login):
        try:
            pairs += part(command)
        except RemoteError as exc:
            return [*pairs, ("ssh", str(exc))]
    return pairs


def _run(command: Command, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run ssh with nothing to read, so that a session ends as soon as it has begun."""
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=None if command.interactive else _PATIENCE,
            start_new_session=not command.interactive,
            check=False,
        )
    raise RemoteError(f"{command.label}: {arguments[0]} cannot be run, or does not end")
