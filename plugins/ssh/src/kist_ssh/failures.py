"""What ssh and SFTP servers say, as errors of a remote."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kist.errors import (
    RemoteAuthError,
    RemoteError,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemoteQuotaExceeded,
    RemoteUnavailable,
)
from kist_ssh import protocol
from kist_ssh.command import Command

_LINE = 300
_LINES = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """How a connection ended: makes a fresh error for each call that hears of it.

    Args:
        kind: the class of the error.
        message: what happened.
        hint: what to do.
        retryable: None: as the class has it.
    """

    kind: type[RemoteError]
    message: str
    hint: str | None = None
    retryable: bool | None = None

    def error(self) -> RemoteError:
        """The error, not raised."""
        error = self.kind(self.message, hint=self.hint)
        if self.retryable is not None:
            error.retryable = self.retryable
        return error


def shown(text: str) -> str:
    """Somebody else's text as it may be printed: one line, no control characters, not too long.

    Args:
        text: what ssh or a server said.

    Returns:
        The text, escaped.
    """
    escaped = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text.strip())
    return escaped if len(escaped) <= _LINE else escaped[:_LINE] + "…"


class Talk:
    """The last lines that ssh wrote to its standard error, bounded however much there is."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []

    def add(self, data: bytes) -> list[str]:
        """Take what was read.

        Args:
            data: bytes; lines may be split anywhere.

        Returns:
            The lines that are complete now, escaped.
        """
        *lines, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[-4 * _LINE :]
        fresh = [one for line in lines if (one := shown(line.decode("utf-8", "replace")))]
        self._lines = (self._lines + fresh)[-_LINES:]
        return fresh

    def lines(self) -> list[str]:
        """What there is, the last line too."""
        rest = shown(self._rest.decode("utf-8", "replace"))
        return [*self._lines, rest] if rest else list(self._lines)


_Rule = tuple[str, Callable[[Command, str], Failure]]


def _auth(hint: str) -> Callable[[Command, str], Failure]:
    def make(command: Command, message: str) -> Failure:
        return Failure(RemoteAuthError, message, hint.format(typed=command.typed(), host=command.address.host))

    return make


def _away(hint: str, *, retryable: bool | None = None) -> Callable[[Command, str], Failure]:
    def make(command: Command, message: str) -> Failure:
        text = hint.format(typed=command.typed(), host=command.address.host)
        return Failure(RemoteUnavailable, message, text, retryable)

    return make


def _wrong(hint: str) -> Callable[[Command, str], Failure]:
    def make(command: Command, message: str) -> Failure:
        return Failure(RemoteError, message, hint.format(typed=command.typed(), host=command.address.host))

    return make


_RULES: tuple[_Rule, ...] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed|Offending .*key",
        _auth(
            "the server shows another key than the one known for it: somebody may be listening, or it was set up anew; "
            "ask its administrator, then remove the old key with 'ssh-keygen -R {host}'"
        ),
    ),
    (
        r"host key is known for|Host key verification failed",
        _auth(
            "the server's key is not known here: run '{typed}' once in a terminal, compare the key that it shows with "
            "the server's, and say yes"
        ),
    ),
    (
        r"Permission denied|Too many authentication failures|No more authentication methods|no such identity",
        _auth(
            "try '{typed}' in a terminal; 'ssh-add -l' shows the keys of the agent, the options user and identity_file "
            "name others"
        ),
    ),
    (
        r"[Ss]ubsystem request failed",
        _wrong("the server offers no SFTP: its sshd_config needs a line such as 'Subsystem sftp internal-sftp'"),
    ),
    (
        r"[Bb]ad (configuration|owner|permissions)|[Uu]nsupported option|terminating, \d+ bad|Can't open user config",
        _wrong("ssh does not accept its configuration or an option: try '{typed}' in a terminal"),
    ),
    (
        r"Unable to negotiate|no matching .* found",
        _wrong("ssh and the server have no algorithm in common: try '{typed}' in a terminal"),
    ),
    (
        r"Could not resolve hostname .*(not known|No address|No such host|nodename nor)",
        _away("is the name of the host spelled right? '{typed}' in a terminal must find it too", retryable=False),
    ),
    (r"Could not resolve hostname", _away("is there a network connection?")),
    (r"Connection refused", _away("does an SSH server run on {host}, and on that port?")),
    (r"timed out|[Tt]imeout|No route to host|unreachable", _away("is {host} up, and may one reach it from here?")),
    (r"open failed|refused by peer|mux_client", _away("the server opens no more sessions: set 'connections' to 1")),
)
"""The first that matches anything in what ssh said decides."""


def of_ssh(command: Command, lines: Sequence[str], ending: str) -> Failure:
    """What it means that ssh ended.

    Args:
        command: what was run.
        lines: its last words, escaped.
        ending: how it ended, in a few words.

    Returns:
        The failure.
    """
    spoken = [line for line in lines if not line.startswith(("debug", "@@@")) and not _NOTICE.search(line)]
    for pattern, make in _RULES:
        if matching := [line for line in spoken if re.search(pattern, line)]:
            return make(command, _about(command, "; ".join(matching[-2:])))
    said = "; ".join(spoken[-3:])
    message = _about(command, f"{ending}: {said}" if said else ending)
    return _away("try '{typed}' in a terminal")(command, message)


_NOTICE = re.compile(r"Permanently added|\*\* WARNING: connection is not using|store now, decrypt later|openssh.com/pq")


def _about(command: Command, text: str) -> str:
    return f"{command.label}: {text}"


def no_sftp(command: Command, first: bytes, lines: Sequence[str]) -> Failure:
    """What it means that the first bytes that came are not SFTP.

    Args:
        command: what was run.
        first: the bytes.
        lines: ssh's last words, escaped.

    Returns:
        The failure.
    """
    said = shown(first.decode("utf-8", "replace")) or "; ".join(lines[-3:])
    return Failure(
        RemoteError,
        _about(command, f"the server speaks no SFTP but says: {said}"),
        "a login script there may print something: move that behind a test for a terminal",
    )


def of_status(status: protocol.Status, key: str, what: str) -> RemoteError:
    """The error for a server's refusal.

    Args:
        status: what it said.
        key: the key that it is about.
        what: what was tried, where, in a few words.

    Returns:
        The error, not raised.
    """
    message = f"{what}: {shown(status.text) or 'refused'}"
    code = status.code
    if code == protocol.NO_SUCH_FILE:
        return RemoteObjectNotFound(key)
    if code == protocol.PERMISSION_DENIED:
        return RemotePermissionError(message, hint="check who may write and read there")
    if code == protocol.WRITE_PROTECT:
        return RemotePermissionError(message, hint="the file system there is read-only")
    if code in (protocol.NO_SPACE, protocol.QUOTA):
        return RemoteQuotaExceeded(message, hint="free some space there and run the command again")
    if code in (protocol.NO_CONNECTION, protocol.CONNECTION_LOST):
        return RemoteUnavailable(message)
    return RemoteError(message, hint="'kist doctor --remote NAME' shows what works there and what does not")
