"""SHA3-256 from the standard library."""

from __future__ import annotations

import hashlib

from kist.abc import Hasher, RunningHash


class Sha3Hasher(Hasher):
    """SHA3-256 with 32-byte digests."""

    name = "sha3-256"
    digest_size = 32

    def new(self) -> RunningHash:
        """A running hash with nothing in it yet."""
        return hashlib.sha3_256()
