"""BLAKE3 under the contract of all hashers."""

import pytest

from kist.testing import HasherContract
from kist_blake3.hasher import Blake3Hasher


class TestBlake3(HasherContract):
    @pytest.fixture
    def hasher(self):
        return Blake3Hasher()
