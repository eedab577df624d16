"""A home folder of the tests' own, and the name of this folder on the path."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stateful_support import GIT


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    """A user without configuration; no power cut is played, so nothing waits for the disk."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("KIST_", "GIT_", "XDG_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("KIST_CACHE_HOME", str(home / "plugins"))
        patch.setenv("KIST_SYSTEM_CONFIG", str(home / "no-system.yaml"))
        patch.setenv("KIST_FSYNC", "off")
        for name, value in GIT.items():
            patch.setenv(name, value)
        yield
