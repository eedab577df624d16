"""Any directory turns into any other: checkout takes away, makes and exchanges whatever lies between two versions."""

import os
import shutil
from itertools import chain, combinations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kist.api import Repo
from kist.engine.process.clock import FileClock
from walking import walk

PARTS = st.sampled_from(["a", "b", "b.", "c"])
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
ENTRIES = st.one_of(
    st.just(("directory", b"")),
    st.tuples(st.sampled_from(["file", "file", "executable"]), st.sampled_from([b"", b"1", b"22", b"333"])),
    st.tuples(st.just("symlink"), st.sampled_from([b"a", b"..", b"nowhere"])),
)
TREES = st.dictionaries(PATHS, ENTRIES, max_size=14)


def build(folder, tree):
    """Make the entries of a tree, as far as none lies below one that is no folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, (kind, content) in sorted(tree.items()):
        place = folder / path
        above = [one for one in place.parents if one.is_relative_to(folder)]
        if any(os.path.lexists(one) and (one.is_symlink() or not one.is_dir()) for one in above):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "symlink":
            place.symlink_to(os.fsdecode(content))
        elif kind == "directory":
            place.mkdir()
        else:
            place.write_bytes(content)
            place.chmod(0o755 if kind == "executable" else 0o644)


def recorded(repo, root, tree):
    """Record a tree as the version of ``data``; its metafile."""
    build(root / "data", tree)
    repo.add([str(root / "data")])
    return (root / "data.kist").read_bytes()


@settings(max_examples=40)
@given(trees=st.lists(TREES, min_size=2, max_size=3))
@example(trees=[{"x": ("file", b""), "a/b/c/one": ("file", b"1"), "a/b/two": ("file", b"2")}, {"x": ("file", b"")}])
@example(trees=[{"a/b/c/d/e": ("file", b"1"), "a/b/c/f": ("file", b"2"), "a/b/g": ("file", b"3")}, {}])
def test_each_version_comes_back_from_each(tmp_path_factory, trees):
    root = tmp_path_factory.mktemp("switch")
    Repo.init(root)
    with Repo(root) as repo:
        versions = [(recorded(repo, root, tree), walk(root / "data")) for tree in trees]
        pairs = combinations(range(len(versions)), 2)
        for number in [*chain.from_iterable(pairs), 0]:  # from each to each
            metafile, wanted = versions[number]
            (root / "data.kist").write_bytes(metafile)
            report = repo.checkout()
            assert (walk(root / "data"), report.missing, report.kept) == (wanted, (), ())
            assert repo.status().clean
    shutil.rmtree(root)


# ── what status says of it afterwards ────────────────────────────────────────────────────────────────────────────────


def turn_into(folder, tree):
    """Make a directory what a tree says, and leave alone what is right already."""
    wanted = folder.with_name("wanted")
    build(wanted, tree)
    before, now = walk(folder), walk(wanted)
    for path in sorted(before, reverse=True):
        place = folder / path
        if before[path] == now.get(path):
            continue
        if place.is_dir() and not place.is_symlink():
            if not any(place.iterdir()):
                place.rmdir()
        else:
            place.unlink()
    for place in sorted(folder.rglob("*"), reverse=True):  # folders that held only what is gone
        empty = place.is_dir() and not place.is_symlink() and not any(place.iterdir())
        if empty and str(place.relative_to(folder)) not in now:
            place.rmdir()
    for path in sorted(now):
        place = folder / path
        if os.path.lexists(place):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if (wanted / path).is_dir() and not (wanted / path).is_symlink():
            place.mkdir()
        else:
            shutil.copy2(wanted / path, place, follow_symlinks=False)
    shutil.rmtree(wanted)
    assert walk(folder) == now


def told(root):
    """What status tells, and what it tells without any memory of files that it read before."""
    known = Repo(root).status()
    blank = root.with_name("blank")
    shutil.copytree(root, blank, symlinks=True)
    for memory in blank.rglob("fingerprints.sqlite"):
        memory.unlink()
    true = Repo(blank).status()
    shutil.rmtree(blank)
    return [
        sorted((one.path, one.change) for output in each.outputs for one in output.changes) for each in (known, true)
    ]


@pytest.fixture
def settled(monkeypatch):
    """A clock that runs an hour ahead: what was just written counts as left alone for long."""
    at = FileClock.at
    monkeypatch.setattr(FileClock, "at", lambda self, directory: (at(self, directory) or 0) + 3_600_000_000_000)


ONE, OTHER = {"f": ("file", b"1"), "s/g": ("file", b"1")}, {"f": ("file", b"22"), "s/g": ("file", b"1")}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees=st.lists(TREES, min_size=2, max_size=3), order=st.lists(st.integers(0, 2), min_size=2, max_size=4))
@example(trees=[ONE, OTHER], order=[0, 1])
@example(trees=[ONE, {"f": ("executable", b"1")}], order=[0, 1])
@example(trees=[{"f": ("file", b"1")}, ONE], order=[0, 1, 0])
@example(trees=[{"f": ("file", b"1"), "e": ("directory", b"")}, ONE], order=[1, 0, 1, 0])
@example(trees=[{"a/b": ("file", b"1"), "a/b/c": ("file", b"1")}, {"a": ("symlink", b"..")}], order=[0, 1, 0])
def test_2_2_status_is_true_after_a_switch_whatever_comes_back(tmp_path_factory, settled, trees, order):
    root = tmp_path_factory.mktemp("switch") / "repo"
    root.mkdir()
    Repo.init(root)
    with Repo(root) as repo:
        metafiles = [recorded(repo, root, tree) for tree in trees]
        for number in order:
            (root / "data.kist").write_bytes(metafiles[number % len(trees)])
            Repo(root).checkout(force=True)
            turn_into(root / "data", trees[(number + 1) % len(trees)])  # what was there before may come back
            known, true = told(root)
            assert known == true
    shutil.rmtree(root.parent)
