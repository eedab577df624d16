"""A dry run says what would change, in files, bytes and requests, and changes nothing at all: here, in the cache, on the
remote, or in the user's configuration.
"""

import os
import stat

import pytest
from cli_support import cache_of, clone, commit, damage, stored_files, write


def walk(folder):
    """Everything below a folder: kind and mode, content or target, and of files when they were written."""
    found = {}
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(where, name)
            status = os.lstat(path)
            content, when = None, None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                when = status.st_mtime_ns
                with open(path, "rb") as stream:
                    content = stream.read()
            found[path] = status.st_mode, content, when
    return found


@pytest.fixture
def dry(kist):
    """Runs a command with --dry-run, as text and as JSON: nothing changes, and both say what would."""

    def run(*words, folder=None, code=0):
        everything = kist.folder.parent
        before = walk(everything)
        text = kist(*words, "--dry-run", folder=folder, code=code)
        result = kist.json(*words, "--dry-run", folder=folder, code=code)
        after = walk(everything)
        assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()
        data = result.data
        assert data["dry_run"] is True
        data["said"] = text.out + text.err
        return data

    return run


@pytest.fixture
def edited(shared):
    """A shared repository with a new, a changed and a removed file."""
    write(shared.folder, {"data/new.txt": "new\n", "data/a.txt": "changed\n", "data/sub/b.txt": None})
    return shared


def test_init(kist, dry):
    would = dry("init")
    assert would["files"] == 1
    assert f"1 file, {would['bytes']} B" in would["said"] or would["bytes"]
    kist("init")
    assert (
        abs((kist.folder / ".kist" / "config.yaml").stat().st_size - would["bytes"]) <= 2
    )  # a random id, quoted or not


@pytest.mark.parametrize("words", [("add", "data"), ("add", "data/new.txt"), ("commit",)])
def test_add_and_commit(edited, dry, words):
    would = dry(*words)
    done = edited.json(*words).data
    assert {**would, "said": None, "dry_run": False} == {**done, "said": None}
    assert would["bytes_stored"] > 0
    assert "would store" in would["said"]


def test_a_large_file_and_the_same_content_twice(repo, dry):
    large = os.urandom(3 << 20)
    write(repo.folder, {"data/a.bin": large, "data/b.bin": large, "data/c": "c", "data/d": "c"})
    would = dry("add", "data")
    assert would["bytes_stored"] == repo.json("add", "data").data["bytes_stored"]
    assert dry("add", "data")["bytes_stored"] == 0


def test_checkout(edited, dry):
    would = dry("checkout")
    assert (would["files"], would["deleted"]) == (2, 0)
    assert "refused without --force" in would["said"]
    would = dry("checkout", "--force")
    assert would["trashed"] == ["data/a.txt"]
    done = edited.json("checkout", "--force").data
    assert (would["files"], would["bytes"], would["deleted"]) == (done["files"], done["bytes"], done["deleted"])


@pytest.mark.parametrize(
    ("source", "target"), [("data", "moved"), ("data/sub", "data/other"), ("data/a.txt", "data/z")]
)
def test_move(shared, dry, source, target):
    would = dry("move", source, target)
    assert would["files"] > 0
    assert f"{would['files']} file" in would["said"]
    done = shared.json("move", source, target).data
    assert {**would, "said": None, "dry_run": False} == {**done, "said": None}


@pytest.mark.parametrize(
    ("source", "target"),
    [("data", "taken"), ("data/a.txt", "data/sub/b.txt"), ("data/a.txt", "elsewhere"), ("data/sub", "data/sub/in")],
)
def test_move_is_refused_as_it_would_be(shared, source, target):
    write(shared.folder, {"taken": "something"})
    refused = shared.json("move", source, target, "--dry-run", code=None)
    assert refused.classes
    assert shared.json("move", source, target, code=None).json["errors"] == refused.json["errors"]


@pytest.mark.parametrize("words", [("remove", "data"), ("remove", "data/a.txt"), ("remove", "--keep", "data")])
def test_remove(shared, dry, words):
    would = dry(*words)
    done = shared.json(*words).data
    assert {**would, "said": None, "dry_run": False} == {**done, "said": None}


