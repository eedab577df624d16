"""What a server or the network answered, as errors of a remote.

obstore tells status and body in the text of its exceptions, and not the headers. A body may quote what was signed, a
session token among it, so that only the documented code goes into a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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

_PAUSE = 1.0
"""Seconds to wait at least where the server says that it gets too many requests."""

_KEYS = "check the keys with 'aws sts get-caller-identity'; 'kist doctor --remote NAME' tells where they came from"
_LOGIN = "log in again ('aws sso login'), or renew the temporary keys, and repeat the command"
_ROOM = "free some space there, or have the quota raised"
_PLACE = "are the bucket and the endpoint right? 'kist doctor --remote NAME' tries one thing after the other"
_CLOCK = "set this machine's clock"

_AUTH = {
    "InvalidAccessKeyId": ("the server does not know this access key", _KEYS),
    "SignatureDoesNotMatch": ("the secret does not belong to this access key", _KEYS),
    "InvalidToken": ("the session token is not valid", _LOGIN),
    "InvalidClientTokenId": ("the server does not know this access key", _KEYS),
    "ExpiredToken": ("the session token has expired", _LOGIN),
    "TokenRefreshRequired": ("the session token has expired", _LOGIN),
    "ExpiredTokenException": ("the session token has expired", _LOGIN),
    "InvalidSecurity": ("the credentials are not valid", _KEYS),
    "NotSignedUp": ("the account is not signed up for S3", None),
    "MissingSecurityHeader": ("the server wants another way of signing", None),
    "CredentialsNotSupported": ("the server does not take credentials here", None),
    "RequestTimeTooSkewed": ("this machine's clock and the server's differ too much", _CLOCK),
    "RequestExpired": ("this machine's clock and the server's differ too much", _CLOCK),
}
_REFUSED = {
    "AccessDenied",
    "AllAccessDisabled",
    "AccountProblem",
    "MethodNotAllowed",
    "ObjectLockConfigurationNotFoundError",
    "InvalidPayer",
    "UnauthorizedAccess",
}
_BUSY = {
    "SlowDown",
    "TooManyRequests",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "ServiceUnavailable",
    "RequestTimeout",
    "InternalError",
    "OperationAborted",
    "ConditionalRequestConflict",
}
_PACED = {"SlowDown", "TooManyRequests", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
_FULL = {
    "QuotaExceeded",
    "EntityTooLarge",
    "ServiceQuotaExceeded",
    "StorageFull",
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "StorageQuotaExceeded",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What can be told of a failure.

    Args:
        status: the HTTP status, 0 where there was no answer.
        code: the code in the body, "" where there is none.
        region: the region that the body names, "" for none.
        redirected: whether the server pointed elsewhere without saying where.
        trouble: what the network did, "" where the server answered.
    """

    status: int = 0
    code: str = ""
    region: str = ""
    redirected: bool = False
    trouble: str = ""

    @classmethod
    def of(cls, exc: BaseException) -> Answer:
        """Read the text of an exception of obstore.

        Args:
            exc: the exception.

        Returns:
            What it tells.
        """
        response = getattr(exc, "response", None)
        if isinstance(response, dict):  # botocore has it all in order
            status, code = response["ResponseMetadata"].get("HTTPStatusCode", 0), response["Error"].get("Code", "")
            return cls(status, code, response["Error"].get("Region", ""))
        text = str(exc)
        body, _, debug = text.partition("\n\nDebug source:")
        status = re.search(r"non-2xx status code: (\d{3})", body)
        return cls(
            status=int(status[1]) if status else 0,
            code=_element(body, "Code") or _bulk_code(body),
            region=_element(body, "Region"),
            redirected="redirect without LOCATION" in body,
            trouble="" if status else _trouble(body, debug),
        )


