"""Kill a command at its n-th file-changing call, in a forked child, and look at what it left.

The layer is in the process: the functions of ``os`` that change names (rename, replace, link, symlink, unlink, remove,
rmdir, mkdir, and open where it makes a file) are wrapped, and the wrapper ends the child by ``os._exit`` before the
n-th call. No handler runs, no buffer is flushed, kernel locks go: what a SIGKILL leaves at that point. What SQLite's
own C code does to its files is not counted; it is its own journal that protects those.
"""

import os
import pickle
import shutil
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from children import code_of, forked

KILLED = 77
CALLS = ("rename", "replace", "link", "symlink", "unlink", "remove", "rmdir", "mkdir")


@dataclass
class Calls:
    """The wrapped calls of one process."""

    kill_at: int = 0
    count: int = 0
    names: list = field(default_factory=list)

    def pass_by(self, name):
        self.count += 1
        self.names.append(name)
        if self.count == self.kill_at:
            os._exit(KILLED)

    def install(self):
        for name in CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        plain_open = os.open

        def opened(path, flags, *args, **options):
            if flags & os.O_CREAT:
                self.pass_by("open")
            return plain_open(path, flags, *args, **options)

        os.open = opened
        return self

    def _wrapped(self, name, original):
        def call(*args, **options):
            self.pass_by(name)
            return original(*args, **options)

        return call


def in_child(work):
    """Run *work* in a fork of this process.

    Returns:
        (exit code, what it returned or None, traceback or None).
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

    number = forked(child)
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


def walk(folder):
    """Path -> (kind, content) of everything below a folder, by plain calls of the operating system."""
    found = {}
    for top, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(top, name)
            key = os.path.relpath(path, folder)
            if os.path.islink(path):
                found[key] = ("symlink", os.readlink(path))
            elif os.path.isdir(path):
                found[key] = ("directory", b"")
            else:
                with open(path, "rb") as stream:
                    found[key] = ("executable" if os.stat(path).st_mode & 0o100 else "file", stream.read())
    return found


def workspace(root):
    """Everything of a repository that a user sees: its files, metafiles and ignore rules."""
    return {path: entry for path, entry in walk(root).items() if path.split(os.sep)[0] not in (".git", ".kist")}


def left_overs(root):
    """Temporary files anywhere in a repository, and whatever lies in its scratch and journal folders."""
    found = [path for path in walk(root) if ".kist-tmp-" in path]
    private = os.path.join(root, ".git", "kist")
    found += [f"tmp/{name}" for name in _names(os.path.join(private, "tmp"))]
    found += [f"cache/tmp/{name}" for name in _names(os.path.join(private, "cache", "tmp"))]
    for name in _names(private):
        found += [f"journal/{one}" for one in _names(os.path.join(private, name, "journal"))]
    return found


def _names(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []


@dataclass(frozen=True)
class Scene:
    """One command with what stands before it.

    Args:
        name: of the command.
        prepare: makes the state before, given the repository's folder.
        command: does it.
        again: errors that the repeated command may answer with, because the next command finished the killed one.
    """

    name: str
    prepare: object
    command: object
    again: tuple = ()


class Stage:
    """A scene's state, kept to be put back as often as needed, always in the same folder."""

    def __init__(self, folder, base, scene):
        self.scene = scene
        self.site = os.path.join(folder, "site")
        self.root = os.path.join(self.site, "work")
        self._saved = os.path.join(folder, "saved")
        shutil.copytree(base, self.site, symlinks=True)
        must(lambda: scene.prepare(self.root))
        shutil.copytree(self.site, self._saved, symlinks=True)

    def restore(self):
        shutil.rmtree(self.site)
        shutil.copytree(self._saved, self.site, symlinks=True)

    def run(self, kill_at=0, sabotage=None):
        """Run the command from the scene's state; returns (exit code, number of calls, their names)."""
        self.restore()

        def work():
            if sabotage:
                sabotage()
            calls = Calls(kill_at).install()
            self.scene.command(self.root)
            return calls.count, calls.names

        code, result, trace = in_child(work)
        assert code in (0, KILLED), trace
        return code, result


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────

V1 = {"data/a.txt": b"one\n", "data/sub/b.txt": b"two\n", "data/sub/c.bin": bytes(range(256)) * 8, "data/old/x": b"x\n"}
V2 = {**V1, "data/a.txt": b"one, edited\n", "data/new/d.txt": b"four\n"}
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
