"""The shelf under the contract of all remotes."""

import pytest
from kist_shelf.remote import ShelfRemote

from kist.testing import RegistrationContract, RemoteContract


class TestShelf(RemoteContract):
    @pytest.fixture
    def remote(self, tmp_path):
        return ShelfRemote(tmp_path / "data.shelf")


class TestRegistration(RegistrationContract):
    group, key, module = "remotes", "shelf", "kist_shelf"
