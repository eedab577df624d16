"""Every command that changes something is killed before each of its file-changing calls; the next ones must work.

See ``crash_support``: the kill is ``os._exit`` in a forked child, through wrappers around the functions of ``os``.
"""

import os
import sqlite3
from pathlib import Path

import pytest
from crash_support import KILLED, Scene, Stage, left_overs, must, walk, workspace, write

from kist.errors import PathNotTracked


def repo(root):
    from kist.api import Repo

    return Repo(root, settings={"core.jobs": 1})


def at(root, *names):
    return [os.path.join(root, name) for name in names]


# ── scenes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def nothing(root):
    pass


def add(*names):
    return lambda root: repo(root).add(at(root, *names))


def checkout(*names, **options):
    return lambda root: repo(root).checkout(at(root, *names), **options)


def push(root):
    list(repo(root).push())


def move(old, new):
    return lambda root: repo(root).move(*at(root, old, new))


def remove(*names):
    return lambda root: repo(root).remove(at(root, *names))


def edited(root):
    write(root, {"data/a.txt": b"edited again\n", "data/new/e.txt": b"five\n"})
    Path(root, "data/sub/b.txt").unlink()


def without_workspace(root):
    import shutil

    shutil.rmtree(Path(root, "data"))
    Path(root, "other.bin").unlink()


def unsaved(root):
    write(root, {"data/a.txt": b"never added\n", "data/mine.txt": b"mine\n"})


UNTRACKED = [
    Scene("add, first", nothing, add("data", "other.bin")),
]
VERSIONED = [
    Scene("add, after edits", edited, add("data")),
    Scene("add, inside", edited, add("data/new")),
    Scene("commit", edited, lambda root: repo(root).commit()),
    Scene("checkout, switch", nothing, checkout(revision="v1")),
    Scene("checkout, switch with force", unsaved, checkout(revision="v1", force=True)),
    Scene("checkout, fresh", without_workspace, checkout()),
    Scene("checkout, inside", nothing, checkout("data/old", revision="v1")),
    Scene("push", nothing, push),
    Scene("move", nothing, move("data", "moved"), (PathNotTracked,)),
    Scene("move, inside", nothing, move("data/sub", "data/deep"), (PathNotTracked,)),
    Scene("remove", nothing, remove("data"), (PathNotTracked,)),
    Scene("remove, inside", nothing, remove("data/sub"), (PathNotTracked,)),
]


# ── what must hold after a kill ──────────────────────────────────────────────────────────────────────────────────────


def contents(root):
    """All contents that a user would miss, wherever they are on this machine outside of the cache."""
    trash = walk(os.path.join(root, ".git", "kist", "trash"))
    return {content for kind, content in [*workspace(root).values(), *trash.values()] if kind != "directory"}


def check_after(scene, root, expected, precious, other_first):
    """Raise for anything that a kill must not have done; runs the next commands."""
    saved_metafiles, precious = precious
    assert saved_metafiles & expected.keys() <= workspace(root).keys(), "a metafile is gone"
    list(repo(root).status().outputs)
    assert precious <= contents(root) | stored(root), "content is neither in the workspace nor saved"
    if other_first:
        write(root, {"unrelated.bin": b"unrelated\n"})
        repo(root).add(at(root, "unrelated.bin"))
        assert left_overs(root) == [], "after another writing command"
        repo(root).remove(at(root, "unrelated.bin"))
        rules = Path(root, ".gitignore")
        assert not rules.exists() or b"unrelated" not in rules.read_bytes()
    try:
        scene.command(root)
    except scene.again:
        assert workspace(root) == expected, "the repeated command was refused, but the killed one is not finished"
    found = workspace(root)
    assert found == expected, {key: (found.get(key), expected.get(key)) for key in found | expected.keys()
                               if found.get(key) != expected.get(key)}  # fmt: skip
    check_next(scene, root)


def check_next(scene, root):
    """Status, add, checkout, push and verify after the repeated command."""
    assert repo(root).verify().good
    write(root, {"data2/later.txt": b"later\n"})
    repo(root).add(at(root, "data2"))
    left = left_overs(root)
    assert left == [], f"temporary files stay: {left}"
    repo(root).commit()
    repo(root).checkout()
    assert repo(root).status().clean
    assert not [one for one in repo(root).push() if one.failures]
    if scene in VERSIONED:
        repo(root).checkout(at(root, "data"), revision="v1", force=True)
        assert Path(root, "data/a.txt").read_bytes() == b"one\n", "a committed version is lost"
        assert Path(root, "data/old/x").read_bytes() == b"x\n"
        assert repo(root).verify().good


def stored(root):
    """Contents of all versions that Git or the workspace records."""
    found = set()
    mine = repo(root)
    for revision in (None, *(["v1", "HEAD"] if os.path.exists(os.path.join(root, ".git/refs/tags/v1")) else [])):
        for one in mine.context.tracked(revision=revision):
            name = one.path
            for listed in mine.list(os.path.join(root, name), revision=revision, recursive=True):
                if listed.kind in ("file", "executable"):
                    path = os.path.join(root, os.fsdecode(listed.path))
                    found.add(b"".join(mine.cat(path, revision=revision)))
    return found


