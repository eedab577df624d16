"""Remotes in folders: hook implementations only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist import hookimpl

if TYPE_CHECKING:
    from kist.abc import Options, Remote, RemoteURL


@hookimpl
def kist_remote_options(scheme: str) -> type[Options] | None:
    """Tell the options of ``file`` remotes."""
    if scheme != "file":
        return None
    from kist_local.options import LocalOptions

    return LocalOptions


@hookimpl
def kist_open_remote(url: RemoteURL, options: Options) -> Remote | None:
    """Open a folder as a remote."""
    if url.scheme != "file":
        return None
    from kist_local.remote import LocalRemote

    return LocalRemote.from_url(url, options)
