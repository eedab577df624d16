"""Edits that leave little or no trace in a file's size and times: seen, recorded as what they are, or refused."""

import mmap
import os
import time

import pytest
from cli_support import Kist, cache_of, git, tree, write
from damage_support import WHOLE, patched

from kist.builtin.pure_kernel import PureKernel
from kist.engine.workspace import ingest
from kist.engine.workspace.rows import Row
from kist_accel.kernel import AccelKernel

SIZES = {"small": 3_000, "large": 3 << 20}
SETTLED = 2.2
"""Seconds after which a file's times count: a little more than the program waits."""


@pytest.fixture(params=["pure", "accel"])
def kernel(request, monkeypatch):
    monkeypatch.setenv("KIST_KERNEL", request.param)
    return {"pure": PureKernel, "accel": AccelKernel}[request.param]


@pytest.fixture
def kist(tmp_path, capsys, monkeypatch, kernel):
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", "--template=")
    kist = Kist(folder, capsys, monkeypatch)
    kist("init")
    return kist


def filled(letter, size):
    """Content of one letter, so that a mixture of two is seen."""
    return letter * size


def in_place(path, content):
    """Write over a file."""
    with path.open("r+b") as file:
        file.write(content)


def time_set_back(path, content):
    """Write over a file, and give it the time that it had."""
    times = path.stat().st_mtime_ns
    in_place(path, content)
    os.utime(path, ns=(times, times))


def renamed_over(path, content):
    """Put another file of that time in its place."""
    times = path.stat().st_mtime_ns
    other = path.with_name(".other")
    other.write_bytes(content)
    os.utime(other, ns=(times, times))
    other.rename(path)


def mapped(path, content):
    """Write through a mapping of memory."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:] = content


EDITS = [in_place, time_set_back, renamed_over, mapped]


def changed(kist):
    return sorted(one["path"] for one in kist.json("status").data["changes"])


def recorded(kist):
    """What the recorded version holds, checked out into an empty place."""
    for path in (kist.folder / "data").iterdir():
        path.unlink()
    kist("checkout")
    assert kist.json("verify").data["damaged"] == []
    return tree(kist.folder / "data")


def seen_and_recorded(kist, files):
    """All these files are new in the workspace: told, protected, recorded."""
    paths = sorted(f"data/{name}" for name in files)
    assert changed(kist) == paths
    refused = kist.json("checkout", code=6)
    assert refused.classes == ["UnsavedChanges"]
    assert tree(kist.folder / "data") == files
    kist("add", "data")
    assert kist.json("status").data["clean"]
    assert recorded(kist) == files


def first_version(kist, edits=EDITS):
    """A file for each edit and size, added."""
    names = [f"{edit.__name__} {size}" for edit in edits for size in SIZES]
    write(kist.folder, {f"data/{name}": filled(b"a", SIZES[name.split()[1]]) for name in names})
    kist("add", "data")
    return names


def do_edits(kist, names, letter=b"b"):
    """Do each edit to its file; what is there then."""
    files = {name: filled(letter, SIZES[name.split()[1]]) for name in names}
    for name, content in files.items():
        globals()[name.split()[0]](kist.folder / "data" / name, content)
    return files


@pytest.mark.parametrize("settled", [False, True])
def test_2_4_an_edit_that_keeps_the_size_is_seen(kist, settled):
    """Right after the add, and when the add has long trusted the file's times."""
    names = first_version(kist)
    if settled:
        time.sleep(SETTLED)
        kist("add", "data")
    files = do_edits(kist, names)
    seen_and_recorded(kist, files)


@pytest.mark.parametrize("settled", [False, True])
def test_2_4_an_edit_after_a_checkout_is_seen(kist, settled):
    names = first_version(kist)
    recorded(kist)
    if settled:
        time.sleep(SETTLED)
        assert kist.json("status").data["clean"]
    files = do_edits(kist, names)
    seen_and_recorded(kist, files)


def racing(monkeypatch, kernel, edit):
    """Let *edit* run directly after each read: of small files when they are closed, of a large one before that."""
    read, stream = kernel.read_small, ingest.FolderReader._hash_or_put

    def read_small(self, directory, names, hasher):
        result = read(self, directory, names, hasher)
        edit()
        return result

    def hash_or_put(self, descriptor, size):
        raw = stream(self, descriptor, size)
        edit()
        return raw

    monkeypatch.setattr(kernel, "read_small", read_small)
    monkeypatch.setattr(ingest.FolderReader, "_hash_or_put", hash_or_put)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("edit", EDITS)
