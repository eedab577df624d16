"""A cache that cannot be written: readers work, writers get a clear error, and nothing is lost."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from concurrency_support import git, kist, tree, well, write

from children import as_nobody, code_of, forked
from servers.processes import unavailable
from users import environment

FILES = {"data/a.txt": b"one\n", "data/b.txt": b"two\n", "data/large.bin": b"large" * (1 << 18)}


@pytest.fixture
def site():
    """A repository, its cache beside it, and a clone without data."""
    folder = Path(tempfile.mkdtemp(prefix="kist-read-only-"))
    folder.chmod(0o755)
    try:
        root = folder / "work"
        root.mkdir()
        git(root, "init", "-q", "-b", "main", "--template=")
        well(root, "init")
        well(root, "config", "--local", "cache.dir", folder / "cache")
        well(root, "config", "--local", "cache.shared", "group")
        well(root, "remote", "add", "-d", "store", folder / "store")
        write(root, FILES)
        well(root, "add", "data")
        well(root, "push")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "v1")
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["mount", "mode"])
def read_only(request, site):
    """The site with its cache made read-only, and who is to use it: ``run(action)``."""
    cache = site / "cache"
    if request.param == "mount":
        if os.geteuid() != 0:
            unavailable("mounting a folder read-only needs root")
        for options in (["--bind", cache, cache], ["-o", "remount,bind,ro", cache]):
            done = subprocess.run(["mount", *options], check=False, capture_output=True, text=True)
            if done.returncode:
                unavailable(f"this machine cannot mount a folder read-only: {done.stderr.strip()}")
        try:
            yield site, lambda action: code_of(forked(action))
        finally:
            subprocess.run(["umount", cache], check=True)
        return
    for path in (cache, *cache.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        yield site, lambda action: as_nobody(action) or 0
    finally:
        for path in (cache, *cache.rglob("*")):
            if path.is_dir():
                path.chmod(path.stat().st_mode | 0o700)


def own_clone(site):
    """A clone of whoever this process is."""
    home = Path(tempfile.mkdtemp(prefix="kist-home-"))
    os.environ.update(environment(home))
    root = home / "clone"
    trusting = home / "gitconfig"
    trusting.write_text("[safe]\n\tdirectory = *\n")
    os.environ["GIT_CONFIG_GLOBAL"] = str(trusting)
    git(home, "clone", "-q", site / "work", root)
    well(root, "config", "--local", "cache.dir", site / "cache")
    well(root, "config", "--local", "cache.shared", "group")
    return root


def test_3_1_readers_work_on_a_cache_that_is_read_only(read_only):
    site, run = read_only

    def read():
        root = own_clone(site)
        try:
            for words in (
                ("checkout",),
                ("status",),
                ("diff",),
                ("list", "-R", "data"),
                ("cat", "data/a.txt"),
                ("verify",),
                ("log", "data"),
                ("fetch",),
                ("pull",),
                ("push",),
            ):
                well(root, *words)
            assert {f"data/{path}": data for path, data in tree(root / "data").items()} == FILES
            (root / "data/a.txt").unlink()
            well(root, "checkout", "data/a.txt")
            assert "it cannot be written" in kist(root, "doctor")[1]
        finally:
            shutil.rmtree(root.parent)

    assert run(read) == 0


def test_3_1_writers_get_a_clear_error_on_a_cache_that_is_read_only(read_only):
    site, run = read_only

    def attempt():
        root = own_clone(site)
        try:
            well(root, "checkout")
            write(root, {"data/new.txt": b"new\n"})
            before = tree(root)
            for words in (("add", "data"), ("add", "data/new.txt"), ("commit",)):
                code, said = kist(root, *words, "--json")
                [error] = json.loads(said[said.index("{") :])["errors"]
                assert (error["class"], error["exit_code"]) == ("StorageError", code), said
                assert str(site / "cache") in error["message"]
                assert error["hint"]
                assert tree(root) == before
            code, said = kist(root, "gc", "-w", "-f", "--json")
            assert code == 0, said  # nothing is there that nothing needs
            well(root, "config", "--local", "cache.dir", "own-cache")
            well(root, "fetch")
            well(root, "add", "data")
        finally:
            shutil.rmtree(root.parent)

    assert run(attempt) == 0
