"""List what lies below a folder, with many requests under way and without holding all names at once."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress

from kist.abc import ObjectInfo
from kist.errors import RemoteError
from kist_ssh import protocol
from kist_ssh.exchange import Exchange
from kist_ssh.places import Places, is_temporary
from kist_ssh.protocol import Attributes, Fields, Reply, Status

_FOLDERS = 16
"""Folders that are read at once."""

_PAGES = 2
"""Pages of one folder that are asked for at once."""


class _Folder:
    """A folder that is being read."""

    __slots__ = ("ended", "handle", "path", "under_way")

    def __init__(self, path: str) -> None:
        self.path = path
        self.handle: bytes | None = None
        self.under_way = 1
        self.ended = False


class Listing:
    """Walks over the files below a folder.

    Args:
        exchange: on which to ask.
        places: the remote's paths.
        prefix: a string that wanted paths start with.
    """

    def __init__(self, exchange: Exchange, places: Places, prefix: str = "") -> None:
        self._exchange, self._places, self._prefix = exchange, places, prefix
        self._pending: list[str] = []
        self._reading: dict[int, _Folder] = {}
        self._open = 0

    def walk(self) -> Iterator[ObjectInfo]:
        """Every file, temporaries too, as the server tells of it.

        Yields:
            Files, their key being the path below the root.

        Raises:
            RemoteError: the server refused or failed.
        """
        parts = self._prefix.split("/")[:-1]
        if any(part in ("", ".", "..") for part in parts) or "\0" in self._prefix:
            return
        self._pending.append("/".join(parts))
        try:
            while self._pending or self._reading:
                while self._pending and self._open < _FOLDERS:
                    self._enter(self._pending.pop())
                yield from self._answered(self._exchange.receive())
        finally:
            self._leave()

    def _enter(self, path: str) -> None:
        folder = _Folder(path)
        self._open += 1
        body = protocol.text(self._places.below(path))
        self._reading[self._exchange.send(protocol.OPENDIR, body)] = folder

    def _answered(self, reply: Reply) -> Iterator[ObjectInfo]:
        folder = self._reading.pop(reply.number, None)
        if folder is None:
            return  # a folder was closed
        folder.under_way -= 1
        try:
            if folder.handle is None:
                folder.handle = bytes(reply.expect(protocol.HANDLE).data())
                for _ in range(_PAGES):
                    self._turn_page(folder)
                return
            fields = reply.expect(protocol.NAME)
            self._turn_page(folder)
        except Status as exc:
            if exc.code not in (protocol.EOF, protocol.NO_SUCH_FILE):
                with self._places.translated(folder.path, self._places.below(folder.path), "cannot be listed"):
                    raise
            if not folder.path and folder.handle is None:
                self._places.check_root(self._exchange)
            folder.ended = True
            self._close(folder)
            return
        yield from self._entries(folder, fields)
        if folder.ended:
            self._close(folder)

    def _turn_page(self, folder: _Folder) -> None:
        if not folder.ended and folder.handle is not None:
            folder.under_way += 1
            self._reading[self._exchange.send(protocol.READDIR, protocol.text(folder.handle))] = folder

    def _close(self, folder: _Folder) -> None:
        if folder.under_way:
            return
        self._open -= 1
        if folder.handle is not None:
            self._exchange.send(protocol.CLOSE, protocol.text(folder.handle))

    def _entries(self, folder: _Folder, fields: Fields) -> Iterator[ObjectInfo]:
        start = f"{folder.path}/" if folder.path else ""
        for _ in range(fields.number()):
            name, shown, attributes = fields.text(), fields.data(), fields.attributes()
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                continue
            key, mode = start + name, _mode(attributes, shown)
            if stat.S_ISDIR(mode):
                if key.startswith(self._prefix) or self._prefix.startswith(key + "/"):
                    self._pending.append(key)
            elif stat.S_ISREG(mode) and key.startswith(self._prefix):
                mtime = None if attributes.mtime is None else float(attributes.mtime)
                yield ObjectInfo(key=key, size=attributes.size or 0, mtime=mtime)

    def _leave(self) -> None:
        """Close what a listing that was broken off has open."""
        handles = {folder.handle for folder in self._reading.values() if folder.handle is not None}
        with suppress(RemoteError):
            while any(folder.handle is None for folder in self._reading.values()):
                reply = self._exchange.receive()
                folder = self._reading.pop(reply.number, None)
                if folder is not None and folder.handle is None:
                    with suppress(Status):
                        handles.add(bytes(reply.expect(protocol.HANDLE).data()))
            for handle in handles:
                self._exchange.send(protocol.CLOSE, protocol.text(handle))


def objects(exchange: Exchange, places: Places, prefix: str) -> Iterator[ObjectInfo]:
    """The objects whose key starts with a prefix.

    Args:
        exchange: on which to ask; closed at the end.
        places: the remote's paths.
        prefix: the string.

    Yields:
        The objects, without temporaries.

    Raises:
        RemoteError: the server refused or failed.
    """
    try:
        for info in Listing(exchange, places, prefix).walk():
            if not is_temporary(info.key):
                yield info
    finally:
        exchange.close()


def _mode(attributes: Attributes, shown: memoryview) -> int:
    """Type and permissions, from the line that ``ls -l`` would show where the attributes do not tell."""
    if attributes.mode is not None:
        return attributes.mode
    return {b"d": stat.S_IFDIR, b"l": stat.S_IFLNK}.get(bytes(shown[:1]), stat.S_IFREG)
