"""Remotes that are broken where they take bytes out of memory."""

from __future__ import annotations

from pathlib import Path

from kist.abc import NullProgress, Progress
from kist.remotes.memory import MemoryRemote
from kist.testing.mutants.remote import REMOTE
from kist.testing.mutants.remote_storing import stored


class Direct(MemoryRemote):
    """Base of mutants that take bytes as they are."""

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        progress: Progress = NullProgress(),
        scratch: Path | None = None,
    ) -> None:
        """As the reference, without a file."""
        self._gate("put_file")
        progress.advance(len(data))
        self.keep(key, data)

    def keep(self, key: str, data: bytes) -> None:
        """Store an object.

        Args:
            key: the key.
            data: its bytes.
        """
        self.objects[key] = stored(data)


@REMOTE.mutant
class BytesTruncated(Direct):
    """Stores the first part of large bytes."""

    def keep(self, key: str, data: bytes) -> None:
        super().keep(key, data[: 8 << 20])


@REMOTE.mutant
class BytesKeepOld(Direct):
    """Keeps the object that bytes were to replace."""

    def keep(self, key: str, data: bytes) -> None:
        self.objects.setdefault(key, stored(data))


@REMOTE.mutant
class BytesSilent(Direct):
    """Tells nothing while it stores bytes."""

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        super().put_bytes(key, data, scratch=scratch)
        progress.advance(0)


@REMOTE.mutant
class BytesBeforeProgress(Direct):
    """Has stored the bytes when it tells of them."""

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        super().put_bytes(key, data, scratch=scratch)
        progress.advance(len(data))


@REMOTE.mutant
class BytesFileStays(MemoryRemote):
    """Leaves the file that it makes of bytes."""

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        if scratch is not None:
            (scratch / "left").write_bytes(data)
        super().put_bytes(key, data, progress=progress, scratch=scratch)
