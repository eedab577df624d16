import errno
import os
import stat
from array import array
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from kist.builtin.copy_link import CopyLink
from kist.builtin.hardlink import HardLink
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.builtin.pure_kernel import PureKernel
from kist.builtin.symlink import SymLink
from kist.engine.cache.copies import Copies
from kist.engine.checkout.apply import apply_checkout
from kist.engine.checkout.checks import check_space
from kist.engine.checkout.linking import LinkChoice
from kist.engine.checkout.plan import CheckoutPlan, plan_checkout, plan_removal
from kist.engine.checkout.relocate import finish_pending, move_path
from kist.engine.checkout.tools import CheckoutTools
from kist.engine.process.journal import Journal
from kist.errors import (
    LinkUnsupported,
    MetafileError,
    ObjectCorrupt,
    ObjectMissing,
    PathConflict,
    PathNotTracked,
    StorageError,
    UnsavedChanges,
)
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.util.atomic import TEMP_MARK

LARGE = 5000
"""Tests treat files from this size on as large."""


class Checked(BytesIO):
    """An object that says at its end whether it is the one that it should be."""

    def __init__(self, data, digest):
        super().__init__(data)
        self.digest = digest

    def readinto(self, buffer):
        count = super().readinto(buffer)
        if not count and sha256(self.getvalue()).digest() != self.digest.raw:
            raise ObjectCorrupt(str(self.digest))
        return count


class Objects:
    """A cache as the checkout sees it: packed objects in memory, loose ones as files."""

    def __init__(self, root):
        self.root = root
        (root / "objects").mkdir(parents=True, exist_ok=True)
        self.packed, self.verified, self.known, self.unpacked = {}, set(), set(), []
        self.copies = Copies()

    def add(self, data):
        raw = sha256(data).digest()
        self.packed[raw] = data
        return raw

    @property
    def objects_folder(self):
        return self.root / "objects"

    def missing(self, algorithm, raws):
        assert algorithm == "sha256" or not raws
        return [raw for raw in raws if raw not in self.packed]

    def expect(self, _algorithm, _raws):
        """All of it is in memory."""

    def read_iter(self, _algorithm, raws, on_error):
        for raw in sorted(raws):
            if raw not in self.packed:
                on_error(raw, ObjectMissing("sha256:" + raw.hex()))
            elif sha256(self.packed[raw]).digest() != raw:
                on_error(raw, ObjectCorrupt("sha256:" + raw.hex()))
            else:
                yield raw, self.packed[raw]

    def open(self, digest):
        path = self._path(digest.raw)
        if digest.raw not in self.packed and not path.exists():
            raise ObjectMissing(str(digest))
        data = path.read_bytes() if path.exists() else self.packed[digest.raw]
        return Checked(data, digest)

    def open_known(self, _algorithm, raw):
        if raw not in self.known:
            return -1
        self.known.remove(raw)
        return os.open(self._path(raw), os.O_RDONLY)

    def _path(self, raw):
        return self.root / "objects" / os.fsdecode(self.loose_name("", raw))

    def unpack(self, _algorithm, raws, _on_error=None, divide=None):
        def write(part, on_error):
            for raw in part:
                path = self._path(raw)
                if sha256(self.packed[raw]).digest() != raw:  # the cache hashes what it unpacks
                    on_error(raw, ObjectCorrupt("sha256:" + raw.hex()))
                    continue
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(self.packed[raw])
                path.chmod(0o444)
                self.unpacked.append(raw)

        (divide or (lambda some, do: do(some, _on_error)))(raws, write)

    def loose_name(self, _algorithm, raw):
        return os.fsencode(raw.hex()[:2] + "/" + raw.hex()[2:])

    def has_loose_many(self, _algorithm, raws):
        return [self._path(raw).exists() for raw in raws]

    def is_verified_many(self, _algorithm, raws):
        return [raw in self.verified for raw in raws]

    def mark_verified(self, _algorithm, raws):
        self.verified.update(raws)


class Rows:
    def __init__(self):
        self.rows = {}

    def put_many(self, rows):
        self.rows.update({row.directory: row for row in rows})


