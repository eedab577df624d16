"""Whose credentials are used, and tokens for them."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httplib2
from oauth2client import GOOGLE_TOKEN_URI
from oauth2client.client import AccessTokenRefreshError, OAuth2Credentials
from pydrive2.auth import GoogleAuth

from kist.abc import RemoteScope
from kist.errors import RemoteAuthError
from kist_gdrive.consent import ask_for_consent
from kist_gdrive.options import DriveOptions
from kist_gdrive.tokens import Token, TokenFile

SCOPE = "https://www.googleapis.com/auth/drive"
_MARGIN = 60.0
"""Seconds before its end when a token counts as over, so that it lasts for one more request."""

for _name in ("googleapiclient", "oauth2client", "pydrive2"):  # so that a warning of theirs is not printed
    logging.getLogger(_name).addHandler(logging.NullHandler())

_HOW = "make an OAuth client of your own and set client_id and client_secret, or set credentials_file to the key of a \
service account; docs/how-to/google-drive.md shows how"


@dataclass(frozen=True)
class Source:
    """A place where credentials may be.

    Args:
        option: the option that names them.
        place: where that is set, for people.
        present: whether it is set.
    """

    option: str
    place: str
    present: bool


def sources(options: DriveOptions) -> list[Source]:
    """The places in the order in which they count: what was set for this remote before the environment.

    Args:
        options: the remote's options.

    Returns:
        Every place, present or not.
    """
    found = []
    variables = {one.name: one.metadata["env"] for one in fields(DriveOptions) if one.metadata["env"]}
    for name in ("credentials", "credentials_file", "client_id"):
        value = getattr(options, name)
        variable = variables[name]
        from_environment = value is not None and os.environ.get(variable) == value
        place = variable if from_environment else f"option {name}"
        found.append((from_environment, Source(name, place, bool(value))))
    return [source for _, source in sorted(found, key=lambda one: one[0])]


class Access:
    """Credentials, asked for when they are first needed.

    Args:
        options: the remote's options.
        scope: what the core lends.

    Attributes:
        identity: who asks, as far as it is known without asking, else "".
    """

    def __init__(self, options: DriveOptions, scope: RemoteScope) -> None:
        self._options, self._scope = options, scope
        self.identity = ""
        self._auth: GoogleAuth | None = None
        self._file = TokenFile(None, "")
        self._secrets = [options.client_secret or "", options.credentials or ""]
        self._remembered: str | None = None
        self._renew: Callable[[Any], None] = self._refresh

    @property
    def auth(self) -> GoogleAuth:
        """Pydrive2's side of it, with credentials and a service; no request is made.

        Raises:
            RemoteAuthError: there are no credentials, or they cannot be read.
        """
        if self._auth is None:
            self._auth = self._choose()
        return self._auth

    def ensure(self) -> None:
        """Have a token that lives for one more request; the caller holds a lock.

        Raises:
            RemoteAuthError: there are no credentials.
            AccessTokenRefreshError: they are not accepted.
        """
        auth = self.auth
        if auth.service is not None and not _is_over(auth.credentials):
            return
        if auth.credentials is None or _is_over(auth.credentials):
            http = self.plain_http()
            try:
                self._renew(http)
            finally:
                http.close()
            self._remember()
        if auth.service is None:
            auth.Authorize()

    def may_ask_again(self, exc: AccessTokenRefreshError) -> bool:
        """Forget a consent that has ended; the caller holds a lock.

        Args:
            exc: what a request raised.

        Returns:
            Whether somebody is there to give it again.
        """
        if "invalid_grant" not in str(exc) or self._renew == self._refresh:
            return False
        self._file.forget()
        return self._scope.prompt is not None

    def plain_http(self) -> httplib2.Http:
        """A connection for requests of tokens."""
        return httplib2.Http(timeout=self._options.timeout)

    def clean(self, text: str) -> str:
        """A text without any secret that is known.

        Args:
            text: a message of somebody else's.

        Returns:
            What may be shown.
        """
        known = list(self._secrets)
        if self._auth is not None and self._auth.credentials is not None:
            known += [getattr(self._auth.credentials, name, None) or "" for name in ("access_token", "refresh_token")]
        for secret in sorted(known, key=len, reverse=True):
            if len(secret) > 3:
                text = text.replace(secret, "***")
        return text

    def close(self) -> None:
        """Let go of pydrive2's own connection; keep a token that was renewed in the middle of a request."""
        self._remember()
        if self._auth is not None and self._auth.http is not None:
            self._auth.http.close()
        self._auth = None

    # ── which credentials ────────────────────────────────────────────────────────────────────────────────────────────

    def _choose(self) -> GoogleAuth:
        chosen = next((one for one in sources(self._options) if one.present), None)
        if chosen is None:
            raise self._error("there are no credentials for Google Drive", hint=_HOW)
        if chosen.option == "client_id":
            return self._of_client()
        text = self._options.credentials
        if chosen.option == "credentials_file":
            text = self._read(str(self._options.credentials_file))
        try:
            value = json.loads(text or "")
            kind = value.get("type") or ("authorized_user" if "refresh_token" in value else None)
        except (ValueError, AttributeError):
            kind = None
        if kind == "service_account":
            return self._of_service_account(value, chosen.place)
        if kind == "authorized_user":
            return self._of_user(value, chosen.place)
        hint = "it must be the JSON of a service account's key, as Google's console gives it"
        raise self._error(f"{chosen.place} holds no credentials that can be read", hint=hint)

    def _read(self, name: str) -> str:
        try:
            return Path(name).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or "it is no text"
            raise self._error(f"the credentials in {name} cannot be read: {reason}", hint=_HOW) from None

    def _of_service_account(self, value: dict[str, Any], place: str) -> GoogleAuth:
        self.identity = f"service account {value.get('client_email', '?')}"
        if self._options.impersonate:
            self.identity += f" for {self._options.impersonate}"
        self._secrets += [str(value.get("private_key", "")), str(value.get("private_key_id", ""))]
        config = {"client_json_dict": value, "client_user_email": self._options.impersonate}
        auth = _new_auth({"client_config_backend": "service", "service_config": config}, self._options.timeout)
        try:
            auth.ServiceAuth()
        except Exception as exc:
            text = f"the key in {place} cannot be used: {type(exc).__name__}"
            raise self._error(text, hint="download the key anew from Google's console") from None
        self._file = TokenFile.below(self._scope.state, f"{self.identity}:{value.get('private_key_id')}")
        if token := self._file.read():
            auth.credentials.access_token, auth.credentials.token_expiry = token.access, _naive(token.expires)
            self._remembered = token.access
        return auth

    def _of_user(self, value: dict[str, Any], place: str) -> GoogleAuth:
        try:
            client, secret, refresh = (str(value[name]) for name in ("client_id", "client_secret", "refresh_token"))
        except KeyError as exc:
            raise self._error(f"the credentials in {place} have no {exc}", hint=_HOW) from None
        self.identity = f"the user of OAuth client {client}"
        self._secrets += [secret, refresh]
        self._file = TokenFile.below(self._scope.state, f"{client}:{refresh}")
        token = self._file.read() or Token(None)
        return self._of_token(client, secret, Token(token.access, token.expires, refresh))

    def _of_client(self) -> GoogleAuth:
        client, secret = str(self._options.client_id), self._options.client_secret
        if not secret:
            hint = f"kist remote modify --local {self._scope.name} client_secret SECRET, or set GDRIVE_CLIENT_SECRET"
            raise self._error("the OAuth client has no client_secret", hint=hint)
        self.identity = f"the user of OAuth client {client}"
        self._file = TokenFile.below(self._scope.state, client)
        if self._options.token_file:
            self._file = TokenFile(Path(self._options.token_file).expanduser(), client)
        self._renew = self._refresh_or_ask
        return self._of_token(client, secret, self._file.read())

    def _of_token(self, client: str, secret: str, token: Token | None) -> GoogleAuth:
        config = {"client_id": client, "client_secret": secret}
        auth = _new_auth({"client_config_backend": "settings", "client_config": config}, self._options.timeout)
        if token is not None and token.refresh:
            self._remembered, expiry = token.access, _naive(token.expires)
            auth.credentials = OAuth2Credentials(
                token.access, client, secret, token.refresh, expiry, GOOGLE_TOKEN_URI, None, scopes=SCOPE
            )
        return auth

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refresh(self, http: httplib2.Http) -> None:
        self.auth.credentials.refresh(http)

    def _refresh_or_ask(self, http: httplib2.Http) -> None:
        auth = self.auth
        if auth.credentials is not None:
            try:
                auth.credentials.refresh(http)
            except AccessTokenRefreshError as exc:
                if "invalid_grant" not in str(exc):
                    raise
                self._file.forget()
                if self._scope.prompt is None:
                    raise
            else:
                return
        if self._scope.prompt is None:
            hint = f"run 'kist doctor --remote {self._scope.name}' on a terminal once; later commands need none"
            raise self._error("nobody has consented to the use of this Google Drive yet", hint=hint)
        secret = str(self._options.client_secret)
        try:
            auth.credentials = ask_for_consent(str(self._options.client_id), secret, SCOPE, self._scope.prompt, http)
        except RemoteAuthError as error:
            error.remote = self._scope.name
            raise

    def _remember(self) -> None:
        """Keep the token, if it is another one than before."""
        credentials = self._auth.credentials if self._auth is not None else None
        if credentials is None or credentials.invalid or credentials.access_token in (None, self._remembered):
            return
        self._remembered = credentials.access_token
        expiry = credentials.token_expiry
        expires = expiry.replace(tzinfo=UTC).timestamp() if expiry is not None else None
        self._file.write(Token(credentials.access_token, expires, getattr(credentials, "refresh_token", None)))

    def _error(self, text: str, *, hint: str) -> RemoteAuthError:
        return RemoteAuthError(f"remote {self._scope.name}: {text}", hint=hint, remote=self._scope.name)


def _new_auth(settings: dict[str, Any], timeout: float) -> GoogleAuth:
    return GoogleAuth(http_timeout=timeout, settings={**settings, "oauth_scope": [SCOPE]})


def _is_over(credentials: Any) -> bool:
    if not credentials.access_token or credentials.invalid:
        return True
    expiry = credentials.token_expiry
    return expiry is not None and expiry.replace(tzinfo=UTC).timestamp() < time.time() + _MARGIN


def _naive(expires: float | None) -> datetime | None:
    """A time as oauth2client keeps it: UTC, without saying so."""
    return datetime.fromtimestamp(expires, UTC).replace(tzinfo=None) if expires is not None else None
