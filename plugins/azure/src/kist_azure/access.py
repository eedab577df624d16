"""Which credentials a remote uses: every source in its turn, and why it was not taken."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from urllib.parse import parse_qs, unquote

from kist.errors import InvalidOption, RemoteAuthError
from kist_azure.address import Address, account_of, account_url, is_providers_own
from kist_azure.options import AzureOptions

_ALIASES = {"account_name": "AZURE_STORAGE_ACCOUNT", "account_key": "AZURE_STORAGE_KEY"}
"""Variables that Azure's own command line reads, beside those that the options declare."""


@dataclass(frozen=True)
class Access:
    """Where to go and what to show there.

    Args:
        account: the storage account, "" where only an endpoint is known.
        endpoint: the blob service.
        kind: ``anonymous``, ``key``, ``sas``, ``principal`` or ``chain``.
        source: where the credential was found.
        identity: whose it is, without any secret.
        secret: the key, the SAS token or the client secret, "" for none.
        tried: (source, result) of every source that was looked at.
    """

    account: str
    endpoint: str
    kind: str
    source: str
    identity: str
    secret: str = field(default="", repr=False)
    tried: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Setting:
    """A value with where it stands."""

    value: str
    source: str
    configured: bool


class _Settings:
    """The options, and the environment where they say nothing."""

    def __init__(self, options: AzureOptions, env: Mapping[str, str]) -> None:
        self._options, self._env = options, env
        self._variables = {one.name: one.metadata.get("env") for one in fields(options)}

    def get(self, name: str) -> _Setting | None:
        """An option's value; one that only a variable gave is told from one that is configured."""
        value, variable = getattr(self._options, name), self._variables[name]
        if value and not (variable and self._env.get(variable) == value):
            return _Setting(str(value), f"option {name}", configured=True)
        return self.from_environment(name)

    def from_environment(self, name: str) -> _Setting | None:
        """What only the variables say."""
        for variable in (self._variables[name], _ALIASES.get(name)):
            if variable and (found := self._env.get(variable)):
                return _Setting(found, f"variable {variable}", configured=False)
        return None


def choose_access(address: Address, options: AzureOptions, env: Mapping[str, str] = os.environ) -> Access:
    """Choose the credentials: what is configured before what the environment has, and the usual chain at the end.

    Args:
        address: where the remote is.
        options: what is set for it.
        env: the environment.

    Returns:
        The first that fits the account.

    Raises:
        InvalidOption: no account is named, or what is configured contradicts itself.
    """
    settings = _Settings(options, env)
    tried: list[tuple[str, str]] = []
    named = settings.get("account_name")
    wanted = address.account or (named.value if named and named.configured else None)
    for source, found in _offers(address, settings, options, wanted):
        if isinstance(found, Access):
            chosen = [*tried, (source, "taken")]
            return Access(**{**vars(found), "source": source, "tried": tuple(chosen)})
        tried.append((source, found))
    raise AssertionError("the credential chain is always an offer")


def check_trust(access: Access, address: Address, *, name: str, trusted: bool) -> None:
    """Refuse to send credentials to a place that only somebody else's configuration names.

    Args:
        access: the credentials, and where they would go.
        address: where the remote is.
        name: the remote's name.
        trusted: whether the user agreed to the place.

    Raises:
        RemoteAuthError: the place is neither Azure's own nor trusted.
    """
    if trusted or access.kind == "anonymous" or address.endpoint is None or is_providers_own(access.endpoint):
        return
    raise RemoteAuthError(
        f"the remote '{name}' would send credentials ({access.source}) to {access.endpoint}, which is not Azure's own "
        "and which you have not agreed to",
        hint=f"if you know that place: kist remote trust {name}",
        remote=name,
    )


def _offers(
    address: Address, settings: _Settings, options: AzureOptions, wanted: str | None
) -> Iterator[tuple[str, Access | str]]:
    """(source, access or the reason against it) in the order of precedence."""
    if options.anonymous:
        yield "option anonymous", _make(address, settings, wanted, "anonymous", "anonymous")
        return
    stored = [(name, settings.get(name)) for name in ("connection_string", "account_key", "sas_token")]
    for name, one in stored:
        if one is not None and one.configured:
            yield one.source, _of_setting(address, settings, wanted, name, one)
    if options.client_id and options.client_secret:
        yield "option client_secret", _principal(address, settings, options, wanted)
    for name, one in stored:
        if one is None:
            yield f"option {name} and its variable", "not set"
        else:
            yield one.source, _of_setting(address, settings, wanted, name, one)
    identity = f"managed identity {options.client_id}" if options.client_id else "whoever the credential chain finds"
    yield "credential chain of azure-identity", _make(address, settings, wanted, "chain", identity)


