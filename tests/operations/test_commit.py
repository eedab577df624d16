"""commit reads what may have changed once, and records only what did."""

import os

import pytest

from kist.api import Repo

SIZE = 48 << 20


@pytest.fixture
def repo(tmp_path):
    (tmp_path / "work").mkdir()
    repo = Repo.init(tmp_path / "work")
    for name in ("one", "two"):
        (repo.root / name).mkdir()
        (repo.root / name / "file").write_bytes(name.encode())
    repo.add([repo.root / "one", repo.root / "two"])
    return repo


def bytes_read():
    with open("/proc/self/io", encoding="ascii") as stream:
        return int(next(line for line in stream if line.startswith("rchar")).split()[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="this system does not count the bytes that are read")
def test_each_byte_is_read_once(repo):
    (repo.root / "one" / "large").write_bytes(os.urandom(SIZE))
    before = bytes_read()
    report = Repo(repo.root).commit()
    assert SIZE <= report.bytes_read < SIZE + 100  # the small files were too young to be known
    assert SIZE <= bytes_read() - before < 1.2 * SIZE


def test_what_was_only_touched_is_not_recorded(repo):
    os.utime(repo.root / "one" / "file", (1, 1))
    (repo.root / "two" / "file").write_bytes(b"changed")
    assert [one.path for one in Repo(repo.root).commit().outputs] == ["two"]
    assert Repo(repo.root).status().clean
    assert Repo(repo.root).commit().outputs == ()


def test_a_part_alone(repo):
    (repo.root / "one" / "more").write_bytes(b"more")
    (repo.root / "one" / "file").write_bytes(b"changed")
    assert [one.path for one in Repo(repo.root).commit([repo.root / "one" / "more"]).outputs] == ["one"]
    assert [change.path for one in Repo(repo.root).status().outputs for change in one.changes] == [b"one/file"]