class Failures:
    """Turns what obstore raises into errors of a remote.

    Args:
        remote: the remote's name.
        where: its URL.
        who: tells the identity, for messages.
        secrets: tells what must not show.
        find_region: asks the server for the bucket's region, "" where it does not say.
    """

    def __init__(
        self,
        remote: str,
        where: str,
        *,
        who: Callable[[], str],
        secrets: Callable[[], Sequence[str]],
        find_region: Callable[[], str],
    ) -> None:
        self._remote, self._where = remote, where
        self._who, self._secrets, self._find_region = who, secrets, find_region

    @contextmanager
    def __call__(self, key: str) -> Iterator[None]:
        """Translate what the block raises; errors of kist pass.

        Args:
            key: the key that the block is about.

        Raises:
            RemoteError: the translation, with the original as its cause unless that would show a secret.
        """
        try:
            yield
        except KistError:
            raise
        except Exception as exc:
            raise self.translated(exc, key) from self.cause(exc)
        except BaseException as exc:
            if type(exc).__name__ != "PanicException":  # obstore's, which is no Exception
                raise
            hint = "is the endpoint right? 'kist doctor --remote NAME' shows it"
            raise self._error(RemoteError, "the client library gave up on this request", hint=hint) from None

    def cause(self, exc: BaseException) -> BaseException | None:
        """An exception that may be shown, else None."""
        text = str(exc)
        return None if any(secret in text for secret in self._secrets()) else exc

    def translated(self, exc: BaseException, key: str) -> RemoteError:
        """The error that says what an exception means.

        Args:
            exc: what obstore raised.
            key: the key it is about.

        Returns:
            The error, not raised.
        """
        answer = Answer.of(exc)
        if answer.code == "NoSuchBucket":
            return self._no_bucket()
        if isinstance(exc, FileNotFoundError) or answer.code == "NoSuchKey":
            return RemoteObjectNotFound(key, remote=self._remote)
        if answer.redirected or (answer.region and answer.code != "AccessDenied"):
            return self._wrong_region(answer)
        if type(exc).__name__ == "InvalidPathError":
            return self._error(
                RemoteError, "the bucket holds a key that is no path", hint="give the remote a prefix of its own"
            )
        if type(exc).__name__ == "UnauthenticatedError" and not answer.status:
            return self._error(RemoteAuthError, "the credentials could not be renewed", hint=_LOGIN)
        return self.of(answer, key)

    def of(self, answer: Answer, key: str) -> RemoteError:
        """The error that says what a refusal means, not raised.

        Args:
            answer: what the server told, or the network.
            key: the key it is about.

        Returns:
            The error.
        """
        return self._by_code(answer, key) or self._by_status(answer, key) or self._by_trouble(answer)

    def lost(self, trouble: str) -> RemoteError:
        """The error for a server that was not reached, or not to the end.

        Args:
            trouble: what the network did.

        Returns:
            The error, not raised.
        """
        return self._by_trouble(Answer(trouble=trouble))

    def _no_bucket(self) -> RemoteError:
        hint = f"is the name in {self._where} right? kist makes no buckets: make it with the provider's own tools"
        return self._error(RemoteError, "there is no such bucket (NoSuchBucket)", hint=hint)

    def _wrong_region(self, answer: Answer) -> RemoteError:
        region = answer.region or self._find_region()
        what = f"the bucket is in the region {region}" if region else "the bucket is in another region"
        hint = f"kist remote modify {self._remote} region {region or 'REGION'}"
        return self._error(RemoteError, f"{what} ({answer.code or 'PermanentRedirect'})", hint=hint)

    def _by_code(self, answer: Answer, key: str) -> RemoteError | None:
        code = answer.code
        if code in _AUTH:
            what, hint = _AUTH[code]
            return self._error(RemoteAuthError, f"{what} ({code})", hint=hint)
        if code in _REFUSED:
            hint = "ask the bucket's owner for the right, or use another profile"
            return self._error(
                RemotePermissionError, f"the server does not allow this {_about(key)} ({code})", hint=hint
            )
        if code in _BUSY:
            return self._busy(f"the server is overloaded or busy ({code})", _PAUSE if code in _PACED else None)
        if code in _FULL:
            return self._error(RemoteQuotaExceeded, f"no room for {key} ({code})", hint=_ROOM)
        if code == "InvalidObjectState":
            hint = "restore it with the provider's own tools, and repeat the command"
            return self._error(RemoteError, f"{key} is archived and cannot be read at once ({code})", hint=hint)
        return None

    def _by_status(self, answer: Answer, key: str) -> RemoteError | None:
        status = answer.status
        told = f"HTTP {status}{f', {answer.code}' if answer.code else ''}"
        if not status:
            return None
        if status in (408, 425, 429) or (status >= 500 and status not in (501, 507)):
            return self._busy(f"the server failed ({told})", _PAUSE if status in (429, 503) else None)
        if status == 409:
            return self._busy(f"another writer was faster at {key} ({told})", None)
        kinds: dict[int, type[RemoteError]] = {
            401: RemoteAuthError,
            403: RemotePermissionError,
            412: RemotePrecondition,
            413: RemoteQuotaExceeded,
            507: RemoteQuotaExceeded,
        }
        hint = _KEYS if status in (401, 403) else _ROOM if status in (413, 507) else _PLACE
        return self._error(kinds.get(status, RemoteError), f"the server refused this {_about(key)} ({told})", hint=hint)

    def _by_trouble(self, answer: Answer) -> RemoteError:
        if answer.trouble == "certificate":
            hint = (
                "set ca_bundle to the file of the authority that signed it: kist remote modify --local NAME ca_bundle"
            )
            return self._error(RemoteError, "the server's TLS certificate is not to be trusted", hint=hint)
        if answer.trouble:
            return self._busy(f"the server cannot be reached: {answer.trouble}", None)
        return self._error(RemoteError, "the server's answer makes no sense", hint=_PLACE)

    def exists(self, key: str) -> RemoteExists:
        """The error for a key that was to be new.

        Args:
            key: the key.

        Returns:
            The error, not raised.
        """
        return RemoteExists(f"the remote {self._remote} has {key} already", remote=self._remote)

    def _busy(self, what: str, retry_after: float | None) -> RemoteUnavailable:
        hint = "try again later; is the endpoint right, and the network up?"
        return RemoteUnavailable(f"{self._named()}: {what}", retry_after=retry_after, hint=hint, remote=self._remote)

    def _error(self, kind: type[RemoteError], what: str, *, hint: str | None = None) -> RemoteError:
        told = hint.replace("NAME", self._remote) if hint else None
        return kind(f"{self._named()}: {what}", hint=told, remote=self._remote)

    def _named(self) -> str:
        return f"remote {self._remote} ({self._where}, {self._who()})"


