"""Hasher: names bytes.

What you write: a module with a ``kist_make_hasher`` hook that returns your Hasher for its algorithm, and an entry
point ``<algorithm> = "<module>"`` in the group ``kist.hashers``. Check it with ``kist.testing.HasherContract``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Protocol

from kist.model.digest import Digest

Buffer = bytes | bytearray | memoryview


class RunningHash(Protocol):
    """A hash being computed, as in :mod:`hashlib`."""

    def update(self, data: Buffer, /) -> object:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """The raw digest of all bytes so far."""


class Hasher(ABC):
    """Names bytes by one algorithm. Thread-safe; keeps no state between calls; memory use is constant.

    Attributes:
        name: the algorithm, lower case, ``[a-z0-9][a-z0-9_-]*``; part of every digest.
        digest_size: bytes of one raw digest, 8 to 64.
    """

    name: str
    digest_size: int

    @abstractmethod
    def new(self) -> RunningHash:
        """A running hash with nothing in it yet."""

    def raw(self, data: Buffer) -> bytes:
        """The raw digest of *data*."""
        running = self.new()
        running.update(data)
        return running.digest()

    def raw_many(self, buffers: Iterable[Buffer]) -> bytes:
        """The raw digests of many buffers, joined: ``digest_size`` bytes a buffer, in their order."""
        raw = self.raw
        return b"".join([raw(buffer) for buffer in buffers])

    def digest(self, data: Buffer) -> Digest:
        """The name of *data*."""
        return Digest(self.name, self.raw(data).hex())
