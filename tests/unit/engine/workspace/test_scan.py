"""Scanning: contents, reuse of fingerprints, racy edits, races while reading, links, sinks."""

import hashlib
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from children import as_nobody
from kist.builtin import pure_kernel
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.builtin.pure_kernel import PureKernel
from kist.engine.manifest.format import check_columns
from kist.engine.process.clock import FileClock
from kist.engine.workspace import ingest as ingest_module
from kist.engine.workspace import rows as rows_module
from kist.engine.workspace import scan as scan_module
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.since import Since
from kist.errors import ObjectCorrupt, ObjectMissing, PathConflict, StorageError
from kist.model.columns import Columns
from kist.model.digest import Digest
from unit.engine.workspace.scan_support import HOUR, Repo, Store, root_of


def contents(entries):
    return {path: entry.digest and entry.digest.hex for path, entry in entries.items()}


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


@pytest.fixture
def settled(repo, monkeypatch):
    """A repository whose clock runs an hour ahead: what was just written counts as left alone for long."""
    at = FileClock.at
    monkeypatch.setattr(FileClock, "at", lambda self, directory: (at(self, directory) or 0) + HOUR)
    return repo


# ── what a scan gives ────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_once_and_in_order(repo):
    repo.write("b/x", b"1")
    repo.write("b-", b"22")
    repo.write("b0", b"")
    repo.write("run", b"#!").chmod(0o755)
    (repo.data / "empty").mkdir()
    (repo.data / "empty-").mkdir()
    (repo.data / "link").symlink_to("b/x")
    repo.write("big", b"z" * 5000)
    scan, entries, _ = repo.add(small=1000)
    assert list(entries) == [b"b-", b"b/x", b"b0", b"big", b"empty", b"empty-", b"link", b"run"]
    assert [entry.kind for entry in entries.values()] == [
        "file", "file", "file", "file", "directory", "directory", "symlink", "executable",
    ]  # fmt: skip
    assert contents(entries)[b"big"] == sha(b"z" * 5000)
    assert contents(entries)[b"b0"] == sha(b"")
    assert entries[b"link"].target == b"b/x"
    assert entries[b"link"].size == 0
    assert (scan.files, scan.size, scan.bytes_read, scan.problems) == (8, 5005, 5005, [])


def test_all_columns_are_of_the_same_length(repo):
    for name in ("a/l", "b/l", "a-", "c"):
        repo.write(name)
    (repo.data / "a/link").symlink_to("l")
    (repo.data / "d").mkdir()
    (repo.data / "d-").symlink_to("x")
    for part in repo.scanner().scan(b"data"):
        count = len(part)
        assert count
        assert (len(part.kinds), len(part.sizes), len(part.digests)) == (count, count, 32 * count)
        assert len(part.targets) == part.kinds.count(b"l")


@pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b" ", "ü".encode(), b"*"])
def test_names_of_any_bytes(settled, name):
    settled.write(name + b"/" + name, b"1")
    _, entries, root = settled.add()
    assert contents(entries) == {name + b"/" + name: sha(b"1")}
    assert settled.is_clean(root)


def test_an_empty_or_absent_output(repo):
    scan, entries, root = repo.add()
    assert (entries, scan.files) == ({}, 0)
    assert repo.is_clean(root)
    repo.data.rmdir()
    assert not repo.is_clean(root)
    assert list(repo.scanner().scan(b"data")) == []


def test_ignored_names_are_no_entries(repo):
    repo.write("a.log")
    repo.write("only/b.log")
    repo.write(".git/config")
    (repo.root / ".kistignore").write_text("*.log\n")
    _, entries, _ = repo.add()
    assert list(entries) == [b"only"]
    assert entries[b"only"].kind == "directory"


def test_names_that_no_checkout_writes_are_problems(repo):
    repo.write("good")
    repo.write("git~1")
    repo.write("sub/.git ")
    scan, entries, _ = repo.add()
    assert list(entries) == [b"good"]
    assert sorted(path for path, _ in scan.problems) == [b"data/git~1", b"data/sub/.git "]


def test_the_repository_itself_as_output(repo):
    repo.write("x")
    (repo.root / "private").rename(repo.root / ".kist")
    repo.private = repo.root / ".kist"
    scanner = repo.scanner()
    scan = scanner.scan(b"")
    assert [path for part in scan for path in part.paths] == [b"data/x"]


