"""What a remote in Azure lets people set."""

from __future__ import annotations

from dataclasses import dataclass

from kist.abc import Options, option


@dataclass(frozen=True, kw_only=True)
class AzureOptions(Options):
    """Options of a remote in Azure Blob Storage."""

    account_name: str | None = option(None, help="The storage account.", env="AZURE_STORAGE_ACCOUNT_NAME", shared=True)
    endpoint: str | None = option(
        None,
        help="Address of the blob service, where it is not `https://<account>.blob.core.windows.net`.",
        shared=True,
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
    connect_timeout: float = option(10.0, help="Seconds to wait for a connection.", shared=True)
    read_timeout: float = option(60.0, help="Seconds to wait for the next bytes of an answer.", shared=True)
    ca_bundle: str | None = option(None, help="File with certificates to trust instead of the system's.")
