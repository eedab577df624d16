"""Commands in forked processes that may be killed, and what is known of the versions that they made.

A killed command ends by SIGKILL: from outside after a random time, or from inside before its n-th file-changing call,
which hits the short moments between two writes that a random time hardly ever meets.
"""

import contextlib
import faulthandler
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from children import code_of, forked

PATIENCE = 600.0
"""Seconds after which a command is taken to hang; it shows where."""
CALLS = ("rename", "replace", "link", "symlink", "unlink", "remove", "rmdir", "mkdir")
OUTPUT = "data"


def git(folder, *words, check=True):
    done = subprocess.run(["git", *words], cwd=folder, check=check, capture_output=True, text=True)
    return done.stdout.strip() if check else done.returncode


@dataclass(frozen=True)
class Kill:
    """How a command is killed: before its n-th file-changing call, or after some seconds."""

    call: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Args:
        folder: where it ran.
        words: what was run.
        code: its exit code, minus the signal that killed it.
        said: what it printed.
        errors: the classes of its errors.
    """

    folder: Path
    words: tuple
    code: int
    said: str
    errors: tuple

    @property
    def killed(self):
        return self.code == -signal.SIGKILL

    def __str__(self):
        return f"kist {' '.join(self.words)} ended with {self.code} {self.errors}: {self.said.strip()[-1500:]}"


class Running:
    """A command that runs in a fork of this process."""

    def __init__(self, folder, words, kill, sabotage=None):
        self.folder, self.words, self._kill = folder, tuple(map(str, words)), kill
        self._said = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed by wait
        self._pid = forked(lambda: self._live(sabotage))

    def _live(self, sabotage):
        from kist.cli.main import main

        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.__stderr__)
        os.chdir(self.folder)
        if sabotage is not None:
            sabotage()
        if self._kill is not None and self._kill.call:
            _kill_at(self._kill.call)
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main([*self.words, "--json"])
        json.dump([code, output.getvalue(), errors.getvalue()], self._said)
        self._said.flush()

    def wait(self):
        if self._kill is not None and self._kill.seconds:
            time.sleep(self._kill.seconds)
            os.kill(self._pid, signal.SIGKILL)
        code, said, errors = code_of(self._pid), "", ()
        with self._said as stream:
            if code == 0:
                stream.seek(0)
                code, text, told = json.load(stream)
                said = text + told
                errors = tuple(error["class"] for error in json.loads(text)["errors"]) if text else ("no output",)
        return Outcome(self.folder, self.words, code, said, errors)


def _kill_at(number):
    """Kill this process before its n-th call that changes files."""
    left = [number]

    def count():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(original):
        def call(*args, **options):
            count()
            return original(*args, **options)

        return call

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    plain = os.open

    def opened(path, flags, *args, **options):
        if flags & os.O_CREAT:
            count()
        return plain(path, flags, *args, **options)

    os.open = opened


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def contents(root):
    """Path -> (kind, content) of everything in the tracked directory, by plain calls of the operating system.

    Temporary files of commands that were killed are in no version; whether they go is looked at in the end.
    """
    found, top = {}, Path(root, OUTPUT)
    for here, folders, files in os.walk(top):
        files = [name for name in files if ".kist-tmp-" not in name]
        for name in [*files, *(one for one in folders if Path(here, one).is_symlink())]:
            path = Path(here, name)
            key = path.relative_to(top).as_posix()
            if path.is_symlink():
                found[key] = ("symlink", os.readlink(path).encode())
            else:
                found[key] = ("executable" if path.stat().st_mode & 0o100 else "file", path.read_bytes())
        if not files and not folders and Path(here) != top:
            found[Path(here).relative_to(top).as_posix()] = ("directory", b"")
    return found


def metafile(root):
    """(text, digest) of the tracked directory's metafile; ("", "") where there is none."""
    try:
        text = Path(root, OUTPUT + ".kist").read_text()
    except FileNotFoundError:
        return "", ""
    return text, digest_of(text)


def digest_of(text):
    """The digest in a metafile's text."""
    [found] = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("manifest:")]
    return found


@dataclass
class Versions:
    """All versions that were ever recorded.

    Attributes:
        trees: digest -> what the directory held, None where nobody could look when it was recorded.
        texts: digest -> the metafile that names it.
        pushed: those that a push reported to be on the remote.
        committed: commit -> digest.
    """

    trees: dict = field(default_factory=dict)
    texts: dict = field(default_factory=dict)
    pushed: set = field(default_factory=set)
    committed: dict = field(default_factory=dict)

    def note(self, text, digest, tree):
        """A version was recorded, of a directory that held *tree* (None: that is not known)."""
        self.texts.setdefault(digest, text)
        if tree is not None:
            known = self.trees.get(digest)
            assert known in (None, tree), f"{digest} stands for two contents: {differing(known, tree)}"
            self.trees[digest] = tree
        self.trees.setdefault(digest, None)


def reachable(root):
    """The commits of a clone's branch."""
    return git(root, "rev-list", "HEAD").split()


def differing(one, other):
    """The paths in which two trees differ."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