def test_many_files_in_one_folder(settled):
    for number in range(10_000):
        with open(settled.data / f"{number:05}", "wb") as file:
            file.write(b"%d" % number)
    scan, entries, root = settled.add()
    assert scan.files == 10_000
    assert contents(entries)[b"07777"] == sha(b"7777")
    assert settled.is_clean(root)
    settled.write("07777", b"new")
    assert not settled.is_clean(root)
    again, entries, _ = settled.add()
    assert again.bytes_read == 3
    assert contents(entries)[b"07777"] == sha(b"new")


def test_segments_parts_and_batches(settled, monkeypatch):
    monkeypatch.setattr(rows_module, "SEGMENT", 7)
    monkeypatch.setattr(scan_module, "PART", 5)
    monkeypatch.setattr(ingest_module, "BATCH_FILES", 3)
    monkeypatch.setattr(ingest_module, "BATCH_BYTES", 20)
    for number in range(50):
        settled.write(f"{number:02}", b"x" * number)
    settled.write("25.d/x", b"")
    parts = list(settled.scanner().scan(b"data"))
    assert max(map(len, parts)) == 5
    _, entries, root = settled.add()
    assert contents(entries) == {b"%02d" % n: sha(b"x" * n) for n in range(50)} | {b"25.d/x": sha(b"")}
    assert settled.is_clean(root)
    settled.write("33", b"y" * 33)
    assert not settled.is_clean(root)
    assert settled.add()[0].bytes_read == 33


# ── what is known is not read again ──────────────────────────────────────────────────────────────────────────────────


def test_unchanged_files_are_not_read(settled):
    for name in ("a", "b/c", "b/d/e"):
        settled.write(name)
    first, entries, root = settled.add()
    again, same, same_root = settled.add()
    assert (first.bytes_read, again.bytes_read) == (21, 0)
    assert (entries, root) == (same, same_root)
    assert settled.is_clean(root)


def edit_content(repo, expected):
    repo.write("b/c", b"longer content")
    return expected | {b"b/c": sha(b"longer content")}


def edit_same_size(repo, expected):
    repo.write("b/c", b"CONTENT")
    return expected | {b"b/c": sha(b"CONTENT")}


def edit_mode(repo, expected):
    (repo.data / "b/c").chmod(0o755)
    return expected


def edit_new(repo, expected):
    repo.write("b/cc")
    return expected | {b"b/cc": sha(b"content")}


def edit_deleted(repo, expected):
    (repo.data / "b/c").unlink()
    del expected[b"b/c"]
    return expected


def edit_renamed(repo, expected):
    (repo.data / "b/c").rename(repo.data / "b/C")
    expected[b"b/C"] = expected.pop(b"b/c")
    return expected


def edit_new_folder(repo, expected):
    (repo.data / "b/n").mkdir()
    return expected | {b"b/n": None}


def edit_gone_folder(repo, expected):
    (repo.data / "e").rmdir()
    del expected[b"e"]
    return expected


def edit_link(repo, expected):
    (repo.data / "l").unlink()
    (repo.data / "l").symlink_to("b")
    return expected


def edit_to_folder(repo, expected):
    (repo.data / "a").unlink()
    repo.write("a/x")
    del expected[b"a"]
    return expected | {b"a/x": sha(b"content")}


EDITS = {name.removeprefix("edit_"): edit for name, edit in list(globals().items()) if name.startswith("edit_")}


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_is_seen(settled, edit):
    for name in ("a", "b/c", "b/d/e"):
        settled.write(name)
    (settled.data / "l").symlink_to("a")
    (settled.data / "e").mkdir()
    _, before, root = settled.add()
    assert settled.is_clean(root)
    expected = EDITS[edit](settled, contents(before))
    assert not settled.is_clean(root)
    _, after, new_root = settled.add()
    assert contents(after) == expected
    assert after != before
    assert after[b"l"].target == (b"b" if edit == "link" else b"a")
    assert b"b/c" not in after or after[b"b/c"].kind == ("executable" if edit == "mode" else "file")
    assert settled.is_clean(new_root)
    assert not settled.is_clean(root)


def test_a_removed_tree_leaves_no_rows(settled):
    settled.write("a/b/c")
    settled.write("z")
    settled.add()
    shutil.rmtree(settled.data / "a")
    _, _, root = settled.add()
    assert settled.is_clean(root)
    fingerprints = settled.scanner().fingerprints
    assert [one.key for one in fingerprints.get_below(b"")] == [b"data/"]


