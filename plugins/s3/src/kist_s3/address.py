"""Where a remote's objects lie: bucket, prefix, region, endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from kist.abc import RemoteURL
from kist.errors import InvalidOption

DEFAULT_REGION = "us-east-1"

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_HOST_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # without dots: a certificate's * stands for one label
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_AMAZON = re.compile(
    r"https://s3(-fips|-accelerate|-external-1)?(\.dualstack)?(\.[a-z]{2}(-[a-z]+)+-[0-9]+)?\.amazonaws\.com(\.cn)?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the objects are.

    Args:
        bucket: the bucket.
        prefix: what all keys begin with, without a slash at either end; "" for the whole bucket.
        region: the region that requests are signed for.
        endpoint: scheme and host, without the bucket.
        virtual: whether the bucket stands in the host name.
    """

    bucket: str
    prefix: str
    region: str
    endpoint: str
    virtual: bool

    @property
    def amazon(self) -> bool:
        """Whether the endpoint is one of Amazon's own, which anybody may send credentials to."""
        return _AMAZON.fullmatch(self.endpoint) is not None

    @property
    def base(self) -> str:
        """The endpoint as requests need it: with the bucket where that stands in the host name."""
        if not self.virtual:
            return self.endpoint
        scheme, host = self.endpoint.split("://", 1)
        return f"{scheme}://{self.bucket}.{host}"

    def __str__(self) -> str:
        return f"s3://{self.bucket}{'/' if self.prefix else ''}{self.prefix}"


def place_of(url: RemoteURL) -> tuple[str, str]:
    """The bucket and the prefix that a URL names.

    Args:
        url: ``s3://bucket`` or ``s3://bucket/prefix``.

    Returns:
        Both; the prefix without slashes at its ends.

    Raises:
        InvalidOption: it names no bucket, or more than bucket and prefix.
    """
    if not _BUCKET.fullmatch(url.host):
        raise InvalidOption(f"not the name of a bucket: {url.host!r}", hint="write s3://bucket or s3://bucket/prefix")
    if url.user is not None or url.port is not None or url.query:
        raise InvalidOption(
            f"more than a bucket and a prefix in {url}",
            hint="write s3://bucket/prefix, and set endpoint_url and the like with 'kist remote modify'",
        )
    prefix = url.path.strip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise InvalidOption(f"not a prefix that can be used: {url}", hint="leave out empty parts, '.' and '..'")
    return url.host, prefix


def locate(place: tuple[str, str], *, region: str | None, endpoint: str | None, addressing: str) -> Address:
    """Put together where a remote's objects are.

    Args:
        place: bucket and prefix.
        region: the region, None for the default.
        endpoint: the endpoint, None for Amazon's in the region.
        addressing: ``auto``, ``path`` or ``virtual``.

    Returns:
        The address.

    Raises:
        InvalidOption: no region or endpoint can be of that form.
    """
    bucket, prefix = place
    region = region or DEFAULT_REGION
    check_region(region)
    chosen = endpoint_of(endpoint) if endpoint else f"https://s3.{region}.amazonaws.com{_suffix(region)}"
    fits = _HOST_BUCKET.fullmatch(bucket) is not None
    address = Address(bucket, prefix, region, chosen, virtual=False)
    if addressing == "virtual" and _is_number(urlsplit(chosen).hostname or ""):
        raise InvalidOption(
            f"no bucket can stand in the host name of {chosen}, which is a number",
            hint="give endpoint_url a name, or set addressing to path",
        )
    if addressing == "virtual" or (addressing == "auto" and address.amazon and fits):
        address = Address(bucket, prefix, region, chosen, virtual=True)
    return address


def check_region(region: str) -> None:
    """Check the form of a region's name.

    Args:
        region: the name.

    Raises:
        InvalidOption: it can be none.
    """
    if not _REGION.fullmatch(region):
        raise InvalidOption(f"not the name of a region: {region!r}")


def _is_number(host: str) -> bool:
    """Whether a host is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _suffix(region: str) -> str:
    return ".cn" if region.startswith("cn-") else ""


def endpoint_of(text: str) -> str:
    """The endpoint that the option of that name means.

    Args:
        text: the option; without a scheme it is https.

    Returns:
        Scheme and host.

    Raises:
        InvalidOption: it can be none.
    """
    full = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(full)
        _ = parts.port
    except ValueError as exc:
        raise InvalidOption(f"the option 'endpoint_url' is no URL: {exc}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise InvalidOption(
            "the option 'endpoint_url' must be http://host or https://host, without a user or a password"
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidOption("the option 'endpoint_url' must end after the host: the bucket stands in the remote's URL")
    return f"{parts.scheme}://{parts.netloc}"
