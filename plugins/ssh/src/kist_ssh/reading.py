"""Read objects, with many requests under way so that a long line is kept busy."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from kist.errors import RemoteError, RemoteObjectNotFound, RemoteUnavailable
from kist_ssh import protocol, sftp
from kist_ssh.connection import Exchange, Reply
from kist_ssh.failures import of_status
from kist_ssh.protocol import Status

WINDOW = 4 << 20
"""Bytes asked for and not yet taken; ssh itself lets 2 MiB of a session be under way."""

_FIRST = 4
"""Blocks asked for at first, so that a reader of few bytes does not make the server send many."""


class _Asked:
    """One block that was asked for."""

    __slots__ = ("length", "number", "offset")

    def __init__(self, number: int, offset: int, length: int) -> None:
        self.number, self.offset, self.length = number, offset, length


class ObjectReader(io.RawIOBase):
    """The bytes of an object from a position on.

    Args:
        exchange: on which to ask; closed with the reader.
        path: the file on the server.
        key: the object's key, for errors.
        start: first byte.
        length: how many bytes at most, None for all.

    Raises:
        RemoteObjectNotFound: there is no such file.
        RemoteError: the server refused or failed.
    """

    def __init__(self, exchange: Exchange, path: str, key: str, start: int, length: int | None) -> None:
        super().__init__()
        self._exchange, self._key = exchange, key
        self._block = exchange.connection.block
        self._handle = b""
        self._asked: deque[_Asked] = deque()
        self._arrived: dict[int, Reply] = {}
        self._piece = memoryview(b"")
        self._ahead = _FIRST
        self._next, self._end = start, start
        self._broken: RemoteError | None = None
        try:
            self._handle = sftp.open_old(exchange, path)
            self._begin(start, length)
        except Status as exc:
            self.close()
            raise of_status(exc, key, f"{path} cannot be read") from exc
        except BaseException:
            self.close()
            raise

    def _begin(self, start: int, length: int | None) -> None:
        """Ask for the size and, in the same breath, for the first block."""
        number = self._exchange.send(protocol.FSTAT, protocol.text(self._handle))
        first = self._block if length is None else min(length, self._block)
        if first:
            self._ask(start, first)
        while number not in self._arrived:
            self._take_reply()
        attributes = self._arrived.pop(number).expect(protocol.ATTRS).attributes()
        if not attributes.is_file or attributes.size is None:
            raise RemoteObjectNotFound(self._key)
        self._end = attributes.size if length is None else min(attributes.size, start + length)
        self._next = start + first

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with what has arrived, waiting only for the first byte."""
        if not self._piece:
            self._piece = self._take()
        view = memoryview(buffer)
        count = min(len(view), len(self._piece))
        view[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def pieces(self) -> Iterator[memoryview]:
        """All that is left, block by block, not copied.

        Yields:
            Pieces, none of them empty.

        Raises:
            RemoteError: the connection broke, or the object ends too early.
        """
        while piece := self._take():
            yield piece

    def close(self) -> None:
        """Let go of the handle."""
        if self.closed:
            return
        if self._handle:
            with suppress(RemoteError):
                sftp.close_soon(self._exchange, self._handle)
        self._exchange.close()
        self._arrived.clear()
        super().close()

    def _take(self) -> memoryview:
        """The next bytes in order, none at the end."""
        try:
            self._ask_ahead()
        except RemoteError as exc:
            self._broken = exc  # what has arrived is good, so it is given first
        while self._asked:
            asked = self._asked.popleft()
            while asked.number not in self._arrived:
                self._take_reply()
            data = self._data(asked)
            if asked.offset + len(data) >= self._end:
                self._asked.clear()  # what lies beyond the end is of no interest
                data = data[: max(0, self._end - asked.offset)]
            elif len(data) < asked.length:
                number = self._send(asked.offset + len(data), asked.length - len(data))
                self._asked.appendleft(_Asked(number, asked.offset + len(data), asked.length - len(data)))
            self._ahead = min(self._ahead + 2, WINDOW // self._block)
            if data:
                return data
        if self._broken is not None and self._next < self._end:
            raise self._broken
        return memoryview(b"")

    def _data(self, asked: _Asked) -> memoryview:
        reply = self._arrived.pop(asked.number)
        try:
            data = reply.expect(protocol.DATA).data()[: asked.length]
        except Status as exc:
            if exc.code != protocol.EOF:
                raise of_status(exc, self._key, f"{self._key} cannot be read") from exc
            data = memoryview(b"")
        if not data and asked.offset < self._end:
            raise RemoteUnavailable(f"{self._key} ends at byte {asked.offset} of {self._end}: it was changed meanwhile")
        return data

    def _ask_ahead(self) -> None:
        while self._broken is None and self._next < self._end and len(self._asked) < self._ahead:
            length = min(self._block, self._end - self._next)
            self._ask(self._next, length)
            self._next += length

    def _ask(self, offset: int, length: int) -> None:
        self._asked.append(_Asked(self._send(offset, length), offset, length))

    def _send(self, offset: int, length: int) -> int:
        body = protocol.text(self._handle) + protocol.long_number(offset) + protocol.number(length)
        return self._exchange.send(protocol.READ, body)

    def _take_reply(self) -> None:
        reply = self._exchange.receive()
        self._arrived[reply.number] = reply
