"""The parts of the remote contract; ``kist.testing.remote`` joins them."""