def columns(tree, objects=None):
    """Columns of {path: bytes | (kind, bytes)}; plain bytes are a file."""
    rows = []
    for path, value in sorted(tree.items()):
        kind, data = value if isinstance(value, tuple) else ("f", value)
        raw = sha256(data).digest() if kind in "fx" else bytes(32)
        if objects is not None and kind in "fx":
            objects.add(data)
        rows.append((path, kind, len(data) if kind in "fx" else 0, raw, data))
    return Columns(
        "sha256",
        32,
        [row[0] for row in rows],
        "".join(row[1] for row in rows).encode(),
        array("Q", [row[2] for row in rows]),
        b"".join(row[3] for row in rows),
        [row[4] for row in rows if row[1] == "l"],
    )


def seen(folder, cache=None):
    """{path: value} of a workspace folder; symlinks into the cache count as files."""
    tree = {}
    folder = os.fsencode(folder)

    def look(below):
        names = os.listdir(os.path.join(folder, below))
        if not names and below:
            tree[below] = ("d", b"")
        for name in names:
            path = os.path.join(below, name)
            full = os.path.join(folder, path)
            mode = os.lstat(full).st_mode
            if stat.S_ISDIR(mode):
                look(path)
            elif stat.S_ISLNK(mode) and not (cache and os.readlink(full).startswith(os.fsencode(cache))):
                tree[path] = ("l", os.readlink(full))
            elif stat.S_ISFIFO(mode):
                tree[path] = ("o", b"")
            else:
                data = Path(os.fsdecode(full)).read_bytes()
                tree[path] = ("x", data) if mode & 0o100 and stat.S_ISREG(mode) else data

    if os.path.isdir(folder):
        look(b"")
    return tree


class World:
    """A repository folder with one output, its cache and journal."""

    def __init__(self, folder, link=None):
        self.root = folder / "repository"
        self.root.mkdir(exist_ok=True)
        self.objects = Objects(folder / "cache")
        self.journal = Journal(folder / "private" / "journal", sync=False)
        self.trash = folder / "private" / "trash" / "one"
        self.rows = Rows()
        self.link = link or CopyLink()
        self.output = b"data"

    @property
    def data(self):
        return self.root / "data"

    def tools(self):
        links = LinkChoice(self.link, CopyLink())
        return CheckoutTools(
            self.objects, PureKernel(), HashlibHasher("sha256"), links, self.journal, self.trash, self.rows, small=LARGE
        )

    def saved(self, raws):
        return [raw in self.objects.packed for raw in raws]

    def checkout(self, target, base=None, *, force=False, **intent):
        goal = columns(target, self.objects)
        now = columns(seen(self.data, self.objects.root))
        plan = plan_checkout([now], [goal], None if base is None else [columns(base)], self.saved)
        intent = {"verb": "checkout", "output": "data", "target": "x", **intent}
        return apply_checkout(self.root, self.output, plan, self.tools(), intent=intent, force=force)

    def clean(self):
        """No temporary file, no pending journal record."""
        names = [name for _, folders, files in os.walk(self.root) for name in folders + files]
        assert not [name for name in names if TEMP_MARK in name]
        assert list(self.journal.pending()) == []
        return True


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


FIRST = {
    b"a/one": b"1",
    b"a/two": ("x", b"22"),
    b"a.b": b"between",
    b"b/c/d/deep": b"deep",
    b"empty": b"",
    b"large": b"L" * (LARGE * 3),
    b"large program": ("x", b"P" * LARGE),
    b"link": ("l", b"a/one"),
    b"nothing": ("d", b""),
    b"same": b"1",
    b"sub/nothing": ("d", b""),
    b"latin-\xe9": b"name",
}
SECOND = {
    b"a/one": b"one",
    b"a/two": b"22",
    b"a/three": b"333",
    b"b": b"now a file",
    b"large": b"M" * (LARGE * 3),
    b"link/x": b"now a folder",
    b"new/folder/x": b"x",
    b"nothing": ("l", b"elsewhere"),
    b"sub/nothing": ("d", b""),
    b"same": ("d", b""),
}


def test_first_checkout(world):
    report = world.checkout(FIRST)
    assert seen(world.data) == FIRST
    assert report.files == len(FIRST)
    assert report.links == {"copy": 9}
    assert report.missing == ()
    assert world.clean()


def test_modes_follow_the_umask(world):
    before = os.umask(0o027)
    try:
        world.checkout(FIRST)
    finally:
        os.umask(before)
    assert (world.data / "a/two").stat().st_mode & 0o777 == 0o750
    assert (world.data / "large program").stat().st_mode & 0o777 == 0o750
    assert (world.data / "large").stat().st_mode & 0o777 == 0o640
    assert (world.data / "a").stat().st_mode & 0o777 == 0o750


