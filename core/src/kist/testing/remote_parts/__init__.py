"""The parts of the remote contract; ``kist.testing.remote`` joins them."""

import pytest

pytest.register_assert_rewrite(__name__)  # so that a failing contract test shows the values that it compared
