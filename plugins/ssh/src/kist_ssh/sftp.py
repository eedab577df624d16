"""The calls of SFTP that a remote needs, each as one function over an exchange."""

from __future__ import annotations

from typing import NamedTuple

from kist_ssh import protocol
from kist_ssh.exchange import Exchange
from kist_ssh.protocol import Attributes, Status, long_number, mode_only, number, text

_TURNS = 20
"""Times that a rename is tried where many replace the same file on a server that cannot do it in one step."""


class Space(NamedTuple):
    """What a file system has left.

    Args:
        free: bytes that we may use.
        files: files that we may make.
        read_only: whether nothing may be written.
    """

    free: int
    files: int
    read_only: bool


def open_new(exchange: Exchange, path: str, mode: int | None = None) -> bytes:
    """Make a file that is not there yet.

    Returns:
        Its handle.

    Raises:
        Status: it is there, or the server refused.
    """
    flags = protocol.FOR_WRITING | protocol.CREATE | protocol.EXCLUSIVE
    body = text(path) + number(flags) + mode_only(mode)
    return bytes(exchange.call(protocol.OPEN, body, due=protocol.HANDLE).data())


def open_old(exchange: Exchange, path: str) -> bytes:
    """Open a file for reading.

    Returns:
        Its handle.

    Raises:
        Status: it is not there, or the server refused.
    """
    body = text(path) + number(protocol.FOR_READING) + mode_only(None)
    return bytes(exchange.call(protocol.OPEN, body, due=protocol.HANDLE).data())


def close_soon(exchange: Exchange, handle: bytes) -> None:
    """Close a handle without waiting for the reply; its exchange is of no further use."""
    exchange.send(protocol.CLOSE, text(handle))


def look(exchange: Exchange, path: str, *, follow: bool = False) -> Attributes:
    """What is at a path.

    Args:
        exchange: where to ask.
        path: the path.
        follow: whether a symbolic link stands for what it names.

    Returns:
        Its attributes.

    Raises:
        Status: nothing is there, or the server refused.
    """
    kind = protocol.STAT if follow else protocol.LSTAT
    return exchange.call(kind, text(path), due=protocol.ATTRS).attributes()


def remove(exchange: Exchange, path: str) -> None:
    """Remove a file.

    Raises:
        Status: the server refused.
    """
    exchange.call(protocol.REMOVE, text(path))


def make_folder(exchange: Exchange, path: str, mode: int | None = None) -> None:
    """Make a folder, with exactly this mode where one is given.

    Raises:
        Status: it is there, or the server refused.
    """
    exchange.call(protocol.MKDIR, text(path) + mode_only(mode))
    if mode is not None:
        exchange.call(protocol.SETSTAT, text(path) + mode_only(mode))


def replace(exchange: Exchange, old: str, new: str) -> None:
    """Rename, over what is there.

    Raises:
        Status: the server refused.
    """
    if exchange.connection.offers(protocol.POSIX_RENAME):
        exchange.call(protocol.EXTENDED, text(protocol.POSIX_RENAME) + text(old) + text(new))
        return
    for _ in range(_TURNS):
        try:
            rename(exchange, old, new)
        except Status as exc:
            if exc.code not in (protocol.FAILURE, protocol.ALREADY_EXISTS) or not _make_room(exchange, new):
                raise
        else:
            return
    raise Status(protocol.FAILURE, "others write it at the same time, again and again")


def _make_room(exchange: Exchange, path: str) -> bool:
    """Remove the file that a rename may not replace; whether the rename may succeed now."""
    try:
        if not look(exchange, path).is_file:
            return False
        remove(exchange, path)
    except Status as exc:
        return exc.code == protocol.NO_SUCH_FILE  # another writer was between
    return True


def rename(exchange: Exchange, old: str, new: str) -> None:
    """Rename; most servers refuse where the new name is taken.

    Raises:
        Status: the server refused.
    """
    exchange.call(protocol.RENAME, text(old) + text(new))


def link(exchange: Exchange, old: str, new: str) -> None:
    """Give a file one more name, which must be free.

    Raises:
        Status: the server refused.
    """
    exchange.call(protocol.EXTENDED, text(protocol.HARDLINK) + text(old) + text(new))


def copy(exchange: Exchange, source: bytes, target: bytes) -> None:
    """Copy all bytes of one open file into another on the server, however long that takes.

    Raises:
        Status: the server refused.
    """
    whole = long_number(0) + long_number(0)
    body = text(protocol.COPY_DATA) + text(source) + whole + text(target) + long_number(0)
    exchange.call(protocol.EXTENDED, body, patient=True)


def space(exchange: Exchange, path: str) -> Space:
    """What the file system at a path has left.

    Raises:
        Status: the path is not there, or the server does not tell.
    """
    body = text(protocol.STATVFS) + text(path)
    fields = exchange.call(protocol.EXTENDED, body, due=protocol.EXTENDED_REPLY)
    names = ("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "favail", "fsid", "flag", "namemax")
    told = {name: fields.long_number() for name in names}
    files = told["favail"] if told["files"] else 1  # some file systems make them as they are needed
    return Space(told["bavail"] * told["frsize"], files, bool(told["flag"] & 1))


def real_path(exchange: Exchange, path: str) -> str:
    """The absolute path of a path.

    Raises:
        Status: the server refused.
    """
    fields = exchange.call(protocol.REALPATH, text(path), due=protocol.NAME)
    fields.number()
    return fields.text()
