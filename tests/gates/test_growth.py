"""How work grows with the number of files, counted as calls of functions: in proportion, or less."""

import json
import math
import subprocess

import pytest

from gates.support import PYTHON, Repository, make_files

SIZES = (2000, 8000)
"""Numbers of files; below some thousands, what does not depend on them would be most of the work."""
EXPONENT = 1.05
PROBE = """
import json, sys
counts = {"call": 0, "c_call": 0}
def count(frame, event, argument):
    if event in counts:
        counts[event] += 1
from kist.cli.main import main
from kist.plugins import index, registry
found = index.load_index()  # at times it is made anew, as when another test has installed something
index.load_index = registry.load_index = lambda: found
sys.argv = ["kist", *%r, "--json"]
sys.setprofile(count)
code = main()
sys.setprofile(None)
sys.stdout.flush()
sys.stderr.write("\\nCALLS " + json.dumps([code, sum(counts.values())]))
"""


def calls_of(repository, *words, folder=None):
    """How many functions a command calls, of Python and of C, in one process."""
    done = subprocess.run(
        [*PYTHON, "-c", PROBE % (list(words),)],
        cwd=folder or repository.folder,
        env=repository.variables() | {"KIST_JOBS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    code, count = json.loads(done.stderr.rpartition("CALLS ")[2])
    assert code == 0, done.stdout + done.stderr
    return count


@pytest.fixture(scope="module")
def counted(tmp_path_factory, cache_home):
    """Number of files -> command -> calls."""
    # The first life compiles modules, the second is what commands do without data.
    return {files: life_of(tmp_path_factory, cache_home, files) for files in (1, 2, *SIZES)}


def life_of(tmp_path_factory, cache_home, files):
    """Command -> calls."""
    repository = Repository(tmp_path_factory.mktemp("growth") / "repository", cache_home)
    make_files(repository.folder / "data", files, 60)
    if files in SIZES:
        repository.let_age()
    found = {"add": calls_of(repository, "add", "data"), "status": calls_of(repository, "status")}
    found["push"] = calls_of(repository, "push")
    repository.take_data_away()
    found["checkout"] = calls_of(repository, "checkout")
    repository.share()
    found["pull"] = calls_of(repository, "pull", folder=repository.clone)
    return found


@pytest.mark.parametrize("verb", ["add", "status", "push", "checkout", "pull"])
def test_work_grows_no_faster_than_the_files(counted, verb):
    # Less than a call a file is as good as nothing, and would be measured by chance.
    middle, large = (max(files, counted[files][verb] - counted[2][verb]) for files in SIZES)
    assert math.log(large / middle, SIZES[1] / SIZES[0]) <= EXPONENT