def test_there_and_back(world):
    world.checkout(FIRST)
    report = world.checkout(SECOND, FIRST)
    assert seen(world.data) == SECOND
    assert report.deleted >= 4
    world.checkout(FIRST, SECOND)
    assert seen(world.data) == FIRST
    assert world.clean()


def test_nothing_to_do_writes_no_journal(world, monkeypatch):
    world.checkout(FIRST)
    monkeypatch.setattr(Journal, "begin", None)
    report = world.checkout(FIRST, FIRST)
    assert (report.files, report.deleted) == (0, 0)


def test_an_empty_directory_is_made(world):
    world.checkout({})
    assert seen(world.data) == {}
    assert world.data.is_dir()


def test_the_repository_itself_can_be_the_directory(world):
    (world.root / "mine").write_text("untracked")
    world.output = b""
    plan = plan_checkout([], [columns({b"file": b"1", b"x/y": b"2"}, world.objects)], [], world.saved)
    apply_checkout(world.root, b"", plan, world.tools(), intent={"verb": "checkout"})
    assert seen(world.root) == {b"mine": b"untracked", b"file": b"1", b"x/y": b"2"}


def test_fingerprints_of_new_folders(world):
    world.checkout(FIRST)
    rows = world.rows.rows
    assert set(rows) == {b"data", b"data/a", b"data/b/c/d", b"data/sub"}
    for directory, row in rows.items():
        folder = os.open(world.root / os.fsdecode(directory), os.O_RDONLY)
        found = PureKernel().list_directory(folder)
        os.close(folder)
        assert row.listing.names == found.names
        assert row.listing.kinds == found.kinds
        for at, name in enumerate(row.listing.names):
            value = FIRST.get(os.path.join(directory, name)[5:])
            data = value[1] if isinstance(value, tuple) else value
            known = row.digests[at * 32 : at * 32 + 32]
            is_file = chr(row.listing.kinds[at]) in "fx"
            assert known == (sha256(data).digest() if is_file else bytes(32))
    assert rows[b"data"].targets == [b"a/one"]
    assert set(rows[b"data/a"].listing.stats) == {-1}, "too recent to be trusted"


def test_fingerprints_are_true_once_old(world, monkeypatch):
    from kist.engine.checkout import rows as checkout_rows

    monkeypatch.setattr(checkout_rows, "file_system_clock", lambda _folder, _token: 1 << 62)
    world.checkout(FIRST)
    for directory, row in world.rows.rows.items():
        folder = os.open(world.root / os.fsdecode(directory), os.O_RDONLY)
        assert row.listing.stats == PureKernel().list_directory(folder).stats
        os.close(folder)


# ── refusals: nothing changes ──


@contextmanager
def unchanged(world):
    before = seen(world.root)
    yield
    assert seen(world.root) == before
    assert world.clean()


def test_1_1_unsaved_changes_are_refused_whole(world):
    world.checkout(FIRST)
    (world.data / "a/one").write_bytes(b"mine")
    (world.data / "b/c/d/deep").write_bytes(b"mine too")
    with unchanged(world), pytest.raises(UnsavedChanges) as caught:
        world.checkout(SECOND, FIRST)
    assert caught.value.paths == ("data/a/one", "data/b/c/d/deep")


def test_1_1_force_moves_unsaved_changes_to_the_trash(world):
    world.checkout(FIRST)
    (world.data / "a/one").write_bytes(b"mine")
    (world.data / "b/c/d/deep").write_bytes(b"mine too")
    (world.data / "link").unlink()
    (world.data / "link").symlink_to("my place")
    report = world.checkout(SECOND, FIRST, force=True)
    assert seen(world.data) == SECOND
    assert seen(world.trash / "data") == {
        b"a/one": b"mine",
        b"b/c/d/deep": b"mine too",
        b"link": ("l", b"my place"),
    }
    assert len(report.trashed) == 3


def test_trash_on_another_file_system(world, other_file_system):
    world.trash = other_file_system / "trash"
    world.checkout(FIRST)
    (world.data / "a/one").write_bytes(b"mine")
    (world.data / "link").unlink()
    (world.data / "link").symlink_to("my place")
    world.checkout(SECOND, FIRST, force=True)
    assert seen(world.trash / "data") == {b"a/one": b"mine", b"link": ("l", b"my place")}


