"""Forks that run one command from a saved state, and what they leave."""

import contextlib
import faulthandler
import io
import os
import pickle
import shutil
import signal
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import layers

from children import PATIENCE, code_of, forked
from walking import names, walk


def in_child(work, patience=PATIENCE):
    """Run *work* in a fork of this process, and wait for all that it forks.

    Returns:
        (exit code, minus the signal's number if it was killed; what it returned or None; traceback or None).
    """
    reader, writer = os.pipe()

    def child():
        os.close(reader)
        try:
            answer = (work(), None)
        except BaseException:
            answer = (None, traceback.format_exc())
        with os.fdopen(writer, "wb") as stream:
            pickle.dump(answer, stream)
        if answer[1] is not None:
            os._exit(1)

    number = forked(child, patience)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    result, trace = pickle.loads(data) if data else (None, None)
    return code_of(number), result, trace


def must(work):
    """Run *work* in a fork; it must end well."""
    code, result, trace = in_child(work)
    assert code == 0, trace or f"the child ended with {code}"
    return result


def cli(root, *words):
    """Run a command as it is typed, in this process.

    Returns:
        (exit code, all that it said).
    """
    from kist.cli.main import main

    os.chdir(root)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(list(words))
    return code, said.getvalue()


def good(root, *words):
    """Run a command that must exit with 0; returns what it said."""
    code, said = cli(root, *words)
    assert code == 0, f"'kist {' '.join(words)}' exits with {code}: {said}"
    return said


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def workspace(root):
    """Everything of a repository that a user sees: its files, metafiles and ignore rules."""
    return walk(root, without=(".git", ".kist"))


def recorded(root):
    """Contents of all versions that Git or the workspace records, as far as this machine has them."""
    from kist.api import Repo
    from kist.errors import ObjectMissing

    found = set()
    mine = Repo(root)
    committed = ("v1", "HEAD") if os.path.exists(os.path.join(root, ".git/refs/tags/v1")) else ()
    for revision in (*(() if conflicts(workspace(root)) else (None,)), *committed):
        for one in mine.context.tracked(revision=revision):
            with contextlib.suppress(ObjectMissing):
                for listed in mine.list(os.path.join(root, one.path), revision=revision, recursive=True):
                    if listed.kind in ("file", "executable"):
                        path = os.path.join(root, os.fsdecode(listed.path))
                        found.add(b"".join(mine.cat(path, revision=revision)))
    return found


def conflicts(found):
    """Metafiles that Git left a conflict in, of what :func:`workspace` found."""
    return [path for path, (_, content) in found.items() if path.endswith(".kist") and b"<<<<<<< " in content]


def left_overs(root, *others):
    """Temporary files anywhere in a repository and *others*, and whatever lies in its scratch and journal folders."""
    found = [path for folder in (root, *others) for path in names(folder) if ".kist-tmp-" in path]
    private = os.path.join(root, ".git", "kist")
    for folder in ("tmp", "cache/tmp"):
        found += [f"{folder}/{name}" for name in _listed(os.path.join(private, folder))]
    for name in _listed(private):
        found += [f"journal/{one}" for one in _listed(os.path.join(private, name, "journal"))]
    return found


def _listed(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []


def copy_tree(source, target, links=None):
    """Copy a folder; what is one file by hard links stays one, times and modes stay too."""
    links = {} if links is None else links
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            path = os.path.join(target, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), path)
            elif entry.is_dir():
                copy_tree(entry.path, path, links)
            else:
                found = entry.stat()
                if found.st_nlink > 1 and (first := links.setdefault((found.st_dev, found.st_ino), path)) != path:
                    os.link(first, path)
                    continue
                shutil.copyfile(entry.path, path)
                os.chmod(path, found.st_mode & 0o7777)
                os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    shutil.copystat(source, target)


# ── scenes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def nothing(root):
    """Prepare nothing."""


def no_more(stage):
    """Look at nothing more."""


@dataclass(frozen=True)
class Scene:
    """One command with what stands before it.

    Args:
        name: of the command.
        words: the command.
        base: the site that it starts from: ``untracked``, ``versioned`` or ``many``.
        prepare: makes the state before, given the repository's folder.
        again: exit codes that the repeated command may answer with, once the killed one is complete.
        fails: exit codes of a failure, beside that of the storage.
        settings: environment variables.
        patch: called in the command's process first.
        result: called with the stage after a command that said it was done; raises for what is not as it must be.
        configures: whether the configuration is what it changes.
        unsaved: whether there is work that another command may record as a version of its own.
        lacks: whether the cache lacks what the command is to bring.
        unsure: whether nobody can tell before what the cache must keep, so that gc refuses and doctor says so.
        conflict: whether Git left conflicts in metafiles, which most commands refuse to read until they are merged.
    """

    name: str
    words: tuple
    base: str = "versioned"
    prepare: object = nothing
    again: tuple = ()
    fails: tuple = ()
    settings: dict = field(default_factory=dict, hash=False)
    patch: object = None
    result: object = no_more
    configures: bool = False
    unsaved: bool = False
    lacks: bool = False
    unsure: bool = False
    conflict: bool = False

    def __str__(self):
        return self.name


