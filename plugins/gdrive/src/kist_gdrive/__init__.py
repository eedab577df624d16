"""Remotes on Google Drive: hook implementations only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist import hookimpl

if TYPE_CHECKING:
    from kist.abc import Options, Remote, RemoteScope, RemoteURL


@hookimpl
def kist_remote_options(scheme: str) -> type[Options] | None:
    """Tell the options of ``gdrive`` remotes."""
    if scheme != "gdrive":
        return None
    from kist_gdrive.options import DriveOptions

    return DriveOptions


@hookimpl
def kist_open_remote(url: RemoteURL, options: Options, scope: RemoteScope) -> Remote | None:
    """Open a folder of Google Drive as a remote."""
    if url.scheme != "gdrive":
        return None
    from kist_gdrive.remote import DriveRemote

    return DriveRemote.from_url(url, options, scope)