def test_untracked_additions_stay(world):
    world.checkout(FIRST)
    (world.data / "a/notes").write_bytes(b"mine")
    report = world.checkout(SECOND, FIRST)
    assert seen(world.data) == {**SECOND, b"a/notes": b"mine"}
    assert report.kept == ("data/a/notes",)


def test_a_symlinked_parent_is_refused(world, tmp_path):
    world.checkout(FIRST)
    (tmp_path / "outside").mkdir()
    (world.data / "a").rename(tmp_path / "outside" / "a")
    (world.data / "a").symlink_to(tmp_path / "outside" / "a")
    with unchanged(world), pytest.raises(UnsavedChanges):
        world.checkout(SECOND, FIRST)
    assert sorted(os.listdir(tmp_path / "outside/a")) == ["one", "two"]
    world.checkout(SECOND, FIRST, force=True)
    assert seen(world.data) == SECOND
    assert sorted(os.listdir(tmp_path / "outside/a")) == ["one", "two"]


def test_a_symlinked_output_is_refused(world, tmp_path):
    (tmp_path / "outside").mkdir()
    world.data.symlink_to(tmp_path / "outside")
    plan = plan_checkout([], [columns(FIRST, world.objects)], [], world.saved)
    with pytest.raises(PathConflict):
        apply_checkout(world.root, b"data", plan, world.tools(), intent={})
    assert os.listdir(tmp_path / "outside") == []
    assert world.clean()


def test_a_symlink_that_the_plan_does_not_know_is_refused(world, tmp_path):
    (tmp_path / "outside").mkdir()
    world.data.mkdir()
    (world.data / "a").symlink_to(tmp_path / "outside")
    plan = plan_checkout([], [columns(FIRST, world.objects)], [], world.saved)
    with unchanged(world), pytest.raises(PathConflict):
        apply_checkout(world.root, b"data", plan, world.tools(), intent={}, force=True)
    assert os.listdir(tmp_path / "outside") == []


def test_a_fifo_in_the_way_is_refused(world):
    (world.data / "a").mkdir(parents=True)
    os.mkfifo(world.data / "a/one")
    with unchanged(world), pytest.raises(PathConflict, match="FIFO"):
        world.checkout(FIRST, force=True)
    plan = plan_checkout([], [columns(FIRST, world.objects)], [], world.saved)
    with unchanged(world), pytest.raises(PathConflict, match="FIFO"):
        apply_checkout(world.root, b"data", plan, world.tools(), intent={}, force=True)


def test_a_file_that_appeared_after_the_plan(world):
    world.data.mkdir()
    plan = plan_checkout([], [columns({b"x": b"1"}, world.objects)], [], world.saved)
    (world.data / "x").write_bytes(b"mine")
    with unchanged(world), pytest.raises(UnsavedChanges):
        apply_checkout(world.root, b"data", plan, world.tools(), intent={})
    report = apply_checkout(world.root, b"data", plan, world.tools(), intent={}, force=True)
    assert seen(world.data) == {b"x": b"1"}
    assert seen(world.trash) == {b"data/x": b"mine"}
    assert len(report.trashed) == 1


def test_a_file_edited_after_the_plan_is_left_alone(world):
    old = {b"x": b"1", b"y": b"2", b"z": b"3"}
    world.checkout(old)
    plan = plan_checkout([columns(old)], [columns({b"x": b"new"}, world.objects)], [columns(old)], world.saved)
    (world.data / "x").write_bytes(b"mine")
    (world.data / "y").write_bytes(b"mine")
    report = apply_checkout(world.root, b"data", plan, world.tools(), intent={})
    assert seen(world.data) == {b"x": b"mine", b"y": b"mine"}
    assert set(report.kept) == {"data/x", "data/y"}
    assert len(report.warnings) == 2


def test_an_ignored_file_in_a_folder_that_becomes_a_file(world):
    world.checkout({b"a/x": b"1"})
    (world.data / "a/ignored").write_bytes(b"mine")
    current, target = columns({b"a/x": b"1"}), columns({b"a": b"file"}, world.objects)
    plan = plan_checkout([current], [target], [current], world.saved)
    with unchanged(world), pytest.raises(PathConflict, match="not tracked"):
        apply_checkout(world.root, b"data", plan, world.tools(), intent={}, force=True)


@pytest.mark.parametrize("name", [b"../x", b"/x", b"a//b", b".git/hooks/x", b"a/../x", b"x\0y", b""])
def test_illegal_names_are_refused(world, name):
    with unchanged(world), pytest.raises(MetafileError):
        world.checkout({b"fine": b"1", name: b"2"})


