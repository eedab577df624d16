"""Broken hashers."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kist.abc.hasher import Buffer, Hasher, RunningHash
from kist.model.digest import Digest
from kist.testing.hasher import HasherContract
from kist.testing.mutants.running import Kind


class Sha256(Hasher):
    """The reference: SHA-256 of the standard library."""

    name = "sha256"
    digest_size = 32

    def new(self) -> RunningHash:
        """A running hash."""
        return hashlib.sha256()


def _fixtures(subject: type, _folder: Path) -> Mapping[str, object]:
    return {"hasher": subject()}


HASHER = Kind("hasher", HasherContract, Sha256, _fixtures)


class Running:
    """Base of running hashes that do something else on the way.

    Args:
        data: bytes to begin with.
    """

    def __init__(self, data: bytes = b"") -> None:
        self.hash = hashlib.sha256(data)

    def update(self, data: Buffer, /) -> None:
        """Take in more bytes."""
        self.hash.update(data)

    def digest(self) -> bytes:
        """The raw digest."""
        return self.hash.digest()


@HASHER.mutant
class ShoutedName(Sha256):
    """Writes its name in capitals."""

    name = "SHA256"

    def digest(self, data: Buffer) -> Digest:
        return Digest("SHA256", self.raw(data).hex())


@HASHER.mutant
class WrongSize(Sha256):
    """Declares another size than its digests have."""

    digest_size = 31


@HASHER.mutant
class OtherName(Sha256):
    """Names digests by another algorithm."""

    def digest(self, data: Buffer) -> Digest:
        return Digest("sha512", self.raw(data).hex())


@HASHER.mutant
class PaddedChunks(Sha256):
    """Takes every piece as a block of its own."""

    def new(self) -> RunningHash:
        class Padded(Running):
            def update(self, data: Buffer, /) -> None:
                self.hash.update(bytes(data) + b"\0" * (-len(data) % 2))

        return Padded()

    def raw(self, data: Buffer) -> bytes:
        return hashlib.sha256(bytes(data) + b"\0" * (len(data) % 2)).digest()


@HASHER.mutant
class EmptyCounts(Sha256):
    """Takes an empty piece for a separator."""

    def new(self) -> RunningHash:
        class Separating(Running):
            def update(self, data: Buffer, /) -> None:
                self.hash.update(bytes(data) or b"\0")

        return Separating()


@HASHER.mutant
class LastBlockOnly(Sha256):
    """Loses what came before when much is taken in."""

    def new(self) -> RunningHash:
        class Forgetful(Running):
            taken = 0

            def update(self, data: Buffer, /) -> None:
                self.taken += len(data)
                if self.taken > 60_000:
                    self.hash, self.taken = hashlib.sha256(), 0
                self.hash.update(data)

        return Forgetful()


@HASHER.mutant
class ManySorted(Sha256):
    """Joins the digests of many buffers in another order."""

    def raw_many(self, buffers: Iterable[Buffer]) -> bytes:
        return b"".join(sorted(self.raw(buffer) for buffer in buffers))


@HASHER.mutant
class BytesOnly(Sha256):
    """Takes bytes only."""

    def raw(self, data: Buffer) -> bytes:
        return super().raw(data) if isinstance(data, bytes) else bytes(32)


@HASHER.mutant
class WholeBuffer(Sha256):
    """Looks at the buffer behind a view."""

    def raw(self, data: Buffer) -> bytes:
        return super().raw(data.obj if isinstance(data, memoryview) else data)  # type: ignore[arg-type]


@HASHER.mutant
class TextMode(Sha256):
    """Takes line ends of Windows for those of Unix."""

    def raw(self, data: Buffer) -> bytes:
        found = bytes(data)
        return super().raw(found.replace(b"\r\n", b"\n") if len(found) < 10 else found)


@HASHER.mutant
class SevenBits(Sha256):
    """Drops the highest bit of a byte of zeros."""

    def raw(self, data: Buffer) -> bytes:
        found = bytes(data)
        return super().raw(bytes(len(found)) if found.strip(b"\0") == b"\x80" else found)


@HASHER.mutant
class SharedState(Sha256):
    """Gives everybody the same running hash after the first."""

    def new(self) -> RunningHash:
        shared = Running()

        class Ending(Running):
            def digest(self) -> bytes:
                found = super().digest()
                self.hash = shared.hash.copy()
                return found

        return Ending()


@HASHER.mutant
class OneScratch(Sha256):
    """Collects in one place for all threads."""

    def __init__(self) -> None:
        self.scratch: list[bytes] = []
        self.owner = threading.get_ident()

    def raw(self, data: Buffer) -> bytes:
        if threading.get_ident() == self.owner:
            return super().raw(data)
        self.scratch = [bytes(data)]
        time.sleep(0.0005)
        return super().raw(b"".join(self.scratch))


@HASHER.mutant
class KeepsEverything(Sha256):
    """Keeps all bytes until the end."""

    def new(self) -> RunningHash:
        class Keeping(Running):
            def __init__(self) -> None:
                super().__init__()
                self.kept: list[bytes] = []

            def update(self, data: Any, /) -> None:
                super().update(data)
                self.kept.append(bytes(bytearray(data)))

        return Keeping()
