"""What a remote on an SSH server lets people set."""

from __future__ import annotations

from dataclasses import dataclass

from kist.abc import Options, RemoteURL, between, option


@dataclass(frozen=True, kw_only=True)
class SSHOptions(Options):
    """Options of a remote on an SSH server; what is not set is as the user's own ssh configuration has it."""

    user: str | None = option(None, help="Name to log in with, where the URL has none.")
    port: int | None = option(None, help="Port of the server, where the URL has none.", choices=between(1, 65535))
    identity_file: str | None = option(None, help="File with the private key to offer (`ssh -i`).")
    config_file: str | None = option(None, help="Configuration of ssh to read instead of `~/.ssh/config` (`ssh -F`).")
    program: str = option("ssh", help="The ssh program: a name on PATH, or a path.")
    connections: int = option(
        1,
        help="Most connections at once, 1 to 16; each logs in by itself, and is made only when it is needed.",
        choices=between(1, 16),
    )
    connect_timeout: int = option(
        15,
        help="Seconds to wait for the server to answer; 0 leaves it to the configuration of ssh.",
        choices=between(0, 86400),
    )
    keepalive: int = option(
        15,
        help="Seconds of silence after which the server is asked for a sign of life, three times; 0 leaves it to the "
        "configuration of ssh.",
        choices=between(0, 86400),
    )
    fsync: bool = option(True, help="Wait until the server's disk has what was stored; off risks it in a power cut.")
    shared: str = option(
        "no",
        help="Who else may write into the remote: nobody beyond the server's umask, the folder's group, or everyone.",
        choices=("no", "group", "everyone"),
        shared=True,
    )

    @classmethod
    def check_url(cls, url: RemoteURL) -> None:
        """Refuse what names no folder on a host."""
        from kist_ssh.command import Address

        Address.parse(url, cls())