def test_names_that_clash_by_case(world, monkeypatch):
    from kist.engine.checkout import checks as checkout_checks

    tree = {b"Read": b"1", b"read": b"2"}
    world.checkout(tree)
    assert seen(world.data) == tree
    monkeypatch.setattr(checkout_checks, "_ignores_case", lambda _root: True)
    with unchanged(world), pytest.raises(PathConflict, match="one name"):
        world.checkout({b"sub/Read": b"1", b"sub/read": b"2"})


def test_no_room(world, monkeypatch):
    class Full:
        f_bavail, f_frsize, f_files, f_favail = 1, 4096, 1000, 1000

    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: Full)
    with unchanged(world), pytest.raises(StorageError, match="bytes"):
        world.checkout(FIRST)
    Full.f_bavail, Full.f_favail = 1 << 40, 3
    with unchanged(world), pytest.raises(StorageError, match="names"):
        world.checkout(FIRST)


def test_what_is_ready_serves_one_file(monkeypatch):
    class Narrow:
        f_bavail, f_frsize, f_files, f_favail = 1, 4096, 1000, 1000

    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: Narrow)
    digest = Digest("sha256", "ab" * 32)
    entries = [Entry(b"large", "file", 1 << 20, digest), Entry(b"twice", "file", 1 << 20, digest)]
    nothing = Columns("sha256", 32)
    one, two = (Columns.from_entries("sha256", 32, entries[:count]) for count in (1, 2))
    ready = frozenset([digest.raw])
    check_space(-1, CheckoutPlan(one, nothing, nothing, nothing, nothing), linked_from=None, ready=ready)
    with pytest.raises(StorageError, match="1,048,576 bytes"):
        check_space(-1, CheckoutPlan(two, nothing, nothing, nothing, nothing), linked_from=None, ready=ready)


def test_a_full_disk_on_the_way_leaves_the_journal(world, monkeypatch):
    world.checkout(FIRST)
    with monkeypatch.context() as patch:

        def full(*_args):
            raise OSError(28, "No space left on device")

        patch.setattr(PureKernel, "write_small", full)
        with pytest.raises(StorageError):
            world.checkout(SECOND, FIRST)
    assert not [name for _, folders, files in os.walk(world.root) for name in folders + files if TEMP_MARK in name]
    done = finish_pending(
        world.root, world.journal, {"checkout": lambda _record: world.checkout(SECOND, FIRST) and None}
    )
    assert [one.error for one in done] == [None]
    assert seen(world.data) == SECOND


# ── objects ──


def test_1_4_missing_objects_are_left_out_and_listed(world):
    world.checkout({b"a": b"old", b"b": b"old"})
    for data in (b"lost", b"L" * LARGE):
        columns({b"x": data}, world.objects)
    target = {b"a": b"lost", b"b": b"new", b"c/d": b"lost", b"e": b"L" * LARGE}
    goal = columns(target, world.objects)
    for data in (b"lost", b"L" * LARGE):
        del world.objects.packed[sha256(data).digest()]
    plan = plan_checkout([columns(seen(world.data))], [goal], None, world.saved)
    report = apply_checkout(world.root, b"data", plan, world.tools(), intent={})
    assert seen(world.data) == {b"a": b"old", b"b": b"new"}
    assert {digest[7:]: paths for digest, paths in report.missing} == {
        sha256(b"lost").hexdigest(): ("data/a", "data/c/d"),
        sha256(b"L" * LARGE).hexdigest(): ("data/e",),
    }


@pytest.mark.parametrize("link", [CopyLink, HardLink, SymLink])
def test_damaged_objects_never_get_a_name(world, link):
    world.link = link()
    target = {b"a": b"small", b"b": b"L" * LARGE, b"c": b"good", b"d": ("x", b"X" * LARGE)}
    goal = columns(target, world.objects)
    for data in (b"small", b"L" * LARGE, b"X" * LARGE):
        world.objects.packed[sha256(data).digest()] = b"damage" + data
    plan = plan_checkout([], [goal], None, world.saved)
    report = apply_checkout(world.root, b"data", plan, world.tools(), intent={})
    assert seen(world.data, world.objects.root) == {b"c": b"good"}
    assert [paths for _, paths in report.missing] == [("data/a",), ("data/b",), ("data/d",)]
    assert world.clean()


