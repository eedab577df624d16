"""Many processes that run kist at once: forks of this one, each of which writes down what its commands returned."""

import contextlib
import faulthandler
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from children import code_of, forked

WHOLE = os.environ.get("KIST_CONCURRENCY") == "whole"
"""Whether 100 processes run, as in ``tox run -e concurrency``; else fewer."""

PATIENCE = 900.0
"""Seconds after which a process is taken to hang; it shows where."""


def git(folder, *words):
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def kist(folder, *words):
    """Run a command in this process; returns (exit code, what it said)."""
    from kist.cli.main import main

    said = io.TextIOWrapper(io.BytesIO(), "utf-8", "replace", write_through=True)  # some commands write bytes
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main([str(word) for word in words])
    finally:
        with contextlib.suppress(OSError):  # another user may not go back there
            os.chdir(before)
    return code, said.buffer.getvalue().decode("utf-8", "replace")


def well(folder, *words):
    """Run a command in this process, which must end well; returns what it said."""
    code, said = kist(folder, *words)
    assert code == 0, f"kist {' '.join(map(str, words))} returned {code}:\n{said}"
    return said


def command(folder, *words, environment=None):
    """Start a command as a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "kist", *map(str, words)],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def tracked_names(folder, output):
    """Paths that are recorded of an output."""
    listed = json.loads(well(folder, "list", "-R", output, "--json"))["data"]
    return sorted(one["path"] for one in listed["entries"])


@dataclass(frozen=True)
class Ran:
    """One command that a process ran."""

    words: tuple
    code: int
    said: str

    def __str__(self):
        return f"kist {' '.join(self.words)} returned {self.code}: {self.said.strip()[-1500:]}"


class Job:
    """A process that does some work and tells of each command.

    Args:
        work: called with ``run(folder, *words)``, which goes on after a failure.
        log: the file where it tells.
        gate: a file that is locked exclusively until all shall begin; None: at once.
    """

    def __init__(self, work, log, gate=None):
        self.log = Path(log)
        self.pid = forked(lambda: self._live(work, gate))

    def _live(self, work, gate):
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.__stderr__)
        if gate is not None:
            with open(gate) as stream:
                fcntl.flock(stream, fcntl.LOCK_SH)
        with self.log.open("w") as stream:

            def run(folder, *words):
                code, said = kist(folder, *words)
                stream.write(json.dumps([[str(word) for word in words], code, said]) + "\n")
                stream.flush()
                return code

            work(run)

    def wait(self):
        """What it ran, when it has ended well."""
        code = code_of(self.pid)
        assert code == 0, f"a process ended with {code} after {self.ran()[-1:]}"
        return self.ran()

    def ran(self):
        """What it ran so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [Ran(tuple(words), code, said) for words, code, said in map(json.loads, lines)]


def stop_at(owner, name, *, after=0):
    """Let this process stop (SIGSTOP) when a function is called, before the function does anything.

    Args:
        owner: the module or class that has it.
        name: of the function.
        after: how many calls go by first.
    """
    original = getattr(owner, name)
    left = [after]

    def call(*args, **options):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        left[0] -= 1
        return original(*args, **options)

    setattr(owner, name, call)


class Stopped:
    """A job that is stopped in the middle of its work, for a ``with`` statement; it does not outlive the block.

    Args:
        work: as for a job; it calls ``stop_at``.
        log: as for a job.
    """

    def __init__(self, work, log):
        self.job = Job(work, log)
        self.pid = self.job.pid

    def __enter__(self):
        status = os.waitpid(self.pid, os.WUNTRACED)[1]
        assert os.WIFSTOPPED(status), f"the process ended with {status}, before it came to that point: {self.job.ran()}"
        return self

    def __exit__(self, *exc_info):
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def go_on(self):
        """Let it go on to its end; returns what it ran."""
        os.kill(self.pid, signal.SIGCONT)
        return self.job.wait()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        assert code_of(self.pid) == -signal.SIGKILL


def all_at_once(folder, works):
    """Run several works in a process each, all begun at the same moment; returns what they ran."""
    folder.mkdir(parents=True, exist_ok=True)
    gate = folder / "gate"
    with gate.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        jobs = [Job(work, folder / f"{number}.log", gate) for number, work in enumerate(works)]
        fcntl.flock(stream, fcntl.LOCK_UN)  # closing is not enough: the forks have the same open file
    ran = []
    for job in jobs:
        ran += job.wait()
    return ran


def failures(ran):
    return [str(one) for one in ran if one.code != 0]


def write(root, files):
    for name, content in files.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # it may be a link to the cache
        path.write_bytes(content)


def tree(folder):
    """Path -> content of all files below a folder, by plain calls of the operating system."""
    found = {}
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", ".kist")]
        for name in files:
            path = Path(top, name)
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def left_overs(private):
    """What should not lie in a private folder or cache when nobody works there."""
    private = Path(private)
    found = [str(path) for path in private.rglob("*") if ".kist-tmp-" in path.name]
    for name in ("tmp", "cache/tmp"):
        found += [f"{name}/{one}" for one in (os.listdir(private / name) if (private / name).is_dir() else [])]
    return found + [str(path) for path in private.glob("*/journal/*")]
