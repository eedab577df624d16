"""Ranges of objects, received straight into the memory of whoever reads them.

obstore, which signs and does all else, hands on what arrives in pieces of its own, each copied twice before it is ours:
half of the processor's time of a large pull went there.
"""

from __future__ import annotations

import io
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from kist.remotes.wrapping import buffered
from kist_s3.client import Client
from kist_s3.failures import Answer, Failures

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse
    from ssl import SSLContext

SMALLEST = 1 << 18
"""Bytes from which a range is worth it."""

_VALID = timedelta(minutes=15)
"""How long a signed address is good: as far as S3 lets clocks differ in a signed header."""

_PIECE = 1 << 18
"""Bytes of an encrypted stream that are waited for at most before some are handed on."""

_MOMENT = 0.2
"""Seconds after which what has come of a plain stream is handed on, however much more was asked for."""

_MOMENT_TOLD = struct.pack("ll", 0, round(_MOMENT * 1e6))
"""The same, as the system wants to be told."""

_BODY = 1 << 16
"""Bytes of a refusal that are read."""

_NOT_THERE = (404, 416)
"""Refusals that say nothing about the way of asking."""


class DirectReads:
    """Reads ranges over connections of its own, kept open between them; may be used from many threads.

    It serves where requests are signed and no proxy stands before the server. Whatever it cannot have is asked for once
    more in the usual way, which then works or tells why not.

    Args:
        client: signs, and knows the options.
        failures: makes errors.
    """

    def __init__(self, client: Client, failures: Failures) -> None:
        self._client, self._failures = client, failures
        self._lock = threading.Lock()
        self._able: bool | None = None
        self._context: SSLContext | None = None
        self._idle: list[HTTPConnection] = []

    def open(self, key: str, start: int, length: int) -> BinaryIO | None:
        """Ask for a range.

        Args:
            key: the key.
            start: the first byte.
            length: how many at most, at least one.

        Returns:
            The stream; None: obstore must ask.

        Raises:
            RemoteError: there are no credentials, or the server is overloaded or does not answer in time.
        """
        from http.client import HTTPException

        import obstore

        with self._failures(key):
            if not self._is_able():
                return None
            address = urlsplit(obstore.sign(self._client.reading, "GET", key, _VALID))
        connection = self._connection(address.netloc)
        try:
            path = f"{address.path}?{address.query}"
            headers = {"Range": f"bytes={start}-{start + length - 1}", "User-Agent": "kist-s3"}
            if connection.sock is None:
                self._connect(connection)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            if answer.status == 206 and answer.length is not None:
                patience = None if self._context else self._client.options.read_timeout
                return buffered(_Body(connection, answer, self._failures, self._idle.append, patience))
            body = answer.read(_BODY)
        except TimeoutError:
            connection.close()
            raise self._failures.lost("it did not answer in time") from None
        except (OSError, HTTPException):  # a kept connection may be too old; and a text may show what was signed
            connection.close()
            return None
        connection.close()
        self._look_at(answer.status, body, key)
        return None

    def close(self) -> None:
        """Let go of connections."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        self.close()

    def _is_able(self) -> bool:
        with self._lock:
            if self._able is None:
                self._able = self._client.identity().give is not None and not _behind_proxy()
                if self._able and self._client.address().endpoint.startswith("https:"):
                    self._context = self._client.tls()
            return self._able

    def _connection(self, place: str) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        with suppress(IndexError):
            return self._idle.pop()
        seconds = self._client.options.connect_timeout
        if self._context is None:
            return HTTPConnection(place, timeout=seconds)
        return HTTPSConnection(place, timeout=seconds, context=self._context)

    def _connect(self, connection: HTTPConnection) -> None:
        connection.connect()
        connection.sock.settimeout(self._client.options.read_timeout)
        if self._context is None:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _MOMENT_TOLD)

    def _look_at(self, status: int, body: bytes, key: str) -> None:
        """Tell of an overloaded server at once, and ask no more in this way where it was refused."""
        code = re.search(rb"<Code>([A-Za-z0-9]{1,64})</Code>", body)
        answer = Answer(status, code[1].decode() if code else "")
        if status == 429 or status >= 500:
            raise self._failures.of(answer, key)
        if status not in _NOT_THERE:
            self._able = False


class _Body(io.RawIOBase):
    """What a server sends of one range; its connection is kept if all of it came.

    Args:
        connection: where it comes.
        answer: its head was read.
        failures: makes errors.
        keep: takes the connection.
        patience: seconds that a plain stream may stand still, None for an encrypted one, which minds that itself.
    """

    def __init__(
        self,
        connection: HTTPConnection,
        answer: HTTPResponse,
        failures: Failures,
        keep: Callable[[HTTPConnection], object],
        patience: float | None,
    ) -> None:
        super().__init__()
        self._connection: HTTPConnection | None = connection
        self._answer, self._failures, self._keep = answer, failures, keep
        self._left = answer.length or 0
        self._bare = False
        self._patience = None if answer.will_close else patience  # the answer has the socket then

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        from http.client import HTTPException

        if self._connection is None:
            return 0
        try:
            place = memoryview(buffer)[: self._left]
            if self._patience is None:
                count = self._answer.readinto(place[:_PIECE])
            else:
                count = self._receive(self._connection.sock, place, self._patience)
        except (OSError, HTTPException) as exc:
            self._drop()
            what = "it did not answer in time" if isinstance(exc, TimeoutError) else "the connection broke"
            raise self._failures.lost(what) from None
        self._left -= count
        if self._left:
            if not count:
                self._drop()
                raise self._failures.lost("the connection broke")
        elif self._answer.will_close:
            self._drop()
        else:
            self._answer.close()
            if self._bare:
                self._connection.sock.settimeout(self._patience)
            self._keep(self._connection)
            self._connection = None
        return count

    def close(self) -> None:
        self._drop()
        super().close()

    def _receive(self, sock: socket.socket, place: memoryview, patience: float) -> int:
        """Fill the place from a plain stream, or as much of it as comes in a moment."""
        done = 0 if self._bare else self._take_kept(sock, place)
        if done == len(place) or not self._bare:
            return done
        try:
            return done + _wait(sock, place[done:], patience)
        except OSError:
            if done:  # the next call meets it again
                return done
            raise

    def _take_kept(self, sock: socket.socket, place: memoryview) -> int:
        """What came together with the head, and was kept where that was read."""
        kept = len(self._answer.fp.peek(1))
        count = self._answer.readinto(place[:kept])
        if count == kept:
            self._bare = True
            sock.settimeout(None)
        return count

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _wait(sock: socket.socket, place: memoryview, patience: float) -> int:
    """Let the system fill the place: each return to the interpreter waits for a turn, and delays all others."""
    begun = time.monotonic()
    while True:
        try:
            return sock.recv_into(place, 0, socket.MSG_WAITALL)
        except BlockingIOError:  # nothing at all in a moment
            if time.monotonic() - begun >= patience:
                raise TimeoutError from None


def _behind_proxy() -> bool:
    """Whether the environment names a proxy, for whatever: obstore knows which requests go there."""
    names = [name.lower() for name, value in os.environ.items() if value]
    return any(name.endswith("_proxy") and name != "no_proxy" for name in names)