def test_another_algorithm_knows_nothing(settled):
    settled.write("a")
    _, _, root = settled.add()
    scan, entries, new_root = settled.add(hasher=HashlibHasher("blake2b"))
    assert scan.bytes_read == 7
    assert entries[b"a"].digest == Digest("blake2b", hashlib.blake2b(b"content").hexdigest())
    assert settled.is_clean(new_root, hasher=HashlibHasher("blake2b"))
    assert not settled.is_clean(root)


def test_fingerprints_may_be_deleted_or_broken(settled):
    settled.write("a")
    _, entries, root = settled.add()
    (settled.private / "fingerprints.sqlite").write_bytes(b"garbage" * 999)
    assert not settled.is_clean(root)
    scan, again, _ = settled.add()
    assert (again, scan.bytes_read) == (entries, 7)
    assert settled.is_clean(root)
    (settled.private / "fingerprints.sqlite").unlink()
    assert settled.add()[1] == entries


def test_wrong_digests_in_a_torn_row_are_not_believed(settled):
    settled.write("a")
    _, entries, _ = settled.add()
    connection = sqlite3.connect(settled.private / "fingerprints.sqlite")
    with connection:
        connection.execute("UPDATE folders SET content = substr(content, 1, 8) || zeroblob(32)")
    connection.close()
    assert settled.add()[1] == entries


def test_without_fingerprints(repo):
    repo.write("a")
    scanner = repo.scanner(fingerprints=Fingerprints(None))
    scan = scanner.scan(b"data")
    assert [path for part in scan for path in part.paths] == [b"a"]
    scan.commit_fingerprints(None)
    assert scanner.fingerprints.save()


def test_a_scan_that_is_not_committed_is_equal_to_nothing(settled):
    settled.write("a")
    _, _, root = settled.add()
    settled.write("a", b"changed")
    scanner = settled.scanner()
    list(scanner.scan(b"data"))
    scanner.fingerprints.save()
    assert not settled.is_clean(root)
    assert settled.add()[0].bytes_read == 0  # but what it learned is kept


def test_a_scan_that_was_broken_off_is_equal_to_nothing(settled):
    settled.write("a/x")
    settled.write("b/x")
    _, _, root = settled.add()
    settled.write("a/x", b"changed")
    scanner = settled.scanner()
    scan = scanner.scan(b"data")
    next(iter(scan))
    scan.commit_fingerprints(root)
    scanner.fingerprints.save()
    assert not settled.is_clean(root)


# ── racy edits ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_recent_file_is_read_again(repo):
    repo.write("old", age=HOUR)
    repo.write("new", age=0)
    first, _, root = repo.add()
    assert not repo.is_clean(root)  # ctime of both is now
    assert repo.add()[0].bytes_read == first.bytes_read


def test_2_4_an_edit_within_the_tick_is_seen(repo):
    """Same size, mtime set back: even if the clock stood still and gave the same ctime, the content is read again."""
    place = repo.write("a", b"old")
    _, before, root = repo.add()
    times = place.stat().st_mtime_ns
    with place.open("r+b") as file:
        file.write(b"new")
    os.utime(place, ns=(times, times))
    assert not repo.is_clean(root)
    _, after, _ = repo.add()
    assert (contents(before)[b"a"], contents(after)[b"a"]) == (sha(b"old"), sha(b"new"))


def test_mtime_set_back_is_seen_by_the_ctime(settled):
    place = settled.write("a", b"old")
    times = place.stat().st_mtime_ns
    _, _, root = settled.add()
    with place.open("r+b") as file:
        file.write(b"new")
    os.utime(place, ns=(times, times))
    assert not settled.is_clean(root)
    assert contents(settled.add()[1])[b"a"] == sha(b"new")


def test_replaced_by_a_rename_is_seen(settled):
    place = settled.write("a", b"old")
    times = place.stat().st_mtime_ns
    _, _, root = settled.add()
    other = settled.root / "other"
    other.write_bytes(b"new")
    os.utime(other, ns=(times, times))
    other.rename(place)
    assert not settled.is_clean(root)
    assert contents(settled.add()[1])[b"a"] == sha(b"new")


def test_the_clock_is_the_file_systems(repo):
    descriptor = os.open(repo.data, os.O_RDONLY)
    before = repo.data.stat().st_mtime_ns
    clock = FileClock(repo.private)
    first = clock.at(descriptor)
    assert abs(first - time.time_ns()) < 10 * 1_000_000_000
    assert clock.at(descriptor) == first
    assert repo.data.stat().st_mtime_ns == before  # the private folder is on the same file system
    assert os.listdir(repo.private) == []
    assert FileClock().at(descriptor) is not None
    assert FileClock(repo.root / "absent").at(descriptor) is not None
    assert os.listdir(repo.data) == []
    os.close(descriptor)
    assert FileClock().at(descriptor) is None


