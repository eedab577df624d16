"""What other people's exceptions mean."""

from __future__ import annotations

import errno
import socket
import time

import pytest

from kist.errors import (
    RemoteAuthError,
    RemoteError,
    RemoteExists,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemotePrecondition,
    RemoteQuotaExceeded,
    RemoteUnavailable,
    StorageError,
)
from kist.remotes.failures import Translator


class NoCredentialsError(Exception):
    pass


class EndpointConnectionError(Exception):
    pass


class Response:
    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status_code = status
        self.headers = headers


class HttpError(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.response = Response(status, headers)


def raised(exc: BaseException, *secrets: str) -> RemoteError:
    with pytest.raises(RemoteError) as caught, Translator("box", secrets)("the/key"):
        raise exc
    return caught.value


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (FileNotFoundError(2, "x"), RemoteObjectNotFound),
        (FileExistsError(17, "x"), RemoteExists),
        (PermissionError(13, "x"), RemotePermissionError),
        (OSError(errno.EROFS, "x"), RemotePermissionError),
        (OSError(errno.ENOSPC, "x"), RemoteQuotaExceeded),
        (OSError(errno.EDQUOT, "x"), RemoteQuotaExceeded),
        (OSError(errno.ESTALE, "x"), RemoteUnavailable),
        (OSError(errno.EHOSTUNREACH, "x"), RemoteUnavailable),
        (NotADirectoryError(errno.ENOTDIR, "x"), RemoteObjectNotFound),
        (OSError(errno.EEXIST, "x"), RemoteExists),
        (OSError("no number"), RemoteError),
        (ConnectionResetError(104, "x"), RemoteUnavailable),
        (TimeoutError("x"), RemoteUnavailable),
        (EOFError("x"), RemoteUnavailable),
        (socket.gaierror(-2, "Name or service not known"), RemoteUnavailable),
        (NoCredentialsError("x"), RemoteAuthError),
        (EndpointConnectionError("x"), RemoteUnavailable),
        (HttpError(401), RemoteAuthError),
        (HttpError(403), RemotePermissionError),
        (HttpError(404), RemoteObjectNotFound),
        (HttpError(409), RemoteExists),
        (HttpError(412), RemotePrecondition),
        (HttpError(429), RemoteUnavailable),
        (HttpError(500), RemoteUnavailable),
        (HttpError(501), RemoteError),
        (HttpError(503), RemoteUnavailable),
        (HttpError(507), RemoteQuotaExceeded),
        (HttpError(418), RemoteError),
        (KeyError("x"), RemoteError),
    ],
    ids=lambda one: getattr(one, "__name__", repr(one)),
)
def test_meaning(exc, kind) -> None:
    error = raised(exc)
    assert type(error) is kind
    assert error.__cause__ is exc
    assert error.retryable is (kind is RemoteUnavailable)


def test_key_is_named() -> None:
    error = raised(FileNotFoundError(2, "x"))
    assert isinstance(error, RemoteObjectNotFound)
    assert error.key == "the/key"


@pytest.mark.parametrize(("header", "wait"), [("7", 7.0), ("-1", 0.0), ("soon", None)])
def test_retry_after(header, wait) -> None:
    error = raised(HttpError(503, **{"Retry-After": header}))
    assert isinstance(error, RemoteUnavailable)
    assert error.retry_after == wait


def test_secrets_are_blotted_out_and_the_cause_with_them() -> None:
    error = raised(ValueError("bad token s3cr3t-token in s3cr3t-token-longer"), "s3cr3t-token", "s3cr3t-token-longer")
    assert "s3cr3t" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_own_errors_pass() -> None:
    error = StorageError("full")
    with pytest.raises(StorageError) as caught, Translator("box")("key"):
        raise error
    assert caught.value is error


def test_passing_exceptions_pass() -> None:
    own = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, Translator("box")("key", passing=[own]):
        raise own
    assert caught.value is own


def test_retry_after_is_seconds_or_a_date():
    from email.utils import formatdate

    from kist.remotes.failures import retry_seconds

    assert retry_seconds("2.5") == 2.5
    assert retry_seconds("-3") == 0.0
    assert 50 < retry_seconds(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert retry_seconds(formatdate(time.time() - 60, usegmt=True)) == 0.0
    assert retry_seconds("soon") is None
    assert retry_seconds("inf") is None
