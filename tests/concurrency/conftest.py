"""A user without configuration, and every module of kist loaded so that a hundred forks are quick."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from users import fresh


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    with fresh(tmp_path_factory, loaded=True):
        _work_once(tmp_path_factory.mktemp("warm"))
        yield


def _work_once(folder):
    """Load what is loaded when it is needed: another user may not be able to read this interpreter's files."""
    from concurrency_support import git, well, write

    before = os.getcwd()
    try:
        git(folder, "init", "-q", "-b", "main", "--template=")
        well(folder, "init")
        well(folder, "remote", "add", "-d", "store", folder / "store")
        write(folder, {"data/a.txt": b"a\n"})
        for words in ("add", "data"), ("push",), ("checkout",), ("verify",), ("gc", "-w", "-f"), ("doctor",), ("pull",):
            well(folder, *words)
    finally:
        os.chdir(before)
