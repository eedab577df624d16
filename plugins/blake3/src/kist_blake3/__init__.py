"""The BLAKE3 hasher of kist: hook implementations only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist import hookimpl

if TYPE_CHECKING:
    from kist.abc import Hasher


@hookimpl
def kist_make_hasher(algorithm: str) -> Hasher | None:
    """Make the hasher for ``blake3``."""
    if algorithm != "blake3":
        return None
    from kist_blake3.hasher import Blake3Hasher

    return Blake3Hasher()