@pytest.mark.parametrize(
    "words",
    [
        ("remote", "add", "-d", "other", "../other"),
        ("remote", "add", "--local", "other", "../other", "-o", "fsync=false"),
        ("remote", "modify", "--local", "store", "fsync", "false"),
        ("remote", "rename", "store", "archive"),
        ("remote", "default", "store"),
        ("remote", "default", "--unset"),
        ("remote", "trust", "store"),
        ("remote", "remove", "store"),
        ("config", "core.remote", "store"),
        ("config", "--local", "core.jobs", "3"),
        ("config", "--global", "core.jobs", "3"),
        ("config", "--unset", "core.remote"),
    ],
)
def test_configuration(shared, dry, words):
    would = dry(*words)
    assert would["requests"] == 0
    assert "no request" in would["said"]
    before = walk(shared.folder.parent)
    done = shared.json(*words).data
    after = walk(shared.folder.parent)
    assert would["files"] == done["files"] == [path for path in done["files"] if before.get(path) != after[path]]
    assert would["bytes"] == done["bytes"] == sum(os.path.getsize(path) for path in done["files"])


def exactly(would, done):
    """A plain transfer can be foreseen to the request."""
    assert would["requests_expected"] == done["requests"]
    assert would["objects"] == done["objects"]
    assert f"about {done['requests']} request" in would["said"]
    assert done["requests_expected"] is None


def test_transfers(tracked, dry):
    tracked("remote", "add", "-d", "store", "../store")
    write(tracked.folder, {"one.bin": os.urandom(9 << 20), "data/more.bin": os.urandom(3 << 20)})
    tracked("add", "one.bin", "data")
    commit(tracked.folder, "v2")
    exactly(dry("push"), tracked.json("push").data)  # to a remote that is not there yet
    other = clone(tracked)
    would = dry("fetch", folder=other)
    exactly(would, tracked.json("fetch", folder=other).data)
    write(tracked.folder, {"data/a.txt": "changed\n", "two.bin": os.urandom(10 << 20)})
    tracked("add", "data", "two.bin")
    exactly(dry("push"), tracked.json("push").data)
    assert dry("push")["objects"] == 0
    commit(tracked.folder, "v3")
    third = clone(tracked, "third")
    would = dry("pull", folder=third)
    assert would["bytes"] > 10 << 20
    exactly(would, tracked.json("pull", folder=third).data)


def test_a_push_of_packs_of_nodes_that_go_as_they_are(tracked, dry, monkeypatch):
    monkeypatch.setattr("kist.engine.transfer.packing.SMALL_PACK", 100)
    tracked("remote", "add", "-d", "store", "../store")
    for folder in ("one", "two", "three"):
        write(tracked.folder, {f"{folder}/{number:0120}": f"{folder} {number}" for number in range(1200)})
        tracked("add", folder)
    exactly(dry("push"), tracked.json("push").data)
    packs = [path for path in (tracked.folder.parent / "store/packs").iterdir() if path.read_bytes()[9:10] == b"\x01"]
    assert len(packs) > 2


def test_push_repair_reads_and_sends_nothing(shared, dry):
    assert dry("push", "--repair")["objects"] == 0
    damage(stored_files(shared.folder.parent / "store")[0])
    would = dry("push", "--repair")
    assert would["objects"] >= 1
    assert would["requests_expected"] is None  # how often it is read anew is known when it is done
    assert "unknown number of requests" in would["said"]


def test_verify_repair(shared, dry):
    damage(stored_files(cache_of(shared.folder))[0])
    assert "would bring back" in dry("verify", "--repair", code=8)["said"]
    damage(stored_files(shared.folder.parent / "store")[0])
    assert "from the cache" in dry("verify", "--repair", "--remote", "store", code=8)["said"]


def test_doctor(shared, dry):
    for path in (cache_of(shared.folder) / "index").iterdir():
        path.unlink()
    would = dry("doctor", "--fix", "--remote", "store")
    assert would["mendable"] == ["cache indexes"]
    assert "would mend: cache indexes" in would["said"]
    assert any("not tried" in one["detail"] for one in would["findings"])
    shared("doctor", "--fix")
    assert dry("doctor", "--fix")["mendable"] == []


def test_gc(edited, dry):
    edited("commit")
    would = dry("gc", "-w")
    assert would["candidates"] > 0
    assert would["bytes"] > 0
    edited("push")
    elsewhere = dry("gc", "-w", "-r", "store")
    assert "more" in elsewhere["said"]
    done = edited.json("gc", "-w", "-f", "-r", "store").data
    assert elsewhere["requests_expected"] == done["requests"]
    edited("gc", "-w", "-f")
    assert dry("gc", "--undo")["restored"] > 0


def test_trash(edited, dry):
    edited("checkout", "--force")
    would = dry("trash", "restore", "data/a.txt", "--to", "old.txt")
    assert (would["restored"], would["files"], would["bytes"]) == (["old.txt"], 1, 8)
    assert dry("trash", "empty", "--older-than", "0s")["bytes"] == 8
    done = edited.json("trash", "restore", "data/a.txt", "--to", "old.txt").data
    assert {**would, "said": None, "dry_run": False} == {**done, "said": None}
