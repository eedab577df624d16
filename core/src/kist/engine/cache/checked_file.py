"""CheckedFile: an object as a stream that is compared with its name at its end."""

from __future__ import annotations

import io
import os

from kist.abc.hasher import Hasher, RunningHash
from kist.errors import ObjectCorrupt
from kist.model.digest import Digest
from kist.util.atomic import storage_error


class CheckedFile(io.RawIOBase):
    """A file that is hashed as it is read, and compared with its name at its end."""

    def __init__(self, descriptor: int, digest: Digest, hasher: Hasher) -> None:
        self._descriptor = descriptor
        self._digest = digest
        self._running: RunningHash = hasher.new()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into *buffer*; 0 at the end, once the content has proved good."""
        try:
            count = os.readv(self._descriptor, [buffer])
        except OSError as exc:
            raise storage_error(exc) from exc
        if count:
            self._running.update(memoryview(buffer)[:count])
        elif self._running.digest().hex() != self._digest.hex:
            actual = f"{self._digest.algorithm}:{self._running.digest().hex()}"
            raise ObjectCorrupt(str(self._digest), actual=actual, where="the cache")
        return count

    def close(self) -> None:
        """Close the file; may be called twice."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()
