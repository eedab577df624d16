"""Bytes that commands read and write, and requests, by the kernel's counters of the process and of its workers.

What a command reads and writes without data (modules, configuration, state) is taken off. ``sendfile`` and its like are
counted as reads and writes by the kernel; mapped files would not be, and nothing measured here maps data.
"""

import pytest

from gates.support import Repository, make_files

MB = 1_000_000
MOST = {
    "add": (1.05, 1.05),  # each byte of the workspace into the cache
    "checkout": (1.05, 1.05),  # and back
    "push": (2.1, 1.05),  # checked before it is sent: a damaged object must not reach others
    "push nothing": (0.05, 0.01),
    "pull": (3.1, 2.1),  # remote to cache, checked there, and from the cache to the workspace
    "status": (0.05, 0.05),
    "add again": (0.05, 0.05),
}
"""Command -> how often it may read and write each byte of the data, beside what it does without data."""
REQUESTS = {"push": 12, "push nothing": 3, "pull": 8}


def life_of(place, cache_home, files, size):
    """Command -> its figures in a life from add to pull, and the bytes of the data."""
    repository = Repository(place, cache_home)
    data = make_files(repository.folder / "data", files, size)
    found = {"add": repository.measured("add", "data")}
    repository.take_data_away()
    found["checkout"] = repository.measured("checkout")
    found["push"] = repository.measured("push")
    found["push nothing"] = repository.measured("push")
    repository.let_age()
    repository.run("status")  # what was written just now is looked at once more
    found["status"] = repository.measured("status")
    found["add again"] = repository.measured("add", "data")
    repository.share()
    found["pull"] = repository.measured("pull", folder=repository.clone)
    return found, data


@pytest.fixture(scope="module")
def bare(tmp_path_factory, cache_home):
    """The figures with next to no data."""
    return life_of(tmp_path_factory.mktemp("bare") / "repository", cache_home, 2, 100)[0]


@pytest.mark.parametrize(("files", "size"), [(1500, 10_000), (1, 24 * MB)], ids=["many", "one"])
def test_each_byte_is_read_and_written_no_oftener_than_needed(tmp_path, cache_home, bare, files, size):
    found, data = life_of(tmp_path / "repository", cache_home, files, size)
    times = {
        verb: ((one.read - bare[verb].read) / data, (one.written - bare[verb].written) / data)
        for verb, one in found.items()
    }
    assert {verb: most for verb, most in times.items() if most[0] > MOST[verb][0] or most[1] > MOST[verb][1]} == {}
    requests = {verb: found[verb].requests for verb in REQUESTS}
    assert {verb: count for verb, count in requests.items() if count > REQUESTS[verb]} == {}


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_links_are_made_without_reading_what_was_hashed_before(tmp_path, cache_home, bare, kind):
    repository = Repository(tmp_path / "repository", cache_home)
    data = make_files(repository.folder / "data", 1500, 10_000)
    repository.run("add", "data")
    repository.run("config", "--local", "cache.type", f"{kind},copy")
    repository.take_data_away()
    first = repository.measured("checkout").read - bare["checkout"].read
    assert data * 0.95 < first < data * 1.1  # out of the packs, once
    repository.take_data_away()  # which changes how each object looks, but for symbolic links
    second = repository.measured("checkout").read - bare["checkout"].read
    assert second < data * 0.1


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_files_become_links_without_being_read_again(tmp_path, cache_home, bare, kind):
    repository = Repository(tmp_path / "repository", cache_home)
    repository.run("config", "--local", "cache.type", f"{kind},copy")
    data = make_files(repository.folder / "data", 1500, 10_000)
    repository.let_age()
    found = repository.measured("add", "data")
    assert found.read - bare["add"].read < data * 1.2  # with what only links need: modules, the record of objects
    assert found.written - bare["add"].written < data * 1.05
    files = [one for one in (repository.folder / "data").rglob("*") if not one.is_dir()]
    assert all(one.is_symlink() or one.stat().st_nlink == 2 for one in files)


def test_requests_do_not_grow_with_the_number_of_files(bare):
    assert {verb: bare[verb].requests for verb in REQUESTS if bare[verb].requests > REQUESTS[verb]} == {}
