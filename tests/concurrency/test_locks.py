"""Writers wait for each other, tell for whom, take over from the dead, and lose nothing of one another."""

import json
import os
import time
from unittest import mock

import pytest
from concurrency_support import Job, Stopped, command, failures, git, kist, stop_at, tracked_names, well, write

from kist.engine.cache.session import CacheSession
from kist.engine.process.locks import Lock
from kist.operations import add as add_operation
from kist.repo import metafiles

LOCKED = 12


@pytest.fixture
def root(tmp_path):
    """A repository with a tracked directory."""
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "-q", "-b", "main", "--template=")
    well(root, "init")
    write(root, {"data/a.txt": b"a\n"})
    well(root, "add", "data")
    return root


def adding(root, name, *place):
    """Add one file into the directory, and stop at a place on the way."""

    def work(run):
        write(root, {f"data/{name}": b"%s\n" % name.encode()})
        if place:
            stop_at(*place)
        run(root, "add", f"data/{name}")

    return work


def in_publish(root, tmp_path, name="b.txt"):
    """An add that stands still with the write lock, its objects stored, its metafile not yet written."""
    return Stopped(adding(root, name, metafiles, "save_many"), tmp_path / "adder.log")


def test_3_2_a_waiting_writer_tells_for_whom_it_waits_and_takes_over_from_the_dead(root, tmp_path):
    write(root, {"data/c.txt": b"c\n"})
    begun = time.time()
    with in_publish(root, tmp_path) as holder:
        waiting = command(root, "add", "data/c.txt")
        told = waiting.stdout.readline()
        assert "waiting for the lock on the repository" in told
        assert f"held by 'add' (process {holder.pid} on {os.uname().nodename}) since " in told
        since = time.mktime(time.strptime(told.strip()[-19:], "%Y-%m-%d %H:%M:%S"))
        assert begun - 2 <= since <= time.time() + 2
        assert waiting.poll() is None
        holder.kill()
        said, _ = waiting.communicate()
    assert waiting.returncode == 0, said
    assert tracked_names(root, "data") == ["data/a.txt", "data/c.txt"]
    well(root, "add", "data")
    assert tracked_names(root, "data") == ["data/a.txt", "data/b.txt", "data/c.txt"]
    well(root, "verify")


@pytest.mark.parametrize(
    ("place", "words", "what"),
    [
        ((metafiles, "save_many"), ("add", "data"), "the repository"),
        ((metafiles, "save_many"), ("config", "--local", "core.jobs", "3"), "the repository"),
        ((CacheSession, "put_small"), ("gc", "-w", "-f"), "the cache"),
    ],
)
def test_3_2_lock_timeout_ends_the_waiting_with_who_holds_it(root, tmp_path, place, words, what):
    write(root, {"data/a.txt": b"newer\n"})
    well(root, "add", "data")  # what was before is for gc to collect
    with Stopped(adding(root, "b.txt", *place), tmp_path / "adder.log") as holder:
        code, said = kist(root, *words, "--lock-timeout", "0", "--json")
        assert code == LOCKED
        [error] = json.loads(said[said.index("{") :])["errors"]
        assert error["class"] == "RepoLocked"
        assert what in error["message"]
        assert f"'add' (process {holder.pid} on {os.uname().nodename})" in error["message"]
        assert failures(holder.go_on()) == []
    well(root, *words)


def test_3_2_who_waits_for_gc_is_told(root, tmp_path):
    from kist.operations import gc

    write(root, {"data/a.txt": b"newer\n"})
    well(root, "add", "data")

    def work(run):
        stop_at(gc, "apply_cache_gc")
        run(root, "gc", "-w", "-f")

    with Stopped(work, tmp_path / "gc.log") as holder:
        waiting = command(root, "add", "data")
        told = waiting.stdout.readline()
        assert "waiting for the lock on the cache" in told
        assert f"held by 'gc' (process {holder.pid} on " in told
        assert failures(holder.go_on()) == []
        said, _ = waiting.communicate()
    assert waiting.returncode == 0, said


