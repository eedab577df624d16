"""How much memory the plan of a transfer, and a whole checkout, take for each file: columns, not objects."""

import json
import subprocess

import pytest

from gates.support import PYTHON, Repository, make_files

SIZES = (2000, 8000)
HELD, PEAK = 200, 400
"""Bytes a file that a plan leaves, the index of the remote included, and that it has at most while it is made."""
CHECKOUT_PEAK = 220
"""Bytes a file that a checkout of missing files has at most: the plan, whose paths alone take 70, and a third of it."""
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


CHECKOUT_PROBE = """
import json, sys, tracemalloc
from kist.cli.main import main
from kist.engine.cache import catalog
from kist.engine.checkout import checks, contents, rows, shares, write
from kist.engine.storage import indexes
from kist.engine.workspace import fingerprints
from kist.util import paths
# What is done at a time does not count for each file, nor does what a small index is held for.
checks._TURN = contents._LOOKED_UP_ALONE = rows._PENDING = shares.TURN = write._BATCH_FILES = paths._TOGETHER = 256
fingerprints._MEMORY = indexes.WHOLE_LIMIT = 1 << 14
catalog.LARGE = indexes._SET_LIMIT = indexes._HOLD_LIMIT = 0
indexes.REQUEST_LIMIT = 1 << 16
shares._processes = lambda: 1
sys.argv = ["kist", *%r, "--json"]
tracemalloc.start()
code = main()
peak = tracemalloc.get_traced_memory()[1]
sys.stdout.flush()
sys.stderr.write("\\nBYTES " + json.dumps([code, 0, peak]))
"""


def bytes_of(repository, *words, folder=None, probe=PROBE):
    """What the plan of a command leaves and has at most, in bytes."""
    done = subprocess.run(
        [*PYTHON, "-c", probe % (list(words),)],
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
        repository.take_data_away()
        found[files]["checkout"] = bytes_of(repository, "checkout", probe=CHECKOUT_PROBE)
        repository.share()
        found[files]["fetch"] = bytes_of(repository, "fetch", folder=repository.clone)
    return found


@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_a_plan_takes_tens_of_bytes_for_each_file(plans, verb):
    (held, peak), (more, higher) = (plans[files][verb] for files in SIZES)
    count = SIZES[1] - SIZES[0]
    assert (more - held) / count <= HELD
    assert (higher - peak) / count <= PEAK


def test_a_checkout_takes_little_beside_its_plan(plans):
    less, more = (plans[files]["checkout"][1] for files in SIZES)
    took = (more - less) / (SIZES[1] - SIZES[0])
    assert took <= CHECKOUT_PEAK
