"""System calls for each file, counted by strace."""

import pytest

from gates.support import Repository, make_files
from servers.processes import program

FEW, MANY = 400, 1600
MOST = {"add": 6.6, "status": 1.4, "checkout": 4.5}
"""Command -> system calls for each file, of all its processes, beside those that it makes without files.

add: stat, open, stat, read, stat, close, so that a change while it reads is seen; checkout: open, write, stat, close."""


def calls_of(repository, *words, folder=None):
    """System calls of a command and of its workers."""
    strace = program("strace", "strace")
    table = repository.place / "calls"
    repository.run(*words, folder=folder, before=[strace, "-f", "-c", "-U", "name,calls", "-o", str(table)])
    rows = [line.split() for line in table.read_text().splitlines()]
    return {name: int(count) for name, count in (row for row in rows if len(row) == 2 and row[1].isdigit())}


@pytest.fixture(scope="module")
def counted(tmp_path_factory, cache_home):
    """Number of files -> command -> system calls."""
    found = {}
    for files in (FEW, MANY):
        repository = Repository(tmp_path_factory.mktemp("calls") / "repository", cache_home)
        make_files(repository.folder / "data", files, 500)
        repository.let_age()
        found[files] = {"add": calls_of(repository, "add", "data"), "status": calls_of(repository, "status")}
        repository.take_data_away()
        found[files]["checkout"] = calls_of(repository, "checkout")
    return found


def assert_few(found, verb, most):
    """At most so many system calls of a command for each file."""
    few, many = found[FEW][verb], found[MANY][verb]
    each = {name: (count - few.get(name, 0)) / (MANY - FEW) for name, count in many.items() if name != "total"}
    shown = {name: round(count, 2) for name, count in each.items() if count > 0.05}
    assert sum(each.values()) <= most, shown


@pytest.mark.parametrize("verb", MOST)
def test_system_calls_for_each_file(counted, verb):
    assert_few(counted, verb, MOST[verb])


LINKED = {"add": 20.6, "checkout": 7.0, "checkout again": 4.9}
"""The same of commands that make hard links. So few objects that each folder of the cache has some are asked for one by
one, where more would be listed.

add: read as ever; the object is opened, written, closed, and looked at to be recorded; file and object are looked at
before the link is made beside the file and renamed over it. checkout: the object is opened, written, closed and looked
at, linked, and the link listed; of objects that are files already only the latter."""


@pytest.fixture(scope="module")
def linked(tmp_path_factory, cache_home):
    """Number of files -> command -> system calls, with hard links."""
    found = {}
    for files in (FEW, MANY):
        packed, loose = (
            Repository(tmp_path_factory.mktemp("links") / name, cache_home) for name in ("packed", "loose")
        )
        for repository in (packed, loose):
            make_files(repository.folder / "data", files, 500)
            repository.let_age()
        packed.run("add", "data")
        packed.environment["KIST_CACHE_TYPE"] = loose.environment["KIST_CACHE_TYPE"] = "hardlink"
        found[files] = {"add": calls_of(loose, "add", "data")}
        packed.take_data_away()
        found[files]["checkout"] = calls_of(packed, "checkout")
        packed.take_data_away()
        found[files]["checkout again"] = calls_of(packed, "checkout")
        for repository in (packed, loose):
            assert all(one.stat().st_nlink == 2 for one in (repository.folder / "data").rglob("*") if one.is_file())
    return found


@pytest.mark.parametrize("verb", LINKED)
def test_system_calls_for_each_link(linked, verb):
    assert_few(linked, verb, LINKED[verb])


@pytest.mark.parametrize(("mode", "waits"), [("off", False), ("batch", True)])
def test_waits_for_the_disk_as_it_is_told(tmp_path, cache_home, mode, waits):
    """With ``core.fsync=off`` not even what is remembered of the workspace: it would wait for all files."""
    repository = Repository(tmp_path / "repository", cache_home)
    repository.environment["KIST_FSYNC"] = mode
    make_files(repository.folder / "data", 3, 500)
    repository.let_age()
    repository.run("add", "data")  # which made the cache
    repository.take_data_away()
    calls = calls_of(repository, "checkout")
    assert any("sync" in name for name in calls) == waits, calls
