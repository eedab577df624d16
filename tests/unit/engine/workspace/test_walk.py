"""Walking: order, links, races, deep trees, unreadable folders."""

import contextlib
import errno
import os
import resource

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from children import as_nobody, code_of, forked
from kist.abc.kernel import STAT_FIELDS
from kist.builtin.pure_kernel import PureKernel
from kist.engine.workspace import listings as listings_module
from kist.engine.workspace import walk as walk_module
from kist.engine.workspace.ignore import IgnoreRules
from kist.engine.workspace.walk import open_below, visit, walk
from kist.errors import PathConflict, StorageError

KERNEL = PureKernel()


def walked(root, start=b"", problems=None, ignore=None):
    """Path and kind of every entry, in the order in which they came."""
    return [
        ((folder + b"/" if folder else b"") + name, chr(kind))
        for folder, listing in walk(root, start, KERNEL, ignore or IgnoreRules(), problems)
        for name, kind in zip(listing.names, listing.kinds, strict=True)
    ]


def make(root, *paths):
    """Files, and folders where a path ends in a slash."""
    for path in paths:
        place = root / path
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"")


def opened_inside(root):
    """How many descriptors lead to a folder and what is in it; all others may come and go with what runs beside."""
    count = 0
    for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else ():
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith(str(root))
    return count


@pytest.fixture
def open_to_all(tmp_path):
    """A folder that every user can reach."""
    import shutil
    import tempfile

    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o777)
    from pathlib import Path

    yield Path(folder)
    for parent, folders, _ in os.walk(folder):
        for one in folders:
            os.chmod(os.path.join(parent, one), 0o755, follow_symlinks=True)
    shutil.rmtree(folder)


def test_manifest_order(tmp_path):
    make(tmp_path, "b/x", "b-c", "b.c", "b0", "a", "b-/y", "b/b/z", "b/b-", "c/")
    found = [path for path, _ in walked(tmp_path)]
    assert found == [b"a", b"b-/y", b"b-c", b"b.c", b"b/b-", b"b/b/z", b"b/x", b"b0", b"c"]
    assert found == sorted(found)


def test_empty_folders_sort_by_their_plain_name(tmp_path):
    make(tmp_path, "b/", "b-c", "b.d/", "b.d!", "c/d/", "c/d+", "e/e/e/")
    assert walked(tmp_path) == [
        (b"b", "d"),
        (b"b-c", "f"),
        (b"b.d", "d"),
        (b"b.d!", "f"),
        (b"c/d", "d"),
        (b"c/d+", "f"),
        (b"e/e/e", "d"),
    ]


NAMES = st.sampled_from(["a", "a-", "a.b", "a0", "b", "b!", "~", "ü"])


@given(st.sets(st.tuples(st.lists(NAMES, min_size=1, max_size=4), st.booleans()).map(lambda one: (*one[0], one[1]))))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_tree_comes_sorted_and_whole(tmp_path_factory, spec):
    root = tmp_path_factory.mktemp("tree")
    for *parts, is_folder in spec:
        place = root.joinpath(*parts)
        try:
            (place if is_folder else place.parent).mkdir(parents=True, exist_ok=True)
            if not is_folder and not place.exists():
                place.write_bytes(b"")
        except (FileExistsError, NotADirectoryError):
            continue
    expected = []
    for parent, folders, files in os.walk(root):
        inner = os.path.relpath(parent, root)
        expected += [(os.fsencode(os.path.normpath(os.path.join(inner, name))), "f") for name in files]
        if not folders and not files and parent != str(root):
            expected.append((os.fsencode(inner), "d"))
    assert walked(root) == sorted(expected)


def test_stats_follow_their_names(tmp_path):
    for number, name in enumerate(["b", "b-", "a/x", "c"]):
        make(tmp_path, name)
        (tmp_path / name).write_bytes(b"x" * number)
    make(tmp_path, "aa/", "aa!")
    sizes = {}
    for _, listing in walk(tmp_path, b"", KERNEL, IgnoreRules()):
        assert len(listing.stats) == STAT_FIELDS * len(listing.names)
        sizes.update(zip(listing.names, listing.stats[::STAT_FIELDS], strict=True))
    assert sizes == {b"b": 0, b"b-": 1, b"x": 2, b"c": 3, b"aa": 0, b"aa!": 0}


