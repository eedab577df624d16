"""RemoteContract: what every remote must do; the sentences of its tests are the contract's text.

Example:
    A plugin's whole test of it::

        from kist.testing import RemoteContract

        class TestBox(RemoteContract):
            @pytest.fixture
            def remote(self, box_server):      # a fresh, empty remote
                return BoxRemote(box_server.url)
"""

from __future__ import annotations

from kist.testing.remote_parts.changing import (
    BatchContract,
    ConcurrencyContract,
    ConditionContract,
    DeletingContract,
)
from kist.testing.remote_parts.failing import ErrorContract, HygieneContract, KeyContract, ProgressContract
from kist.testing.remote_parts.out_of_memory import BytesContract
from kist.testing.remote_parts.reading import AgreementContract, ListingContract, RangeContract
from kist.testing.remote_parts.storing import StoringContract, TornContract

__all__ = ["RemoteContract", "StrictRemoteContract"]


class RemoteContract(
    StoringContract,
    TornContract,
    BytesContract,
    RangeContract,
    ListingContract,
    AgreementContract,
    DeletingContract,
    BatchContract,
    ConditionContract,
    ConcurrencyContract,
    ErrorContract,
    ProgressContract,
    HygieneContract,
):
    """The contract of remotes.

    A subclass gives the fixture ``remote``, a fresh and empty remote. Further fixtures open more tests: ``second``
    (another instance on the same location), ``raw`` (a back door: ``keys()``, ``write(key, data)``, ``read(key)``),
    ``broken_credentials``, ``unreachable``, ``read_only`` (holds ``objects/ab/cd``), ``secrets`` (texts that must not
    show). Tests are skipped only where a capability is not declared or such a fixture is not given.
    """

    __test__ = False


class StrictRemoteContract(RemoteContract, KeyContract):
    """The contract of remotes, and what one does with keys that kist never sends.

    kist's own remotes pass it: nothing then depends on who calls them. Fixtures are those of :class:`RemoteContract`.
    """

    __test__ = False
