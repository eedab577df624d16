"""Write objects into a folder so that a name appears only after its content is complete and durable."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kist.abc import Progress
from kist.errors import RemoteError, RemoteExists
from kist.kit import storage_error, temp_name, write_all
from kist.remotes.files import read_data
from kist_local.copying import copy_file
from kist_local.folder import Folders, checked_parts, translated

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL}

_ABANDONED = 24 * 3600.0
"""Seconds after which a temporary is abandoned where the file system has no locks."""


@contextmanager
def opened_source(source: Path) -> Iterator[int]:
    """A descriptor of the file to send.

    Args:
        source: the file.

    Yields:
        The descriptor.

    Raises:
        StorageError: the file cannot be opened.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise storage_error(exc, source) from exc
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class _Begun:
    """A temporary that is written.

    Attributes:
        folder: descriptor of the folder that it is in.
        temporary: its name.
        descriptor: the open file.
        named: whether it has got its name.
    """

    folder: int
    temporary: str
    descriptor: int
    named: bool = False

    def close(self) -> None:
        """Close it, and remove it if it has not got its name."""
        if not self.named:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=self.folder)
        os.close(self.descriptor)


class Writer:
    """Writes the files of one remote.

    Args:
        folders: opens and makes its folders, and knows its modes.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._host = "".join(letter for letter in socket.gethostname().lower() if letter.isalnum())[:16]

    def write(self, key: str, source: int | bytes, *, if_absent: bool, progress: Progress) -> None:
        """Store an open file, or bytes, under a key; the name is durable only after ``sync_folders``.

        Args:
            key: the key.
            source: descriptor to read, at its start, or the bytes.
            if_absent: whether to refuse to replace.
            progress: told of the bytes.

        Raises:
            RemoteExists: the key exists and *if_absent* was asked.
            RemoteError: the folder cannot be written.
        """
        parts = checked_parts(key)
        with self._translated(key):
            folder = self._make(parts)
            try:
                begun = self._begin(folder, parts[-1], source, progress)
                try:
                    self._finish(begun, parts[-1], if_absent=if_absent)
                finally:
                    begun.close()
            finally:
                os.close(folder)

    def write_many(self, items: Iterable[tuple[str, Path]], progress: Progress) -> dict[str, RemoteError]:
        """Store files, and wait for the disk only when all are written; names are durable after ``sync_folders``.

        Args:
            items: keys and files, few enough for the process to have all of them open.
            progress: told of the bytes.

        Returns:
            The keys that failed, with their errors.
        """
        failed: dict[str, RemoteError] = {}
        begun: list[tuple[str, _Begun]] = []
        try:
            for key, source in items:
                try:
                    begun.append((key, self._begin_at(key, source, progress)))
                except RemoteError as exc:
                    failed[key] = exc
            if self._folders.sync and hasattr(os, "posix_fadvise"):
                for _, one in begun:  # the disk begins with all of them, so that the first wait is the only long one
                    with suppress(OSError):
                        os.posix_fadvise(one.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            for key, one in begun:
                try:
                    with self._translated(key):
                        self._finish(one, key.rpartition("/")[2], if_absent=False)
                except RemoteError as exc:
                    failed[key] = exc
        finally:
            for _, one in begun:
                one.close()
                os.close(one.folder)
        return failed

    def _begin_at(self, key: str, source: Path, progress: Progress) -> _Begun:
        parts = checked_parts(key)
        with opened_source(source) as descriptor, self._translated(key):
            folder = self._make(parts)
            try:
                return self._begin(folder, parts[-1], descriptor, progress)
            except BaseException:
                os.close(folder)
                raise

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turn what the system refuses about a key into errors of a remote."""
        with translated(key, self._folders.root):
            try:
                yield
            except FileExistsError:
                raise RemoteExists(f"the remote has {key} already") from None
            except (IsADirectoryError, NotADirectoryError) as exc:
                raise RemoteError(f"{key} cannot be stored: the key of another object stands in its way") from exc

    def sync_folders(self, folders: Iterable[str]) -> None:
        """Make the names in folders durable.

        Args:
            folders: paths below the root.

        Raises:
            RemoteError: the disk refused.
        """
        if not self._folders.sync:
            return
        for folder in sorted(folders):
            with translated(folder, self._folders.root), suppress(FileNotFoundError):
                descriptor = self._folders.open(folder.split("/") if folder else [])
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def remove_abandoned(self, path: str) -> int:
        """Remove a temporary if its writer is dead.

        Args:
            path: its path below the root.

        Returns:
            1 if it was removed, else 0.

        Raises:
            RemoteError: the folder cannot be written.
        """
        *parts, name = path.split("/")
        with translated(path, self._folders.root), suppress(FileNotFoundError):
            folder = self._folders.open(parts)
            try:
                return self._remove_abandoned_in(folder, name)
            finally:
                os.close(folder)
        return 0

    def _make(self, parts: list[str]) -> int:
        try:
            return self._folders.make(parts[:-1])
        except NotADirectoryError as exc:
            place = self._folders.root.joinpath(*parts)
            raise RemoteError(f"{place} cannot be stored: a file stands where a folder is needed") from exc

    def _begin(self, folder: int, name: str, source: int | bytes, progress: Progress) -> _Begun:
        """Write a temporary, complete but not durable."""
        modes = self._folders.modes
        begun = _Begun(folder, *self._create(folder, name, modes.file))
        try:
            if isinstance(source, int):
                copy_file(source, begun.descriptor, progress.advance)
            else:
                for piece in read_data(source, progress):
                    write_all(begun.descriptor, piece)
            if modes.file_exact:
                os.fchmod(begun.descriptor, modes.file)
        except BaseException:
            begun.close()
            raise
        return begun

    def _finish(self, begun: _Begun, name: str, *, if_absent: bool) -> None:
        """Wait for the disk, and give a temporary its name."""
        if self._folders.sync:
            os.fsync(begun.descriptor)
        if if_absent:
            _publish_new(begun.folder, begun.temporary, name)
        else:
            os.replace(begun.temporary, name, src_dir_fd=begun.folder, dst_dir_fd=begun.folder)
        begun.named = True

    def _create(self, folder: int, name: str, mode: int) -> tuple[str, int]:
        """A new temporary, locked where the file system has locks, so that who gets the lock knows its writer dead."""
        while True:
            temporary = temp_name(name, f"{self._host}-{os.getpid()}")
            try:
                descriptor = os.open(temporary, NEW_FILE, mode, dir_fd=folder)
            except FileExistsError:  # left by a dead process that had our number
                continue
            if _held(descriptor, folder, temporary):
                return temporary, descriptor
            os.close(descriptor)

    def _remove_abandoned_in(self, folder: int, name: str) -> int:
        age = time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0
            except OSError as exc:
                if exc.errno not in _NO_LOCKS or age < _ABANDONED:
                    return 0
            os.unlink(name, dir_fd=folder)  # while it is locked: a writer that is just making it sees that it is gone
        finally:
            os.close(descriptor)
        return 1


def _held(descriptor: int, folder: int, name: str) -> bool:
    """Lock a new temporary; False if somebody who swept was faster, and removed it or is about to."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks there: the age of the file tells
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False))
    return False


def _publish_new(folder: int, temporary: str, name: str) -> None:
    """Give the temporary its name unless the name is taken: one of many wins, the name is never seen half-written."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
    else:
        os.unlink(temporary, dir_fd=folder)
        return
    # No hard links there: all who come this way take turns.
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
    except OSError as exc:
        if exc.errno in _NO_LOCKS:
            raise RemoteError(f"{name} is not stored: this file system has neither hard links nor locks") from exc
        raise
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
