"""Foretelling what a scan reads: the total that it comes to, of what changed alone, and never in the way."""

import hashlib
import os
import threading
import time

import pytest

from kist.abc.progress import NullProgress, Progress
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.builtin.pure_kernel import PureKernel
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.foretell import Foretold
from kist.engine.workspace.ignore import IgnoreRules
from kist.engine.workspace.scan import Scanner
from kist.model.columns import Columns
from kist.model.digest import Digest

HOUR = 3600 * 1_000_000_000


class Watched(Progress):
    """Wants a total at once, and lets the test wait for it."""

    total_after = 0.0

    def __init__(self):
        self.total = None
        self.told = threading.Event()

    def expect(self, total):
        self.total = total
        self.told.set()


@pytest.fixture
def scanner(tmp_path):
    (tmp_path / "private").mkdir()
    return lambda: Scanner(
        tmp_path,
        kernel=PureKernel(),
        hasher=HashlibHasher("sha256"),
        ignore=IgnoreRules(),
        fingerprints=Fingerprints(tmp_path / "private" / "fingerprints.sqlite"),
    )


@pytest.fixture
def data(tmp_path):
    """Files, folders, a symlink and an empty folder, all old enough to be trusted."""
    for name, size in {"a": 10, "b": 200, "sub/c": 3000, "sub/deep/d": 40_000}.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, bytes(size))
    (tmp_path / "data" / "link").symlink_to("a")
    (tmp_path / "data" / "empty").mkdir()
    return tmp_path / "data"


def write(path, content):
    path.write_bytes(content)
    os.utime(path, ns=(time.time_ns() - HOUR,) * 2)


def told(scanner, *paths):
    progress = Watched()
    with Foretold(scanner, paths, progress):
        assert progress.told.wait(30)
    return progress.total


def scanned(scanner):
    """Scan and remember; returns the bytes that were read."""
    scan = scanner.scan(b"data")
    whole = Columns.concat("sha256", 32, scan)
    scan.commit_fingerprints(Digest.from_raw("sha256", hashlib.sha256(bytes(len(whole))).digest()))
    assert scanner.fingerprints.save()
    return scan.bytes_read


def test_the_total_is_what_the_scan_reads(scanner, data):
    assert told(scanner(), b"data") == 43_210 == scanned(scanner())


def test_parts_and_files(scanner, data):
    assert told(scanner(), b"data/sub") == 43_000
    assert told(scanner(), b"data/a", b"data/sub/deep") == 40_010


def test_what_is_known_is_not_counted(scanner, data, monkeypatch):
    monkeypatch.setattr("kist.engine.workspace.rows.Row.smudge", lambda *_: None)  # as if all were hours old
    scanned(scanner())
    assert told(scanner(), b"data") == 0
    write(data / "sub" / "c", bytes(7))
    write(data / "sub" / "new", bytes(100))
    (data / "a").unlink()
    assert told(scanner(), b"data") == 107 == scanned(scanner())


def test_another_algorithm_knows_nothing(scanner, data, monkeypatch):
    monkeypatch.setattr("kist.engine.workspace.rows.Row.smudge", lambda *_: None)
    scanned(scanner())
    other = scanner()
    other.hasher.name = "other"
    assert told(other, b"data") == 43_210


def test_ignored_files_are_not_counted(scanner, data):
    (data / ".kistignore").write_text("sub/\n")
    size = (data / ".kistignore").stat().st_size
    assert told(scanner(), b"data") == 210 + size == scanned(scanner())


def test_nothing_is_done_for_who_does_not_watch(scanner, data):
    before = threading.active_count()
    with Foretold(scanner(), [b"data"], NullProgress()):
        assert threading.active_count() == before


def test_a_block_that_is_over_before_anybody_looks_walks_nowhere(scanner, data, monkeypatch):
    monkeypatch.setattr("kist.engine.workspace.foretell.visit", lambda *_, **__: pytest.fail("walked"))
    progress = Watched()
    progress.total_after = 60.0
    began = time.monotonic()
    with Foretold(scanner(), [b"data"], progress):
        pass
    assert time.monotonic() - began < 30
    assert progress.total is None


def test_it_has_ended_when_the_block_ends(scanner, data):
    with Foretold(scanner(), [b"data"], Watched()) as running:
        thread = running._thread
    assert not thread.is_alive()


def test_what_cannot_be_walked_gives_no_total(scanner, data):
    progress = Watched()
    with Foretold(scanner(), [b"gone"], progress) as running:
        running._thread.join(30)
    assert progress.total is None