def test_the_clock_of_each_folder_is_asked_before_what_it_holds_is_read(repo, monkeypatch):
    """A folder may lie on another file system than the output, and the clock there may be in another tick later."""
    told = []
    at, read_small = FileClock.at, PureKernel.read_small

    def ask(self, directory):
        told.append(("asked", os.fstat(directory).st_ino))
        return at(self, directory)

    def read(self, directory, names, hasher):
        told.append(("read", os.fstat(directory).st_ino))
        return read_small(self, directory, names, hasher)

    monkeypatch.setattr(FileClock, "at", ask)
    monkeypatch.setattr(PureKernel, "read_small", read)
    place = repo.write("mounted/a", b"1")
    inode = place.parent.stat().st_ino
    _, _, root = repo.add()
    assert told.index(("asked", inode)) < told.index(("read", inode))
    told.clear()
    repo.write("mounted/b", b"2")
    since = Since(repo.scanner(), b"data", root, lambda _: None)
    assert since.look()
    assert [change.path for change in since.changes()][-1] == b"mounted/b"
    assert told.index(("asked", inode)) < told.index(("read", inode))


# ── races while reading ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def during_read(monkeypatch):
    """Do something each time the kernel has read a file."""

    def install(action):
        read = os.read

        def racing(descriptor, size):
            data = read(descriptor, size)
            action()
            return data

        monkeypatch.setattr(pure_kernel.os, "read", racing)

    return install


def test_changed_once_during_the_read_is_read_again(settled, during_read):
    place = settled.write("a", b"old")
    settled.write("b", b"same")
    left = [1]

    def edit():
        if left:
            left.pop()
            place.write_bytes(b"new")

    during_read(edit)
    scan, entries, _ = settled.add()
    assert scan.problems == []
    assert contents(entries) == {b"a": sha(b"new"), b"b": sha(b"same")}


@pytest.mark.parametrize("with_sink", [False, True])
def test_2_4_changed_twice_during_the_read_is_a_problem(settled, monkeypatch, with_sink):
    place = settled.write("a", b"0")
    settled.write("b", b"same")
    fstat, number = os.fstat, [0]

    def racing(descriptor):
        number[0] += 1
        if fstat(descriptor).st_ino == place.stat().st_ino:
            place.write_bytes(b"%d" % (number[0] % 10))
            os.utime(place, ns=(number[0], number[0]))
        return fstat(descriptor)

    sink = Store() if with_sink else None
    with monkeypatch.context() as patch:
        patch.setattr(pure_kernel.os, "fstat", racing)
        scan, entries, root = settled.add(sink)
    assert list(entries) == [b"b"]
    assert [path for path, _ in scan.problems] == [b"data/a"]
    assert isinstance(scan.problems[0][1], PathConflict)
    assert "changed while it was read" in str(scan.problems[0][1])
    assert not settled.is_clean(root)
    assert list(settled.add(sink)[1]) == [b"a", b"b"]


def test_a_large_file_that_grows_is_read_again(settled):
    place = settled.write("a", b"x" * 5000)

    class Growing(Store):
        def put_stream(self, reader, size, *, progress):
            if size == 5000:
                with place.open("ab") as file:
                    file.write(b"more")
            return super().put_stream(reader, size, progress=progress)

    scan, entries, _ = settled.add(Growing(), small=1000)
    assert scan.problems == []
    assert contents(entries)[b"a"] == sha(b"x" * 5000 + b"more")


def lister(action):
    """A kernel that does something when it has listed a folder with files."""

    class Racing(PureKernel):
        def list_directory(self, directory):
            listing = super().list_directory(directory)
            if b"a" in listing.names:
                action()
            return listing

    return Racing()


@pytest.mark.parametrize("small", [1, 1000])
def test_a_file_that_vanishes_is_left_out(settled, small):
    place = settled.write("a", b"content")
    settled.write("b")
    scan, entries, _ = settled.add(kernel=lister(lambda: place.unlink(missing_ok=True)), small=small)
    assert (list(entries), scan.problems) == ([b"b"], [])
    place.write_bytes(b"back")
    assert list(settled.add()[1]) == [b"a", b"b"]


