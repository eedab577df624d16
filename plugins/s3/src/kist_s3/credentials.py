"""Credentials: where they come from, whose they are, and how they stay fresh."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kist.errors import KistError, RemoteAuthError
from kist_s3.address import DEFAULT_REGION
from kist_s3.options import S3Options

_RENEWAL = timedelta(minutes=10)
"""How long what botocore gave is used before it is asked again; it renews in good time what is about to expire."""

_SOURCES = {
    "env": "the environment",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "a web identity",
    "sso": "single sign-on",
    "shared-credentials-file": "the credentials file",
    "login": "a console login",
    "custom-process": "a credential process",
    "config-file": "the configuration file",
    "ec2-credentials-file": "the EC2 credentials file",
    "boto-config": "the old boto configuration",
    "container-role": "the container's role",
    "iam-role": "the instance's role",
}
"""What botocore calls its sources, and what people call them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs the requests.

    Args:
        source: where the credentials came from, in words; "" for nobody.
        key: the access key; "" for nobody.
        tried: the sources that were asked, in order, the last of them gave the credentials.
        temporary: whether there is a session token.
        give: gives the credentials as obstore wants them, renewed where they expire; None for anonymous access.
    """

    source: str = ""
    key: str = ""
    tried: tuple[str, ...] = ()
    temporary: bool = False
    give: Callable[[], Mapping[str, Any]] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.give is None:
            return "nobody (anonymous access)"
        return f"access key {shortened(self.key)} from {self.source}"

    def secrets(self) -> tuple[str, ...]:
        """What must not show."""
        if self.give is None:
            return ()
        try:
            given = self.give()
        except Exception:
            return ()  # what cannot be had any more cannot be shown either
        return tuple(str(given[name]) for name in ("secret_access_key", "token") if given.get(name))


def shortened(key: str) -> str:
    """Enough of an access key to know it again.

    Args:
        key: the whole.

    Returns:
        Its first and last four characters, less where it is short.
    """
    return f"{key[:4]}…{key[-4:]}" if len(key) >= 12 else f"{key[:2]}…"


class Profile:
    """The user's own AWS configuration, read when first needed; most commands with keys at hand need none of it.

    Args:
        options: what names a profile.
    """

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._session: Any = None

    def session(self) -> Any:
        """The session of botocore, which is imported here.

        Returns:
            The session.
        """
        if self._session is None:
            from botocore.session import Session

            log = logging.getLogger("botocore")
            if log.level == logging.NOTSET:  # with DEBUG for all it would log tokens, and keys that a role gets
                log.setLevel(logging.INFO)
            self._session = Session(profile=self._options.profile)
        return self._session

    def region(self) -> str | None:
        """The region that the user's configuration names, if any."""
        if found := os.environ.get("AWS_DEFAULT_REGION"):
            return found
        return self._setting(lambda: self.session().get_config_variable("region"))

    def endpoint(self) -> str | None:
        """The endpoint that the user's own environment or configuration names, if any."""
        if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
            return None
        if found := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
            return found
        return self._setting(self._configured_endpoint)

    def _configured_endpoint(self) -> str | None:
        session = self.session()
        chosen = session.get_scoped_config()
        services = session.full_config.get("services", {}).get(chosen.get("services", ""), {})
        own = services.get("s3", {}) if isinstance(services, dict) else {}
        found = own.get("endpoint_url") if isinstance(own, dict) else None
        text = found or chosen.get("endpoint_url")
        return str(text) if text else None

    def _setting(self, read: Callable[[], str | None]) -> str | None:
        if self._options.profile is None and not _has_files():
            return None
        try:
            return read()
        except Exception as exc:
            raise _refused(exc) from None


def resolve(options: S3Options, profile: Profile) -> Identity:
    """Find credentials: the remote's own options, then the places that every AWS program looks at.

    Args:
        options: what was configured for the remote.
        profile: the user's own configuration.

    Returns:
        Who signs, and how.

    Raises:
        RemoteAuthError: there are no credentials, or a place that should give them fails.
    """
    if options.anonymous:
        return Identity()
    if options.access_key_id is not None:
        source = "the remote's options"
        return _fixed(
            source, options.access_key_id, str(options.secret_access_key), options.session_token, tried=(source,)
        )
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if options.profile is None and key and secret:
        source = _SOURCES["env"]
        return _fixed(source, key, secret, os.environ.get("AWS_SESSION_TOKEN"), tried=("the remote's options", source))
    return _from_chain(profile, options.region)


def _from_chain(profile: Profile, region: str | None) -> Identity:
    """Ask botocore's sources one by one, so that it can be told which were asked."""
    tried = ["the remote's options"]
    try:
        session = profile.session()
        if not session.get_config_variable("region"):  # roles and logins are asked for in some region
            session.set_config_variable("region", region or DEFAULT_REGION)
        for provider in session.get_component("credential_provider").providers:
            source = _SOURCES.get(str(provider.METHOD), str(provider.METHOD))
            tried.append(source)
            found = provider.load()
            if found is not None:
                frozen = found.get_frozen_credentials()
                return Identity(source, frozen.access_key, tuple(tried), bool(frozen.token), _renewing(found))
    except KistError:
        raise
    except Exception as exc:
        raise _refused(exc) from None
    raise RemoteAuthError(
        f"there are no credentials; asked were {', '.join(tried)}",
        hint="run 'aws configure', set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set the remote's options "
        "'profile', 'access_key_id' with 'secret_access_key', or 'anonymous' with 'kist remote modify --local NAME'",
    )


def _fixed(source: str, key: str, secret: str, token: str | None, *, tried: tuple[str, ...]) -> Identity:
    given = {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}
    return Identity(source, key, tried, bool(token), lambda: given)


def _renewing(found: Any) -> Callable[[], Mapping[str, Any]]:
    def give() -> Mapping[str, Any]:
        try:
            frozen = found.get_frozen_credentials()
        except Exception as exc:
            raise _refused(exc) from None
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _RENEWAL,
        }

    return give


def _refused(exc: Exception) -> RemoteAuthError:
    """What botocore says of profiles, roles and logins, without what it may quote of their answers."""
    name = type(exc).__name__
    told = {"ProfileNotFound", "PartialCredentialsError", "TokenRetrievalError", "UnauthorizedSSOTokenError"}
    text = f"{name}: {exc}" if name in told else name
    login = "run 'aws sso login' or 'aws login' again, or " if "SSO" in name or "Token" in name else ""
    return RemoteAuthError(
        f"the credentials cannot be had: {text}",
        hint=f"{login}check the profile with 'aws sts get-caller-identity', or choose another one with "
        "'kist remote modify --local NAME profile PROFILE'",
    )


def _has_files() -> bool:
    places = (
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
    )
    return any(os.path.exists(os.path.expanduser(place)) for place in places)
