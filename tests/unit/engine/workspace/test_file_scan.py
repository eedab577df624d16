"""Many single-file outputs read together: the same as scans of each, with less work."""

import os
import time

import pytest

from kist.engine.workspace import file_scan as module
from kist.engine.workspace.file_scan import FileScan
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.ignore import IgnoreRules
from kist.errors import KistError
from unit.engine.workspace.scan_support import Repo, Store


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


def make_all_kinds(repo):
    """Files of every kind in several folders; gives their paths."""
    repo.write("a/plain", b"1")
    repo.write("a/young", b"2", age=0)
    repo.write("a/executable", b"3").chmod(0o755)
    repo.write("a/deep/plain", b"4" * 3000)
    repo.write("a/.hidden", b"5")
    repo.write("a/large", b"6" * (1 << 21))
    repo.write("empty", b"")
    os.symlink("plain", repo.data / "a/link")
    os.mkfifo(repo.data / "a/fifo")
    (repo.data / "a/folder").mkdir()
    return [
        f"data/{name}".encode()
        for name in (
            "a/plain", "a/young", "a/executable", "a/deep/plain", "a/.hidden", "a/large", "empty", "a/link", "a/fifo",
            "a/folder", "a/absent", "absent/x", "a/plain/below",
        )
    ]  # fmt: skip


def alone(repo, paths, **options):
    """What scans of each file find, and the rows that they put."""
    scanner = repo.scanner(**options)
    found = {}
    for path in paths:
        try:
            found[path] = scanner.scan_file(path)
        except KistError:
            continue
    return found


def together(repo, paths, sink=None, **options):
    scanner = repo.scanner(**options)
    scan = FileScan(scanner, sink)
    found = {one.path: one for one in scan.scan(paths)}
    for one in found.values():
        one.commit_fingerprints(one.entry.digest)
    scanner.fingerprints.save()
    return scan, found


@pytest.mark.parametrize("most", [1, 3, 4096])
def test_the_same_as_alone(repo, monkeypatch, most):
    monkeypatch.setattr(module, "_MOST", most)
    paths = make_all_kinds(repo)
    rules = IgnoreRules(always=frozenset({b".hidden"}))
    expected = alone(repo, paths, ignore=rules, fingerprints=Fingerprints(None))
    scan, found = together(repo, paths, ignore=rules)
    plain = {path: entry for path, entry in expected.items() if entry.kind in ("file", "executable")}
    assert {path: one.entry for path, one in found.items()} == plain
    assert len(found) == 6
    assert scan.bytes_read == sum(entry.size for entry in plain.values())


def test_rows_are_those_of_scans_alone(repo):
    paths = make_all_kinds(repo)
    together(repo, paths)
    rows = repo.scanner().fingerprints.get_files(paths)
    for path in rows:
        one = Repo(repo.root).scanner(fingerprints=Fingerprints(repo.private / "other.sqlite"))
        one.scan_file(path)
        one.fingerprints.save()
        assert Fingerprints(repo.private / "other.sqlite").get(path, is_file=True) == rows[path]
    assert len(rows) == 7


def test_what_is_known_is_not_read_again_and_its_row_stays(repo):
    names = [f"data/{number}".encode() for number in range(700)]
    for number in range(700):
        repo.write(str(number), b"%d" % number)
    let_age()
    first, _ = together(repo, names)
    again, found = together(repo, names)
    assert first.bytes_read > 0
    assert again.bytes_read == 0
    assert all(one.fingerprints is None for one in found.values())


def let_age():
    """Wait until no file is so young that its row is not trusted."""
    time.sleep(2.1)


def test_an_edit_that_keeps_size_and_time_is_seen(repo):
    place = repo.write("x", b"before")
    let_age()
    together(repo, [b"data/x"])
    times = place.stat()
    place.write_bytes(b"behind")
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    _, found = together(repo, [b"data/x"])
    assert found[b"data/x"].entry == repo.scanner().scan_file(b"data/x")


def test_contents_that_the_sink_lacks_are_read_although_they_are_known(repo):
    repo.write("x", b"one")
    repo.write("y", b"two")
    let_age()
    store = Store()
    together(repo, [b"data/x", b"data/y"], store)
    assert sorted(store.objects.values()) == [b"one", b"two"]
    store.objects.clear()
    scan, _ = together(repo, [b"data/x", b"data/y"], store)
    assert sorted(store.objects.values()) == [b"one", b"two"]
    assert scan.bytes_read == 6


def test_the_sink_is_asked_once_a_folder(repo):
    for number in range(50):
        repo.write(f"a/{number}", b"%d" % number)
    let_age()
    store = Store()
    names = [f"data/a/{number}".encode() for number in range(50)]
    together(repo, names, store)
    store.asked = 0
    together(repo, names, store)
    assert store.asked == 1


def test_a_file_that_vanishes_is_left_out(repo, monkeypatch):
    repo.write("x", b"1")
    gone = repo.write("y", b"2")
    listing = module.list_one

    def list_then_remove(descriptor, name):
        found = listing(descriptor, name)
        if name == b"y":
            gone.unlink()
        return found

    monkeypatch.setattr(module, "list_one", list_then_remove)
    _, found = together(repo, [b"data/x", b"data/y"])
    assert list(found) == [b"data/x"]
