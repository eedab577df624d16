"""Conditional writes: whether a server honours ``If-None-Match``, found out without trusting it."""

from __future__ import annotations

import threading
from typing import Any

from kist.errors import RemoteError
from kist_s3.client import Client
from kist_s3.failures import Failures


class Conditions:
    """Writes keys that must be new.

    Servers that ignore the condition answer as if they had honoured it. So, where nobody said what the server does, the
    first write of a process looks for the key before and repeats itself: the repetition must be refused.

    Args:
        client: the connection.
        failures: translates what it raises.
    """

    def __init__(self, client: Client, failures: Failures) -> None:
        self._client, self._failures = client, failures
        self._lock = threading.Lock()
        said = client.options.conditional_writes
        self._proven: bool | None = {"yes": True, "no": False}.get(said)

    @property
    def honoured(self) -> bool:
        """Whether a conditional write has one winner, or is refused as impossible."""
        return self._proven is not False

    @property
    def told(self) -> str:
        """The same for people."""
        if self._proven is None and not self._amazon():
            return "tried at the first use"
        return "not honoured" if self._proven is False else "honoured"

    def put(self, key: str, data: bytes, attributes: Any) -> None:
        """Store a new key.

        Args:
            key: the key.
            data: its bytes.
            attributes: for obstore.

        Raises:
            RemoteExists: somebody has stored it already.
            RemoteError: the server turns out to ignore conditions.
        """
        if self._proven is None and not self._amazon():
            with self._lock:
                if self._proven is None:
                    self._put_and_prove(key, data, attributes)
                    return
        if self._proven is False:
            raise self._ignored(key)
        self._create(key, data, attributes)

    def _put_and_prove(self, key: str, data: bytes, attributes: Any) -> None:
        if self._is_there(key):
            raise self._failures.exists(key)
        self._create(key, data, attributes)
        try:
            with self._failures(key):
                self._send(key, data, attributes)
        except _Refused:
            self._proven = True
            return
        self._proven = False
        raise self._ignored(key)

    def _create(self, key: str, data: bytes, attributes: Any) -> None:
        try:
            with self._failures(key):
                self._send(key, data, attributes)
        except _Refused:
            self._proven = True
            raise self._failures.exists(key) from None

    def _send(self, key: str, data: bytes, attributes: Any) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        store = self._client.writing(len(data)) if len(data) > 1 << 20 else self._client.reading
        try:
            obstore.put(store, key, data, attributes=attributes, mode="create", use_multipart=False)
        except AlreadyExistsError as exc:
            if "status code: 409" in str(exc).partition("\n\n")[0]:
                raise  # two at once, and the server wants both to try again
            raise _Refused(key) from None

    def _is_there(self, key: str) -> bool:
        import obstore

        try:
            with self._failures(key):
                obstore.head(self._client.reading, key)
        except RemoteError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            return False
        return True

    def _amazon(self) -> bool:
        return self._client.address().amazon

    def _ignored(self, key: str) -> RemoteError:
        name = self._client.scope.name
        return RemoteError(
            f"remote {name}: the server ignores If-None-Match, so that nobody can be the one winner of {key}",
            hint=f"kist remote modify {name} conditional_writes no",
            remote=name,
        )


class _Refused(RemoteError):
    """The server said that the key is there."""
