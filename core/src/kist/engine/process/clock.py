"""The clock of a file system: the only one that may be compared with the times of its files."""

from __future__ import annotations

import os
from pathlib import Path

from kist.util.atomic import discard, temp_name

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileClock:
    """Tells the time of file systems as it was when it was first asked, by the mtime of a file just written there.

    Args:
        folder: a private folder that is preferred for the file if it lies on the file system in question.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._times: dict[int, int | None] = {}

    def at(self, directory: int) -> int | None:
        """The time of the file system of an open folder.

        Args:
            directory: its descriptor.

        Returns:
            ns since the epoch, None if no file can be written there.
        """
        try:
            device = os.fstat(directory).st_dev
            if device not in self._times:
                self._times[device] = self._private(device) or _written_in(directory)
        except OSError:
            return None
        return self._times[device]

    def _private(self, device: int) -> int | None:
        if self._folder is None:
            return None
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return _written_in(descriptor) if os.fstat(descriptor).st_dev == device else None
        finally:
            os.close(descriptor)


def _written_in(directory: int) -> int | None:
    nameless = _nameless(directory)
    name = None if nameless is not None else temp_name("clock")
    try:
        descriptor = nameless if nameless is not None else os.open(name or "", _CREATE, 0o600, dir_fd=directory)
    except OSError:
        return None
    try:
        os.write(descriptor, b"\n")  # on some file systems only a write takes the server's time
        return os.fstat(descriptor).st_mtime_ns
    except OSError:
        return None
    finally:
        os.close(descriptor)
        if name is not None:
            discard(name, directory)


def _nameless(directory: int) -> int | None:
    """A file without a name, of which a kill leaves nothing; None where the system has none."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        return os.open(".", flag | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError:
        return None
