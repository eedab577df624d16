"""A user without configuration, and every module of kist loaded so that forks are quick."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from users import fresh


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    with fresh(tmp_path_factory, loaded=True):
        yield