@pytest.mark.parametrize("small", [1, 1000])
@pytest.mark.parametrize("by", ["fifo", "folder", "link"])
def test_a_file_that_is_replaced(settled, by, small):
    place = settled.write("a", b"content")
    settled.write("b")

    def replace():
        place.unlink(missing_ok=True)
        if by == "fifo":
            os.mkfifo(place)
        elif by == "folder":
            place.mkdir()
        else:
            place.symlink_to("b")

    scan, entries, root = settled.add(kernel=lister(replace), small=small)
    if by == "link":
        assert (entries[b"a"].kind, entries[b"a"].target, scan.problems) == ("symlink", b"b", [])
    else:
        assert [path for path, _ in scan.problems] == [b"data/a"]
        assert list(entries) == [b"b"]
    assert not settled.is_clean(root)


def test_a_folder_that_fills_after_its_sibling_went_ahead(settled):
    (settled.data / "b").mkdir()
    settled.write("b-")
    done = []

    class Racing(PureKernel):
        def list_directory(self, directory):
            if done:
                settled.write("b/x")
            done.append(1)
            return super().list_directory(directory)

    scanner = settled.scanner(kernel=Racing())
    scan = scanner.scan(b"data")
    paths = [path for part in scan for path in part.paths]
    assert paths == sorted(paths)
    assert [path for path, _ in scan.problems] == [b"data/b"]


def test_a_folder_that_empties_after_its_sibling_went_ahead(settled):
    settled.write("b/x")
    settled.write("b-")
    done = []

    class Racing(PureKernel):
        def list_directory(self, directory):
            if done:
                (settled.data / "b/x").unlink(missing_ok=True)
            done.append(1)
            return super().list_directory(directory)

    scan = settled.scanner(kernel=Racing()).scan(b"data")
    assert [path for part in scan for path in part.paths] == [b"b-"]
    assert [path for path, _ in scan.problems] == [b"data/b"]


# ── what is no file ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_fifos_are_refused_by_name_and_do_not_block(settled):
    settled.write("a")
    os.mkfifo(settled.data / "pipe")
    os.mkfifo(settled.data / "pipe2")
    for _ in range(2):
        scan, entries, root = settled.add()
        assert list(entries) == [b"a"]
        assert [path for path, _ in scan.special] == [b"data/pipe", b"data/pipe2"]
        assert "data/pipe is a FIFO" in str(scan.special[0][1])
        assert not settled.is_clean(root)