def test_starts_below(tmp_path):
    make(tmp_path, "data/a/x", "data/b", "other")
    assert [path for path, _ in walked(tmp_path, b"data")] == [b"data/a/x", b"data/b"]
    assert [path for path, _ in walked(tmp_path, b"data/a")] == [b"data/a/x"]
    assert walked(tmp_path, b"absent/or/not") == []


def test_root_may_be_a_descriptor(tmp_path):
    make(tmp_path, "data/x")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert walked(descriptor, b"data") == [(b"data/x", "f")]
        os.fstat(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b"  ", "ü".encode()])
def test_any_name(tmp_path, name):
    folder = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(folder)
    with open(folder + b"/" + name, "wb"):
        pass
    assert walked(tmp_path) == [(name + b"/" + name, "f")]


def test_links_are_entries_and_not_followed(tmp_path):
    make(tmp_path, "data/x", "outside/secret")
    (tmp_path / "data/to").symlink_to("../outside")
    (tmp_path / "data/loop").symlink_to(".")
    assert walked(tmp_path, b"data") == [(b"data/loop", "l"), (b"data/to", "l"), (b"data/x", "f")]


@pytest.mark.parametrize("start", [b"link", b"link/inner", b"file", b"file/x"])
def test_a_link_at_the_top_or_above_is_refused(tmp_path, start):
    make(tmp_path, "real/inner/x", "file")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(PathConflict, match=start.split(b"/")[0].decode()):
        walked(tmp_path, start)


def test_the_way_to_the_repository_may_have_links(tmp_path):
    make(tmp_path, "real/x")
    (tmp_path / "link").symlink_to("real")
    assert walked(tmp_path / "link") == [(b"x", "f")]


def test_a_folder_replaced_by_a_link_while_walking(tmp_path):
    make(tmp_path, "data/a/x", "data/b/y", "secret/z")
    problems = []
    seen = []
    for found in visit(tmp_path, b"data", KERNEL, IgnoreRules(), problems):
        seen.append(found.path)
        if found.path == b"data/a":
            (tmp_path / "data/b/y").unlink()
            (tmp_path / "data/b").rmdir()
            (tmp_path / "data/b").symlink_to("../secret")
    assert seen == [b"data", b"data/a"]
    assert [path for path, _ in problems] == [b"data/b"]
    assert isinstance(problems[0][1], PathConflict)


def test_a_folder_that_vanishes_is_left_out(tmp_path):
    make(tmp_path, "a/x", "b/y", "c/z")
    problems, seen = [], []
    for found in visit(tmp_path, b"", KERNEL, IgnoreRules(), problems):
        seen.append(found.path)
        if found.path == b"a":
            (tmp_path / "b/y").unlink()
            (tmp_path / "b").rmdir()
    assert (seen, problems) == ([b"", b"a", b"c"], [])


# ── folders listed together ──────────────────────────────────────────────────────────────────────────────────────────


class Counting(PureKernel):
    """Notes how many folders were listed together."""

    def __init__(self):
        super().__init__()
        self.together = []

    def list_directories(self, directories):
        self.together.append(len(directories))
        return super().list_directories(directories)


def visited(root, kernel=KERNEL, problems=None, *, together):
    found = visit(root, b"", kernel, IgnoreRules(), problems, reading=not together)
    return [(one.path, one.listing, one.private, os.fstat(one.descriptor).st_ino) for one in found]


def test_folders_listed_together_come_as_each_by_itself(tmp_path):
    for number in range(100):
        make(tmp_path, f"{number % 7}/{number}/x", f"{number % 7}/{number}/y/z", f"{number % 7}-{number}")
    kernel = Counting()
    assert visited(tmp_path, kernel, together=True) == visited(tmp_path, together=False)
    assert max(kernel.together) > 10


def test_few_folders_are_open_however_many_are_listed_together(tmp_path, monkeypatch):
    monkeypatch.setattr(walk_module, "MAX_OPEN", 10)
    for number in range(40):
        make(tmp_path, *(f"{'d/' * depth}s{number}/x" for depth in range(20)))
    walk = visit(tmp_path, b"", KERNEL, IgnoreRules(), reading=False)
    assert 5 < max(opened_inside(tmp_path) for _ in walk) <= 22
    assert not opened_inside(tmp_path)


def test_a_walk_that_ends_early_closes_what_was_listed_together(tmp_path):
    make(tmp_path, *(f"{number}/x" for number in range(100)))
    walk = visit(tmp_path, b"", KERNEL, IgnoreRules(), reading=False)
    assert [next(walk).path for _ in range(2)] == [b"", b"0"]
    walk.close()
    assert not opened_inside(tmp_path)


