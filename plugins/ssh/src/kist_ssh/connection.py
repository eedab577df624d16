"""One SFTP connection: requests of many threads go out, replies find back to who asked."""

from __future__ import annotations

import itertools
import logging
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import BinaryIO, NamedTuple

from kist.errors import RemoteUnavailable
from kist.remotes.wrapping import buffered, read_into
from kist_ssh import protocol
from kist_ssh.command import Command
from kist_ssh.failures import Failure, no_sftp, of_ssh
from kist_ssh.process import SSHProcess
from kist_ssh.protocol import Fields, ProtocolError, Status

_SILENCE = 300.0
"""Seconds without any reply to a request after which the server is taken to hang."""

_HELLO = 30.0
"""Seconds beyond the time to connect in which SFTP must begin, where nobody is asked anything."""

_BLOCK = 32768
"""Bytes of a read or write that every server takes."""

_LARGEST_BLOCK = 1 << 18

_HEAD = struct.Struct(">IBI")
"""How a packet begins: bytes that follow, kind, number."""


class Reply(NamedTuple):
    """A server's answer.

    Args:
        number: the request that it answers.
        kind: STATUS, HANDLE, DATA and so on.
        fields: the rest of the packet.
    """

    number: int
    kind: int
    fields: Fields

    def expect(self, kind: int) -> Fields:
        """The fields of a reply of the wanted kind.

        Args:
            kind: STATUS stands for success.

        Returns:
            The fields.

        Raises:
            Status: the server refused.
        """
        if self.kind == protocol.STATUS:
            status = self.fields.status()
            if status.code != protocol.OK or kind != protocol.STATUS:
                raise status
        elif self.kind != kind:
            raise ProtocolError(f"the server gave a reply of kind {self.kind} where {kind} was due")
        return self.fields


Mailbox = SimpleQueue["Reply | None"]


