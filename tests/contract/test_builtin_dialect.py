"""The native dialect under the contract of all dialects."""

import pytest

from kist.builtin.kist_dialect import KistDialect
from kist.testing import DialectContract


class TestKist(DialectContract):
    @pytest.fixture
    def dialect(self):
        return KistDialect()
