"""Work for each output of one file, of many: what is done once for all of them is not done once for each."""

import pytest

from gates.support import Repository, make_files
from gates.test_calls import calls_of

FEW, MANY = 60, 260
MOST = {"add": 29.0, "add again": 18.0, "status": 8.0, "checkout": 17.0, "pull": 22.0}
"""Command -> system calls for each output, of all its processes, its metafile's own included."""
ONCE = ("execve", "clone3", "vfork", "flock", "fsync", "fdatasync", "fcntl")
"""Calls that no output needs for itself: processes, locks, transactions, waiting for the disk."""


@pytest.fixture(scope="module")
def counted(tmp_path_factory, cache_home):
    """Number of outputs -> command -> system calls."""
    found = {}
    for files in (FEW, MANY):
        repository = Repository(tmp_path_factory.mktemp("outputs") / "repository", cache_home)
        make_files(repository.folder / "data", files, 500)
        names = sorted(str(path.relative_to(repository.folder)) for path in repository.folder.glob("data/*/*.bin"))
        repository.git("commit", "-q", "--allow-empty", "-m", "first")
        repository.let_age()
        here = found[files] = {"add": calls_of(repository, "add", *names)}
        here["add again"] = calls_of(repository, "add", *names)
        here["status"] = calls_of(repository, "status")
        repository.share()
        for path in repository.folder.glob("data/*/*.bin"):
            path.unlink()
        here["checkout"] = calls_of(repository, "checkout")
        repository.run("push")
        here["pull"] = calls_of(repository, "pull", folder=repository.clone)
        for name in names:
            assert (repository.clone / name).read_bytes() == (repository.folder / name).read_bytes()
    return found


def each(counted, verb):
    few, many = counted[FEW][verb], counted[MANY][verb]
    return {name: (count - few.get(name, 0)) / (MANY - FEW) for name, count in many.items() if name != "total"}


@pytest.mark.parametrize("verb", MOST)
def test_system_calls_for_each_output(counted, verb):
    found = each(counted, verb)
    shown = {name: round(count, 2) for name, count in found.items() if count > 0.05}
    assert sum(found.values()) <= MOST[verb], shown


@pytest.mark.parametrize("verb", MOST)
def test_what_is_done_once_for_all(counted, verb):
    found = each(counted, verb)
    assert {name: found[name] for name in ONCE if found.get(name, 0) > 0.1} == {}
