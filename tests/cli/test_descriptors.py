"""Open files: a command, or a repository that is closed, leaves none behind for the collector to find."""

import gc
import os

import pytest
from cli_support import write

from kist.api import Repo

VERBS = (
    ("status",), ("diff",), ("list", "-R"), ("log",), ("checkout",), ("push",), ("pull",), ("verify",), ("gc",),
    ("verify", "--remote", "store"), ("gc", "-r", "store"), ("resolve",), ("trash", "list"), ("doctor",),
    ("move", "data/a.txt", "data/b.txt"), ("remove", "data/b.txt"),
)  # fmt: skip


@pytest.fixture
def uncollected():
    """Nothing but the end of references closes anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def open_files():
    return sorted(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name))


def _is_open(name):
    return os.path.lexists(f"/proc/self/fd/{name}")  # the one that lists them is gone by now


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc here")
def test_commands_close_what_they_open(shared, uncollected):
    write(shared.folder, {"data/c.txt": "c"})
    shared("add", "data")
    before = open_files()
    for words in VERBS:
        shared(*words)
        assert open_files() == before, words
    shared("status", "nothing", code=2)
    assert open_files() == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc here")
def test_a_repository_that_is_closed_can_be_used_again(tracked, uncollected):
    before = open_files()
    with Repo(tracked.folder) as repo:
        assert repo.status().clean
        assert open_files() != before
    assert open_files() == before
    assert b"".join(repo.cat(str(tracked.folder / "data" / "a.txt"))) == b"one\n"
    repo.close()
    assert open_files() == before
