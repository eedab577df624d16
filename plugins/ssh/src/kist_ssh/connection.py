"""One SFTP connection: requests of many threads go out, replies find back to who asked."""

from __future__ import annotations

import itertools
import logging
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from kist.errors import RemoteUnavailable
from kist_ssh import protocol
from kist_ssh.command import Command
from kist_ssh.exchange import Exchange, Mailbox, Request
from kist_ssh.failures import Failure, no_sftp, of_ssh
from kist_ssh.landing import Block, Packets, Rooms
from kist_ssh.process import SSHProcess
from kist_ssh.protocol import Fields, ProtocolError, Reply, Status

_SILENCE = 300.0
"""Seconds without any reply to a request after which the server is taken to hang."""

_HELLO = 30.0
"""Seconds beyond the time to connect in which SFTP must begin, where nobody is asked anything."""

_BLOCK = 32768
"""Bytes of a read or write that every server takes."""

_LARGEST_BLOCK = 1 << 18

_PAGE = 1 << 12
"""Bytes that systems keep together: what is read is written to a file of ours."""

_HEAD = struct.Struct(">IBI")
"""How a packet begins: bytes that follow, kind, number."""


_NOTHING = Fields(b"")
"""What is left of a reply whose bytes have landed."""


class Connection:
    """A connection to a server that speaks SFTP.

    Args:
        command: how to start ssh.
        limit: seconds that ssh takes at most to connect, None where the user may be asked.
        log: told of each line that ssh says.

    Attributes:
        extensions: what the server offers beyond the protocol.
        block: bytes of one write.
        read_block: bytes of one read.
        load: exchanges under way.
        rooms: where blocks land.

    Raises:
        RemoteError: there is no ssh, or it ended, or what answers is no SFTP server.
    """

    def __init__(self, command: Command, limit: float | None, log: logging.Logger) -> None:
        self.extensions: Mapping[str, str] = {}
        self.block = self.read_block = _BLOCK
        self.load = 0
        self.rooms = Rooms()
        self._command = command
        self._failure: Failure | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[Mailbox, Block | None]] = {}
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
        number = self._expect(mailbox, None)
        self._write(_HEAD.pack(5 + len(body) + len(data), kind, number) + body, data)
        return number

    def send_all(self, requests: Iterable[Request], mailbox: Mailbox) -> list[int]:
        """Send several requests at once.

        Args:
            requests: what is asked.
            mailbox: gets the replies.

        Returns:
            The requests' numbers.

        Raises:
            RemoteError: the connection is lost.
        """
        numbers, packets = [], []
        for kind, body, block in requests:
            numbers.append(self._expect(mailbox, block))
            packets += [_HEAD.pack(5 + len(body), kind, numbers[-1]), body]
        self._write(b"".join(packets), b"")
        return numbers

    def receive(self, mailbox: Mailbox, *, patient: bool = False) -> Reply:
        """Wait for a reply.

        Args:
            mailbox: where it comes to.
            patient: whether it may take as long as it wants.

        Returns:
            The reply.

        Raises:
            RemoteError: the connection is lost.
        """
        if self._failure is not None and mailbox.empty():  # what arrived before the loss is still given
            raise self._failure.error()
        try:
            reply = mailbox.get(timeout=None if patient else _SILENCE)
        except Empty:
            text = f"{self._command.label}: no answer for {_SILENCE:.0f} seconds"
            self._fail(Failure(RemoteUnavailable, text, "is the server, or its disk, overloaded?"))
            self._process.kill()
            reply = None
        if reply is None:
            raise self._lost().error()
        return reply

    def glance(self, mailbox: Mailbox, seconds: float) -> bool:
        """Wait a moment for a reply that only wakes: what it says is not wanted.

        Args:
            mailbox: where it comes to.
            seconds: to wait at most.

        Returns:
            Whether one came.

        Raises:
            RemoteError: the connection is lost.
        """
        with suppress(Empty):
            if mailbox.get(timeout=seconds) is None:
                raise self._lost().error()
            return True
        if self._failure is not None:
            raise self._failure.error()
        return False

    def count(self, change: int) -> None:
        """Note that exchanges began or ended."""
        with self._state:
            self.load += change

    def close(self) -> None:
        """End ssh and the threads; calls under way fail. May be called twice."""
        self._fail(Failure(RemoteUnavailable, f"{self._command.label}: the connection was closed"))
        self._process.end()
        self._listener.join()

    def _expect(self, mailbox: Mailbox, block: Block | None) -> int:
        """A number for a request, whose answer then goes there."""
        with self._state:
            if self._failure is not None:
                raise self._failure.error()
            number = next(self._numbers) & 0xFFFFFFFF
            self._waiting[number] = mailbox, block
        return number

    def _write(self, head: bytes, data: bytes | memoryview) -> None:
        try:
            self._process.write(head, data)
        except OSError:
            raise self._lost().error() from None

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
        """Take what the server reads and writes at once: of writes a power of two, so that pieces stay aligned."""
        with self.exchange() as exchange, suppress(Status):
            fields = exchange.call(protocol.EXTENDED, protocol.text(protocol.LIMITS), due=protocol.EXTENDED_REPLY)
            fields.long_number()
            reads, writes = fields.long_number() or _LARGEST_BLOCK, fields.long_number() or _LARGEST_BLOCK
            self.block = 1 << (max(_BLOCK, min(reads, writes, _LARGEST_BLOCK)).bit_length() - 1)
            self.read_block = max(_BLOCK, min(reads, _LARGEST_BLOCK)) // _PAGE * _PAGE

    def _fail(self, failure: Failure) -> None:
        """From now on every call hears of this; the first one counts."""
        with self._state:
            if self._failure is not None:
                return
            self._failure = failure
            waiting, self._waiting = self._waiting, {}
        for mailbox, _ in waiting.values():
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
        with self._process.output as output:
            packets = Packets(output.fileno())
            try:
                if self._hear_hello(packets):
                    while self._hear_reply(packets):
                        pass
            except (OSError, ProtocolError) as exc:
                self._fail(Failure(RemoteUnavailable, f"{self._command.label}: the server broke the protocol: {exc}"))
                self._process.kill()
            self._lost()

    def _hear_hello(self, packets: Packets) -> bool:
        head = packets.take(_HEAD.size)
        if not head.strip():
            return False
        length, kind, version = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
        if len(head) < _HEAD.size or kind != protocol.HELLO or not 5 <= length <= 1 << 16:
            # A login script prints into the connection; what it printed is there at once.
            self._process.kill()
            first = head + packets.some(200)
            self._process.wait()
            self._fail(no_sftp(self._command, first, self._process.last_words()))
            return False
        if version < protocol.VERSION:
            raise ProtocolError(f"it speaks version {version} of SFTP")
        hello = Fields(packets.take(length - 5))
        self.extensions = hello.pairs()
        self._begun.put(Reply(0, kind, hello))
        return True

    def _hear_reply(self, packets: Packets) -> bool:
        head = packets.take(_HEAD.size)
        if len(head) < _HEAD.size:
            return False
        length, kind, number = _HEAD.unpack(head)
        if not 5 <= length <= protocol.LARGEST_PACKET:
            raise ProtocolError(f"a packet of {length} bytes")
        mailbox, block = self._waiting.get(number, (None, None))
        if block is not None and kind == protocol.DATA:
            count = int.from_bytes(packets.take(4), "big")
            if count != length - 9:
                raise ProtocolError("a block that is not as long as its packet")
            reply = Reply(number, kind, _NOTHING)
            whole = block.land(packets, count)
        else:
            data = packets.take(length - 5)
            reply, whole = Reply(number, kind, Fields(data)), len(data) == length - 5
            if block is not None and whole:
                block.refuse(reply)
        if not whole:
            return False
        self._waiting.pop(number, None)
        if mailbox is not None and (block is None or block.stretch.answered(block)):
            mailbox.put(reply)
        return True
