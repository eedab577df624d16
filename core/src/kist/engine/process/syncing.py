"""Make files durable without waiting for each: write-back starts early, and one wait ends it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from pathlib import Path
from queue import SimpleQueue
from threading import BoundedSemaphore, Lock, Thread

from kist.util.atomic import storage_error, storage_errors, sync_directory, write_beside, write_file

_IN_FLIGHT = 32
_MANY = 64
_TOGETHER = 10_000
"""Files that are replaced together: so many temporary names stand there at once."""


class Syncer:
    """Syncs descriptors according to ``core.fsync``. A failed sync is final: ``wait`` raises it each time.

    Several threads may use it, also while one of them waits.

    Args:
        mode: ``batch``, ``each`` or ``off``.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._jobs: SimpleQueue[int] = SimpleQueue()
        self._slots = BoundedSemaphore(_IN_FLIGHT)
        self._thread: Thread | None = None
        self._lock = Lock()
        self._error: OSError | None = None

    def sync(self, descriptor: int) -> None:
        """See that what was written to a descriptor so far is durable when ``wait`` returns.

        Raises:
            StorageError: mode ``each``, and the disk reports an error.
        """
        if self.mode == "off":
            return
        if self.mode == "each":
            try:
                os.fsync(descriptor)
            except OSError as exc:
                self._error = exc
                raise storage_error(exc) from exc
            return
        with self._lock:  # else a thread that is being ended could get a job
            if self._thread is None:
                self._thread = Thread(target=self._work, name="kist-sync", daemon=True)
                self._thread.start()
            self._slots.acquire()
            self._jobs.put(os.dup(descriptor))

    def wait(self) -> None:
        """Return when everything is durable.

        Raises:
            StorageError: the disk reported an error for any of it.
        """
        self.close()
        if self._error is not None:
            raise storage_error(self._error) from self._error

    def close(self) -> None:
        """End the background thread; what it has in hand is finished."""
        with self._lock:
            if self._thread is not None:
                self._jobs.put(-1)
                self._thread.join()
                self._thread = None

    def files(self, paths: Iterable[Path], root: Path) -> None:
        """Make many closed files durable: one call for the file system where that is cheaper.

        Args:
            paths: the files.
            root: a folder on their file system.

        Raises:
            StorageError: the disk reports an error.
        """
        if self.mode == "off":
            return
        rest = iter(paths)
        first = list(islice(rest, _MANY + 1))
        if len(first) > _MANY and sync_file_system(root):
            return
        for path in chain(first, rest):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self.sync(descriptor)
            finally:
                os.close(descriptor)
        self.wait()

    def folders(self, paths: Iterable[Path]) -> None:
        """Make the names in folders durable: one call for each of their file systems where that is cheaper.

        Raises:
            StorageError: the disk reports an error.
        """
        if self.mode == "off":
            return
        paths = list(paths)
        if len(paths) > _MANY and all(sync_file_system(path) for path in _one_of_each_device(paths)):
            return
        for path in paths:
            try:
                sync_directory(path)
            except OSError as exc:
                raise storage_error(exc, path) from exc

    def _work(self) -> None:
        while (descriptor := self._jobs.get()) >= 0:
            try:
                os.fsync(descriptor)
            except OSError as exc:
                self._error = exc
            finally:
                os.close(descriptor)
                self._slots.release()


def replace_files(files: Mapping[Path, bytes], *, mode: str, token: str) -> None:
    """Replace many small files, each in one step as :func:`kist.util.atomic.write_file` does, and wait for all at once.

    Args:
        files: each file's whole new content.
        mode: as of :class:`Syncer`.
        token: who writes, for the temporary names.

    Raises:
        StorageError: the disk is full, read-only or failing; every file is the old or the new one.
    """
    paths = list(files)
    if len(paths) <= _MANY:
        for path in paths:
            write_file(path, files[path], sync=mode != "off", token=token)
        return
    for start in range(0, len(paths), _TOGETHER):
        _replace_some({path: files[path] for path in paths[start : start + _TOGETHER]}, mode, token)


def _replace_some(files: Mapping[Path, bytes], mode: str, token: str) -> None:
    syncer = Syncer(mode)
    devices: dict[int, list[Path]] = {}
    written: dict[Path, Path] = {}
    try:
        for path, data in files.items():
            with storage_errors(path):
                temporary = written[path] = write_beside(path, data, token=token)
                device = temporary.lstat().st_dev
            devices.setdefault(device, []).append(temporary)
        for some in devices.values():
            syncer.files(some, some[0].parent)
        for path in files:
            with storage_errors(path):
                written[path].replace(path)
            del written[path]
        syncer.folders(sorted({path.parent for path in files}))
    finally:
        syncer.close()
        for temporary in written.values():
            temporary.unlink(missing_ok=True)


def _one_of_each_device(folders: Iterable[Path]) -> Iterable[Path]:
    """Folders that between them lie on all the file systems: any of them may be a link that leads elsewhere."""
    found: dict[int, Path] = {}
    for folder in folders:
        with storage_errors(folder):
            found[folder.stat().st_dev] = folder
    return found.values()


def sync_file_system(folder: Path) -> bool:
    """Make all that was written to a file system durable, where the system can do that and report errors.

    Raises:
        StorageError: the disk reports an error.
    """
    import ctypes
    import sys

    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):
        return False
    with storage_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if library.syncfs(descriptor) == 0:
            return True
        number = ctypes.get_errno()
        raise storage_error(OSError(number, os.strerror(number)), folder)
    finally:
        os.close(descriptor)
