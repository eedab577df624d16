"""Translator: what other people's code raises, as errors of a remote."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

from kist.errors import (
    KistError,
    RemoteAuthError,
    RemoteError,
    RemoteExists,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemotePrecondition,
    RemoteQuotaExceeded,
    RemoteUnavailable,
)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
_AWAY = {
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENODEV,
    errno.ENOTCONN,
    errno.EPIPE,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.EIO,
}

_BROKEN = ("timeout", "connect", "protocolerror", "incompleteread", "payloaderror", "readerror", "writeerror")
"""Parts of the names that HTTP libraries give to exceptions for a line that broke or an answer that was cut short."""


class Translator:
    """Turns exceptions of an SDK or of the system into RemoteErrors, without a secret in their text.

    Args:
        what: what failed, in a few words, to begin the messages with.
        secrets: texts that must not show.
    """

    def __init__(self, what: str, secrets: Sequence[str] = ()) -> None:
        self._what = what
        self._secrets = sorted((text for text in secrets if len(text) > 3), key=len, reverse=True)

    @contextmanager
    def __call__(self, key: str, *, passing: Sequence[BaseException] = ()) -> Iterator[None]:
        """Translate what the block raises.

        Args:
            key: the key that the block is about.
            passing: exceptions that are the caller's own and pass as they are.

        Raises:
            RemoteError: the translation, with the original as its cause unless that would show a secret.
        """
        try:
            yield
        except KistError:
            raise
        except Exception as exc:
            if any(exc is own for own in passing):
                raise
            text = f"{type(exc).__name__}: {exc}"
            clean = self.clean(text)
            cause = exc if clean == text else None
            clean = clean.strip().partition("\n")[0]  # some add a page on what the status means
            raise translate(exc, key, f"{self._what}: {clean}") from cause

    def clean(self, text: str) -> str:
        """The text with every secret blotted out.

        Args:
            text: a message of somebody else's.

        Returns:
            What may be shown.
        """
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def translate(exc: BaseException, key: str, message: str) -> RemoteError:
    """The RemoteError that says what an exception of somebody else's means.

    Args:
        exc: the exception.
        key: the key it is about.
        message: the text to carry.

    Returns:
        The error, not raised.
    """
    if status := _status(exc):
        return _of_status(status, exc, key, message)
    name = type(exc).__name__.lower()
    error: RemoteError = RemoteError(message)
    if isinstance(exc, FileNotFoundError):
        error = RemoteObjectNotFound(key)
    elif isinstance(exc, FileExistsError):
        error = RemoteExists(message)
    elif any(word in name for word in ("credential", "authentication", "unauthor", "token")):
        error = RemoteAuthError(message)
    elif isinstance(exc, PermissionError):
        error = RemotePermissionError(message)
    elif isinstance(exc, (TimeoutError, ConnectionError, EOFError)) or any(word in name for word in _BROKEN):
        error = RemoteUnavailable(message)
    elif isinstance(exc, OSError):
        error = of_errno(exc.errno or 0, key, message, resolving=name in ("gaierror", "herror"))
    return error


def of_errno(number: int, key: str, message: str, *, resolving: bool = False) -> RemoteError:
    """The RemoteError for a number of the system.

    Args:
        number: as in :mod:`errno`.
        key: the key it is about.
        message: the text to carry.
        resolving: whether a host name was being looked up.

    Returns:
        The error, not raised.
    """
    if resolving or number in _AWAY:
        return RemoteUnavailable(message)
    if number in _FULL:
        return RemoteQuotaExceeded(message, hint="free some space there and run the command again")
    if number in _REFUSED:
        return RemotePermissionError(message, hint="check who may write and read there")
    if number in _ABSENT:
        return RemoteObjectNotFound(key)
    if number == errno.EEXIST:
        return RemoteExists(message)
    return RemoteError(message)


def _of_status(status: int, exc: BaseException, key: str, message: str) -> RemoteError:
    if status in (408, 425, 429) or (status >= 500 and status not in (501, 507)):
        return RemoteUnavailable(message, retry_after=_retry_after(exc))
    if status == 404:
        return RemoteObjectNotFound(key)
    kinds: dict[int, type[RemoteError]] = {
        401: RemoteAuthError,
        403: RemotePermissionError,
        409: RemoteExists,
        412: RemotePrecondition,
        413: RemoteQuotaExceeded,
        507: RemoteQuotaExceeded,
    }
    return kinds.get(status, RemoteError)(message)


def _status(exc: BaseException) -> int:
    """The HTTP status that an exception of an SDK carries, 0 for none."""
    response: Any = getattr(exc, "response", None)
    for holder in (exc, response):
        for name in ("status_code", "status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 400 <= value < 600:
                return value
    return 0


def _retry_after(exc: BaseException) -> float | None:
    response: Any = getattr(exc, "response", None)
    for holder in (exc, response):
        headers = getattr(holder, "headers", None)
        if headers is not None and hasattr(headers, "get"):
            text = headers.get("Retry-After") or headers.get("retry-after")
            seconds = retry_seconds(text) if isinstance(text, str) else None
            if seconds is not None:
                return seconds
    return None


def retry_seconds(text: str) -> float | None:
    """What a ``Retry-After`` header asks for.

    Args:
        text: seconds, or a date as HTTP writes it.

    Returns:
        Seconds from now, None where it is neither.
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            from email.utils import parsedate_to_datetime

            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if isfinite(seconds) else None