# ── the tests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def torment(stage, sabotage=None, stop_at_first=False):
    """Kill at every call; returns (N, kills, failures)."""
    code, (total, names) = stage.run()
    assert code == 0
    expected = workspace(stage.root)
    kills, failures = 0, []
    for number in range(1, total + 1):
        code, _ = stage.run(number, sabotage)
        kills += code == KILLED
        precious = precious_of(stage)
        try:
            must(lambda number=number, precious=precious: check_after(
                stage.scene, stage.root, expected, precious, other_first=number % 2 == 0))  # fmt: skip
        except AssertionError as error:
            failures.append(f"kill {number} of {total}, before {names[number - 1]}: {error}")
            if stop_at_first:
                break
    return total, kills, failures


def precious_of(stage):
    """The metafiles that stood before the command, and the contents of all other files."""
    saved = workspace(os.path.join(stage._saved, "work"))
    return {path for path in saved if path.endswith(".kist")}, {
        content
        for path, (kind, content) in saved.items()
        if kind in ("file", "executable") and not path.endswith((".kist", ".gitignore"))
    }


def run_scene(folder, base, scene, capsys):
    total, kills, failures = torment(Stage(folder, base, scene))
    with capsys.disabled():
        print(f"\nkill points of {scene.name}: N = {total} calls, {kills} kills (os._exit before the call, in a fork)")
    assert kills == total, "\n".join(failures[:3])
    assert not failures, f"{len(failures)} of {total}:\n" + "\n".join(failures)


@pytest.mark.parametrize("scene", UNTRACKED, ids=lambda scene: scene.name)
def test_first_version(scene, base, stage_folder, capsys):
    run_scene(stage_folder, base, scene, capsys)


@pytest.mark.parametrize("scene", VERSIONED, ids=lambda scene: scene.name)
def test_later_versions(scene, two_versions, stage_folder, capsys):
    run_scene(stage_folder, two_versions, scene, capsys)


# ── what can be rebuilt ──────────────────────────────────────────────────────────────────────────────────────────────


def fingerprints_of(root):
    (path,) = Path(root, ".git", "kist").glob("*/fingerprints.sqlite")
    return path


def test_deleting_the_fingerprints_loses_nothing(two_versions, stage_folder):
    stage = Stage(stage_folder, two_versions, Scene("fingerprints", edited, nothing))
    root = stage.root

    def work():
        before = repo(root).status()
        fingerprints_of(root).unlink()
        assert repo(root).status() == before
        fingerprints_of(root).unlink(missing_ok=True)
        repo(root).commit()
        cold = Path(root, "data.kist").read_bytes()
        saved = sqlite3.connect(fingerprints_of(root))
        assert saved.execute("PRAGMA quick_check").fetchone() == ("ok",)
        saved.close()
        assert repo(root).status().clean
        assert repo(root).verify().good
        return cold

    cold = must(work)
    stage.restore()
    must(lambda: repo(root).commit())
    assert Path(root, "data.kist").read_bytes() == cold


@pytest.mark.parametrize("place", ["cache", "remote"])
def test_deleting_the_indexes_loses_nothing(place, two_versions, stage_folder):
    stage = Stage(stage_folder, two_versions, Scene("indexes", push, nothing))
    root = stage.root
    must(lambda: push(root))
    folder = Path(root, ".git/kist/cache/index") if place == "cache" else Path(root).parent / "store" / "index"
    gone = [path for path in folder.rglob("*") if path.is_file()]
    assert gone
    for path in gone:
        path.unlink()

    def mend():
        from kist.operations.push import TransferOptions
        from kist.operations.verify import VerifyOptions

        if place == "remote":  # the cache has all that the indexes were made of
            assert not repo(root).verify(options=VerifyOptions(remote="store")).good
            list(repo(root).push(options=TransferOptions(repair=True)))
            assert repo(root).verify(options=VerifyOptions(remote="store")).good
            return
        found = list(repo(root).doctor())
        assert any(one.state in ("warning", "error") and "index" in f"{one.label} {one.detail}" for one in found), found
        found = list(repo(root).doctor(fix=True))
        assert not [one for one in found if one.state == "error"], found

    must(mend)
    assert [path for path in folder.rglob("*") if path.is_file()]

    def use():
        import shutil

        if place == "remote":
            shutil.rmtree(Path(root, ".git/kist/cache"))
            list(repo(root).fetch())
        assert repo(root).verify().good
        without_workspace(root)
        repo(root).checkout()
        assert repo(root).status().clean

    wanted = walk(os.path.join(root, "data"))
    must(use)
    assert walk(os.path.join(root, "data")) == wanted


# ── the suite can fail ───────────────────────────────────────────────────────────────────────────────────────────────


def metafiles_in_place():
    """A product that removes a metafile before it writes the new one."""
    from kist.util import atomic

    plain = atomic.write_file

    def broken(path, data, **options):
        if path.suffix == ".kist":
            os.path.lexists(path) and os.unlink(path)
        plain(path, data, **options)

    import sys

    for module in list(sys.modules.values()):
        if getattr(module, "write_file", None) is plain:
            module.write_file = broken


def no_temporary_place():
    """A product whose scratch files are not listed, so that no later command finds them."""
    from kist.engine.process import scratch

    scratch._LOCK_NAME = __import__("re").compile(r"never")
    scratch.Scratch._lock_file = property(lambda self: self._base / f"{self.token}.unknown")


@pytest.mark.parametrize("sabotage", [metafiles_in_place, no_temporary_place], ids=lambda one: one.__name__)
def test_a_broken_product_is_caught(sabotage, two_versions, stage_folder):
    stage = Stage(stage_folder, two_versions, Scene("add, broken", edited, add("data")))
    _, _, failures = torment(stage, sabotage, stop_at_first=True)
    assert failures
