"""Gates without a clock: how much work commands do, counted."""

import pytest

from gates.support import Repository


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory):
    """Where the plugin index is kept, filled by the first command."""
    return tmp_path_factory.mktemp("plugin-index")


@pytest.fixture
def repository(tmp_path, cache_home):
    """A repository without data."""
    return Repository(tmp_path / "repository", cache_home)
