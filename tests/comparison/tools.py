"""The two tools behind one face: a repository in a folder, the same five verbs, and where their bytes lie."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

PATIENCE = 300.0
"""Seconds after which a command is taken to hang."""


class Done:
    """How a command ended.

    Args:
        code: its exit code, negative for the signal that ended it, None where it hung.
        text: what it said, both streams.
    """

    def __init__(self, code, text):
        self.code, self.text = code, text


def must(done):
    """Go on only after a command that ended well."""
    assert done.code == 0, done.text


class Tool:
    """One tool; what differs is in its subclasses.

    Args:
        program: its path.
        place: a fresh folder: the repository is ``place/work``, its remote ``place/store``.
    """

    name = ""

    def __init__(self, program, place):
        self.program, self.place = program, Path(place)
        self.work, self.store = self.place / "work", self.place / "store"
        for folder in (self.work, self.store, self.place / "home"):
            folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.begin()

    def environment(self, **more):
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        own = {"HOME": str(self.place / "home"), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
               "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
        who = {f"GIT_{role}_{what}": f"test{'@example.invalid' * (what == 'EMAIL')}" for role in ("AUTHOR", "COMMITTER")
               for what in ("NAME", "EMAIL")}  # fmt: skip
        return {**kept, **own, **who, **self.own(), **more}

    def own(self):
        """Variables that keep the tool's state in the place."""
        return {}

    def git(self, *words, folder=None):
        subprocess.run(
            ["git", *words], cwd=folder or self.work, env=self.environment(), check=True, capture_output=True
        )

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "version")

    def start(self, *words, folder=None, **more):
        return subprocess.Popen(
            [self.program, *words], cwd=folder or self.work, env=self.environment(**more), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def __call__(self, *words, folder=None, **more):
        running = self.start(*words, folder=folder, **more)
        try:
            text, _ = running.communicate(timeout=PATIENCE)
            return Done(running.returncode, text.decode("utf-8", "replace"))
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, 9)
            running.communicate()
            return Done(None, "no answer")

    def clone(self):
        """A fresh clone of the repository with the same remote: its folder."""
        folder = self.place / "clone"
        shutil.rmtree(folder, ignore_errors=True)
        self.git("clone", "-q", str(self.work), str(folder), folder=self.place)
        return folder


class Kist(Tool):
    name = "kist"
    remote_check = ("verify", "--remote", "store")

    def own(self):
        return {"KIST_SYSTEM_CONFIG": str(self.place / "none")}

    def begin(self):
        self("init")
        self("remote", "add", "-d", "store", "../store")

    def cached(self):
        return stored(self.work / ".git" / "kist" / "cache", ("objects", "packs"))

    def remote_objects(self):
        return stored(self.store, ("objects", "packs", "segments"))

    def cache_at(self, folder):
        must(self("config", "--local", "cache.dir", str(folder)))

    def sound(self):
        """Whether everything that it keeps has the content that its name says."""
        return self("verify").code == 0


class Dvc(Tool):
    name = "DVC 3.67.1"
    remote_check = ("status", "-c")

    def own(self):
        return {"DVC_SITE_CACHE_DIR": str(self.place / "site"), "DVC_GLOBAL_CONFIG_DIR": str(self.place / "global"),
                "DVC_SYSTEM_CONFIG_DIR": str(self.place / "system")}  # fmt: skip

    def begin(self):
        self("init", "-q")
        self("remote", "add", "-q", "-d", "store", "../store")

    def cached(self):
        return stored(self.work / ".dvc" / "cache", ("files",))

    def remote_objects(self):
        return stored(self.store, ("files",))

    def cache_at(self, folder):
        must(self("cache", "dir", str(folder)))

    def sound(self):
        for path in self.cached():
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            if path.parent.name + path.name.removesuffix(".dir") != digest:
                return False
        return True


def stored(folder, names):
    """Files that hold objects, sorted by name."""
    return sorted(path for name in names for path in Path(folder, name).rglob("*") if path.is_file())


def tree(folder):
    """Path -> (executable, content)."""
    return {
        path.relative_to(folder).as_posix(): (bool(path.stat().st_mode & 0o100), path.read_bytes())
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def fill(folder, seed=0):
    """A directory with some files, one of them executable: large enough that some objects lie alone and some in packs."""
    folder = Path(folder)
    for number in range(6):
        path = folder / ("sub" if number % 2 else "") / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes_of(seed * 10 + number, 3 << 20 if number < 3 else 40_000))
    (folder / "run.sh").write_text("#!/bin/sh\necho run\n")
    (folder / "run.sh").chmod(0o755)


def bytes_of(seed, size):
    """The same bytes for the same seed."""
    return hashlib.shake_256(str(seed).encode()).digest(size)
