"""The connection to an account: adlfs's filesystem, with a client made our way."""

from __future__ import annotations

import asyncio
import io
import logging
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import aiohttp
from adlfs import AzureBlobFileSystem
from azure.storage.blob.aio import BlobServiceClient

from kist.errors import InvalidOption
from kist_azure.access import Access
from kist_azure.options import AzureOptions

T = TypeVar("T")

logging.getLogger("azure").addHandler(logging.NullHandler())  # its warnings are for a log, not for the terminal

BLOCK = 8 << 20
"""Bytes of one request: what is larger is sent and read in several."""

_LARGE = 1 << 20

PAGE = 5000
"""Names that one request of a listing gives at most."""


class BlobFileSystem(AzureBlobFileSystem):  # type: ignore[misc]
    """adlfs's filesystem, connected to any endpoint, with the certificates that are wanted and without retries.

    It keeps the event loop, the client and the credential; adlfs itself can set neither of these three, and would read
    the environment for a connection string of another account.
    """

    def do_connect(self) -> None:
        """Take the client that it was given."""
        self.service_client = self.kwargs["client"]


class Connection:
    """Runs the SDK's coroutines on the loop of adlfs's filesystem; any number of threads may ask at once.

    Args:
        access: where to go, with which credentials.
        options: timeouts and certificates.
    """

    def __init__(self, access: Access, options: AzureOptions) -> None:
        self._credential = make_credential(access, options)
        client = BlobServiceClient(
            access.endpoint,
            credential=self._credential,
            retry_total=0,  # the core repeats
            connection_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            connection_verify=options.ca_bundle or True,
            raw_request_hook=_prepare,
            max_single_put_size=BLOCK,
            max_block_size=BLOCK,
            max_single_get_size=BLOCK,
            max_chunk_get_size=BLOCK,
        )
        self._filesystem = BlobFileSystem(
            account_name=access.account, anon=True, client=client, skip_instance_cache=True, use_listings_cache=False
        )

    def container(self, name: str) -> Any:
        """The SDK's client of a container.

        Args:
            name: the container.

        Returns:
            An ``azure.storage.blob.aio.ContainerClient``.
        """
        return self._filesystem.service_client.get_container_client(name)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine.

        Args:
            work: what to run on the loop; it calls nothing of the caller's, so it cannot hold up other threads.

        Returns:
            Its result.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._filesystem.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def token(self) -> str:
        """An access token of the credential, for telling whose it is.

        Returns:
            The token, "" where the credential is no sign-in.
        """
        if not hasattr(self._credential, "get_token"):
            return ""
        return str(self.run(self._credential.get_token("https://storage.azure.com/.default")).token)

    def close(self) -> None:
        """End the connections."""
        self.run(self._filesystem.service_client.close())
        if hasattr(self._credential, "get_token"):
            self.run(self._credential.close())


async def _send_once(request: Any, handler: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Keep aiohttp from sending again by itself what was lost on a cut line: the core must learn of each loss."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise aiohttp.ClientConnectionError(str(exc)) from exc


def _prepare(request: Any) -> None:
    """Change a request before it is signed.

    A large body is sent piece by piece, since the loop belongs to all threads; aiohttp warns otherwise. A batch gets a
    boundary of letters as the sync client has it: the one that the async client takes from the standard library is
    refused by servers that want it quoted.
    """
    request.context.options["middlewares"] = (_send_once,)
    body, kind = request.http_request.data, request.http_request.headers.get("Content-Type", "")
    if isinstance(body, bytes) and kind.startswith("multipart/mixed; boundary=="):
        old, new = kind.partition("boundary=")[2], f"batch_{uuid.uuid4()}"
        body = body.replace(old.encode(), new.encode())
        request.http_request.headers["Content-Type"] = f"multipart/mixed; boundary={new}"
        request.http_request.headers["Content-Length"] = str(len(body))
        request.http_request.data = body
    if isinstance(body, bytes) and len(body) >= _LARGE:
        request.http_request.data = io.BytesIO(body)


def make_credential(access: Access, options: AzureOptions) -> Any:
    """What the SDK takes as a credential.

    Args:
        access: what was chosen.
        options: ids of the service principal.

    Returns:
        A key with its account, a SAS token, an asynchronous token credential, or None.

    Raises:
        InvalidOption: the key is no key.
    """
    if access.kind == "anonymous":
        return None
    if access.kind == "key":
        _check_key(access)
        return {"account_name": access.account, "account_key": access.secret}
    if access.kind == "sas":
        return access.secret
    from azure.identity import aio

    if access.kind == "principal":
        return aio.ClientSecretCredential(str(options.tenant_id), str(options.client_id), access.secret, retry_total=0)
    if options.client_id:
        return aio.DefaultAzureCredential(managed_identity_client_id=options.client_id)
    return aio.DefaultAzureCredential()


def _check_key(access: Access) -> None:
    import base64
    import binascii

    try:
        base64.b64decode(access.secret, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidOption(
            f"the account key ({access.source}) is not base64 text", hint="copy it again; it usually ends with '=='"
        ) from None