def test_2_4_an_edit_within_the_tick_of_the_read(kist, kernel, monkeypatch, edit, size):
    """The file changes once, immediately after its content was read: whatever is recorded, the change shows."""
    path = kist.folder / "data" / "file"
    write(kist.folder, {"data/file": filled(b"a", SIZES[size])})
    left = [1]

    def once():
        if left:
            left.pop()
            edit(path, filled(b"b", SIZES[size]))

    with monkeypatch.context() as patch:
        racing(patch, kernel, once)
        kist("add", "data")
    assert not left
    if not kist.json("status").data["clean"]:
        assert changed(kist) == ["data/file"]
        kist("add", "data")
    assert kist.json("status").data["clean"]
    same = recorded(kist) == {"file": filled(b"b", SIZES[size])}
    assert same, "an old content has the new times"  # nobody wants to see megabytes compared


class Writer:
    """Writes over a file again and again, in two halves, each time with another letter, until it is left."""

    def __init__(self, path, size, edit=None):
        self._path, self._size, self._edit = path, size, edit

    def __enter__(self):
        from threading import Event, Thread

        self._stop, self._began = Event(), Event()
        self._thread = Thread(target=self._run)
        self._thread.start()
        self._began.wait()
        return self

    def _run(self):
        half = self._size // 2
        number = 0
        with self._path.open("r+b", buffering=0) as file:
            while not self._stop.is_set():
                number += 1
                for start in (0, half):
                    os.pwrite(file.fileno(), bytes([97 + number % 26]) * half, start)
                self._began.set()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("size", SIZES)
def test_2_4_a_file_that_changes_all_the_time(kist, size):
    """Recorded as it was at one moment, or named and left out; the others are there, and then it is recorded."""
    path = kist.folder / "data" / "busy"
    write(kist.folder, {"data/busy": filled(b"a", SIZES[size]), "data/still": b"still"})
    for _ in range(6 if WHOLE else 2):
        with Writer(path, SIZES[size]):
            result = kist.json("add", "data", code=None)
        assert result.code in (0, 6)
        if result.code == 6:
            assert "busy" in str(result.json["errors"])
        elif not kist.json("status").data["clean"]:
            assert changed(kist) == ["data/busy"]
    now = path.read_bytes()
    kist("add", "data")
    same = recorded(kist) == {"busy": now, "still": b"still"}
    assert same, "a content that the file never had"


def test_1_5_a_hard_link_that_was_edited_in_place(kist):
    """Told by status, kept by add; with its time set back it is found by verify, and a repair parts the two."""
    kist("config", "--local", "cache.type", "hardlink")
    write(kist.folder, {"data/one": b"one" * 500, "data/two": b"two" * 500})
    kist("add", "data")
    time.sleep(SETTLED)
    assert kist.json("status").data["clean"]
    one, two = kist.folder / "data" / "one", kist.folder / "data" / "two"
    assert one.stat().st_nlink == 2
    one.chmod(0o644)
    in_place(one, b"ONE" * 500)
    assert changed(kist) == ["data/one"]
    kist("add", "data")
    assert one.read_bytes() == b"ONE" * 500
    two.chmod(0o644)
    time_set_back(two, b"TWO" * 500)
    found = kist.json("verify", code=8).data
    assert [bad["paths"] for bad in found["damaged"]] == [["data/two"]]
    kist.json("verify", "--repair", code=None)
    assert two.read_bytes() == b"TWO" * 500
    assert changed(kist) == ["data/two"]
    kist("add", "data")
    kist("verify")
    assert recorded(kist) == {"one": b"ONE" * 500, "two": b"TWO" * 500}
    assert os.listdir(cache_of(kist.folder) / "quarantine")


# ── what the tests must catch ────────────────────────────────────────────────────────────────────────────────────────


def test_a_read_that_looks_at_the_file_once_is_caught(kist, kernel, monkeypatch):
    """It gives the old content the new times."""
    patched(monkeypatch, ingest.FolderReader, "_stream", "not _values(before) == _values(after)")
    monkeypatch.setattr(Row, "smudge", lambda *_: None)
    with pytest.raises(AssertionError):
        test_2_4_an_edit_within_the_tick_of_the_read(kist, kernel, monkeypatch, in_place, "large")
