"""A file system without flock, played by a preloaded library: lease files with a heartbeat do the work."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from concurrency_support import command, git, tracked_names, tree, well, write

from servers.processes import program

HERE = Path(__file__).parent
LOCKED = 12


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library, compiled."""
    compiler = program("cc", "gcc")
    target = tmp_path_factory.mktemp("shim") / "no_flock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", target, HERE / "no_flock.c"], check=True)
    return target


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP], ids=["ENOLCK", "ENOTSUP"])
def without(request, shim):
    """The variables of a machine on which flock fails."""
    return {"LD_PRELOAD": str(shim), "KIST_TEST_NO_FLOCK": str(request.param)}


@pytest.fixture
def root(tmp_path):
    """A repository with a tracked directory, made with kernel locks."""
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "-q", "-b", "main", "--template=")
    well(root, "init")
    well(root, "remote", "add", "-d", "store", "../store")
    write(root, {"data/a.txt": b"a\n"})
    well(root, "add", "data")
    return root


def done(process, code=0):
    said, _ = process.communicate()
    assert process.returncode == code, said
    return said


@pytest.fixture
def stopped(root, without):
    """A program that stands still in the publication of data/b.txt, holding the write lock."""
    write(root, {"data/b.txt": b"b\n"})
    process = subprocess.Popen(
        [sys.executable, HERE / "stopping.py", "kist.repo.metafiles", "save_many", "add", "data/b.txt"],
        cwd=root,
        env={**os.environ, **without, "PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    status = os.waitpid(process.pid, os.WUNTRACED)[1]
    assert os.WIFSTOPPED(status), status
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_3_2_every_command_works_and_doctor_says_how(root, without):
    write(root, {"data/b.txt": b"b\n"})
    for words in (
        ("add", "data"),
        ("status",),
        ("push",),
        ("gc", "-w", "-f"),
        ("mv", "data/b.txt", "data/c.txt"),
        ("checkout",),
        ("fetch",),
        ("pull",),
        ("rm", "data/c.txt"),
        ("verify",),
    ):
        done(command(root, *words, environment=without))
    assert list((root / ".git" / "kist").glob("*/write.lock.lease-*"))
    assert "of the repository and of the cache has no kernel locks: lease files with a heartbeat are used" in done(
        command(root, "doctor", environment=without)
    )
    assert "kernel locks" in well(root, "doctor")


def test_3_2_two_processes_exclude_each_other(root, without, stopped):
    said = done(command(root, "add", "data", "--lock-timeout", "0", environment=without), LOCKED)
    assert f"'add' (process {stopped.pid} on {os.uname().nodename})" in said
    write(root, {"data/c.txt": b"c\n"})
    waiting = command(root, "add", "data/c.txt", environment=without)
    assert f"held by 'add' (process {stopped.pid} on " in waiting.stdout.readline()
    os.kill(stopped.pid, signal.SIGCONT)
    done(stopped)
    done(waiting)
    assert tracked_names(root, "data") == ["data/a.txt", "data/b.txt", "data/c.txt"]


def test_3_2_doctor_takes_no_living_command_for_a_killed_one(root, without):
    write(root, {"data/a.txt": b"edited\n"})
    process = subprocess.Popen(
        [sys.executable, HERE / "stopping.py", "kist.engine.checkout.apply", "FileWriter", "checkout", "-f", "data"],
        cwd=root,
        env={**os.environ, **without, "PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    try:
        assert [one for one in (root / ".git/kist").rglob("journal/*") if not one.name.startswith(".")]
        said = done(command(root, "doctor", environment=without))
        assert f"'checkout' (process {process.pid} on" in said
        assert "not finished" not in said
        os.kill(process.pid, signal.SIGCONT)
        done(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_3_2_a_dead_holder_is_taken_over(root, without, stopped):
    stopped.kill()
    stopped.communicate()
    done(command(root, "add", "data", "--lock-timeout", "0", environment=without))
    assert tracked_names(root, "data") == ["data/a.txt", "data/b.txt"]
    done(command(root, "verify", environment=without))


def test_3_2_several_at_once_lose_nothing(root, shim):
    without = {"LD_PRELOAD": str(shim)}
    names = [f"data/{number}.txt" for number in range(4)]
    write(root, {name: name.encode() for name in names})
    for process in [command(root, "add", name, environment=without) for name in names]:
        done(process)
    assert tracked_names(root, "data") == [*names, "data/a.txt"]
    done(command(root, "verify", environment=without))
    assert len(tree(root)) == 6 + 1
