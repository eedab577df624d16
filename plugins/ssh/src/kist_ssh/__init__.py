"""Remotes on SSH servers: hook implementations only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist import hookimpl

if TYPE_CHECKING:
    from kist.abc import Options, Remote, RemoteScope, RemoteURL

_SCHEMES = ("ssh", "sftp")


@hookimpl
def kist_remote_options(scheme: str) -> type[Options] | None:
    """Tell the options of ``ssh`` and ``sftp`` remotes."""
    if scheme not in _SCHEMES:
        return None
    from kist_ssh.options import SSHOptions

    return SSHOptions


@hookimpl
def kist_open_remote(url: RemoteURL, options: Options, scope: RemoteScope) -> Remote | None:
    """Open a folder on an SSH server as a remote."""
    if url.scheme not in _SCHEMES:
        return None
    from kist_ssh.remote import SSHRemote

    return SSHRemote.from_url(url, options, scope)
