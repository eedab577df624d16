"""How much memory the plan of a transfer takes for each file: columns, not objects."""

import json
import subprocess

import pytest

from gates.support import PYTHON, Repository, make_files

SIZES = (2000, 8000)
HELD, PEAK = 200, 400
"""Bytes a file that a plan leaves, the index of the remote included, and that it has at most while it is made."""
PROBE = """
import gc, json, sys, tracemalloc
from kist.cli.main import main
from kist.engine.transfer import fetch, parts, push
parts.BLOCK = 256  # what is looked up at a time does not count for each file
found = []
def measured(plan):
    def planned(*arguments):
        gc.collect()
        tracemalloc.start()
        result = plan(*arguments)
        peak = tracemalloc.get_traced_memory()[1]
        gc.collect()
        found.extend((tracemalloc.get_traced_memory()[0], peak))
        tracemalloc.stop()
        return result
    return planned
fetch.Fetch.plan = measured(fetch.Fetch.plan)
push.Push.plan = measured(push.Push.plan)
sys.argv = ["kist", *%r, "--json"]
code = main()
sys.stdout.flush()
sys.stderr.write("\\nBYTES " + json.dumps([code, *found]))
"""


def bytes_of(repository, *words, folder=None):
    """What the plan of a command leaves and has at most, in bytes."""
    done = subprocess.run(
        [*PYTHON, "-c", PROBE % (list(words),)],
        cwd=folder or repository.folder,
        env=repository.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    code, held, peak = json.loads(done.stderr.rpartition("BYTES ")[2])
    assert code == 0, done.stdout + done.stderr
    return held, peak


@pytest.fixture(scope="module")
def plans(tmp_path_factory, cache_home):
    """Number of files -> command -> what its plan takes."""
    found = {}
    for files in SIZES:
        repository = Repository(tmp_path_factory.mktemp("memory") / "repository", cache_home)
        make_files(repository.folder / "data", files, 60)
        repository.run("add", "data")
        found[files] = {"push": bytes_of(repository, "push")}
        repository.share()
        found[files]["fetch"] = bytes_of(repository, "fetch", folder=repository.clone)
    return found


@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_a_plan_takes_tens_of_bytes_for_each_file(plans, verb):
    (held, peak), (more, higher) = (plans[files][verb] for files in SIZES)
    count = SIZES[1] - SIZES[0]
    assert (more - held) / count <= HELD
    assert (higher - peak) / count <= PEAK
