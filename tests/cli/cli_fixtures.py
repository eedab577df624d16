"""``kist`` as a person runs it, as fixtures: each test with a home folder of its own."""

import pytest
from cli_support import DATA, Kist, commit, git, write

from sites import installed
from users import become


@pytest.fixture(scope="session")
def plugin_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("plugin-cache")


@pytest.fixture(autouse=True)
def fresh_user(tmp_path, monkeypatch, plugin_cache):
    """A user without any configuration, and a Git that knows only what it is told here."""
    home = tmp_path / "home"
    home.mkdir()
    become(monkeypatch, home, plugin_cache)


@pytest.fixture
def kist(tmp_path, capsys, monkeypatch):
    """``kist`` in an empty folder that is no repository."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Kist(folder, capsys, monkeypatch)


@pytest.fixture
def plain(kist):
    """A repository without Git."""
    kist("init")
    return kist


@pytest.fixture
def repo(kist):
    """A repository inside Git, nothing tracked yet."""
    git(kist.folder, "init", "-q", "-b", "main")
    kist("init")
    return kist


@pytest.fixture
def tracked(repo):
    """A repository with one tracked directory, committed, as the tag v1."""
    write(repo.folder, DATA)
    repo("add", "data")
    commit(repo.folder, "v1")
    return repo


@pytest.fixture
def shared(tracked):
    """The same with a default remote that has everything."""
    tracked("remote", "add", "-d", "store", "../store")
    tracked("push")
    commit(tracked.folder, "remote")
    return tracked


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install small distributions for one test."""
    with installed(tmp_path, monkeypatch) as site:
        yield site