@dataclass(frozen=True)
class Run:
    """How one run of a command ended.

    Attributes:
        code: its exit code; minus a signal's number.
        said: its output.
        trace: of an exception that got out of it.
        seen: the calls.
    """

    code: int
    said: str
    trace: str
    seen: layers.Seen


class Stage:
    """A scene's state, kept to be put back as often as needed, always in the same folder.

    Args:
        folder: where.
        base: the site that the scene starts from.
        scene: which.
    """

    def __init__(self, folder, base, scene):
        self.scene = scene
        self.layer = layers.layer()
        self.site = os.path.join(folder, "site")
        self.root = os.path.join(self.site, "work")
        self.home = os.path.join(self.site, "home")
        self.store = os.path.join(self.site, "store")
        self._saved = os.path.join(folder, "saved")
        copy_tree(base, self.site)
        os.makedirs(self.home, exist_ok=True)
        self.do(lambda: scene.prepare(self.root))
        self.recorded = self.do(lambda: recorded(self.root))
        copy_tree(self.site, self._saved)
        self.before = self.state()
        self.saved_files = self._files()

    def restore(self):
        shutil.rmtree(self.site)
        copy_tree(self._saved, self.site)

    def do(self, work):
        """Run *work* in a fork, as the scene's user; it must end well."""

        def child():
            self._become()
            return work()

        return must(child)

    def run(self, mode=layers.COUNT, at=0, number=0, *, sabotage=None, trace=False):
        """Run the command from the scene's state.

        Args:
            mode: what happens to it, see ``layers``.
            at: at which call, from 1.
            number: the errno of a failure.
            sabotage: called in its process first.
            trace: say where the call came from, in ``said``.

        Returns:
            A Run.
        """
        self.restore()
        self.layer.choose(mode, at, number, trace=trace)

        def work():
            os.setpgid(0, 0)
            self._become()
            for change in (self.scene.patch, sabotage):
                if change:
                    change()
            with open(os.memfd_create("trace"), "w+b") as stream:
                faulthandler.register(signal.SIGUSR1, stream, all_threads=False)
                self.layer.arm()
                try:
                    code, said = cli(self.root, *self.scene.words)
                finally:
                    self.layer.disarm()
                stream.seek(0)
                return code, said + stream.read().decode()

        code, result, trace_back = in_child(work)
        if result is not None:
            code = result[0]
        return Run(code, result[1] if result else "", trace_back or "", self.layer.seen())

    def state(self):
        """All that the scene's command is to bring about where a user sees it."""
        found = workspace(self.root)
        for path in [path for path in found if path.endswith(".gitignore")]:
            found[path] = (found[path][0], sorted(found[path][1].splitlines()))
        if self.scene.configures:
            private = os.path.join(self.root, ".git", "kist")
            found |= {f"home/{key}": entry for key, entry in walk(self.home).items()}
            found |= {f"repository's {key}": entry for key, entry in walk(os.path.join(self.root, ".kist")).items()}
            found |= {key: entry for key, entry in walk(private).items() if key.endswith("config.yaml")}
        return found

    def contents(self):
        """All contents that a user would miss, wherever they are on this machine outside of the cache."""
        trash = walk(os.path.join(self.root, ".git", "kist", "trash"))
        return {content for kind, content in [*workspace(self.root).values(), *trash.values()] if kind != "directory"}

    def _files(self):
        """The contents of all files that stood in the workspace before the command, but metafiles and ignore rules."""
        return {
            content
            for path, (kind, content) in workspace(self.root).items()
            if kind in ("file", "executable") and not path.endswith((".kist", ".gitignore"))
        }

    def _become(self):
        os.environ.update({"HOME": self.home, **self.scene.settings})


# ── contents ─────────────────────────────────────────────────────────────────────────────────────────────────────────

LARGE = bytes(range(256)) * 4500
"""More than 1 MiB: a loose object."""
V1 = {
    "data/a.txt": b"one\n",
    "data/sub/b.txt": b"two\n",
    "data/sub/c.bin": bytes(range(256)) * 8,
    "data/large.bin": LARGE,
    "data/old/x": b"x\n",
}
V2 = {**V1, "data/a.txt": b"one, edited\n", "data/new/d.txt": b"four\n", "data/large.bin": LARGE[::-1]}
V2.pop("data/old/x")


def write(root, files):
    for name, content in files.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def to_v2(root):
    write(root, V2)
    Path(root, "data/old/x").unlink()
    Path(root, "data/old").rmdir()
