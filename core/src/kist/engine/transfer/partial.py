"""Partial files: large objects on their way in, continued by the next command when one was killed."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kist.engine.process.leases import Lease
from kist.engine.process.locks import NO_FLOCK, Holder
from kist.model.digest import Digest
from kist.util.atomic import storage_errors

KEEP_PARTIAL = 14 * 86400.0
"""Seconds after which a half-fetched object that nobody touched is dropped."""


@contextmanager
def partial_file(folder: Path, digest: Digest, size: int) -> Iterator[tuple[Path, int]]:
    """The partial file of an object, locked for a block; another process or user gets one of its own.

    Args:
        folder: where partial files stand; made if it is not there.
        digest: the object.
        size: its bytes.

    Yields:
        The file, and a descriptor of it. It stays where the block fails, and goes where it ends well.

    Raises:
        StorageError: it cannot be made.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _drop_old(folder)
        path = folder / f"{digest.algorithm}-{digest.hex}"
        descriptor, lease = _locked(path)
        own = descriptor < 0
        if own:
            descriptor, name = tempfile.mkstemp(prefix="own-", dir=folder)
            path = Path(name)
    try:
        with storage_errors(path):
            os.ftruncate(descriptor, size)
        yield path, descriptor
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
        if own:
            path.unlink(missing_ok=True)
        if lease is not None:
            lease.discard()


def _locked(path: Path) -> tuple[int, Lease | None]:
    """A descriptor of the file, locked, by a lease where there are no kernel locks; -1 if it cannot be had.

    That is if somebody else works on it, or it is another user's.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except PermissionError:
        return -1, None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno in NO_FLOCK:
            lease = Lease(path, Holder.this("fetch"), shared=False)
            if lease.try_acquire():
                return descriptor, lease
        os.close(descriptor)
        return -1, None
    return descriptor, None


def written(descriptor: int, offset: int, size: int) -> int:
    """How many bytes of a range of a partial file were written from its start on, as the holes in the file tell.

    Args:
        descriptor: of the file.
        offset: where the range begins.
        size: its length.

    Returns:
        Bytes that are worth checking; all of them where the file system tells no holes.
    """
    try:
        hole = os.lseek(descriptor, offset, os.SEEK_HOLE)
    except OSError:
        return 0
    return min(max(0, hole - offset), size)


def _drop_old(folder: Path) -> None:
    """Remove partial files that nobody continued."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > KEEP_PARTIAL:
                Path(entry.path).unlink(missing_ok=True)


class Buffers:
    """One buffer a thread for what comes: a new one for every piece costs the system as much as the copying itself.

    Args:
        size: bytes of each.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._here = threading.local()

    def next(self, reader: BinaryIO, most: int) -> bytes | memoryview:
        """The next bytes, as soon as some have come: they are kept even if no more comes.

        Args:
            reader: where they come from.
            most: how many are wanted at most.

        Returns:
            The bytes, valid until the next call in this thread; none at the end.
        """
        most = min(most, self._size)
        if not hasattr(reader, "readinto1"):
            data: bytes = getattr(reader, "read1", reader.read)(most)
            return data
        if not hasattr(self._here, "buffer"):
            self._here.buffer = memoryview(bytearray(self._size))
        buffer: memoryview = self._here.buffer
        return buffer[: reader.readinto1(buffer[:most])]
