"""Copy large files into a cache as they are hashed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from kist.abc.hasher import Hasher
from kist.abc.progress import Progress
from kist.engine.process.syncing import Syncer
from kist.util.atomic import write_all
from kist.util.copying import share_blocks

_BLOCK = 1 << 20
_SYNC_EVERY = 64 << 20


class StreamCopier:
    """Copies open files, by sharing their blocks where the file system can.

    Args:
        syncer: makes what is written durable.
    """

    def __init__(self, syncer: Syncer) -> None:
        self._syncer = syncer
        self._clone = True

    def copy(self, reader: int, path: Path, hasher: Hasher, size: int | None, progress: Progress) -> tuple[bytes, int]:
        """Copy an open file to a new one, hashed on the way and read-only, durable when the syncer was waited for.

        Args:
            reader: its descriptor, read from where it stands to its end.
            path: the new file.
            hasher: names the content.
            size: how many bytes are expected; of one that has more the rest is left out.
            progress: advanced by the bytes that were read.

        Returns:
            Raw digest and length.

        Raises:
            OSError: the disk is full, read-only or failing.
        """
        running = hasher.new()
        total = unsynced = 0
        target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            source, cloned = (target, True) if self._cloned(reader, target) else (reader, False)
            block = bytearray(_BLOCK)
            view = memoryview(block)
            while count := os.readv(source, [block]):
                total += count
                if size is not None and total > size:
                    break  # it grows: somebody writes to it
                if not cloned:
                    write_all(target, view[:count])
                running.update(view[:count])
                progress.advance(count)
                unsynced += count
                if unsynced >= _SYNC_EVERY and self._syncer.mode == "batch":
                    self._syncer.sync(target)  # the disk starts now, not at the end
                    unsynced = 0
            os.fchmod(target, 0o444)
            self._syncer.sync(target)
        finally:
            os.close(target)
        return running.digest(), total

    def _cloned(self, reader: int, target: int) -> bool:
        """Share the file's blocks where the file system can: then it is read once and written never."""
        if self._clone:
            with suppress(OSError):
                if os.lseek(reader, 0, os.SEEK_CUR) == 0:
                    share_blocks(reader, target)
                    return True
            self._clone = False
        return False
