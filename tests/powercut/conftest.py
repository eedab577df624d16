"""A user of the test's own, and every module of kist loaded before forks."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from users import fresh


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    """A user without configuration; each run says itself when to wait for the disk."""
    with fresh(tmp_path_factory, loaded=True) as patch:
        patch.delenv("KIST_FSYNC")
        yield
