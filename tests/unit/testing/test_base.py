"""Contract tests are inherited, and replaced only openly."""

import pytest

from kist.testing import overrides_contract
from kist.testing.base import ContractBase
from kist.testing.overrides import REASON


class Toy(ContractBase):
    __test__ = False

    def test_promise(self):
        """It is kept."""


def test_subclasses_are_collected_and_contracts_are_not():
    class TestPlugin(Toy):
        pass

    assert not Toy.__test__
    assert TestPlugin.__test__


def test_replacing_needs_a_reason():
    with pytest.raises(TypeError, match="overrides_contract"):

        class TestSilent(Toy):
            def test_promise(self):
                pass

    with pytest.raises(TypeError, match="overrides_contract"):

        class TestSwitchedOff(Toy):
            test_promise = None

    with pytest.raises(ValueError, match="reason"):
        overrides_contract(" ")

    class TestOpen(Toy):
        @overrides_contract("the server cannot")
        def test_promise(self):
            pass

    assert getattr(TestOpen.test_promise, REASON) == "the server cannot"
