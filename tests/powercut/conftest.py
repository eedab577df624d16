"""A user of the test's own, and every module of kist loaded before forks."""

import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from users import become


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    """A user without configuration; each run says itself when to wait for the disk."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        become(patch, home)
        patch.delenv("KIST_FSYNC")
        _load_all()
        yield


def _load_all():
    import kist
    import kist_local

    for package in (kist, kist_local):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.endswith(("__main__", ".pytest_plugin")) and ".testing" not in module.name:
                importlib.import_module(module.name)
