"""The contract of remotes, for a folder of Google Drive."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kist.testing import RegistrationContract, StrictRemoteContract
from kist.testing.remote_parts.changing import DeletingContract
from kist.testing.remote_parts.reading import AgreementContract, ListingContract
from kist_gdrive.remote import DriveRemote
from servers.drive import DriveServer, RawFolder

Make = Callable[..., DriveRemote]


class TestRegistration(RegistrationContract):
    group, key, module = "remotes", "gdrive", "kist_gdrive"


class TestDrive(StrictRemoteContract):
    @pytest.fixture
    def remote(self, make: Make) -> DriveRemote:
        return make()

    @pytest.fixture
    def second(self, make: Make) -> DriveRemote:
        return make(scope={"state": None})

    @pytest.fixture
    def raw(self, drive_server: DriveServer, folder: str) -> RawFolder:
        return RawFolder(drive_server, folder)

    @pytest.fixture
    def broken_credentials(self, make: Make) -> DriveRemote:
        return make(account="gone")

    @pytest.fixture
    def unreachable(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> DriveRemote:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        return make()

    @pytest.fixture
    def read_only(self, make: Make, raw: RawFolder) -> DriveRemote:
        raw.write("objects/ab/cd", b"some bytes")
        return make(account="reader")

    @pytest.fixture
    def secrets(self, drive_server: DriveServer) -> tuple[str, ...]:
        return drive_server.secrets


class TestBelow(ListingContract, AgreementContract, DeletingContract):
    """In folders below the one that the URL names by its id: what depends on where objects lie."""

    __test__ = True
    many = 60

    @pytest.fixture
    def remote(self, make: Make) -> DriveRemote:
        return make(None, "it's mine", "store")

    @pytest.fixture
    def second(self, make: Make) -> DriveRemote:
        return make(None, "it's mine", "store", scope={"state": None})