class Connection:
    """A connection to a server that speaks SFTP.

    Args:
        command: how to start ssh.
        limit: seconds that ssh takes at most to connect, None where the user may be asked.
        log: told of each line that ssh says.

    Attributes:
        extensions: what the server offers beyond the protocol.
        block: bytes of one read or write.
        load: exchanges under way.

    Raises:
        RemoteError: there is no ssh, or it ended, or what answers is no SFTP server.
    """

    def __init__(self, command: Command, limit: float | None, log: logging.Logger) -> None:
        self.extensions: Mapping[str, str] = {}
        self.block = _BLOCK
        self.load = 0
        self._command = command
        self._failure: Failure | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Mailbox] = {}
        self._state = threading.Lock()
        self._begun: Mailbox = SimpleQueue()
        self._process = SSHProcess(command, log)
        self._listener = threading.Thread(target=self._listen, name="kist-ssh", daemon=True)
        self._listener.start()
        try:
            self._greet(limit)
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether requests may still be sent."""
        return self._failure is None

    def offers(self, extension: str) -> bool:
        """Whether the server has an extension of the protocol."""
        return extension in self.extensions

    @contextmanager
    def exchange(self) -> Iterator[Exchange]:
        """Requests of one piece of work; replies that come after it are dropped.

        Yields:
            The exchange.
        """
        one = Exchange(self)
        try:
            yield one
        finally:
            one.close()

    def send(self, kind: int, body: bytes, data: bytes | memoryview, mailbox: Mailbox) -> int:
        """Send a request.

        Args:
            kind: of the packet.
            body: what follows the request's number.
            data: what follows that, not copied.
            mailbox: gets the reply, or None when the connection is lost.

        Returns:
            The request's number.

        Raises:
            RemoteError: the connection is lost.
        """
        with self._state:
            if self._failure is not None:
                raise self._failure.error()
            number = next(self._numbers) & 0xFFFFFFFF
            self._waiting[number] = mailbox
        try:
            self._process.write(_HEAD.pack(5 + len(body) + len(data), kind, number) + body, data)
        except OSError:
            raise self._lost().error() from None
        return number

    def receive(self, mailbox: Mailbox, silence: float | None) -> Reply:
        """Wait for a reply.

        Args:
            mailbox: where it comes to.
            silence: seconds to wait at most.

        Returns:
            The reply.

        Raises:
            RemoteError: the connection is lost.
        """
        if self._failure is not None and mailbox.empty():  # what arrived before the loss is still given
            raise self._failure.error()
        try:
            reply = mailbox.get(timeout=silence)
        except Empty:
            text = f"{self._command.label}: no answer for {silence:.0f} seconds"
            self._fail(Failure(RemoteUnavailable, text, "is the server, or its disk, overloaded?"))
            self._process.kill()
            reply = None
        if reply is None:
            raise self._lost().error()
        return reply

    def count(self, change: int) -> None:
        """Note that exchanges began or ended."""
        with self._state:
            self.load += change

    def close(self) -> None:
        """End ssh and the threads; calls under way fail. May be called twice."""
        self._fail(Failure(RemoteUnavailable, f"{self._command.label}: the connection was closed"))
        self._process.end()
        self._listener.join()

    # ── beginning and end ────────────────────────────────────────────────────────────────────────────────────────────

    def _greet(self, limit: float | None) -> None:
        with suppress(OSError):  # if ssh has ended already, its last words tell why
            self._process.write(struct.pack(">IBI", 5, protocol.INIT, protocol.VERSION), b"")
        limit = None if limit is None else limit + _HELLO
        try:
            hello = self._begun.get(timeout=limit)
        except Empty:
            hello = None
            text = f"{self._command.label}: timed out, no SFTP within {limit:.0f} seconds"
            self._fail(Failure(RemoteUnavailable, text, f"try '{self._command.typed()}' in a terminal"))
            self._process.kill()
        if hello is None:
            raise self._lost().error()
        if self.offers(protocol.LIMITS):
            self._ask_limits()

    def _ask_limits(self) -> None:
        """Take the largest power of two that the server reads and writes at once, so that pieces stay aligned."""
        with self.exchange() as exchange, suppress(Status):
            fields = exchange.call(protocol.EXTENDED, protocol.text(protocol.LIMITS), due=protocol.EXTENDED_REPLY)
            fields.long_number()
            told = [size for size in (fields.long_number(), fields.long_number()) if size]
            self.block = 1 << (max(_BLOCK, min([*told, _LARGEST_BLOCK])).bit_length() - 1)

    def _fail(self, failure: Failure) -> None:
        """From now on every call hears of this; the first one counts."""
        with self._state:
            if self._failure is not None:
                return
            self._failure = failure
            waiting, self._waiting = self._waiting, {}
        for mailbox in waiting.values():
            mailbox.put(None)
        self._begun.put(None)

    def _lost(self) -> Failure:
        """Why it is over: mostly by what ssh said, once it has ended."""
        if self._failure is None:
            code = self._process.wait()
            ending = "the connection was lost" if self.extensions else f"ssh ended with code {code}"
            self._fail(of_ssh(self._command, self._process.last_words(), ending))
        assert self._failure is not None
        return self._failure

    # ── the listening thread ─────────────────────────────────────────────────────────────────────────────────────────

    def _listen(self) -> None:
        """Hand every reply to who waits for it, until the connection ends."""
        with buffered(self._process.output, 1 << 17) as reader:
            try:
                if self._hear_hello(reader):
                    while self._hear_reply(reader):
                        pass
            except (OSError, ProtocolError) as exc:
                self._fail(Failure(RemoteUnavailable, f"{self._command.label}: the server broke the protocol: {exc}"))
                self._process.kill()
            self._lost()

    def _hear_hello(self, reader: BinaryIO) -> bool:
        head = reader.read(_HEAD.size)
        if not head.strip():
            return False
        length, kind, version = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
        if len(head) < _HEAD.size or kind != protocol.HELLO or not 5 <= length <= 1 << 16:
            # A login script prints into the connection; what it printed is there at once.
            self._process.kill()
            rest = memoryview(bytearray(200))
            first = head + rest[: read_into(reader, rest)]
            self._process.wait()
            self._fail(no_sftp(self._command, first, self._process.last_words()))
            return False
        if version < protocol.VERSION:
            raise ProtocolError(f"it speaks version {version} of SFTP")
        hello = Fields(reader.read(length - 5))
        self.extensions = hello.pairs()
        self._begun.put(Reply(0, kind, hello))
        return True

    def _hear_reply(self, reader: BinaryIO) -> bool:
        head = reader.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return False
        length, kind, number = _HEAD.unpack(head)
        if not 5 <= length <= protocol.LARGEST_PACKET:
            raise ProtocolError(f"a packet of {length} bytes")
        data = reader.read(length - 5)
        if len(data) < length - 5:
            return False
        mailbox = self._waiting.pop(number, None)
        if mailbox is not None:
            mailbox.put(Reply(number, kind, Fields(data)))
        return True


class Exchange:
    """Requests of one piece of work and their replies, in the order in which they come; for one thread.

    Args:
        connection: where they go.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._mailbox: Mailbox = SimpleQueue()
        self._open = True
        connection.count(1)

    def send(self, kind: int, body: bytes, data: bytes | memoryview = b"") -> int:
        """Send a request and go on.

        Args:
            kind: of the packet.
            body: its fields.
            data: bytes that follow them.

        Returns:
            The request's number.

        Raises:
            RemoteError: the connection is lost.
        """
        return self.connection.send(kind, body, data, self._mailbox)

    def receive(self, *, patient: bool = False) -> Reply:
        """Wait for the next reply to any of the requests.

        Args:
            patient: whether it may take as long as it wants.

        Returns:
            The reply.

        Raises:
            RemoteError: the connection is lost.
        """
        return self.connection.receive(self._mailbox, None if patient else _SILENCE)

    def call(self, kind: int, body: bytes, *, due: int = protocol.STATUS, patient: bool = False) -> Fields:
        """Send a request and wait for its reply; no other may be under way.

        Args:
            kind: of the packet.
            body: its fields.
            due: the kind of reply; STATUS stands for success.
            patient: whether the reply may take as long as it wants.

        Returns:
            The fields of the reply.

        Raises:
            Status: the server refused.
            RemoteError: the connection is lost.
        """
        self.send(kind, body)
        return self.receive(patient=patient).expect(due)

    def close(self) -> None:
        """Give the place in the connection back; may be called twice."""
        if self._open:
            self._open = False
            self.connection.count(-1)
