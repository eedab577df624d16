"""What Google's answers mean, as errors of a remote."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import httplib2
from googleapiclient.errors import HttpError
from oauth2client.client import AccessTokenRefreshError, FlowExchangeError

from kist.errors import (
    KistError,
    RemoteAuthError,
    RemoteError,
    RemoteExists,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemoteQuotaExceeded,
    RemoteUnavailable,
)

_BUSY = {"userRateLimitExceeded", "rateLimitExceeded", "sharingRateLimitExceeded", "backendError", "internalError"}
"""Reasons that pass by themselves."""

_FULL = {
    "storageQuotaExceeded": "free some space, or use a shared drive: a service account has no space of its own",
    "quotaExceeded": "free some space, or use another drive",
    "dailyLimitExceeded": "the project of your OAuth client or service account may ask no more today: try tomorrow, "
    "or ask Google for more under 'Quotas' in its console",
    "teamDriveFileLimitExceeded": "the shared drive has as many files as it may: use another one, or run 'kist gc'",
    "numChildrenInNonRootLimitExceeded": "the folder has as many files as it may: use another one, or run 'kist gc'",
    "activeItemCreationLimitExceeded": "the account has as many files as it may: use another one",
    "teamDriveHierarchyTooDeep": "the folders of a shared drive may not be nested deeper: use a folder higher up",
    "downloadQuotaExceeded": "the file was brought too often today: try tomorrow",
}
"""Reasons that stay until somebody does something, and what."""

_REFUSED = {
    "accessNotConfigured": "enable the Google Drive API in the project of your OAuth client or service account",
    "insufficientPermissions": "the consent does not cover Google Drive: give it again",
    "cannotDownloadAbusiveFile": "if you know the file to be good, set the option acknowledge_abuse",
    "domainPolicy": "the policy of the domain forbids it: ask its administrator",
}

_SHARE = "share the folder with that account, as an editor where it is to write"
_LATER = "try again in some minutes; 'kist push --max-requests 5' and the like asks Google for less at once"
_KEY = "check the key of the service account, and this machine's clock"
_CONSENT = "run 'kist doctor --remote {name}' on a terminal to give your consent anew"


class Failures:
    """Translates, and names the remote and who asked.

    Args:
        name: the remote's name.
        place: its URL.
        identity: tells who asks, as far as it is known.
        clean: takes secrets out of a text.
    """

    def __init__(self, name: str, place: str, identity: Callable[[], str], clean: Callable[[str], str]) -> None:
        self._name, self._place = name, place
        self._identity, self._clean = identity, clean

    @contextmanager
    def __call__(self, key: str) -> Iterator[None]:
        """Translate what the block raises.

        Args:
            key: the key that the block is about.

        Raises:
            RemoteError: the translation, without a secret.
        """
        try:
            yield
        except KistError:
            raise
        except Exception as exc:
            error = self.translate(exc, key)
            shown = f"{type(exc).__name__}: {exc}"
            raise error from (exc if self._clean(shown) == shown else None)

    def message(self, text: str) -> str:
        """A sentence about this remote.

        Args:
            text: what happened.

        Returns:
            The sentence, with the remote's name, its place and who asked, and without a secret.
        """
        return self._clean(f"remote {self._name} ({self._place}, as {self._identity() or 'nobody'}): {text}")

    def translate(self, exc: BaseException, key: str) -> RemoteError:
        """The error that says what an exception means.

        Args:
            exc: of Google's libraries, of the network, or of the system.
            key: the key it is about.

        Returns:
            The error, not raised.
        """
        if isinstance(exc, HttpError):
            return self._of_answer(exc, key)
        if isinstance(exc, AccessTokenRefreshError):
            return self._of_token(exc)
        if isinstance(exc, FlowExchangeError):
            return RemoteAuthError(self.message(f"the consent was not accepted: {exc}"), hint=self._consent())
        if isinstance(exc, ssl.SSLCertVerificationError):
            hint = "if a proxy stands between, name its certificates in HTTPLIB2_CA_CERTS"
            return RemoteError(self.message(f"the server's certificate is not trusted: {exc}"), hint=hint)
        if isinstance(exc, (OSError, http.client.HTTPException, httplib2.HttpLib2Error)):
            text = f"no answer: {type(exc).__name__}: {exc}"
            return RemoteUnavailable(self.message(text), hint="check the network and the proxy")
        return RemoteError(self.message(f"{type(exc).__name__}: {exc}"))

    def _consent(self) -> str:
        return _CONSENT.format(name=self._name)

    def _of_token(self, exc: AccessTokenRefreshError) -> RemoteError:
        status = getattr(exc, "status", None)
        if isinstance(status, int) and (status == 429 or status >= 500):
            return RemoteUnavailable(self.message(f"no token was given: {exc}"))
        hint = self._consent()
        if "invalid_client" in str(exc) or "unauthorized_client" in str(exc):
            hint = "check client_id and client_secret, or what the service account is allowed to do"
        elif self._identity().startswith("service account"):
            hint = _KEY
        return RemoteAuthError(self.message(f"the credentials are not accepted: {exc}"), hint=hint)

    def _of_answer(self, exc: HttpError, key: str) -> RemoteError:
        status, (reason, told) = int(exc.resp.status), _told(exc)
        text = self.message(f"{told or 'no reason given'} ({status} {reason})")
        if status in (408, 429) or status >= 500 or reason in _BUSY:
            return RemoteUnavailable(text, retry_after=_retry_after(exc.resp), hint=_LATER)
        if reason in _FULL:
            return RemoteQuotaExceeded(text, hint=_FULL[reason])
        if status == 403:
            return RemotePermissionError(text, hint=_REFUSED.get(reason, _SHARE))
        if status == 404:
            return RemoteObjectNotFound(key, remote=self._name)
        if status == 401:
            service = self._identity().startswith("service account")
            return RemoteAuthError(text, hint=_KEY if service else self._consent())
        return RemoteExists(text) if status == 409 else RemoteError(text)


def _told(exc: HttpError) -> tuple[str, str]:
    """Reason and message of an answer, each as it was told."""
    try:
        error: Any = json.loads(exc.content)["error"]
        first = (error.get("errors") or [{}])[0]
        return str(first.get("reason", "")), str(first.get("message") or error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return str(exc.resp.reason), ""


def _retry_after(headers: Any) -> float | None:
    """Seconds that an answer asks to wait, given as a number or as a date."""
    text = str(headers.get("retry-after") or "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