def test_large_folders_are_not_held_in_memory_together(tmp_path, monkeypatch):
    monkeypatch.setattr(walk_module, "FILES_TOGETHER", 100)
    make(tmp_path, *(f"{number:02}/{inside}" for number in range(20) for inside in range(40)))
    kernel = Counting()
    assert len(visited(tmp_path, kernel, together=True)) == 21
    assert kernel.together[-1] == 2


def test_what_cannot_be_listed_together_with_others_is_told(open_to_all):
    make(open_to_all, *(f"{number}/x" for number in range(9)))
    (open_to_all / "3").chmod(0)
    (open_to_all / "5").chmod(0o444)  # may be opened, not searched

    def look():
        problems = []
        seen = [path for path, *_ in visited(open_to_all, problems=problems, together=True)]
        assert seen == [b"", b"0", b"1", b"2", b"4", b"6", b"7", b"8"]
        assert [path for path, _ in problems] == [b"3", b"5"]

    as_nobody(look)


@pytest.mark.parametrize(
    "changed",
    [
        lambda found: (*found[:2], found.st_dev + 1, *found[3:]),
        lambda found: (*found[:6], listings_module.BYTES_TOGETHER + 1, *found[7:]),
    ],
    ids=["other file system", "large"],
)
def test_a_folder_that_is_listed_by_itself(tmp_path, monkeypatch, changed):
    """Of another file system the clock is asked first; a large one is no less large for others being small."""
    make(tmp_path, *(f"{number}/x" for number in range(9)))
    special, real = (tmp_path / "4").stat().st_ino, os.fstat

    def fstat(descriptor):
        found = real(descriptor)
        return os.stat_result(changed(found) if found.st_ino == special else tuple(found))

    monkeypatch.setattr(os, "fstat", fstat)
    kernel = Counting()
    assert [path for path, *_ in visited(tmp_path, kernel, together=True)] == [b"", *(b"%d" % n for n in range(9))]
    assert kernel.together == [2, 1, 4]


@pytest.mark.parametrize("call", ["open", "fstat"])
def test_a_failure_of_one_folder_leaves_nothing_open(tmp_path, monkeypatch, call):
    make(tmp_path, *(f"{number}/x" for number in range(9)))
    bad = (tmp_path / "4").stat().st_ino
    real, real_open, failed = os.fstat, os.open, []

    def fstat(descriptor):
        found = real(descriptor)
        if call == "fstat" and found.st_ino == bad and not failed:
            failed.append(descriptor)
            raise OSError(errno.ESTALE, "stale")
        return found

    def open_(path, *args, **kwargs):
        if call == "open" and path == b"4" and not failed:
            failed.append(path)
            raise OSError(errno.EMFILE, "too many")
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "fstat", fstat)
    monkeypatch.setattr(os, "open", open_)
    problems = []
    seen = [path for path, *_ in visited(tmp_path, problems=problems, together=True)]
    assert (seen, problems) == ([b"", *(b"%d" % n for n in range(9))], [])
    assert failed
    assert not opened_inside(tmp_path)


@pytest.mark.parametrize("left", [10, 40, 100])
def test_a_process_that_may_open_little_has_some_of_it_left(tmp_path, left):
    make(tmp_path, *(f"{number}/x" for number in range(100)))

    def look():
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + left, used + left))
        problems = []
        walk = visit(tmp_path, b"", KERNEL, IgnoreRules(), problems, reading=False)
        opened = [len(os.listdir("/proc/self/fd")) - used for _ in walk]
        assert (len(opened), problems) == (101, [])
        assert max(opened) <= (used + left) // 8 + 3

    assert code_of(forked(look)) == 0


def test_folders_are_listed_though_others_took_the_last_descriptors(tmp_path):
    make(tmp_path, *(f"{number}/x" for number in range(40)))

    class Short(PureKernel):
        """Lists a few of many only."""

        def list_directories(self, directories):
            found = super().list_directories(directories)
            return [*found[:2], *(OSError(errno.EMFILE, "too many") for _ in found[2:])]

    problems = []
    assert len(visited(tmp_path, Short(), problems, together=True)) == 41
    assert problems == []
    assert not opened_inside(tmp_path)


# ── deep trees ───────────────────────────────────────────────────────────────────────────────────────────────────────


