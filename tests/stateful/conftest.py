"""A home folder of the tests' own, and the name of this folder on the path."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from users import fresh


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    """A user without configuration; no power cut is played, so nothing waits for the disk."""
    with fresh(tmp_path_factory):
        yield
