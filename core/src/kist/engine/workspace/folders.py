"""Folders by descriptor: how the engine reaches workspace folders without ever following a symlink."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from kist.abc.hasher import RunningHash
from kist.errors import PathConflict
from kist.util.atomic import OPEN_FOLDER, TEMP_MARK, storage_error

_STAYS = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY, errno.EACCES, errno.EPERM}
"""Why a folder cannot go though the disk is well: what it holds, what it is, or whose it is."""


def descriptor_path(descriptor: int) -> bytes:
    """The absolute path of an open folder.

    Raises:
        OSError: the system cannot tell.
    """
    import sys

    if sys.platform == "darwin":
        import fcntl

        return fcntl.fcntl(descriptor, 50, bytes(1024)).rstrip(b"\0")  # F_GETPATH
    return os.readlink(b"/proc/self/fd/%d" % descriptor)


def parent_of(path: bytes) -> bytes:
    """The folder part of a relative path, b"" at the top."""
    return path.rpartition(b"/")[0]


def name_of(path: bytes) -> bytes:
    """The last part of a relative path."""
    return path.rpartition(b"/")[2]


class Folders:
    """Opens folders below one root, part by part, and keeps the chain to the last one open.

    Folders that are asked for in sorted order therefore cost about one system call each.

    Args:
        root: descriptor of the root; stays the caller's.
        prefix: path of the root, for messages only.
    """

    def __init__(self, root: int, prefix: bytes = b"") -> None:
        self._root = root
        self._prefix = prefix
        self._parts: list[bytes] = []
        self._open: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; the object can be used again."""
        self._shorten(0)

    def _shorten(self, length: int) -> None:
        del self._parts[length:]
        while len(self._open) > length:
            os.close(self._open.pop())

    def open(self, path: bytes, *, make: bool = False) -> int:
        """The descriptor of the folder *path*, valid until the next call.

        Args:
            path: relative to the root, b"" for the root itself.
            make: whether to make folders that are absent.

        Raises:
            FileNotFoundError: absent, and *make* is not asked.
            PathConflict: a part of the path is a symlink or no folder.
            StorageError: the system refuses.
        """
        parts = path.split(b"/") if path else []
        same = 0
        for mine, theirs in zip(self._parts, parts, strict=False):
            if mine != theirs:
                break
            same += 1
        self._shorten(same)
        for part in parts[same:]:
            here = self._open[-1] if self._open else self._root
            self._open.append(self._enter(here, part, make=make))
            self._parts.append(part)
        return self._open[-1] if self._open else self._root

    def _enter(self, here: int, part: bytes, *, make: bool) -> int:
        where = os.path.join(self._prefix, *self._parts, part)
        try:
            try:
                return os.open(part, OPEN_FOLDER, dir_fd=here)
            except FileNotFoundError:
                if not make:
                    raise
                with suppress(FileExistsError):  # another process was faster
                    os.mkdir(part, 0o777, dir_fd=here)
                return os.open(part, OPEN_FOLDER, dir_fd=here)
        except FileNotFoundError:
            raise
        except OSError as exc:
            if exc.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                raise PathConflict(
                    f"{os.fsdecode(where)} is a symlink or no folder; nothing is written through it",
                    path=os.fsdecode(where),
                    hint="move it out of the way",
                ) from exc
            raise storage_error(exc, where) from exc

    def forget(self, path: bytes) -> None:
        """Close *path* and what is below it, because it is about to be renamed or removed."""
        parts = path.split(b"/") if path else []
        if self._parts[: len(parts)] == parts:
            self._shorten(max(len(parts) - 1, 0))


def with_ancestors(folders: list[bytes]) -> set[bytes]:
    """*folders* and all folders above them, b"" included."""
    found = {b""}
    for folder in folders:
        while folder not in found:
            found.add(folder)
            folder = parent_of(folder)
    return found


def remove_if_empty(name: bytes, folder: int) -> bool:
    """Remove a folder that may hold something of the user's, or be his mount point: then it stays.

    Args:
        name: its name.
        folder: descriptor of the folder that it is in.

    Returns:
        Whether it is gone.

    Raises:
        OSError: the system refuses for another reason.
    """
    try:
        os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    except OSError as exc:
        if exc.errno not in _STAYS:
            raise
        return False
    return True


def remove_tree(name: bytes, folder: int) -> None:
    """Remove *name* in the open folder, whatever it is, without following a link; absent is fine.

    Raises:
        StorageError: the system refuses.
    """
    try:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            _remove_folder(name, folder)
    except OSError as exc:
        raise storage_error(exc, name) from exc


def _remove_folder(name: bytes, folder: int) -> None:
    inner = os.open(name, OPEN_FOLDER, dir_fd=folder)
    try:
        with os.scandir(inner) as found:
            # A scan by descriptor yields text names; they go back to bytes as they came.
            children = [(os.fsencode(one.name), one.is_dir(follow_symlinks=False)) for one in found]
        for child, is_folder in children:
            if is_folder:
                _remove_folder(child, inner)
            else:
                os.unlink(child, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)


def sweep_temporaries(root: int, folders: Iterable[bytes], token: str) -> int:
    """Remove what a dead process left under temporary names of its token.

    Args:
        root: descriptor of the root.
        folders: paths, relative to the root, where temporaries may stand; absent or replaced ones are skipped.
        token: the dead process's token.

    Returns:
        How many were removed.
    """
    mark = f"{TEMP_MARK}{token}-"
    count = 0
    with Folders(root) as opener:
        for path in sorted(set(folders)):
            try:
                here = opener.open(path)
            except (FileNotFoundError, PathConflict):
                continue
            for name in os.listdir(here):
                if mark in name and name.startswith("."):
                    remove_tree(os.fsencode(name), here)
                    count += 1
    return count


def lstat_or_none(name: bytes, folder: int) -> os.stat_result | None:
    """The lstat of *name* in the open folder, None if there is nothing."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def make_folder(name: bytes, folder: int) -> None:
    """Make a folder; one that is there already is fine.

    Raises:
        OSError: something else stands there, or the system refuses.
    """
    try:
        os.mkdir(name, 0o777, dir_fd=folder)
    except FileExistsError:
        found = lstat_or_none(name, folder)
        if found is None or not stat.S_ISDIR(found.st_mode):
            raise


def hash_file(name: bytes, folder: int, hasher: Callable[[], RunningHash]) -> bytes | None:
    """The raw digest of a regular file, read without following a link or blocking; None if it is anything else."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        running = hasher()
        while block := os.read(descriptor, 1 << 20):
            running.update(block)
        return running.digest()
    finally:
        os.close(descriptor)