def _principal(address: Address, settings: _Settings, options: AzureOptions, wanted: str | None) -> Access:
    if not options.tenant_id:
        raise InvalidOption("the option 'client_secret' needs 'tenant_id' too")
    identity = f"service principal {options.client_id} of tenant {options.tenant_id}"
    return _make(address, settings, wanted, "principal", identity, options.client_secret or "")


def _of_setting(address: Address, settings: _Settings, wanted: str | None, name: str, one: _Setting) -> Access | str:
    """The access that a stored secret gives; from the environment, only where it is meant for this account."""
    if name == "connection_string":
        return _of_connection_string(address, wanted, one)
    theirs = settings.from_environment("account_name")
    if not one.configured and wanted and theirs and theirs.value != wanted:
        return f"it is for the account {theirs.value}"
    if name == "account_key":
        return _make(address, settings, wanted, "key", "account key", one.value)
    token = one.value.lstrip("?")
    return _make(address, settings, wanted, "sas", _describe_sas(token), token)


def _of_connection_string(address: Address, wanted: str | None, one: _Setting) -> Access | str:
    pairs = (part.strip().partition("=") for part in one.value.split(";"))
    parts = {name.lower(): value for name, _, value in pairs}
    account = parts.get("accountname") or account_of(parts.get("blobendpoint", "")) or ""
    if wanted and account and account != wanted:
        if one.configured:
            raise InvalidOption(f"the option 'connection_string' is for the account {account}, not {wanted}")
        return f"it is for the account {account}"
    key, token = parts.get("accountkey"), parts.get("sharedaccesssignature", "").lstrip("?")
    if not key and not token:
        return _broken(one, "it holds neither AccountKey nor SharedAccessSignature")
    endpoint = address.endpoint or parts.get("blobendpoint", "").rstrip("/")
    if not endpoint and not account:
        return _broken(one, "it names no account")
    endpoint = endpoint or account_url(account, parts.get("endpointsuffix") or "core.windows.net")
    if key:
        return Access(account, endpoint, "key", one.source, f"account key of {account}", key)
    return Access(account, endpoint, "sas", one.source, _describe_sas(token), token)


def _broken(one: _Setting, reason: str) -> str:
    if one.configured:
        hint = "copy it again from 'Access keys' or 'Shared access signature' of the account"
        raise InvalidOption(f"the option 'connection_string' does not work: {reason}", hint=hint)
    return reason


def _make(
    address: Address, settings: _Settings, wanted: str | None, kind: str, identity: str, secret: str = ""
) -> Access:
    named = settings.get("account_name")
    account = wanted or (named.value if named else "")
    if not account and (address.endpoint is None or kind == "key"):
        raise InvalidOption(
            "no storage account is named",
            hint="kist remote modify NAME account_name ACCOUNT, or abfs://container@ACCOUNT.dfs.core.windows.net/prefix",
        )
    endpoint = address.endpoint or account_url(account)
    if kind == "key":
        identity = f"account key of {account}"
    return Access(account, endpoint, kind, "", identity, secret)


def _describe_sas(token: str) -> str:
    """What a SAS token says of itself; its signature is the secret."""
    values = {name: value[0] for name, value in parse_qs(token).items()}
    facts = [f"{word} {values[name]}" for name, word in (("sp", "rights"), ("se", "until")) if name in values]
    return f"SAS token ({', '.join(facts)})" if facts else "SAS token"


def secrets_of(options: AzureOptions, access: Access) -> list[str]:
    """Every text that must not show, in each spelling that a message may have.

    Args:
        options: what is set.
        access: what was chosen.

    Returns:
        The texts, none of them empty.
    """
    found = [access.secret, options.account_key, options.connection_string, options.client_secret, options.sas_token]
    for token in (options.sas_token, access.secret if access.kind == "sas" else ""):
        found += [part.partition("=")[2] for part in (token or "").split("&") if part.startswith("sig=")]
    found += [part.partition("=")[2] for part in (options.connection_string or "").split(";") if "=" in part]
    texts = {text for text in found if text and len(text) > 12}
    return sorted(texts | {unquote(text) for text in texts})
