"""Read objects, with many requests under way so that a long line is kept busy."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from kist.errors import RemoteError, RemoteObjectNotFound, RemoteUnavailable
from kist_ssh import protocol, sftp
from kist_ssh.exchange import Exchange, Request
from kist_ssh.failures import of_status
from kist_ssh.landing import STRETCH, Block, Stretch
from kist_ssh.protocol import Status

WINDOW = 4 << 20
"""Bytes asked for and not yet taken; ssh itself lets 2 MiB of a session be under way."""

_FIRST = 4
"""Blocks asked for at first where nobody said how many bytes are wanted, which may be few."""

_LOOK = 0.1
"""Seconds after which what has arrived is handed on, although more was to be waited for."""


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
        self._block, self._rooms = exchange.connection.read_block, exchange.connection.rooms
        self._handle = b""
        self._stretches: deque[Stretch] = deque()
        self._given = 0
        self._piece = memoryview(b"")
        self._ahead = WINDOW if length is not None else _FIRST * self._block
        self._next, self._end = start, sys.maxsize if length is None else start + length
        self._broken: RemoteError | None = None
        try:
            self._handle = sftp.open_old(exchange, path)
            self._begin(length)
        except Status as exc:
            self.close()
            raise of_status(exc, key, f"{path} cannot be read") from exc
        except BaseException:
            self.close()
            raise

    def _begin(self, length: int | None) -> None:
        """Ask for the size and, in the same breath, for what is wanted as far as that is known."""
        begin = self._next
        blocks = self._blocks_ahead(self._block if length is None else self._ahead)
        number, *_ = self._exchange.send_all([(protocol.FSTAT, protocol.text(self._handle), None), *blocks])
        while (reply := self._exchange.receive()).number != number:
            pass  # of a block, which lands without that
        attributes = reply.expect(protocol.ATTRS).attributes()
        if not attributes.is_file or attributes.size is None:
            raise RemoteObjectNotFound(self._key)
        self._end = max(begin, min(attributes.size, self._end))

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
        """All that is left, piece by piece, not copied.

        Yields:
            Pieces, none of them empty, each valid until the next one is asked for.

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
        while self._stretches:
            self._rooms.give(self._stretches.popleft())
        self._piece = memoryview(b"")
        super().close()

    # ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self) -> memoryview:
        """The next bytes in order, none at the end; those before are not needed any more."""
        self._leave_read()
        try:
            self._ask_ahead()
        except RemoteError as exc:
            self._broken = exc  # what has arrived is good, so it is given first
        if not self._stretches:
            if self._broken is not None and self._next < self._end:
                raise self._broken
            return memoryview(b"")
        first = self._stretches[0]
        begin, self._given = self._given, self._wait(first)
        return first.room[begin : self._given]

    def _leave_read(self) -> None:
        """Let go of stretches of which all was given."""
        while self._stretches and self._given >= self._due(self._stretches[0]):
            self._rooms.give(self._stretches.popleft())
            self._given = 0
            self._ahead = min(2 * self._ahead, WINDOW)

    def _due(self, stretch: Stretch) -> int:
        """The bytes of a stretch that the object has."""
        return min(stretch.length, self._end - stretch.offset)

    def _wait(self, stretch: Stretch) -> int:
        """Wait until bytes of the first stretch are there that were not given yet; how many there are in all."""
        due = self._due(stretch)
        while True:
            there = min(due, stretch.there())
            if there == due or (there > self._given and (stretch.eager or self._broken is not None)):
                return there
            if self._broken is not None:
                raise self._broken
            try:
                if (short := stretch.short()) is not None:
                    self._ask_rest(stretch, short)
                elif stretch.eager:
                    self._exchange.receive()
                elif not self._exchange.glance(_LOOK):
                    stretch.eager = True
            except RemoteError as exc:
                self._broken = exc

    def _ask_rest(self, stretch: Stretch, short: Block) -> None:
        """Ask for what a block lacks that came short, unless the object is shorter than it was."""
        if short.refusal is not None:
            try:
                short.refusal.expect(protocol.DATA)
            except Status as exc:
                if exc.code != protocol.EOF:
                    raise of_status(exc, self._key, f"{self._key} cannot be read") from exc
        if not short.landed:
            reached = stretch.offset + short.start
            raise RemoteUnavailable(f"{self._key} ends at byte {reached} of {self._end}: it was changed meanwhile")
        self._exchange.send_all([self._request(stretch.rest_of(short))])

    # ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────

    def _ask_ahead(self) -> None:
        if self._broken is None and self._next < self._end:
            under_way = sum(stretch.length for stretch in self._stretches)
            if under_way <= self._ahead // 2:
                self._exchange.send_all(self._blocks_ahead(self._ahead - under_way))

    def _blocks_ahead(self, most: int) -> list[Request]:
        """Requests for the next bytes, which land in new stretches."""
        requests: list[Request] = []
        stop = min(self._end, self._next + most)
        while self._next < stop:
            length = min(STRETCH // self._block * self._block, stop - self._next)
            stretch = Stretch(self._next, length, self._block, self._rooms.take(length))
            self._stretches.append(stretch)
            requests += map(self._request, stretch.blocks)
            self._next += length
        return requests

    def _request(self, block: Block) -> Request:
        where = protocol.long_number(block.stretch.offset + block.start) + protocol.number(block.length)
        return protocol.READ, protocol.text(self._handle) + where, block
