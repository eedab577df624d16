"""What a remote in Azure lets people set."""

from __future__ import annotations

from dataclasses import dataclass

from kist.abc import Options, RemoteURL, between, option
from kist_azure.address import account_url, blob_endpoint, parse_address


def _check_account(_: str, value: str) -> None:
    if value:  # an empty one is none
        account_url(value)


def _check_endpoint(_: str, value: str) -> None:
    blob_endpoint(value)


@dataclass(frozen=True, kw_only=True)
class AzureOptions(Options):
    """Options of a remote in Azure Blob Storage."""

    account_name: str | None = option(
        None,
        help="The storage account.",
        env="AZURE_STORAGE_ACCOUNT_NAME",
        shared=True,
        choices=_check_account,
    )
    endpoint: str | None = option(
        None,
        help="Address of the blob service, where it is not `https://<account>.blob.core.windows.net`.",
        shared=True,
        choices=_check_endpoint,
    )
    anonymous: bool = option(False, help="Read a public container without credentials.", shared=True)
    connection_string: str | None = option(
        None,
        help="Connection string: account, key or SAS, and endpoint in one.",
        env="AZURE_STORAGE_CONNECTION_STRING",
        secret=True,
    )
    account_key: str | None = option(
        None, help="One of the account's two keys.", env="AZURE_STORAGE_ACCOUNT_KEY", secret=True
    )
    sas_token: str | None = option(
        None,
        help="Shared access signature, with or without the leading `?`.",
        env="AZURE_STORAGE_SAS_TOKEN",
        secret=True,
    )
    tenant_id: str | None = option(None, help="Microsoft Entra tenant of the service principal.")
    client_id: str | None = option(
        None, help="Service principal; without a secret, the managed identity of that client id."
    )
    client_secret: str | None = option(None, help="Secret of the service principal.", secret=True)
    connect_timeout: float = option(
        10.0, help="Seconds to wait for a connection.", shared=True, choices=between(0.001, 86400)
    )
    read_timeout: float = option(
        60.0, help="Seconds to wait for the next bytes of an answer.", shared=True, choices=between(0.001, 86400)
    )
    ca_bundle: str | None = option(None, help="File with certificates to trust instead of the system's.")

    @classmethod
    def check_url(cls, url: RemoteURL) -> None:
        """Refuse what names no container."""
        parse_address(url, None)
