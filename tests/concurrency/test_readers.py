"""Readers take no lock and see each metafile at one state, wherever a long add has got to."""

import contextlib
import os
import resource
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from concurrency_support import Job, Stopped, failures, git, stop_at, tree, well, write

from children import NOBODY, as_nobody
from kist.engine.cache import publish as cache_publish
from kist.engine.cache.session import CacheSession
from kist.engine.process.locks import Lock
from kist.engine.workspace import fingerprints
from kist.operations import add as add_operation
from kist.repo import gitignore, metafiles
from users import environment

READERS = (
    ("status", "--json"),
    ("diff",),
    ("list", "-R", "data"),
    ("cat", "data/a.txt"),
    ("verify",),
    ("log", "data"),
)
PLACES = {
    "reading": (CacheSession, "put_small"),
    "publishing objects": (cache_publish, "write_index"),
    "before the metafile": (add_operation, "publish"),
    "in the metafile": (metafiles, "save_many"),
    "in the ignore rules": (gitignore, "update"),
    "in the fingerprints": (fingerprints, "_write_base"),
}


@pytest.fixture
def root(tmp_path):
    """A repository with two versions of a directory, the second one in the workspace only."""
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "-q", "-b", "main", "--template=")
    well(root, "init")
    well(root, "remote", "add", "-d", "store", "../store")
    write(root, {"data/a.txt": b"one\n", "data/b.txt": b"two\n"})
    well(root, "add", "data")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "v1")
    well(root, "push")
    write(root, {"data/a.txt": b"one, edited\n", "data/c.txt": b"three\n", "new/d.txt": b"four\n"})
    return root


def adder(root, owner, name):
    def work(run):
        stop_at(owner, name)
        run(root, "add", "data", "new")

    return work


def reading(root):
    """Run every reader in one process, in which no lock can be taken, and write down what each cost."""

    def refuse(self):
        raise AssertionError(f"a reader takes the lock on {self.what}")

    def work(run):
        Lock.try_acquire = refuse
        for words in READERS:
            before = resource.getrusage(resource.RUSAGE_SELF)
            run(root, *words)
            after = resource.getrusage(resource.RUSAGE_SELF)
            # Not the clock on the wall: others work on this machine too. Nothing here waits, so this is what it costs.
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            assert seconds < 1, f"kist {' '.join(words)} took {seconds:.2f} s"

    return work


@pytest.mark.parametrize("place", PLACES)
def test_3_1_readers_end_while_an_add_stands_still(root, tmp_path, place):
    before = (root / "data.kist").read_bytes()
    with Stopped(adder(root, *PLACES[place]), tmp_path / "adder.log") as stopped:
        ran = Job(reading(root), tmp_path / "reader.log").wait()
        assert failures(ran) == []
        assert len(ran) == len(READERS)
        assert ran[3].said == "one\n" or place in ("in the ignore rules", "in the fingerprints")
        if place not in ("in the ignore rules", "in the fingerprints"):
            assert (root / "data.kist").read_bytes() == before
        assert failures(stopped.go_on()) == []
    assert well(root, "cat", "data/a.txt") == "one, edited\n"
    well(root, "verify")


def test_3_1_readers_end_while_somebody_keeps_the_fingerprints(root, tmp_path):
    [path] = (root / ".git" / "kist").glob("*/fingerprints.sqlite")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        ran = Job(reading(root), tmp_path / "reader.log").wait()
    assert failures(ran) == []


def test_3_1_readers_work_where_nothing_can_be_written(root):
    folder = Path(tempfile.mkdtemp(prefix="kist-readers-"))
    place = folder / "work"
    try:
        shutil.copytree(root, place, symlinks=True)
        shutil.copytree(root.parent / "store", folder / "store")
        everything = [folder, *folder.rglob("*")]
        for path in everything:
            path.chmod(path.stat().st_mode & ~0o222)
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        before = tree(place)

        def read():
            os.environ.update(environment(folder / "home"))
            for words in READERS:
                well(place, *words)

        as_nobody(read)
        assert tree(place) == before
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(folder)
