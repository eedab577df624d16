"""Hashers of the standard library: md5, sha1, sha256, sha512, blake2b."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from kist import hookimpl
from kist.abc.hasher import Buffer, Hasher, RunningHash
from kist.errors import PluginError

SIZES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "blake2b": 64}
"""Algorithm -> bytes of one raw digest."""


class HashlibHasher(Hasher):
    """One algorithm of :mod:`hashlib`.

    Args:
        algorithm: a key of ``SIZES``.

    Raises:
        PluginError: this Python was built without it.
    """

    def __init__(self, algorithm: str) -> None:
        self.name = algorithm
        self.digest_size = SIZES[algorithm]
        self._make: Callable[..., Any] = getattr(hashlib, algorithm)
        try:
            # Objects are named, not protected: machines that forbid MD5 for secrets allow it for that.
            self._make(usedforsecurity=False)
        except ValueError as exc:
            raise PluginError(f"this Python has no {algorithm}: {exc}") from exc

    def new(self) -> RunningHash:
        """A running hash with nothing in it yet."""
        running: RunningHash = self._make(usedforsecurity=False)
        return running

    def raw(self, data: Buffer) -> bytes:
        """The raw digest of *data*."""
        digest: bytes = self._make(data, usedforsecurity=False).digest()
        return digest

    def raw_many(self, buffers: Iterable[Buffer]) -> bytes:
        """The raw digests of many buffers, joined."""
        make = self._make
        return b"".join([make(buffer, usedforsecurity=False).digest() for buffer in buffers])


@hookimpl
def kist_make_hasher(algorithm: str) -> Hasher | None:
    """Make the hasher of one of the standard library's algorithms."""
    return HashlibHasher(algorithm) if algorithm in SIZES else None
