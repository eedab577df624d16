"""Reach the folders of a remote by descriptors, so that no symbolic link leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kist.errors import RemoteError, RemoteMissing
from kist.kit import TEMP_MARK, sync_directory
from kist.remotes.failures import of_errno
from kist.remotes.files import check_key
from kist_local.options import Modes

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def translated(key: str, root: Path) -> Iterator[None]:
    """Turn an OSError of the block into the RemoteError that says what it means.

    Args:
        key: the key that the block is about.
        root: the remote's folder, for the message.

    Raises:
        RemoteError: the translation.
    """
    try:
        yield
    except OSError as exc:
        place = root / key if key else root
        if exc.errno == errno.ELOOP:
            raise through_link(place) from exc
        raise of_errno(exc.errno or 0, key, f"{place}: {exc.strerror or exc}") from exc


def through_link(place: Path) -> RemoteError:
    """The error for a key that would lead through a symbolic link.

    Args:
        place: where the link is, or leads from.

    Returns:
        The error, not raised.
    """
    return RemoteError(f"{place}: leads through a symbolic link, which kist never follows inside a remote")


def is_temporary(path: str) -> bool:
    """Whether a file is one that we are, or were, writing.

    Args:
        path: its path or name.

    Returns:
        True for the names that :func:`kist.util.atomic.temp_name` makes.
    """
    name = path.rpartition("/")[2]
    return name.startswith(".") and TEMP_MARK in name


def checked_parts(key: str) -> list[str]:
    """The components of a key.

    Args:
        key: what a caller wants to read or write.

    Returns:
        At least one component, none of them special.

    Raises:
        RemoteError: the key is outside of the grammar, or looks like a temporary of ours.
    """
    parts = check_key(key).split("/")
    if TEMP_MARK in key and any(is_temporary(part) for part in parts):
        raise RemoteError(f"not a key of a remote in a folder: {key!r} is the name of a temporary file")
    return parts


def folder_of(key: str) -> str:
    """The folder part of a key, "" for the root."""
    return key.rpartition("/")[0]


class Folders:
    """Opens the folder of a key below a root, one component at a time.

    Args:
        root: the remote's folder.
        modes: modes for folders that are made.
        sync: whether new names must be durable.
    """

    def __init__(self, root: Path, modes: Modes, *, sync: bool) -> None:
        self.root = root
        self.modes = modes
        self.sync = sync

    def open(self, parts: list[str]) -> int:
        """Open an existing folder.

        Args:
            parts: its components below the root.

        Returns:
            A descriptor, to be closed by the caller.

        Raises:
            RemoteMissing: the root is not there, as when a disk or share is not mounted.
            FileNotFoundError: there is no such folder in it.
            OSError: another failure; a symbolic link is ELOOP.
        """
        try:
            descriptor = os.open(self.root, _OPEN)
        except (FileNotFoundError, NotADirectoryError):
            raise RemoteMissing(f"there is no folder {self.root}") from None
        return self._descend(descriptor, parts, make=False)

    def make(self, parts: list[str]) -> int:
        """Open a folder, made where it is missing; the root too, but not what it stands in.

        Args:
            parts: its components below the root.

        Returns:
            A descriptor, to be closed by the caller.

        Raises:
            RemoteMissing: what the root stands in is not there either.
            RemoteError: the root cannot be made.
            OSError: another failure; a symbolic link is ELOOP.
        """
        try:
            descriptor = os.open(self.root, _OPEN)
        except FileNotFoundError:
            self._make_root()
            descriptor = os.open(self.root, _OPEN)
        except NotADirectoryError:
            raise RemoteMissing(f"{self.root} is no folder") from None
        return self._descend(descriptor, parts, make=True)

    def _make_root(self) -> None:
        try:
            self.root.mkdir(exist_ok=True)
            if self.sync:
                sync_directory(self.root.parent)
            if self.modes.folder_exact:
                self.root.chmod(self.modes.folder)
        except (FileNotFoundError, NotADirectoryError):
            raise RemoteMissing(
                f"there is no folder {self.root.parent} to make {self.root.name} in",
                hint="is the disk or share mounted, and the path right? If so, make that folder first",
            ) from None
        except OSError as exc:
            raise of_errno(exc.errno or 0, "", f"the folder {self.root} cannot be made: {exc.strerror}") from exc

    def _descend(self, descriptor: int, parts: list[str], *, make: bool) -> int:
        for part in parts:
            parent = descriptor
            try:
                descriptor = self._enter(parent, part, make=make)
            finally:
                os.close(parent)
        return descriptor

    def _enter(self, parent: int, part: str, *, make: bool) -> int:
        try:
            return os.open(part, _OPEN | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
        except NotADirectoryError:
            if stat.S_ISLNK(os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part) from None
            raise
        try:
            os.mkdir(part, self.modes.folder, dir_fd=parent)
        except FileExistsError:
            made = False  # another writer was faster
        else:
            made = True
        descriptor = os.open(part, _OPEN | os.O_NOFOLLOW, dir_fd=parent)
        if made:
            if self.modes.folder_exact:
                os.fchmod(descriptor, self.modes.folder)
            if self.sync:
                os.fsync(parent)
        return descriptor