@pytest.mark.skipif(not hasattr(os, "mknod") or os.geteuid() != 0, reason="making a device takes root")
def test_devices_are_refused(settled):
    import stat

    try:
        os.mknod(settled.data / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        return
    scan, _, _ = settled.add()
    assert "is a device" in str(scan.special[0][1])


def test_links_kept(settled):
    settled.write("sub/a")
    for name, target in (("in", "sub/a"), ("sub/up", "../sub"), ("out", "../x"), ("abs", "/etc"), ("sub/o", "../../y")):
        (settled.data / name).symlink_to(target)
    scan, entries, root = settled.add()
    assert {path: entry.target for path, entry in entries.items() if entry.target} == {
        b"in": b"sub/a",
        b"sub/up": b"../sub",
        b"out": b"../x",
        b"abs": b"/etc",
        b"sub/o": b"../../y",
    }
    assert sorted(scan.outside) == [b"data/abs", b"data/out", b"data/sub/o"]
    assert settled.is_clean(root)


def test_links_refused(settled):
    settled.write("a")
    (settled.data / "l").symlink_to("a")
    scan, entries, _ = settled.add(symlinks="refuse")
    assert list(entries) == [b"a"]
    assert "data/l is a symbolic link" in str(scan.problems[0][1])


def test_links_followed(settled):
    (settled.root / "outside").write_bytes(b"from outside")
    (settled.root / "program").write_bytes(b"#!")
    (settled.root / "program").chmod(0o755)
    (settled.data / "l").symlink_to("../outside")
    (settled.data / "p").symlink_to("../program")
    store = Store()
    scan, entries, root = settled.add(store, symlinks="follow")
    assert contents(entries) == {b"l": sha(b"from outside"), b"p": sha(b"#!")}
    assert [(entry.kind, entry.size) for entry in entries.values()] == [("file", 12), ("executable", 2)]
    assert len(store.objects) == 2
    assert scan.outside == [b"data/l", b"data/p"]
    assert not settled.is_clean(root, symlinks="follow")  # a link's stat says nothing about the file
    (settled.root / "outside").write_bytes(b"changed 4321")
    assert contents(settled.add(symlinks="follow")[1])[b"l"] == sha(b"changed 4321")


@pytest.mark.parametrize("target", ["sub", "nowhere", "l"])
def test_links_that_lead_to_no_file_cannot_be_followed(settled, target):
    settled.write("sub/a")
    (settled.data / "l").symlink_to(target)
    scan, entries, _ = settled.add(symlinks="follow")
    assert list(entries) == [b"sub/a"]
    assert [path for path, _ in scan.problems] == [b"data/l"]


class Links:
    """What is known of links to the cache."""

    def __init__(self, is_hard_link=lambda raw, stats: False, resolve=lambda target, path: None):
        self.is_hard_link, self.resolve = is_hard_link, resolve
        self.seen = []

    def look(self, state):
        self.seen += [(name, state.raw(at)) for at, name in enumerate(state.names)]


def test_links_into_the_cache_are_files(settled):
    raw = hashlib.sha256(b"object").digest()
    (settled.data / "l").symlink_to("/cache/objects/xyz")
    (settled.data / "m").symlink_to("/elsewhere")
    for _ in range(2):
        scan, entries, root = settled.add(
            links=Links(resolve=lambda target, path: (raw, 6) if b"xyz" in target else None)
        )
        assert (entries[b"l"].kind, entries[b"l"].digest, entries[b"l"].size) == (
            "file",
            Digest("sha256", raw.hex()),
            6,
        )
        assert entries[b"m"].target == b"/elsewhere"
        assert scan.outside == [b"data/m"]
        assert settled.is_clean(root)


def test_links_into_the_cache_are_read_when_their_object_was_edited(settled):
    (settled.root / "object").write_bytes(b"edited")
    (settled.data / "l").symlink_to("../object")
    raw = hashlib.sha256(b"before").digest()
    _, entries, root = settled.add(links=Links(resolve=lambda target, path: (raw, 6)))
    assert contents(entries) == {b"l": sha(b"before")}

    def resolve(target, path):
        raise ObjectCorrupt(f"sha256:{raw.hex()}")

    assert not settled.is_clean(root, links=Links(resolve=resolve))
    assert contents(settled.add(links=Links(resolve=resolve))[1]) == {b"l": sha(b"edited")}


def test_links_to_objects_that_are_gone_are_no_content(settled):
    (settled.data / "l").symlink_to("/cache/objects/xyz")

    def resolve(target, path):
        raise ObjectMissing("sha256:" + "0" * 64)

    assert settled.add(links=Links(resolve=resolve))[1][b"l"].target == b"/cache/objects/xyz"
    scan, entries, _ = settled.add(Store(), links=Links(resolve=resolve))
    assert (list(entries), [type(error) for _, error in scan.problems]) == ([], [ObjectMissing])


def test_every_file_is_looked_at_for_damaged_objects(settled):
    settled.write("a", b"one")
    for _ in range(2):  # read the first time, known the second
        links = Links()
        settled.add(links=links)
        assert links.seen == [(b"a", hashlib.sha256(b"one").digest())]


def test_a_hard_link_to_the_cache_is_no_edit(settled):
    place = settled.write("a", b"object")
    settled.write("b", b"other!")
    settled.add()
    os.link(place, settled.root / "cached")
    (settled.data / "b").chmod(0o600)
    asked = []

    def linked(raw, stats):
        asked.append((raw, stats))
        return raw == hashlib.sha256(b"object").digest()

    scan, entries, root = settled.add(links=Links(linked))
    found = place.stat()
    assert (asked[0][0], asked[0][1]) == (
        hashlib.sha256(b"object").digest(),
        (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino),
    )
    assert len(asked) == 2
    assert scan.bytes_read == 6  # only b
    assert contents(entries) == {b"a": sha(b"object"), b"b": sha(b"other!")}
    assert settled.is_clean(root)
    settled.write("a", b"edited")
    links = Links(lambda *_: pytest.fail("its mtime differs too"))
    assert contents(settled.add(links=links)[1])[b"a"] == sha(b"edited")


# ── sinks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("small", [1, 1000])
def test_a_known_file_that_is_replaced_by_a_link(settled, small):
    """It is read, as the sink does not have it; what was known of it is not what the link has."""
    place = settled.write("a", b"content")
    settled.write("b", b"more")
    settled.add()

    def replace():
        place.unlink(missing_ok=True)
        place.symlink_to("b")

    scanner = settled.scanner(kernel=lister(replace), small=small)
    whole = Columns.concat("sha256", 32, scanner.scan(b"data", Store()))
    check_columns(whole, "sha256", 32)
    assert [entry.target for entry in whole.entries()] == [b"b", None]


def test_every_content_goes_to_the_sink(settled):
    settled.write("a", b"1")
    settled.write("b/c", b"2" * 5000)
    settled.write("b/d", b"1")
    store = Store()
    scan, _, _ = settled.add(store, small=1000)
    assert set(store.objects.values()) == {b"1", b"2" * 5000}
    assert scan.bytes_read == 5002


def test_what_the_sink_does_not_have_is_read_again(settled):
    settled.write("a", b"1")
    settled.write("b", b"22")
    settled.write("c", b"3" * 5000)
    settled.add()
    store = Store()
    store.objects[hashlib.sha256(b"1").digest()] = b"1"
    scan, _, root = settled.add(store, small=1000)
    assert scan.bytes_read == 5002
    assert len(store.objects) == 3
    again, _, _ = settled.add(store, small=1000)
    assert again.bytes_read == 0
    assert settled.is_clean(root)


def test_progress_counts_every_byte(settled):
    from kist.abc.progress import Progress

    class Count(Progress):
        total = 0

        def advance(self, amount):
            self.total += amount

    settled.write("a", b"1" * 10)
    settled.write("b", b"2" * 5000)
    for sink in (None, Store()):
        progress = Count()
        scanner = settled.scanner(progress=progress, small=1000, fingerprints=Fingerprints(None))
        list(scanner.scan(b"data", sink))
        assert progress.total == 5010


# ── parts and single files ───────────────────────────────────────────────────────────────────────────────────────────


def parts_of(settled, below, sink=None):
    scanner = settled.scanner()
    scan = scanner.scan(b"data", sink, below)
    entries = {entry.path: entry for part in scan for entry in part.entries()}
    return scanner, scan, entries


def test_a_folder_inside(settled):
    settled.write("a/x", b"1")
    settled.write("a/b/y", b"2")
    settled.write("c", b"3")
    _, _, root = settled.add()
    settled.write("a/b/y", b"new")
    settled.write("c", b"not looked at")
    scanner, scan, entries = parts_of(settled, b"a")
    assert contents(entries) == {b"a/x": sha(b"1"), b"a/b/y": sha(b"new")}
    assert scan.bytes_read == 3
    scan.commit_fingerprints(Digest("sha256", "11" * 32))
    scanner.fingerprints.save()
    assert not settled.is_clean(root)
    assert not settled.is_clean(Digest("sha256", "11" * 32))  # because of c
    settled.write("c", b"3")


def test_an_empty_folder_inside(settled):
    (settled.data / "a").mkdir()
    assert [entry.kind for entry in parts_of(settled, b"a")[2].values()] == ["directory"]
    assert parts_of(settled, b"absent")[2] == {}


@pytest.mark.parametrize("edit", ["changed", "new", "deleted", "link"])
def test_a_file_inside(settled, edit):
    settled.write("a/x", b"1")
    settled.write("a/y", b"2")
    settled.write("a/w/z", b"3")
    settled.add()
    if edit == "changed":
        settled.write("a/x", b"new")
    elif edit == "deleted":
        (settled.data / "a/x").unlink()
    elif edit == "link":
        (settled.data / "a/x").unlink()
        (settled.data / "a/x").symlink_to("y")
    else:
        settled.write("a/v", b"new")
    below = b"a/v" if edit == "new" else b"a/x"
    scanner, scan, entries = parts_of(settled, below)
    if edit == "deleted":
        assert entries == {}
    elif edit == "link":
        assert entries[below].target == b"y"
    else:
        assert contents(entries) == {below: sha(b"new")}
        assert scan.bytes_read == 3
    whole = settled.scanner(fingerprints=Fingerprints(None))
    root = root_of(Columns.concat("sha256", 32, whole.scan(b"data")))
    scan.commit_fingerprints(root, scanner.fingerprints.latest(b"data"))
    scanner.fingerprints.save()
    assert settled.is_clean(root)
    assert settled.add()[0].bytes_read == 0


@pytest.mark.parametrize("edit", ["new", "deleted", "to file"])
def test_a_folder_inside_that_comes_or_goes(settled, edit):
    settled.write("a/x", b"1")
    settled.write("a/w/z", b"3")
    settled.add()
    if edit == "new":
        settled.write("a/v/u/x", b"new")
    else:
        shutil.rmtree(settled.data / "a/w")
    if edit == "to file":
        settled.write("a/w", b"new")
    scanner, scan, entries = parts_of(settled, b"a/v" if edit == "new" else b"a/w")
    assert contents(entries) == {
        "new": {b"a/v/u/x": sha(b"new")}, "deleted": {}, "to file": {b"a/w": sha(b"new")}
    }[edit]  # fmt: skip
    root = root_of(Columns.concat("sha256", 32, settled.scanner(fingerprints=Fingerprints(None)).scan(b"data")))
    scan.commit_fingerprints(root, scanner.fingerprints.latest(b"data"))
    scanner.fingerprints.save()
    assert settled.is_clean(root) or edit == "to file"  # the folder's rows are still there, a whole scan drops them
    assert settled.add()[0].bytes_read == 0
    assert settled.is_clean(root)


def test_a_file_inside_of_which_nothing_is_known(settled):
    settled.write("a/x", b"1")
    scanner, scan, entries = parts_of(settled, b"a/x")
    assert contents(entries) == {b"a/x": sha(b"1")}
    root = Digest("sha256", "11" * 32)
    scan.commit_fingerprints(root)
    scanner.fingerprints.save()
    assert not settled.is_clean(root)


def test_single_files(settled):
    place = settled.write("model.bin", b"weights")
    scanner = settled.scanner()
    store = Store()
    entry = scanner.scan_file(b"data/model.bin", store)
    assert (entry.path, entry.kind, entry.size, entry.digest.hex) == (b"model.bin", "file", 7, sha(b"weights"))
    assert list(store.objects.values()) == [b"weights"]
    assert scanner.last.bytes_read == 7
    scanner.last.commit_fingerprints(entry.digest)
    scanner.fingerprints.save()
    again = settled.scanner()
    assert again.scan_file(b"data/model.bin", store) == entry
    assert again.last.bytes_read == 0
    place.chmod(0o755)
    assert settled.scanner().scan_file(b"data/model.bin").kind == "executable"
    top = settled.root / "top"
    top.write_bytes(b"1")
    assert settled.scanner().scan_file(b"top").digest.hex == sha(b"1")


@pytest.mark.parametrize("kind", ["absent", "folder", "fifo", "absent folder"])
def test_what_is_no_single_file(settled, kind):
    place = settled.data / "x"
    if kind == "folder":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    with pytest.raises(PathConflict, match="data/x"):
        settled.scanner().scan_file(b"data/x/y" if kind == "absent folder" else b"data/x")


def test_an_output_that_is_a_link_is_refused(settled):
    settled.write("a")
    _, _, root = settled.add()
    settled.data.rename(settled.root / "real")
    settled.data.symlink_to("real")
    assert not settled.is_clean(root)
    with pytest.raises(PathConflict, match="symbolic link"):
        list(settled.scanner().scan(b"data"))


# ── rights ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_4_5_unreadable_files_are_all_listed_and_the_others_done():
    import tempfile

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    repo = Repo(folder)
    for name in ("a", "b", "c/d", "c/e"):
        repo.write(name)
    repo.write("big", b"x" * 5000).chmod(0)
    (repo.data / "b").chmod(0)
    (repo.data / "c/d").chmod(0)
    repo.write("closed/x")
    (repo.data / "closed").chmod(0)

    def check():
        scan = repo.scanner(small=1000).scan(b"data")
        paths = [path for part in scan for path in part.paths]
        assert paths == [b"a", b"c/e"]
        assert sorted(path for path, _ in scan.problems) == [b"data/b", b"data/big", b"data/c/d", b"data/closed"]
        assert all(isinstance(error, StorageError) for _, error in scan.problems)

    try:
        as_nobody(check)
    finally:
        (repo.data / "closed").chmod(0o755)
        shutil.rmtree(folder)


def test_a_repository_that_cannot_be_written_works():
    import tempfile

    folder = Path(tempfile.mkdtemp())
    repo = Repo(folder)
    repo.write("a")
    _, _, root = repo.add()
    for place in (folder, repo.data, repo.private):
        place.chmod(0o555)
    (repo.private / "fingerprints.sqlite").chmod(0o444)

    def check():
        scanner = repo.scanner()
        scan = scanner.scan(b"data")
        assert [path for part in scan for path in part.paths] == [b"a"]
        scan.commit_fingerprints(root)
        assert not scanner.fingerprints.save()
        assert scanner.fingerprints.base(b"data") == root

    try:
        as_nobody(check)
    finally:
        for place in (folder, repo.data, repo.private):
            place.chmod(0o755)
        shutil.rmtree(folder)
