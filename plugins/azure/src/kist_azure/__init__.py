"""Remotes in Azure Blob Storage: hook implementations only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist import hookimpl

if TYPE_CHECKING:
    from kist.abc import Options, Remote, RemoteScope, RemoteURL

_SCHEMES = ("az", "azure", "abfs")


@hookimpl
def kist_remote_options(scheme: str) -> type[Options] | None:
    """Tell the options of ``az``, ``azure`` and ``abfs`` remotes."""
    if scheme not in _SCHEMES:
        return None
    from kist_azure.options import AzureOptions

    return AzureOptions


@hookimpl
def kist_open_remote(url: RemoteURL, options: Options, scope: RemoteScope) -> Remote | None:
    """Open a container, or a folder of one, as a remote."""
    if url.scheme not in _SCHEMES:
        return None
    from kist_azure.remote import AzureRemote

    return AzureRemote.from_url(url, options, scope)