def _about(key: str) -> str:
    """What a refusal is about; a listing from the beginning has no key."""
    return f"for {key}" if key else "to a listing"


def _element(text: str, name: str) -> str:
    """What an XML element of the body holds, if it is a plain word; bodies are small and of known form."""
    found = re.search(rf"<{name}>([A-Za-z0-9_.-]{{1,64}})</{name}>", text)
    return found[1] if found else ""


def _bulk_code(text: str) -> str:
    """The code of one key in the answer to a bulk deletion."""
    found = re.search(r"DeleteObjects request failed for key .*\(code: (\w+)\)", text)
    return found[1] if found else ""


_TROUBLES = (
    (r"invalid peer certificate|InvalidCertificate|CERTIFICATE_VERIFY_FAILED", "certificate"),
    (r"dns error|failed to lookup", "its name cannot be resolved"),
    (r"ConnectionRefused", "the connection was refused"),
    (r"kind: Timeout|TimedOut", "it did not answer in time"),
    (
        r"kind: (Connect|Interrupted|Request|Decode)|ConnectionReset|IncompleteBody|UnexpectedEof",
        "the connection broke",
    ),
)


def _trouble(body: str, debug: str) -> str:
    if "HTTP error" not in body and "kind:" not in debug and "endpoint URL" not in body:
        return ""
    return next((told for pattern, told in _TROUBLES if re.search(pattern, debug or body)), "the connection broke")
