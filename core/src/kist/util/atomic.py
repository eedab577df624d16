"""Write files so that a name appears only after its content is complete and durable; the only place that does so."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from kist.errors import StorageError

_numbers = itertools.count()

TEMP_MARK = ".kist-tmp-"
"""Part of the name of every temporary file that may stand in a folder of the user's."""

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags that open a folder and nothing else, never through a link."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a disk, or of somebody's part of it, that has no room left."""
DENIED = frozenset({errno.EACCES, errno.EPERM})
"""Error numbers of what the system forbids, now and the next time."""


def storage_error(exc: OSError, path: str | bytes | os.PathLike[str] | None = None) -> StorageError:
    """The StorageError for a failed system call, with a hint for the common causes."""
    where = os.fsdecode(path if path is not None else (exc.filename or ""))
    hints = {
        errno.ENOSPC: "free some space and run the command again",
        errno.EDQUOT: "your quota is used up: free some space and run the command again",
        errno.EROFS: "it is mounted read-only: mount it for writing, or choose another place in the configuration",
        errno.ENAMETOOLONG: "give it a shorter name, or add the folder that it is in",
        errno.EACCES: "you may not write or read there: check the owner and the mode",
        errno.EPERM: "you may not write or read there: check the owner and the mode",
        errno.EIO: "the disk reports an error: check its health before you go on",
    }
    text = exc.strerror or str(exc)
    return StorageError(
        f"{where}: {text}" if where else text,
        path=where or None,
        errno=exc.errno or 0,
        hint=hints.get(exc.errno or 0),
    )


@contextmanager
def storage_errors(path: str | bytes | os.PathLike[str] | None = None) -> Iterator[None]:
    """Turn an OSError of the block into a StorageError."""
    try:
        yield
    except OSError as exc:
        raise storage_error(exc, path) from exc


class _Owner:
    """Who this process is, for the names of its temporary files, as long as it holds a scratch folder."""

    token = ""
    left: ClassVar[set[str]] = set()


def use_token(token: str) -> None:
    """Say what names of temporary files carry from now on where no token is given; "" ends that.

    Args:
        token: of a ``kist.engine.process.scratch.Scratch``, whose left-overs a later process finds and sweeps.
    """
    _Owner.token = token


def temp_name(name: str, token: str = "") -> str:
    """A name for a temporary file beside *name*: hidden, short, unique; it tells whose it is."""
    return f".{name[:40]}{TEMP_MARK}{token or _Owner.token or new_token()}-{next(_numbers)}"


def new_token() -> str:
    """A token ``<host>-<pid>-<random>`` of lower-case letters, digits and dashes."""
    return f"{token_host()}-{os.getpid()}-{os.urandom(4).hex()}"


def token_host() -> str:
    """The host's name as it stands in tokens."""
    return re.sub(r"[^a-z0-9]+", "", os.uname().nodename.lower())[:20] or "host"


def discard(name: str | bytes, folder: int) -> None:
    """Remove a temporary file of :func:`temp_name`; one that cannot be removed now is swept with the scratch folder.

    Args:
        name: its name.
        folder: descriptor of the folder that it is in.
    """
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    except OSError:
        _Owner.left.add(_Owner.token)


def take_left(token: str) -> bool:
    """Whether :func:`discard` left something that carries a token; it is forgotten."""
    found = token in _Owner.left
    _Owner.left.discard(token)
    return found


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of *data*, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_all_at(descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write all of *data* to a place in a file, however many calls that takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def write_file(path: Path, data: bytes, *, mode: int | None = None, sync: bool = True, token: str = "") -> None:
    """Replace *path* by *data* in one step: temporary name beside it, write, sync, rename, sync the folder.

    Args:
        path: the file.
        data: its whole new content.
        mode: permissions; None keeps those of the old file, or lets the umask decide.
        sync: whether to wait for the disk.
        token: who writes, for the temporary name (see ``kist.engine.process.scratch``).

    Raises:
        StorageError: the disk is full, read-only or failing; the old file is untouched.
    """
    with storage_errors(path):
        temporary = write_beside(path, data, mode=mode, sync=sync, token=token)
        try:
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync:
            sync_directory(path.parent)


def write_beside(path: Path, data: bytes, *, mode: int | None = None, sync: bool = False, token: str = "") -> Path:
    """Write what a file is to become under a temporary name beside it.

    Args:
        path: the file.
        data: its whole new content.
        mode: permissions; None takes those of the old file, or lets the umask decide.
        sync: whether to wait for the disk.
        token: who writes, for the temporary name.

    Returns:
        The temporary file, to be renamed to *path*.

    Raises:
        OSError: the disk is full, read-only or failing; nothing is left.
    """
    temporary = path.with_name(temp_name(path.name, token))
    if mode is None:
        try:
            mode = path.stat().st_mode & 0o7777
        except FileNotFoundError:
            mode = None
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        try:
            write_all(descriptor, data)
            if mode is not None:
                os.fchmod(descriptor, mode)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