def test_3_2_gc_and_an_add_in_the_middle_of_its_work_do_not_wait_for_each_other_for_ever(root, tmp_path):
    write(root, {"data/a.txt": b"newer\n"})
    well(root, "add", "data")
    with Stopped(adding(root, "b.txt", add_operation, "publish"), tmp_path / "adder.log") as holder:
        waiting = command(root, "gc", "-w", "-f")
        lines = iter(waiting.stdout.readline, "")
        assert any("waiting for the lock on the cache" in line for line in lines)
        assert failures(holder.go_on()) == []  # it needs the write lock now, which gc must not hold
        said, _ = waiting.communicate()
    assert waiting.returncode == 0, said
    well(root, "verify")


def two_adds(root, tmp_path, before=lambda: None):
    """Two adds into one directory, the second while the first stands in its publication; what is recorded then."""

    def first(run):
        before()
        adding(root, "b.txt", metafiles, "save_many")(run)

    def second(run):
        before()
        adding(root, "c.txt")(run)

    with Stopped(first, tmp_path / "first.log") as stopped:
        job = Job(second, tmp_path / "second.log")
        if before is sabotage:
            assert failures(job.wait()) == []
        assert failures(stopped.go_on()) == []
        if before is not sabotage:
            assert failures(job.wait()) == []
    return tracked_names(root, "data")


def sabotage():
    """A lock that does nothing."""
    for name in ("acquire", "release"):
        mock.patch.object(Lock, name, lambda self: None).start()


def test_3_2_two_adds_into_one_directory_lose_nothing(root, tmp_path):
    assert two_adds(root, tmp_path) == ["data/a.txt", "data/b.txt", "data/c.txt"]
    well(root, "verify")


def test_3_2_an_add_that_was_overtaken_merges_its_change_onto_the_other(root, tmp_path):
    with Stopped(adding(root, "b.txt", add_operation, "publish"), tmp_path / "first.log") as stopped:
        assert failures(Job(adding(root, "c.txt"), tmp_path / "second.log").wait()) == []
        assert failures(stopped.go_on()) == []
    assert tracked_names(root, "data") == ["data/a.txt", "data/b.txt", "data/c.txt"]
    well(root, "verify")


def test_3_2_two_adds_of_the_same_file_tell_of_the_conflict(root, tmp_path):
    with Stopped(adding(root, "b.txt", add_operation, "publish"), tmp_path / "first.log") as stopped:
        write(root, {"data/b.txt": b"somebody else's\n"})
        well(root, "add", "data/b.txt")
        [ran] = stopped.go_on()
    assert ran.code != 0
    assert "data was changed by another process meanwhile" in ran.said
    assert well(root, "cat", "data/b.txt") == "somebody else's\n"


@pytest.mark.parametrize("verb", ["mv", "rm"])
def test_3_2_what_was_published_meanwhile_is_not_overwritten(root, tmp_path, verb):
    """A move or removal that waited for the lock acts on the version that it finds then, not on the one before."""
    write(root, {"data/x.txt": b"x\n"})
    well(root, "add", "data")
    words = ("mv", "data", "moved") if verb == "mv" else ("rm", "data/x.txt")
    with in_publish(root, tmp_path) as holder:
        waiting = command(root, *words)
        assert "waiting for the lock on the repository" in waiting.stdout.readline()
        assert failures(holder.go_on()) == []
        said, _ = waiting.communicate()
    assert waiting.returncode == 0, said
    top = "moved" if verb == "mv" else "data"
    assert f"{top}/b.txt" in tracked_names(root, top)
    well(root, "verify")


# ── the suite can fail ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lock_that_does_nothing_is_caught(root, tmp_path):
    assert two_adds(root, tmp_path, sabotage) != ["data/a.txt", "data/b.txt", "data/c.txt"]
