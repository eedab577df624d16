"""Displace: move workspace files whose content is saved nowhere into the trash, under the path that they had."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from kist.engine.workspace.folders import Folders, lstat_or_none, name_of, parent_of
from kist.util.atomic import storage_error, storage_errors, sync_directory, write_all

_BLOCK = 1 << 20


class Trash:
    """One command's folder in the trash.

    Args:
        folder: where displaced files go; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = False

    def take(self, here: int, path: bytes) -> Path | None:
        """Move one file, symlink or empty folder into the trash.

        Args:
            here: descriptor of the folder that holds it.
            path: its path relative to the repository; it keeps this below the trash folder.

        Returns:
            Where it is now, None if there was nothing.

        Raises:
            StorageError: it cannot be moved; it is still where it was.
        """
        name = name_of(path)
        found = lstat_or_none(name, here)
        if found is None:
            return None
        if not self._made:
            with storage_errors(self.folder):
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made = True
        root = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with Folders(root, os.fsencode(self.folder)) as opener:
                there = opener.open(parent_of(path), make=True)
                final = _free_name(name, there)
                try:
                    _move(name, here, final, there, found)
                    os.fsync(there)
                except OSError as exc:
                    raise storage_error(exc, path) from exc
        finally:
            os.close(root)
        return self.folder / os.fsdecode(os.path.join(parent_of(path), final))

    def sync(self) -> None:
        """Make the trash's folder itself durable."""
        if self._made:
            with storage_errors(self.folder):
                sync_directory(self.folder)
                sync_directory(self.folder.parent)


def _free_name(name: bytes, folder: int) -> bytes:
    free, number = name, 1
    while lstat_or_none(free, folder) is not None:
        number += 1
        free = b"%b~%d" % (name, number)
    return free


def _move(name: bytes, here: int, final: bytes, there: int, found: os.stat_result) -> None:
    try:
        os.rename(name, final, src_dir_fd=here, dst_dir_fd=there)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        # The trash is on another file system: whole and durable there before it goes here.
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=here), final, dir_fd=there)
        elif stat.S_ISREG(found.st_mode):
            _copy(name, here, final, there)
        else:
            raise
        os.fsync(there)
        os.unlink(name, dir_fd=here)


def _copy(name: bytes, here: int, final: bytes, there: int) -> None:
    reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    try:
        mode = os.fstat(reader).st_mode & 0o777
        writer = os.open(
            final, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=there
        )
        try:
            while block := os.read(reader, _BLOCK):
                write_all(writer, block)
            os.fchmod(writer, mode)
            os.fsync(writer)
        except BaseException:
            os.unlink(final, dir_fd=there)
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)