# ── link types ──


@pytest.mark.parametrize("link", [HardLink, SymLink])
def test_links_share_the_object_but_for_executables(world, link):
    world.link = link()
    world.checkout(FIRST)
    report = world.checkout(SECOND, FIRST)
    assert seen(world.data, world.objects.root) == SECOND
    assert report.links[world.link.name] > 4
    world.checkout(FIRST, SECOND)
    assert seen(world.data, world.objects.root) == FIRST
    for name in ("a/two", "large program"):
        found = (world.data / name).lstat()
        assert stat.S_ISREG(found.st_mode)
        assert found.st_nlink == 1
        assert found.st_mode & 0o111
    source = os.open(world.objects.root / "objects", os.O_RDONLY)
    target = os.open(world.data, os.O_RDONLY)
    name = world.objects.loose_name("", sha256(FIRST[b"large"]).digest())
    assert world.link.is_linked(source, name, target, b"large")
    os.close(source)
    os.close(target)
    for path in (world.objects.root / "objects").rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o444
            assert sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name
    assert world.clean()


def test_what_was_just_stored_is_copied_without_a_second_hash(world, monkeypatch):
    large = b"L" * (LARGE * 3)
    raw = world.objects.add(large)
    world.objects.unpack("sha256", [raw])
    world.objects.known.add(raw)
    monkeypatch.setattr(Objects, "open", None)  # hashes
    report = world.checkout({b"large": ("x", large)})
    assert seen(world.data) == {b"large": ("x", large)}
    assert (report.links, report.bytes, report.missing) == ({"copy": 1}, len(large), ())
    assert world.objects.known == set()


def test_objects_at_their_limit_of_links_are_copied(world, monkeypatch):
    class Limited(HardLink):
        def link_many(self, source_dir, sources, target_dir, targets):
            for done, (source, target) in enumerate(zip(sources, targets, strict=True)):
                if target in (b"a", b"c"):
                    raise LinkUnsupported("too many links", done=done)
                super().link_many(source_dir, [source], target_dir, [target])

    world.link = Limited()
    tree = dict.fromkeys((b"a", b"b", b"c", b"d"), b"content")
    report = world.checkout(tree)
    assert seen(world.data) == tree
    assert report.links == {"hardlink": 2, "copy": 2}


def test_a_mode_change(world):
    world.checkout({b"a": b"1", b"b": ("x", b"2")})
    (world.data / "a").chmod(0o640)
    inode = (world.data / "a").stat().st_ino
    report = world.checkout({b"a": ("x", b"1"), b"b": b"2"}, {b"a": b"1", b"b": ("x", b"2")})
    assert (world.data / "a").stat().st_mode & 0o777 == 0o750
    assert (world.data / "a").stat().st_ino == inode
    assert not (world.data / "b").stat().st_mode & 0o111
    assert report.files == 2


def test_a_mode_change_never_reaches_the_object(world):
    world.link = HardLink()
    world.checkout({b"a": b"1"})
    assert (world.data / "a").stat().st_nlink == 2
    world.checkout({b"a": ("x", b"1")}, {b"a": b"1"})
    assert (world.data / "a").stat().st_nlink == 1
    assert seen(world.data) == {b"a": ("x", b"1")}


def test_one_object_under_many_names(world):
    tree = {b"%d/%d" % (at % 7, at): b"same" for at in range(500)}
    world.checkout(tree)
    assert seen(world.data) == tree


def test_batches_split_folders(world, monkeypatch):
    from kist.engine.checkout import write as checkout_write

    monkeypatch.setattr(checkout_write, "_BATCH_FILES", 3)
    world.checkout(FIRST)
    world.checkout(SECOND, FIRST)
    world.checkout(FIRST, SECOND)
    assert seen(world.data) == FIRST
    assert world.clean()


@pytest.mark.parametrize("link", [HardLink, SymLink])
def test_what_may_be_linked_is_held_of_some_batches_only(world, monkeypatch, link):
    from kist.engine.checkout import contents as checkout_contents
    from kist.engine.checkout import write as checkout_write

    monkeypatch.setattr(checkout_write, "_LINKED_FILES", 5)
    monkeypatch.setattr(checkout_contents, "_MARK_AT", 8)
    monkeypatch.setattr(checkout_contents, "_PIECE", 3)
    held = []
    prepare = checkout_contents.Contents.prepare_links

    def watched(self, sizes):
        prepare(self, sizes)
        held.append(len(self._trusted))

    monkeypatch.setattr(checkout_contents.Contents, "prepare_links", watched)
    world.link = link()
    tree = {b"%d/%03d" % (at % 7, at): b"%d" % (at % 60) for at in range(200)}
    report = world.checkout(tree)
    assert seen(world.data, world.objects.root) == tree
    assert report.links == {link.name: 200}
    assert sorted(world.objects.unpacked) == sorted(world.objects.packed)  # each once
    assert max(held) <= 8 + 5


