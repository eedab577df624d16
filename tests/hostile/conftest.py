"""``kist`` as a person runs it in what somebody else made: each test with a home folder of its own."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
sys.path.insert(0, str(Path(__file__).parent))

from cli_fixtures import *  # noqa: F403 - fixtures, found by name

SAMPLE = 6
"""How many inputs of a family the ordinary run tries at most."""


@pytest.fixture(autouse=True)
def tried(record_property):
    """Passes inputs on and counts them; a test that does not use it has tried one.

    The ordinary run takes some of each family, ``KIST_HOSTILE=whole`` (``tox run -e hostile``) all.
    """
    count = 0

    def counted(inputs):
        nonlocal count
        inputs = list(inputs)
        if os.environ.get("KIST_HOSTILE") != "whole":
            inputs = inputs[:: -(-len(inputs) // SAMPLE)]
        for one in inputs:
            count += 1
            yield one

    yield counted
    record_property("hostile inputs", count or 1)


def pytest_terminal_summary(terminalreporter):
    """Say how many hostile inputs were tried, and in how many tests something got through."""
    ends = [one for some in terminalreporter.stats.values() for one in some if getattr(one, "when", "") == "teardown"]
    tried = {one.nodeid: dict(one.user_properties).get("hostile inputs", 0) for one in ends}
    if any(tried.values()):
        failed = sum(bool(tried.get(one.nodeid)) for one in terminalreporter.stats.get("failed", ()))
        terminalreporter.write_line(f"hostile: {sum(tried.values())} inputs tried, {failed} tests failed")
