"""Connections to Google: one for each thread that asks at the moment, kept for the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from oauth2client.client import AccessTokenRefreshError

from kist_gdrive.access import Access
from kist_gdrive.failures import Failures

Ask = Callable[[Any], Any]
"""Makes a request, given pydrive2's service."""


class Connections:
    """Sends requests, each once: the connections below are not safe for several threads.

    Args:
        access: the credentials.
        failures: translates what Google's libraries raise.
    """

    def __init__(self, access: Access, failures: Failures) -> None:
        self._access, self._failures = access, failures
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    def call(self, key: str, ask: Ask) -> Any:
        """Send a request.

        Args:
            key: the key that it is about, for messages.
            ask: makes the request; once more where the user had to consent anew.

        Returns:
            The answer.

        Raises:
            RemoteError: Google refused or did not answer.
        """
        with self._failures(key):
            try:
                return self._once(ask)
            except AccessTokenRefreshError as exc:
                with self._lock:
                    if not self._access.may_ask_again(exc):
                        raise
                return self._once(ask)

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._access.close()
        for http in idle:
            http.close()

    def _once(self, ask: Ask) -> Any:
        with self._lock:
            self._access.ensure()
            service = self._access.auth.service
            http = self._idle.pop() if self._idle else self._access.auth.Get_Http_Object()
        try:
            answer = ask(service).execute(http=http)
        except BaseException:
            http.close()  # what is left of an answer may still be in it
            raise
        with self._lock:
            self._idle.append(http)
        return answer