# ── removal and moves ──


def test_removal_takes_what_is_saved(world):
    world.checkout(FIRST)
    now = columns(seen(world.data))
    plan = plan_removal([now], [now], world.saved)
    report = apply_checkout(world.root, b"data", plan, world.tools(), intent={"verb": "remove", "remove_root": True})
    assert not world.data.exists()
    assert report.deleted == 10
    assert world.clean()


def test_removal_of_an_empty_directory(world):
    world.checkout({})
    for _ in range(2):
        plan = plan_removal([], [], world.saved)
        apply_checkout(world.root, b"data", plan, world.tools(), intent={"verb": "remove", "remove_root": True})
        assert not world.data.exists()


def test_removal_spares_untracked_and_refuses_edited_files(world):
    world.checkout(FIRST)
    base = columns(FIRST)
    (world.data / "mine").write_bytes(b"mine")
    intent = {"verb": "remove", "remove_root": True}
    (world.data / "a/one").write_bytes(b"edited")
    plan = plan_removal([columns(seen(world.data))], [base], world.saved)
    with unchanged(world), pytest.raises(UnsavedChanges):
        apply_checkout(world.root, b"data", plan, world.tools(), intent=intent)
    apply_checkout(world.root, b"data", plan, world.tools(), intent=intent, force=True)
    assert seen(world.data) == {b"mine": b"mine"}
    assert seen(world.trash) == {b"data/a/one": b"edited"}


def test_move(world):
    world.checkout({b"x/y": b"1"})
    move_path(world.root, b"data/x", b"data/new/z", world.journal, intent={}).done()
    assert seen(world.data) == {b"new/z/y": b"1"}
    assert world.clean()


def test_move_refusals(world, tmp_path):
    world.checkout({b"x": b"1", b"y": b"2"})
    (world.root / "away").symlink_to(tmp_path)
    for source, target, error in (
        (b"data/none", b"data/z", PathNotTracked),
        (b"data/x", b"data/y", PathConflict),
        (b"data", b"data/sub", PathConflict),
        (b"data/x", b"away/x", PathConflict),
        (b"data/x", b"../x", MetafileError),
    ):
        with unchanged(world), pytest.raises(error):
            move_path(world.root, source, target, world.journal, intent={})


def test_a_killed_move_is_undone(world):
    world.checkout({b"x": b"1"})
    move_path(world.root, b"data/x", b"data/y", world.journal, intent={}).release()
    (done,) = finish_pending(world.root, world.journal, {})
    assert done.error is None
    assert done.header["verb"] == "move"
    assert seen(world.data) == {b"x": b"1"}


def test_what_nobody_can_finish_is_given_up(world):
    world.journal.begin({"verb": "unheard-of"}).release()
    (done,) = finish_pending(world.root, world.journal, {})
    assert "unheard-of" in done.error.message
    assert world.clean()


def test_what_is_forbidden_by_now_is_given_up_and_what_may_be_right_later_waits(world):
    def fail(number):
        def finisher(record):
            raise StorageError("data: no", path="data", errno=number)

        return {"remove": finisher}

    world.journal.begin({"verb": "remove"}).release()
    with pytest.raises(StorageError):
        finish_pending(world.root, world.journal, fail(errno.ENOSPC))
    (done,) = finish_pending(world.root, world.journal, fail(errno.EACCES))
    assert done.error.message == "data: no"
    assert world.clean()


# ── kills ──


