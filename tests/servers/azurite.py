"""Azurite, Microsoft's emulator of Azure Blob Storage, in memory.

Checks keys and shared access signatures, conditions and MD5 as the service does. It knows no roles of Microsoft Entra
ID, no firewall and no limits; what those answer comes from a stub.
"""

import base64
import contextlib
import datetime as dt
import json
import logging
import secrets
import time

import pytest

from servers.processes import free_port, program, served

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Published by Microsoft: every emulator has this key."""

MEMORY = 2048
"""Megabytes that the emulator may hold."""


class Azurite:
    """A running emulator.

    Args:
        port: where it listens.
        scheme: ``http`` or ``https``.
    """

    def __init__(self, port, scheme="http"):
        self.port = port
        self.endpoint = f"{scheme}://127.0.0.1:{port}/{ACCOUNT}"
        self.connection_string = (
            f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"
        )

    def client(self):
        """The SDK's client of the account."""
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(self.endpoint, credential={"account_name": ACCOUNT, "account_key": KEY})

    def sas(self, container, *, write=False):
        """A shared access signature for a container.

        Args:
            container: its name.
            write: whether it allows to write and delete, and not only to read and list.
        """
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        rights = ContainerSasPermissions(read=True, list=True, write=write, create=write, delete=write)
        until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        return generate_container_sas(ACCOUNT, container, account_key=KEY, permission=rights, expiry=until)

    def make_container(self, *, public=None):
        """Make a container.

        Args:
            public: ``container`` or ``blob``, for what anybody may read.

        Returns:
            Its name.
        """
        name = f"kist-{secrets.token_hex(8)}"
        with self.client() as client:
            client.create_container(name, public_access=public)
        return name


class Container:
    """A back door to a container, below a prefix."""

    def __init__(self, server, name, prefix=""):
        self._server, self._name = server, name
        self._root = f"{prefix}/" if prefix else ""

    def _client(self):
        return self._server.client().get_container_client(self._name)

    def keys(self):
        """The names of what lies there, blocks of unfinished uploads too."""
        with self._client() as client:
            found = client.list_blobs(name_starts_with=self._root or None, include=["uncommittedblobs"])
            return [one.name[len(self._root) :] for one in found]

    def write(self, key, data):
        """Put a blob."""
        with self._client() as client:
            client.upload_blob(self._root + key, data, overwrite=True)

    def read(self, key):
        """The bytes of a blob."""
        with self._client() as client:
            return client.download_blob(self._root + key).readall()


class FakeCredential:
    """A fake of azure-identity's DefaultAzureCredential: there is no Microsoft Entra ID here."""

    def __init__(self, **options):
        self.options = options

    async def get_token(self, *_scopes, **_options):
        """A token, told in the log as azure-identity tells it."""
        from azure.core.credentials import AccessToken

        log = logging.getLogger("azure.identity.aio._credentials.chained")
        log.info("%s acquired a token from %s", "DefaultAzureCredential", "FakeCliCredential")
        return AccessToken(access_token(), int(time.time()) + 3600)

    async def close(self):
        """Nothing is open."""


def access_token():
    """A token with the claims of those for Azure Storage, signed by nobody: the emulator looks at the claims only."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/fake-tenant/",
        "nbf": now - 60,
        "iat": now - 60,
        "exp": now + 3600,
        "tid": "fake-tenant",
        "upn": "somebody@example.invalid",
    }
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"signature"))


@contextlib.contextmanager
def azurite_server(folder, *, certificate=None, key=None, silent=True):
    """Run an emulator while the block runs.

    Args:
        folder: where its log goes.
        certificate: PEM file; with it, it speaks HTTPS and takes access tokens too.
        key: PEM file of the certificate's key.
        silent: whether it logs no requests.
    """
    port = free_port()
    command = [
        program("azurite-blob", "azurite"),
        *("--blobHost", "127.0.0.1", "--blobPort", port),
        *("--inMemoryPersistence", "--extentMemoryLimit", MEMORY, "--disableTelemetry"),
        "--skipApiVersionCheck",  # the SDK is newer than the emulator
    ]
    if silent:
        command.append("--silent")
    if certificate is not None:
        command += ["--cert", certificate, "--key", key, "--oauth", "basic"]
    with served(command, folder, port):
        yield Azurite(port, "http" if certificate is None else "https")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory):
    """An emulator for the session."""
    with azurite_server(tmp_path_factory.mktemp("azurite")) as server:
        yield server
