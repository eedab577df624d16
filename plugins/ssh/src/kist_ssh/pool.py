"""The connections of one remote: made when they are needed, shared by all threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kist.errors import RemoteError
from kist_ssh.connection import Connection
from kist_ssh.exchange import Exchange


class Pool:
    """Hands out connections, the least busy first.

    Args:
        connect: makes one; raises a RemoteError.
        most: how many there may be.
    """

    def __init__(self, connect: Callable[[], Connection], most: int) -> None:
        self._connect, self._most = connect, most
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._allowed = self._most
        self._failed: RemoteError | None = None
        self._attempts = 0

    @contextmanager
    def exchange(self) -> Iterator[Exchange]:
        """Requests of one piece of work.

        Yields:
            The exchange, on one of the connections.

        Raises:
            RemoteError: no connection can be made.
        """
        one = self.begin()
        try:
            yield one
        finally:
            one.close()

    def begin(self) -> Exchange:
        """As :meth:`exchange`, to be closed by the caller.

        Returns:
            The exchange.

        Raises:
            RemoteError: no connection can be made.
        """
        if self._owner != os.getpid():  # a fork: the connections are the parent's
            self._begin()
        attempts = self._attempts
        with self._lock:
            self._drop_dead()
            if not self._connections and self._attempts != attempts and self._failed is not None:
                # Who waited for an attempt shares its outcome: a wrong key is not offered once for each thread.
                raise type(self._failed)(str(self._failed), hint=self._failed.hint)
            if not self._connections or (
                len(self._connections) < self._allowed and all(one.load for one in self._connections)
            ):
                self._grow()
            return Exchange(min(self._connections, key=lambda one: one.load))

    def close(self) -> None:
        """End all connections."""
        if self._owner != os.getpid():
            return
        with self._lock:
            ending, self._connections = self._connections, []
        for one in ending:
            one.close()

    def _grow(self) -> None:
        try:
            self._connections.append(self._connect())
        except RemoteError as exc:
            if self._connections:
                self._allowed = len(self._connections)  # the server bears no more: go on with what there is
                return
            self._failed = exc
            raise
        finally:
            self._attempts += 1

    def _drop_dead(self) -> None:
        for one in [one for one in self._connections if not one.alive]:
            self._connections.remove(one)
            one.close()
