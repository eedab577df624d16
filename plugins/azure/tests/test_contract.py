"""The contract of remotes, for containers of Azure, against Azurite."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from kist.abc import RemoteURL
from kist.testing import RegistrationContract, StrictRemoteContract
from kist.testing.remote_parts.changing import BatchContract, ConditionContract
from kist.testing.remote_parts.common import RemoteFixtures
from kist.testing.remote_parts.failing import ErrorContract, HygieneContract, KeyContract
from kist.testing.remote_parts.reading import RangeContract
from kist_azure.options import AzureOptions
from kist_azure.remote import AzureRemote
from servers.azurite import KEY, Azurite, Container
from servers.processes import free_port

PREFIX = "some folder/kist#1?"
"""Names of folders may hold what means something in a URL."""

WRONG_KEY = base64.b64encode(b"not the key of this account, but as long as one is: 64 bytes....").decode()


def open_remote(server: Azurite, container: str, **options: object) -> AzureRemote:
    url = RemoteURL("az", container, f"/{PREFIX}")
    return AzureRemote.from_url(url, AzureOptions(endpoint=server.endpoint, **options))  # type: ignore[arg-type]


class AzureFixtures(RemoteFixtures):
    """All fixtures of the contract; subclasses choose the credentials."""

    __test__ = False
    many = 600

    @pytest.fixture(autouse=True)
    def short_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page of 5000 names would never be full."""
        monkeypatch.setattr("kist_azure.transfer.PAGE", 250)

    @pytest.fixture
    def container(self, azurite: Azurite) -> str:
        return azurite.make_container()

    @pytest.fixture
    def credentials(self, container: str) -> dict[str, str]:
        raise TypeError

    @pytest.fixture
    def remote(self, azurite: Azurite, container: str, credentials: dict[str, str]) -> Iterator[AzureRemote]:
        remote = open_remote(azurite, container, **credentials)
        yield remote
        remote.close()

    @pytest.fixture
    def second(self, azurite: Azurite, container: str, credentials: dict[str, str]) -> Iterator[AzureRemote]:
        remote = open_remote(azurite, container, **credentials)
        yield remote
        remote.close()

    @pytest.fixture
    def raw(self, azurite: Azurite, container: str) -> Container:
        return Container(azurite, container, PREFIX)

    @pytest.fixture
    def read_only(self, azurite: Azurite, container: str, raw: Container) -> Iterator[AzureRemote]:
        raw.write("objects/ab/cd", b"some bytes")
        remote = open_remote(azurite, container, sas_token=azurite.sas(container))
        yield remote
        remote.close()

    @pytest.fixture
    def broken_credentials(self, azurite: Azurite, container: str) -> Iterator[AzureRemote]:
        remote = open_remote(azurite, container, account_key=WRONG_KEY)
        yield remote
        remote.close()

    @pytest.fixture
    def unreachable(self, container: str) -> Iterator[AzureRemote]:
        remote = open_remote(Azurite(free_port()), container, account_key=KEY)
        yield remote
        remote.close()


class TestKey(AzureFixtures, StrictRemoteContract):
    @pytest.fixture
    def credentials(self, container: str) -> dict[str, str]:
        return {"account_key": KEY}

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        return (KEY, WRONG_KEY)


class TestSas(
    AzureFixtures, ErrorContract, KeyContract, HygieneContract, BatchContract, RangeContract, ConditionContract
):
    """What may depend on the credentials."""

    @pytest.fixture
    def credentials(self, azurite: Azurite, container: str) -> dict[str, str]:
        return {"sas_token": azurite.sas(container, write=True)}

    @pytest.fixture
    def secrets(self, credentials: dict[str, str]) -> tuple[str, ...]:
        from urllib.parse import parse_qs

        token = credentials["sas_token"]
        return (token, token.partition("sig=")[2], parse_qs(token)["sig"][0], WRONG_KEY)


class AzureRegistration(RegistrationContract):
    __test__ = False
    group = "remotes"
    module = "kist_azure"


class TestAz(AzureRegistration):
    key = "az"


class TestAzure(AzureRegistration):
    key = "azure"


class TestAbfs(AzureRegistration):
    key = "abfs"
