"""Where a remote is: account, endpoint, container and prefix, from its URL and options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from kist.abc import RemoteURL
from kist.errors import InvalidOption

_CONTAINER = re.compile(r"\$root|\$web|(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_OWN_HOST = re.compile(
    r"(?P<account>[a-z0-9]{3,24})\.(?P<zone>z\d+\.)?(?:blob|dfs)\."
    r"(?P<cloud>core\.windows\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net|storage\.azure\.net)"
)
_FORMS = "write az://container/prefix, or abfs://container@account.dfs.core.windows.net/prefix"


@dataclass(frozen=True)
class Address:
    """A place in Azure.

    Args:
        container: the container.
        prefix: what all names begin with, without a slash at its ends; "" for none.
        account: the account that the URL or the endpoint names, None where neither does.
        endpoint: the blob service, None for the usual one of the account.
    """

    container: str
    prefix: str
    account: str | None
    endpoint: str | None


def parse_address(url: RemoteURL, endpoint: str | None) -> Address:
    """Read a remote's URL.

    Args:
        url: ``az://container/prefix``, or with ``container@host`` as other tools write it.
        endpoint: the option of that name; it overrules a host in the URL.

    Returns:
        The address.

    Raises:
        InvalidOption: it names no container, or something that a URL here cannot hold.
    """
    if url.query:
        raise InvalidOption(
            "the URL of a remote in Azure holds no '?…'",
            hint="a SAS token is a secret: kist remote modify --local NAME sas_token TOKEN",
        )
    container, host = (url.user, url.host) if url.user is not None else (url.host, "")
    if not _CONTAINER.fullmatch(container):
        raise InvalidOption(f"no container of Azure can have the name {container!r}", hint=_FORMS)
    if url.port is not None and not host:
        raise InvalidOption(f"a port makes no sense in {url}", hint=_FORMS)
    prefix = url.path.strip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise InvalidOption(f"not a folder: {url.path!r}", hint=_FORMS)
    if endpoint is None and host:
        port = f":{url.port}" if url.port is not None else ""
        endpoint = f"https://{host}{port}"
    if endpoint is None:
        return Address(container, prefix, None, None)
    endpoint = blob_endpoint(endpoint)
    return Address(container, prefix, account_of(endpoint), endpoint)


def account_url(account: str, suffix: str = "core.windows.net") -> str:
    """The blob service of an account.

    Args:
        account: its name.
        suffix: the cloud's domain.

    Returns:
        Its URL.

    Raises:
        InvalidOption: no account can have that name.
    """
    if not _ACCOUNT.fullmatch(account):
        raise InvalidOption(
            f"no storage account can have the name {account!r}", hint="3 to 24 lower-case letters and digits"
        )
    return f"https://{account}.blob.{suffix}"


def account_of(endpoint: str) -> str | None:
    """The account that an endpoint names by its host, or by its path as emulators do.

    Args:
        endpoint: a URL.

    Returns:
        The account, None where it cannot be told.
    """
    parts = urlsplit(endpoint)
    own = _OWN_HOST.fullmatch(parts.hostname or "")
    return own["account"] if own else parts.path.strip("/").partition("/")[0] or None


def is_providers_own(endpoint: str) -> bool:
    """Whether an endpoint is Microsoft's own, so that credentials sent there reach nobody else.

    Args:
        endpoint: a URL.

    Returns:
        True for HTTPS to a host of Azure Storage, in any of its clouds.
    """
    parts = urlsplit(endpoint)
    return parts.scheme == "https" and bool(_OWN_HOST.fullmatch(parts.netloc))


def blob_endpoint(text: str) -> str:
    """A checked endpoint, without a slash at its end; the Data Lake host of an account has a blob host beside it.

    Args:
        text: a URL, or a host.

    Returns:
        The URL.

    Raises:
        InvalidOption: no blob service can have that address.
    """
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        raise InvalidOption(
            "the option 'endpoint' is not the address of a blob service",
            hint="such as https://host or https://host/account",
        )
    netloc = parts.netloc
    if own := _OWN_HOST.fullmatch(netloc):
        netloc = f"{own['account']}.{own['zone'] or ''}blob.{own['cloud']}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"
