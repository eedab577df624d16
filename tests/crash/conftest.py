"""A repository with two versions and a remote, made once, and every module of kist loaded so that forks are quick."""

import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from crash_support import V1, must, to_v2, write

from users import become


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    """A user without configuration; a fast disk is enough, since no power cut is played."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        become(patch, home)
        _load_all()
        yield


def _load_all():
    import kist
    import kist_local

    for package in (kist, kist_local):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.endswith("__main__") and ".testing" not in module.name and "fsspec" not in module.name:
                importlib.import_module(module.name)


def _git(root, *words):
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def stage_folder():
    """A folder in memory where there is one: states are put back hundreds of times."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kist-crash-", dir=memory) as folder:
        yield folder


@pytest.fixture(scope="session")
def base(fresh_user, tmp_path_factory):
    """site/work: a repository, nothing tracked yet, with files and a remote that is empty."""
    site = tmp_path_factory.mktemp("base") / "site"
    root = site / "work"
    root.mkdir(parents=True)

    def make():
        from kist.api import Repo
        from kist.operations.remote import add_remote

        _git(root, "init", "-q", "-b", "main", "--template=")
        repo = Repo.init(root)
        add_remote(repo.context, "store", os.path.relpath(site / "store"), default=True)
        write(root, V1)
        Path(root, "data/run.sh").write_text("#!/bin/sh\n")
        Path(root, "data/run.sh").chmod(0o755)
        Path(root, "data/link").symlink_to("a.txt")
        Path(root, "data/empty").mkdir()
        write(root, {"other.bin": b"other\n"})

    must(make)
    return site


@pytest.fixture(scope="session")
def two_versions(base, tmp_path_factory):
    """The same with data tracked in the versions v1 (Git tag, pushed) and v2 (recorded, in the workspace)."""
    import shutil

    from kist.api import Repo

    site = tmp_path_factory.mktemp("two") / "site"
    shutil.copytree(base, site, symlinks=True)
    root = site / "work"

    def make():
        Repo(root).add([str(root / "data"), str(root / "other.bin")])
        _git(root, "add", "-A")
        _git(root, "commit", "-q", "-m", "v1")
        _git(root, "tag", "v1")
        list(Repo(root).push())
        to_v2(root)
        Repo(root).commit()
        _git(root, "add", "-A")
        _git(root, "commit", "-q", "-m", "v2")

    must(make)
    return site
