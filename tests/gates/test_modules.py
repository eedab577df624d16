"""How many modules each command imports beyond those of the bare interpreter: what is not loaded takes no time."""

import subprocess

import pytest

from gates.support import PYTHON, Repository, make_files

MOST = {
    ("--version",): 38,
    ("--help",): 50,
    ("add", "data"): 300,
    ("status",): 215,
    ("diff",): 225,
    ("checkout",): 290,
    ("push",): 275,
    ("pull",): 325,
    ("gc", "-f"): 275,
    ("verify",): 250,
}
"""Command -> how many; what it takes today and one in twenty more."""
PROBE = """
import sys
before = set(sys.modules)
from kist.cli.main import main
sys.argv = ["kist", *{words!r}]
code = main()
sys.stdout.flush()
sys.stderr.write("\\nMODULES %d %d" % (code or 0, len(set(sys.modules) - before)))
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory, cache_home):
    """A repository with some data, a remote, and an index of plugins."""
    made = Repository(tmp_path_factory.mktemp("modules") / "repository", cache_home)
    make_files(made.folder / "data", 3, 100)
    made.let_age()
    made.run("add", "data")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "data")
    made.run("push")
    modules_of(made, ["--help"])
    return made


def modules_of(repository, words):
    """How many modules a command imports."""
    done = subprocess.run(
        [*PYTHON, "-c", PROBE.format(words=list(words))],
        cwd=repository.folder,
        env=repository.variables(),
        capture_output=True,
        text=True,
        check=True,
    )
    code, count = done.stderr.rpartition("MODULES ")[2].split()
    assert code == "0", done.stderr
    return int(count)


def test_commands_import_little(repository):
    found = {words: modules_of(repository, words) for words in MOST}
    # Where something is installed at this very moment, the index of plugins cannot be kept: those are asked again.
    for words in [words for words, count in found.items() if count > MOST[words]]:
        repository.let_age()
        found[words] = min(modules_of(repository, words) for _ in range(2))
    assert {words: count for words, count in found.items() if count > MOST[words]} == {}
