"""BLAKE3 by the reference implementation's Python binding."""

from __future__ import annotations

from collections.abc import Iterable

from blake3 import blake3

from kist.abc import Hasher, RunningHash


class Blake3Hasher(Hasher):
    """BLAKE3 with 32-byte digests, one thread a hash."""

    name = "blake3"
    digest_size = 32

    def new(self) -> RunningHash:
        """A running hash with nothing in it yet."""
        return blake3()

    def raw(self, data: bytes | bytearray | memoryview) -> bytes:
        """The raw digest of *data*."""
        return blake3(data).digest()

    def raw_many(self, buffers: Iterable[bytes | bytearray | memoryview]) -> bytes:
        """The raw digests of many buffers, joined."""
        return b"".join([blake3(buffer).digest() for buffer in buffers])
