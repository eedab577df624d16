"""Requests of one piece of work, and where their replies come to."""

from __future__ import annotations

from collections.abc import Iterable
from queue import SimpleQueue
from typing import TYPE_CHECKING

from kist_ssh import protocol
from kist_ssh.landing import Block
from kist_ssh.protocol import Fields, Reply

if TYPE_CHECKING:
    from kist_ssh.connection import Connection

Mailbox = SimpleQueue[Reply | None]
"""Where replies come to; None: the connection is lost."""

Request = tuple[int, bytes, Block | None]
"""A kind of packet, its fields, and the block that the answer brings, if it is one."""


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

    def send_all(self, requests: Iterable[Request]) -> list[int]:
        """Send several requests at once and go on.

        Args:
            requests: what is asked; of the blocks among them, not every one tells that it is there.

        Returns:
            The requests' numbers.

        Raises:
            RemoteError: the connection is lost.
        """
        return self.connection.send_all(requests, self._mailbox)

    def glance(self, seconds: float) -> bool:
        """Wait a moment for any reply; what it says is dropped.

        Args:
            seconds: to wait at most.

        Returns:
            Whether one came.

        Raises:
            RemoteError: the connection is lost.
        """
        return self.connection.glance(self._mailbox, seconds)

    def receive(self, *, patient: bool = False) -> Reply:
        """Wait for the next reply to any of the requests.

        Args:
            patient: whether it may take as long as it wants.

        Returns:
            The reply.

        Raises:
            RemoteError: the connection is lost.
        """
        return self.connection.receive(self._mailbox, patient=patient)

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
