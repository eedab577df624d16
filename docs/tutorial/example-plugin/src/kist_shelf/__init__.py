"""A remote in one SQLite file, and the SHA3-256 hash: hook implementations only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist import hookimpl

if TYPE_CHECKING:
    from kist.abc import Hasher, Options, Remote, RemoteURL


@hookimpl
def kist_remote_options(scheme: str) -> type[Options] | None:
    """Tell the options of ``shelf`` remotes."""
    if scheme != "shelf":
        return None
    from kist_shelf.options import ShelfOptions

    return ShelfOptions


@hookimpl
def kist_open_remote(url: RemoteURL, options: Options) -> Remote | None:
    """Open the file that the URL names."""
    if url.scheme != "shelf":
        return None
    from kist_shelf.remote import ShelfRemote

    return ShelfRemote.from_url(url, options)


@hookimpl
def kist_make_hasher(algorithm: str) -> Hasher | None:
    """Make the hasher of ``sha3-256``."""
    if algorithm != "sha3-256":
        return None
    from kist_shelf.hasher import Sha3Hasher

    return Sha3Hasher()
