"""Remotes in S3 and in stores that speak its protocol: hook implementations only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist import hookimpl

if TYPE_CHECKING:
    from kist.abc import Options, Remote, RemoteScope, RemoteURL


@hookimpl
def kist_remote_options(scheme: str) -> type[Options] | None:
    """Tell the options of ``s3`` remotes."""
    if scheme != "s3":
        return None
    from kist_s3.options import S3Options

    return S3Options


@hookimpl
def kist_open_remote(url: RemoteURL, options: Options, scope: RemoteScope) -> Remote | None:
    """Open a bucket, or a prefix in it, as a remote."""
    if url.scheme != "s3":
        return None
    from kist_s3.remote import S3Remote

    return S3Remote.from_url(url, options, scope)
