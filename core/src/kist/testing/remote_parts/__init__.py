"""The parts of the remote contract; ``kist.testing.remote`` joins them."""

import pytest

_PARTS = ("changing", "common", "failing", "reading", "storing")

# So that a failing contract test shows the values that it compared. Not this package itself: older versions of pytest
# warn of a module that is being imported already.
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))
