"""What Azure answers when it refuses, as errors of a remote: what, as whom, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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
from kist.remotes.failures import Translator, translate
from kist_azure.access import Access

_CREDENTIALS = "check key, SAS or sign-in; 'kist doctor --remote {name}' tells which was used"
_ROLE = (
    "ask for the role 'Storage Blob Data Contributor' ('… Reader' to pull only), or for a SAS with rights r, w, d, l"
)
_STEPS = "'kist doctor --remote {name}' tries one thing after the other"
_ENDPOINT = "is the option 'endpoint' right, and does a proxy answer in its place?"
_CONTAINER = "make it ('az storage container create'), or correct the remote's URL or account"

_CODES: dict[str, tuple[type[RemoteError], str, str]] = {
    "AuthenticationFailed": (RemoteAuthError, "does not accept the credentials", _CREDENTIALS),
    "InvalidAuthenticationInfo": (RemoteAuthError, "does not accept the credentials", _CREDENTIALS),
    "NoAuthenticationInformation": (RemoteAuthError, "wants credentials", _CREDENTIALS),
    "PublicAccessNotPermitted": (RemoteAuthError, "allows no anonymous access", _CREDENTIALS),
    "KeyBasedAuthenticationNotPermitted": (
        RemoteAuthError,
        "allows no account keys and no SAS made with them",
        "sign in ('az login') and set no key",
    ),
    "AuthorizationPermissionMismatch": (RemotePermissionError, "does not allow this to these credentials", _ROLE),
    "AuthorizationFailure": (
        RemotePermissionError,
        "does not allow this, by its firewall or by rights",
        "ask the account's owner for access from this network; or " + _ROLE,
    ),
    "InsufficientAccountPermissions": (RemotePermissionError, "does not allow this to these credentials", _ROLE),
    "AuthorizationServiceMismatch": (RemotePermissionError, "has a SAS for another service", _ROLE),
    "AuthorizationResourceTypeMismatch": (RemotePermissionError, "has a SAS for other resources", _ROLE),
    "AuthorizationSourceIPMismatch": (RemotePermissionError, "allows this SAS from other addresses only", _ROLE),
    "AccountIsDisabled": (
        RemotePermissionError,
        "is disabled",
        "ask the owner of the subscription; a payment may be due",
    ),
    "ContainerNotFound": (RemoteError, "has no such container", _CONTAINER),
    "ContainerDisabled": (RemoteError, "has disabled the container", "ask the account's owner"),
    "ContainerBeingDeleted": (
        RemoteError,
        "is deleting the container",
        "what was in it is gone; make it anew in a few minutes, or choose another one",
    ),
    "BlobImmutableDueToPolicy": (
        RemotePermissionError,
        "keeps the object by an immutability policy",
        "choose a container without one",
    ),
    "LeaseIdMissing": (RemotePermissionError, "has the object leased to somebody", "end the lease there"),
    "AccountRequiresHttps": (RemoteError, "wants https", "correct the option 'endpoint'"),
    "InvalidBlockList": (RemoteUnavailable, "took another upload of the object meanwhile", ""),
    "InvalidBlobOrBlock": (RemoteUnavailable, "took another upload of the object meanwhile", ""),
    "Md5Mismatch": (
        RemoteUnavailable,
        "got other bytes than were sent",
        "if it stays so, test the network",
    ),
    "ServerBusy": (RemoteUnavailable, "is busy", "try again later, or with fewer --jobs"),
    "TooManyRequests": (RemoteUnavailable, "is busy", "try again later, or with fewer --jobs"),
    "AccountBeingCreated": (RemoteUnavailable, "is being made", "try again in a minute"),
    "BlobAlreadyExists": (RemoteExists, "has the object already", ""),
    "UnauthorizedBlobOverwrite": (
        RemotePermissionError,
        "does not allow to replace an object",
        "the SAS lacks the right w; " + _ROLE,
    ),
    "AccountLimitExceeded": (RemoteQuotaExceeded, "is full", "free some space there, or ask for a higher limit"),
}
"""Error codes of the service: the error, what the account does, and what the user can do."""


_ABSENT = ("BlobNotFound", "CannotVerifyCopySource", "DirectoryIsNotEmpty")
"""Codes that say of a key that it is no object; folders are blobs only where a hierarchical namespace has them."""


class Failures:
    """Translates what the SDK raises for one remote.

    Args:
        name: the remote's name.
        container: the container.
        access: the credentials in use.
        secrets: texts that must not show.
    """

    def __init__(self, name: str, container: str, access: Access, secrets: Sequence[str]) -> None:
        self._name, self._access = name, access
        self._who = f"{access.account or access.endpoint} (remote '{name}', container {container})"
        self._clean = Translator("", secrets).clean

    @contextmanager
    def __call__(self, key: str) -> Iterator[None]:
        """Translate what the block raises.

        Args:
            key: the key that the block is about.

        Raises:
            RemoteError: the translation; the SDK's own error is its cause unless that would show a secret.
        """
        try:
            yield
        except KistError as error:
            error.remote = error.remote or self._name
            raise
        except Exception as exc:
            text = _chain_text(exc)
            raise self.of(exc, key) from (exc if self._clean(text) == text else None)

    def of(self, exc: Any, key: str) -> RemoteError:
        """The error for one of the SDK's.

        Args:
            exc: the exception, or the part of a batch's answer that is about one key.
            key: the key it is about.

        Returns:
            The error, not raised.
        """
        code = error_code(exc)
        if code in _ABSENT or (code == "ResourceNotFound" and key and self._access.kind != "anonymous"):
            return RemoteObjectNotFound(key, remote=self._name)
        if code == "ResourceNotFound":
            return self._no_place()
        if "failed to authenticate" in str(exc):  # told in words only where HEAD was asked, or by an emulator
            code = "AuthenticationFailed"
        if code in _CODES:
            kind, what, hint = _CODES[code]
            return self._error(kind, f"{what} ({code})", hint, exc)
        if isinstance(exc, BaseException) and getattr(exc, "response", None) is None:
            return self._without_answer(exc, key)
        told = code or f"status {getattr(exc, 'status_code', None)}"
        if getattr(exc, "status_code", None) == 404 and not code:
            return self._unexplained(key)
        found = translate(exc, key, f"{self._who} answered {told}")
        return self._error(type(found), f"answered {told}", found.hint or _STEPS, exc)

    def _no_place(self) -> RemoteError:
        if self._access.kind == "anonymous":
            return self._error(RemoteAuthError, "has no such public container", _CREDENTIALS)
        return self._error(RemoteError, "has no such container, or is no such account", _CONTAINER)

    def _unexplained(self, key: str) -> RemoteError:
        """A 404 without a code: emulators give it for an object; of a container only another server tells so little."""
        if not key:
            return self._error(RemoteError, "gives no answer of Azure's (HTTP 404)", _ENDPOINT)
        return RemoteObjectNotFound(key, remote=self._name)

    def _without_answer(self, exc: BaseException, key: str) -> RemoteError:
        text = self._clean(_first_line(exc))
        if "CERTIFICATE_VERIFY_FAILED" in _chain_text(exc):
            return self._error(
                RemoteError,
                f"shows a certificate that is not trusted: {text}",
                "name the certificates to trust in the option 'ca_bundle'",
            )
        if any("Authentication" in one.__name__ or "Credential" in one.__name__ for one in type(exc).__mro__):
            return self._error(RemoteAuthError, f"got no credentials: {text}", _CREDENTIALS)
        if any(one.__name__ == "AzureSigningError" for one in type(exc).__mro__):
            return self._error(RemoteAuthError, f"cannot be asked with this key: {text}", _CREDENTIALS)
        if any(one.__name__ in ("ServiceRequestError", "ServiceResponseError") for one in type(exc).__mro__):
            return self._error(
                RemoteUnavailable,
                f"cannot be reached at {self._access.endpoint}: {text}",
                "check the account's name and the network",
            )
        found = translate(exc, key, f"{self._who}: {text}")
        return self._error(type(found), f"failed: {text}", found.hint or _STEPS)

    def _error(self, kind: type[RemoteError], what: str, hint: str, exc: Any = None) -> RemoteError:
        if kind is RemoteObjectNotFound:
            kind = RemoteError
        message = f"{self._who} {what}, asked as: {self._access.identity}"
        hint_text = hint.replace("{name}", self._name) or None
        if kind is RemoteUnavailable:
            wait = _retry_after(exc)
            return RemoteUnavailable(message, retry_after=wait, hint=hint_text, remote=self._name)
        return kind(message, hint=hint_text, remote=self._name)


def error_code(exc: Any) -> str:
    """The service's error code, "" for none: of an error, of a part of a batch, or of an answer to HEAD."""
    code = getattr(exc, "error_code", None)
    if code is None:
        response = getattr(exc, "response", None) or exc
        headers: Any = getattr(response, "headers", None)
        code = headers.get("x-ms-error-code") if hasattr(headers, "get") else None
    return str(getattr(code, "value", code) or "")


def _retry_after(exc: Any) -> float | None:
    headers = getattr(getattr(exc, "response", None), "headers", None)
    try:
        return max(0.0, float(headers["Retry-After"])) if headers is not None else None
    except (KeyError, TypeError, ValueError):
        return None


def _first_line(exc: BaseException) -> str:
    return str(exc).strip().partition("\n")[0][:300] or type(exc).__name__


def _chain_text(exc: BaseException | None) -> str:
    """All that a traceback of this exception would print of messages."""
    texts = []
    while exc is not None:
        texts.append(f"{type(exc).__name__}: {exc}")
        exc = exc.__cause__ or exc.__context__
    return "\n".join(texts)
