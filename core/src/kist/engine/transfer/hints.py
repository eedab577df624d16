"""Hints: what a machine remembers of a remote, never a proof of anything there."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from kist.errors import StorageError
from kist.util.atomic import temp_name, write_file


class Hints:
    """Small files in a private folder; losing them costs requests, nothing else.

    Args:
        folder: where they lie, None to remember nothing.

    Attributes:
        frozen: whether they stay as they are, as on a dry run: what is new is not kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.frozen = False

    def recall(self, name: str) -> bytes | None:
        """What was remembered under a name, None if it is not there."""
        descriptor = self.open(name)
        if descriptor < 0:
            return None
        try:
            with open(descriptor, "rb") as file:
                return file.read()
        except OSError:
            return None

    def size(self, name: str) -> int | None:
        """Bytes of what was remembered under a name, None if it is not there."""
        if self._folder is None:
            return None
        try:
            return (self._folder / name).stat().st_size
        except OSError:
            return None

    def remember(self, name: str, data: bytes) -> None:
        """Keep *data*; a disk that refuses is no failure of the transfer."""
        if self._folder is None or self.frozen:
            return
        try:
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(self._folder / name, data, sync=False)
        except (OSError, StorageError):
            return

    def new_file(self, name: str) -> Path | None:
        """A name for a temporary file beside what may be remembered under *name*, None if nothing is."""
        if self._folder is None or self.frozen:
            return None
        target = self._folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            return None
        return target.with_name(temp_name(target.name))

    def adopt(self, name: str, path: Path) -> None:
        """Keep what a file holds, which may be moved away; a disk that refuses is no failure of the transfer."""
        temporary = self.new_file(name)
        if self._folder is None or temporary is None:
            return
        target = self._folder / name
        try:
            try:
                os.replace(path, target)
            except OSError:  # another file system
                shutil.copyfile(path, temporary)
                os.replace(temporary, target)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def open(self, name: str) -> int:
        """A descriptor of what was remembered under a name, the caller's to close; -1 if it is not there."""
        if self._folder is None:
            return -1
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return -1
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # nobody waits for a FIFO
            return descriptor
        os.close(descriptor)
        return -1

    def forget(self, name: str) -> None:
        """Drop what was remembered under a name."""
        if self._folder is None or self.frozen:
            return
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError:
            return

    @property
    def empty(self) -> bool:
        """Whether nothing is remembered."""
        try:
            return self._folder is None or not any(self._folder.iterdir())
        except OSError:
            return True

    def clear(self) -> None:
        """Drop everything."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
