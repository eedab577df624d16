"""Scratch: where a process keeps what is not finished, so that the next one can sweep it if it was killed.

``tmp/<token>/`` holds files; ``tmp/<token>.lock`` is locked as long as the process lives, and lists the folders in
which temporary files with the token in their name (``kist.util.atomic.temp_name``) may stand.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from kist.engine.process.locks import NO_FLOCK, Holder
from kist.util.atomic import (
    OPEN_FOLDER,
    TEMP_MARK,
    new_token,
    storage_errors,
    sync_directory,
    take_left,
    token_host,
    write_all,
    write_file,
)

_LOCK_NAME = re.compile(r"[a-z0-9-]{1,60}\.lock")
_OLD = 14 * 86400.0
"""Seconds after which left-overs of another machine are swept where no kernel lock can tell."""


class Scratch:
    """The scratch folder of one process, for a ``with`` statement.

    Args:
        base: the folder of all scratch folders; made if it is not there.
        verb: what this process does.

    Attributes:
        token: goes into the names of temporary files outside of the folder.
        path: the folder.
    """

    def __init__(self, base: Path, *, verb: str = "") -> None:
        self._base = base
        self._verb = verb
        self._numbers = itertools.count()
        self._registered: set[bytes] = set()
        self._descriptor = -1
        self.token = ""

    @property
    def path(self) -> Path:
        """The folder; it exists inside the ``with`` statement."""
        return self._base / self.token

    def __enter__(self) -> Self:
        with storage_errors(self._base):
            self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
            while self._descriptor < 0:
                self.token = new_token()
                self._descriptor = _claim(self._lock_file)
            try:
                write_all(self._descriptor, Holder.this(self._verb).dump().encode() + b"\0")
                self.path.mkdir(mode=0o700)
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Remove the folder, and temporary files that an error left in registered folders."""
        try:
            if exc_info[0] is not None or take_left(self.token):
                _sweep_folders(self._registered, self.token)
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():  # else the lock file stays too, so that a later sweep finds the folder
                with suppress(OSError):
                    self._lock_file.unlink()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def file(self, suffix: str = "") -> Path:
        """A name for a new file in the folder.

        Args:
            suffix: what the name ends with.

        Returns:
            A path that nothing has yet.
        """
        return self.path / f"{next(self._numbers)}{suffix}"

    def register(self, folders: Iterable[bytes], *, sync: bool = True) -> None:
        """Say where temporary files with the token will stand, before the first one does.

        Args:
            folders: absolute paths.
            sync: whether to wait for the disk, so that they are found after a power cut too.

        Raises:
            StorageError: the list cannot be written.
        """
        new = [folder for folder in dict.fromkeys(folders) if folder not in self._registered]
        if not new:
            return
        with storage_errors(self._lock_file):
            write_all(self._descriptor, b"".join(folder + b"\0" for folder in new))
            if sync:
                os.fdatasync(self._descriptor)
                if not self._registered:
                    sync_directory(self._base)
        self._registered.update(new)

    def token_for(self, folder: str | os.PathLike[str]) -> str:
        """Say that temporary files will stand in *folder*.

        Args:
            folder: a folder; relative ones count from the current one.

        Returns:
            The token for their names.

        Raises:
            StorageError: the list of folders cannot be written.
        """
        self.register([os.fsencode(os.path.abspath(folder))])
        return self.token

    @property
    def _lock_file(self) -> Path:
        return self._base / f"{self.token}.lock"


def owner_gone(name: str) -> bool:
    """Whether the process that made a token on this machine is dead; False where that cannot be told.

    Args:
        name: a name that ends with the token.
    """
    made = re.search(rf"{re.escape(token_host())}-(\d+)-[0-9a-f]{{8}}$", name)
    if made is None:
        return False
    try:
        os.kill(int(made[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def write_alone(path: Path, data: bytes, *, mode: int | None = None, sync: bool = True) -> None:
    """Replace a file that belongs to no repository, so that no scratch folder is there to tell what a kill leaves.

    What earlier writers left beside it goes first.

    Args:
        path: the file.
        data: its whole new content.
        mode: see :func:`kist.util.atomic.write_file`.
        sync: whether to wait for the disk.

    Raises:
        StorageError: the disk is full, read-only or failing; the old file is untouched.
    """
    with storage_errors(path.parent):
        _sweep_alone(path.parent, f".{path.name[:40]}")
    write_file(path, data, mode=mode, sync=sync, token=new_token())


def sweep_alone(folder: Path) -> None:
    """Remove temporary files of dead processes from a folder where also those write that have no scratch folder.

    Args:
        folder: where; it may be absent.
    """
    with suppress(OSError):
        _sweep_alone(folder)


def _sweep_alone(folder: Path, only: str = "") -> None:
    for name in os.listdir(folder):
        start, mark, end = name.partition(TEMP_MARK)
        if mark and only in ("", start) and owner_gone(end.rpartition("-")[0]):
            with suppress(OSError):
                (folder / name).unlink()


def sweep(base: Path) -> int:
    """Remove what dead processes left: their scratch folders and their temporary files in registered folders.

    Args:
        base: the folder of all scratch folders.

    Returns:
        How many processes' left-overs were removed; what cannot be removed now is left to the next sweep.
    """
    try:
        names = os.listdir(base)
    except OSError:
        return 0
    return sum(_sweep_one(base, name) for name in names if _LOCK_NAME.fullmatch(name))


def _claim(lock_file: Path) -> int:
    """Make and lock a new lock file; -1 if a sweeper was faster."""
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(lock_file)
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        return -1
    except OSError as exc:
        if exc.errno not in NO_FLOCK:
            os.close(descriptor)
            raise
    return descriptor


def _sweep_one(base: Path, name: str) -> bool:
    lock_file = base / name
    try:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        head, *folders = os.pread(descriptor, 256 << 20, 0).split(b"\0")
        if not _dead(descriptor, head):
            return False
        token = name.removesuffix(".lock")
        _sweep_folders(folders[:-1], token)  # what follows the last NUL is torn
        shutil.rmtree(base / token, ignore_errors=True)
        if (base / token).exists():
            return False
        lock_file.unlink()  # last: as long as it is there, a later sweep can go on
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _dead(descriptor: int, head: bytes) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno not in NO_FLOCK:
            return False
        holder = Holder.parse(head.decode("utf-8", "replace"))
        if holder is not None and holder.is_here():
            return holder.gone()
        return time.time() - os.fstat(descriptor).st_mtime > _OLD
    return True


def _sweep_folders(folders: Iterable[bytes], token: str) -> None:
    mark = f"{TEMP_MARK}{token}-".encode()
    for folder in folders:
        try:
            descriptor = os.open(folder, OPEN_FOLDER)
        except OSError:
            continue
        try:
            for name in os.listdir(descriptor):
                if name.startswith(".") and mark in os.fsencode(name):
                    with suppress(OSError):
                        os.unlink(name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
