"""The connection to a bucket: made at the first use, from options and credentials."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kist.abc import RemoteScope
from kist.errors import InvalidOption, RemoteAuthError
from kist_s3.address import Address, locate
from kist_s3.credentials import Identity, Profile, resolve
from kist_s3.options import S3Options

if TYPE_CHECKING:
    from ssl import SSLContext

    from obstore.store import S3Store

_SLOWEST = 64 << 10
"""Bytes a second below which sending a part is given up: the timeout covers all of a request's sending."""

_LONGEST = 7 * 86400
"""Seconds that reading one object may take, as long as bytes come: obstore has no way to say 'without limit'."""


class Client:
    """Makes the stores of obstore, each when it is needed first; may be used from many threads.

    Args:
        place: bucket and prefix.
        options: what was configured.
        scope: what the core lends.

    Attributes:
        address: where the objects are, as far as options tell; complete after the first request.
    """

    def __init__(self, place: tuple[str, str], options: S3Options, scope: RemoteScope) -> None:
        self.options, self.scope = options, scope
        self._place = place
        self._profile = Profile(options)
        self._lock = threading.RLock()
        self._stores: dict[int, S3Store] = {}
        self._identity: Identity | None = None
        self._address: Address | None = None
        self._authorities = _read_bundle(options.ca_bundle)
        self._locate(options.region, options.endpoint_url)  # says at once what can never work

    @property
    def reading(self) -> S3Store:
        """The store for everything whose requests are small."""
        return self.writing(0)

    def writing(self, size: int) -> S3Store:
        """The store for requests with bodies up to a size; reqwest's read timeout counts while a body is sent too.

        Args:
            size: bytes of the body, 0 for little.

        Returns:
            The store.

        Raises:
            RemoteAuthError: there are no credentials, or they must not go there.
        """
        with self._lock:
            if size not in self._stores:
                self._stores[size] = self._open(size)
            return self._stores[size]

    def address(self) -> Address:
        """Where the objects are.

        Returns:
            The address, with what the user's own configuration adds.

        Raises:
            RemoteAuthError: the user's configuration cannot be read.
        """
        with self._lock:
            if self._address is None:
                with self._named():
                    region = self.options.region or self._profile.region()
                    endpoint = self.options.endpoint_url or self._profile.endpoint()
                self._address = self._locate(region, endpoint)
            return self._address

    def identity(self) -> Identity:
        """Who signs.

        Returns:
            The identity.

        Raises:
            RemoteAuthError: there are no credentials, or they must not go there.
        """
        with self._lock:
            if self._identity is None:
                self._check_trust()
                with self._named():
                    self._identity = resolve(self.options, self._profile)
            return self._identity

    def known(self) -> Identity | None:
        """Who signs, if that was needed already."""
        return self._identity

    def tls(self) -> SSLContext:
        """Whom to trust, for connections that are not obstore's."""
        import ssl

        context = ssl.create_default_context()
        if self._authorities is not None:
            context.load_verify_locations(cadata=self._authorities.decode("ascii", "replace"))
        if not self.options.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def session(self) -> Any:
        """The session of botocore, for the few requests that obstore has no call for."""
        return self._profile.session()

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            self._stores.clear()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say in an error about credentials which remote wants them."""
        name = self.scope.name
        try:
            yield
        except RemoteAuthError as error:
            hint = error.hint.replace("NAME", name) if error.hint else None
            raise RemoteAuthError(f"remote {name}: {error}", hint=hint, remote=name) from None

    def _locate(self, region: str | None, endpoint: str | None) -> Address:
        return locate(self._place, region=region, endpoint=endpoint, addressing=self.options.addressing)

    def _check_trust(self) -> None:
        address = self.address()
        own = self.options.endpoint_url is None or self.options.endpoint_url == os.environ.get("AWS_ENDPOINT_URL_S3")
        if self.scope.trusted or self.options.anonymous or own or address.amazon:
            return
        raise RemoteAuthError(
            f"remote {self.scope.name}: only the cloned configuration names {address.endpoint}, which gets no "
            "credentials of yours",
            hint=f"if you know that place, run 'kist remote trust {self.scope.name}'",
            remote=self.scope.name,
        )

    def _open(self, size: int) -> S3Store:
        from obstore.store import S3Store

        identity, address = self.identity(), self.address()
        more: dict[str, Any] = {} if identity.give is None else {"credential_provider": identity.give}
        return S3Store(
            address.bucket,
            prefix=address.prefix or None,
            config=self._config(address, anonymous=identity.give is None, single=bool(size)),
            client_options=self._client_options(address, size),
            retry_config={"max_retries": 0},
            **more,
        )

    def _config(self, address: Address, *, anonymous: bool, single: bool) -> Any:
        options = self.options
        config: dict[str, Any] = {
            "region": address.region,
            "aws_endpoint_url_s3": address.base,
            "virtual_hosted_style_request": address.virtual,
            "skip_signature": anonymous,
            "conditional_put": "etag",
            "disable_bulk_delete": single,
            "s3_express": False,
            "request_payer": options.requester_pays,
        }
        if options.sse:
            config["server_side_encryption"] = options.sse
        if options.sse_kms_key_id:
            config["sse_kms_key_id"] = options.sse_kms_key_id
        if options.checksum != "none":
            config["checksum_algorithm"] = options.checksum
        return config

    def _client_options(self, address: Address, size: int) -> Any:
        options = self.options
        whole = options.read_timeout + size / _SLOWEST if size else _LONGEST
        settings: dict[str, Any] = {
            "allow_http": address.endpoint.startswith("http://"),
            "connect_timeout": _duration(options.connect_timeout),
            "timeout": _duration(whole),
            "user_agent": "kist-s3",
        }
        if not size:
            settings["read_timeout"] = _duration(options.read_timeout)
        if not options.verify:
            settings["allow_invalid_certificates"] = True
        if self._authorities is not None:
            settings["root_certificate"] = self._authorities
        return settings


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _read_bundle(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as exc:
        raise InvalidOption(f"the file of the option 'ca_bundle' cannot be read: {exc.strerror}: {path}") from exc