def deep(root, depth, name=b"d"):
    """A chain of folders, also where its path is longer than the system takes in one call."""
    here = os.open(root, os.O_RDONLY)
    for number in range(depth):
        os.close(os.open(b"f%d" % number, os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def test_a_deep_tree_needs_few_descriptors(tmp_path, monkeypatch):
    monkeypatch.setattr(walk_module, "MAX_OPEN", 5)
    deep(tmp_path, 100)
    make(tmp_path, "d/d/z/x", "d/z/y", "z/z")
    most = 0
    found = []
    for folder, listing in walk(tmp_path, b"", KERNEL, IgnoreRules()):
        most = max(most, opened_inside(tmp_path))
        found += [(folder + b"/" if folder else b"") + name for name in listing.names]
    assert len(found) == 104
    assert found == sorted(found)
    assert most <= 8
    assert not opened_inside(tmp_path)


def test_a_very_deep_tree(tmp_path):
    import shutil

    try:
        deep(tmp_path, 3000, b"a-long-name")
        assert len(walked(tmp_path)) == 3001
    finally:
        # Too deep for what removes temporary folders: move the chain up piece by piece.
        here = tmp_path / "a-long-name"
        while here.exists():
            middle = here / "/".join(["a-long-name"] * 200)
            if middle.exists():
                middle.rename(tmp_path / "rest")
            shutil.rmtree(here)
            if (tmp_path / "rest").exists():
                (tmp_path / "rest").rename(here)


def test_a_folder_moved_while_its_parent_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(walk_module, "MAX_OPEN", 2)
    make(tmp_path, "data/a/b/c/d/e/x", "data/a/z/y", "elsewhere/")
    problems, seen = [], []
    for found in visit(tmp_path, b"data", KERNEL, IgnoreRules(), problems):
        seen.append(found.path)
        if found.path == b"data/a/b/c/d/e":
            (tmp_path / "data/a/b").rename(tmp_path / "elsewhere/b")
    assert seen[-1] == b"data/a/b/c/d/e"
    assert problems
    assert isinstance(problems[0][1], PathConflict)


def test_what_is_given_up_is_closed(tmp_path, monkeypatch):
    """Also the folders listed ahead in the one that is not found again."""
    monkeypatch.setattr(walk_module, "MAX_OPEN", 2)
    make(tmp_path, "data/a/b/c/d/e/x", *(f"data/a/z{number}/" for number in range(9)), "elsewhere/")
    problems = []
    for found in visit(tmp_path, b"data", KERNEL, IgnoreRules(), problems, reading=False):
        if found.path == b"data/a/b/c/d/e":
            (tmp_path / "data/a/b").rename(tmp_path / "elsewhere/b")
    assert problems
    assert not opened_inside(tmp_path)


def test_closing_early_closes_all(tmp_path):
    make(tmp_path, "a/b/c/x")
    probe = os.open(tmp_path, os.O_RDONLY)
    os.close(probe)
    visits = visit(tmp_path, b"", KERNEL, IgnoreRules())
    for _ in range(3):
        next(visits)
    visits.close()
    again = os.open(tmp_path, os.O_RDONLY)
    os.close(again)
    assert again == probe


def test_unreadable_folders_are_gathered(open_to_all):
    make(open_to_all, "data/a/x", "data/b/y", "data/c/z", "data/b-")

    def check():
        (open_to_all / "mine").mkdir()
        problems = []
        found = walked(open_to_all, b"data", problems)
        assert [path for path, _ in found] == [b"data/a/x", b"data/b-"]
        assert sorted(path for path, _ in problems) == [b"data/b", b"data/c"]
        assert all(isinstance(error, StorageError) for _, error in problems)
        with pytest.raises(StorageError, match="data/b"):
            walked(open_to_all, b"data")

    (open_to_all / "data/b").chmod(0)
    (open_to_all / "data/c").chmod(0o300 if os.geteuid() else 0o700)
    as_nobody(check)


def test_an_unreadable_start_is_told(open_to_all):
    make(open_to_all, "data/x")
    (open_to_all / "data").chmod(0)

    def check():
        with pytest.raises(StorageError, match="data"):
            walked(open_to_all, b"data", [])

    as_nobody(check)


def test_open_below(tmp_path):
    make(tmp_path, "a/b/")
    descriptor = open_below(tmp_path, b"a/b")
    assert os.path.samestat(os.fstat(descriptor), (tmp_path / "a/b").stat())
    os.close(descriptor)
    with pytest.raises(FileNotFoundError):
        open_below(tmp_path, b"a/c/d")
