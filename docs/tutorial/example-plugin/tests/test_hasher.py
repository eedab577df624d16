"""SHA3-256 under the contract of all hashers."""

import pytest
from kist_shelf.hasher import Sha3Hasher

from kist.testing import HasherContract, RegistrationContract


class TestSha3(HasherContract):
    @pytest.fixture
    def hasher(self):
        return Sha3Hasher()


class TestRegistration(RegistrationContract):
    group, key, module = "hashers", "sha3-256", "kist_shelf"


def test_known_answer():
    assert Sha3Hasher().raw(b"").hex().startswith("a7ffc6f8bf1ed766")