@pytest.mark.parametrize("link", ["copy", "hardlink"])
def test_1_4_a_kill_at_every_change_loses_nothing(tmp_path, link):
    survived = 0
    for step in range(400):
        folder = tmp_path / str(step)
        folder.mkdir()
        world = World(folder, HardLink() if link == "hardlink" else CopyLink())
        world.checkout(FIRST)
        (world.data / "a/one").unlink()
        (world.data / "a/one").write_bytes(b"my edit")
        (world.data / "mine").write_bytes(b"untracked")
        died = _run_killed(folder, step, link)
        columns({**FIRST}, world.objects)
        columns({**SECOND}, world.objects)
        # Whatever stands there is whole: old, new, or the user's.
        known = {_data(value) for tree in (FIRST, SECOND) for value in tree.values()} | {b"my edit", b"untracked"}
        for path, value in seen(world.data).items():
            if TEMP_MARK.encode() not in path:
                assert _data(value) in known, path
        finish = {"checkout": partial(_redo, world)}
        done = finish_pending(world.root, world.journal, finish)
        assert all(one.error is None for one in done)
        if not done:
            world.checkout(SECOND, FIRST, force=True)
        assert seen(world.data) == {**SECOND, b"mine": b"untracked"}
        trashed = [path.read_bytes() for path in world.trash.rglob("*") if path.is_file()]
        assert trashed == [b"my edit"]
        assert world.clean()
        if not died:
            survived = step
            break
    assert survived > 25, "the killer never ran to the end, or did not kill"


def _data(value):
    return value[1] if isinstance(value, tuple) else value


def _redo(world, record):
    assert record.header["output"] == "data"
    world.checkout(SECOND, FIRST, force=record.header["force"])


def _run_killed(folder, step, link):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            left = [step]

            def dying(call):
                def wrapped(*args, **options):
                    left[0] -= 1
                    if left[0] < 0:
                        os._exit(9)
                    return call(*args, **options)

                return wrapped

            world = World(folder, HardLink() if link == "hardlink" else CopyLink())
            columns(FIRST, world.objects)
            columns(SECOND, world.objects)
            for name in ("rename", "unlink", "rmdir", "mkdir", "link", "symlink", "fchmod"):
                setattr(os, name, dying(getattr(os, name)))
            world.checkout(SECOND, FIRST, force=True)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9


# ── several processes ──


@pytest.fixture
def shared_work(monkeypatch):
    from kist.engine.checkout import shares as checkout_shares

    monkeypatch.setattr(checkout_shares, "WORTH", 2)
    monkeypatch.setattr(checkout_shares, "_processes", lambda: 3)


def test_processes_do_what_one_does(world, shared_work):
    tree = {b"%02d/%d/%d" % (at % 30, at % 3, at): b"%d" % at for at in range(600)}
    report = world.checkout({**FIRST, **tree})
    assert seen(world.data) == {**FIRST, **tree}
    assert report.files == len(FIRST) + len(tree)
    assert report.bytes == sum(len(_data(value)) for value in {**FIRST, **tree}.values() if _kind(value) in "fx")
    assert b"data/29/2" in world.rows.rows
    world.checkout(SECOND, {**FIRST, **tree})
    assert seen(world.data) == SECOND
    assert world.clean()


def test_many_turns_do_what_one_does(world, shared_work, monkeypatch):
    from kist.engine.checkout import shares as checkout_shares

    monkeypatch.setattr(checkout_shares, "TURN", 9)
    test_processes_do_what_one_does(world, shared_work)


def _kind(value):
    return value[0] if isinstance(value, tuple) else "f"


def test_damage_found_by_a_helper_is_reported(world, shared_work):
    tree = {b"%02d/%d" % (at % 30, at): b"%d" % at for at in range(60)}
    goal = columns(tree, world.objects)
    for at in range(60):
        world.objects.packed[sha256(b"%d" % at).digest()] = b"damage"
    plan = plan_checkout([], [goal], None, world.saved)
    report = apply_checkout(world.root, b"data", plan, world.tools(), intent={})
    assert len(report.missing) == len(report.warnings) == 60
    assert report.files == 0


def test_a_full_disk_in_a_helper_ends_the_checkout(world, shared_work, monkeypatch):
    here = os.getpid()
    write = PureKernel.write_small

    def full(self, *args):
        if os.getpid() != here:
            raise OSError(28, "No space left on device")
        return write(self, *args)

    tree = {b"%02d/%d" % (at % 30, at): b"%d" % at for at in range(60)}
    with monkeypatch.context() as patch:
        patch.setattr(PureKernel, "write_small", full)
        with pytest.raises(StorageError) as caught:
            world.checkout(tree)
    assert caught.value.errno == 28
    finish_pending(world.root, world.journal, {"checkout": lambda _record: world.checkout(tree) and None})
    assert seen(world.data) == tree
    assert world.clean()
