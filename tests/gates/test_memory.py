"""How much memory the plan of a transfer, and a whole checkout, take for each file: columns, not objects."""

import json
import subprocess

import pytest

from gates.support import PYTHON, Repository, make_files

SIZES = (2000, 8000)
HELD, PEAK = 200, 400
"""Bytes a file that a plan leaves, the index of the remote included, and that it has at most while it is made."""
CHECKOUT_PEAK = 110
"""Bytes a file that a checkout of missing files has at most: digests, sizes and paths of the plan, and some of it twice."""
WHOLE_SIZES = (20_000, 50_000)
"""Numbers of files above what whole commands have in memory at a time."""
WHOLE_PEAK = {"add": 80, "status": 20, "gc": 60, "verify": 76, "push": 160}
"""Command -> bytes a file that it has at most: of gc and verify the digests, of push where they lie;
verify looks a twelfth of them up at a time, so that no index is read for each few."""
LINKED_SIZES = (3000, 9000)
LINKED_PEAK = 60
"""Bytes a file that an ``add`` has at most that stores loose objects and makes files links to them."""
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
from kist.model import columns
from kist.util import paths
# What is done at a time does not count for each file, nor does what a small index is held for.
checks._TURN = contents._MARK_AT = contents._LOOKED_UP_ALONE = rows._PENDING = shares.TURN = write._BATCH_FILES = paths._TOGETHER = 256
fingerprints._MEMORY = indexes.WHOLE_LIMIT = 1 << 14
catalog.LARGE = indexes._SET_LIMIT = indexes._HOLD_LIMIT = 0
indexes.REQUEST_LIMIT = 1 << 16
columns.MANY = 256
shares._processes = lambda: 1
sys.argv = ["kist", *%r, "--json"]
tracemalloc.start()
code = main()
peak = tracemalloc.get_traced_memory()[1]
sys.stdout.flush()
sys.stderr.write("\\nBYTES " + json.dumps([code, 0, peak]))
"""


WHOLE_PROBE = """
import json, sys, tracemalloc
from kist.cli.main import main
from kist.engine.cache import catalog, publish, session
from kist.engine.storage import digest_set, index_builder, indexes, packs, rows, sections
from kist.engine.transfer import local_side, packing, parts
from kist.engine.workspace import fingerprints
from kist.engine.manifest import cut, nodes
# What is done at a time does not count for each file, nor does what a small index or pack is held for.
packs.PACK_LIMIT = session.PACK_LIMIT = packing.PACK_LIMIT = publish.PACK_LIMIT = 1 << 15
publish.SMALL_PACK = packing.SMALL_PACK = packing._FLUSH = 0
session._LOOSE_LIMIT = session._SMALL_LIMIT = 256
session._SEEN_LIMIT = digest_set.FEW = rows.HELD = index_builder._SPAN = parts.BLOCK = local_side._BATCH = 256
sections._BUFFER, cut._PORTION, nodes._BATCH, nodes._KEPT, parts.NODE_BATCH = 1 << 10, 256, 1, 1, 1
fingerprints._MEMORY = fingerprints._CHUNK = indexes.WHOLE_LIMIT = 1 << 14
catalog.LARGE = indexes._SET_LIMIT = indexes._HOLD_LIMIT = 0
indexes.REQUEST_LIMIT = 1 << 16
sys.argv = ["kist", *%r, "--json"]
tracemalloc.start()
code = main()
peak = tracemalloc.get_traced_memory()[1]
sys.stdout.flush()
sys.stderr.write("\\nBYTES " + json.dumps([code, 0, peak]))
"""


LINKING = """
from kist.engine.cache import verified
from kist.engine.checkout import checks, contents, rows as checkout_rows, shares, write
from kist.model import columns
from kist.util import paths
checks._TURN = contents._MARK_AT = contents._LOOKED_UP_ALONE = checkout_rows._PENDING = shares.TURN = 256
write._BATCH_FILES = paths._TOGETHER = columns.MANY = 256
verified._MOST_OWN = 0
# The names in paths are interned for as long as they live; the interpreter's table of them grows in steps, so one is made.
interned = [sys.intern(f"name {number}") for number in range(44_000)]
shares._processes = lambda: 1
sys.argv ="""
LINKING_PROBE = WHOLE_PROBE.replace("sys.argv =", LINKING)


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


@pytest.fixture(scope="module")
def wholes(tmp_path_factory, cache_home):
    """Number of files -> command -> what all of it has at most."""
    found = {}
    for files in WHOLE_SIZES:
        repository = Repository(tmp_path_factory.mktemp("whole") / "repository", cache_home)
        make_files(repository.folder / "data", files, 60)
        repository.let_age()  # else how much of it a status reads again depends on how fast the machine is
        words = {
            "add": ("add", "data"),
            "status": ("status",),
            "gc": ("gc", "-f"),
            "verify": ("verify",),
            "push": ("push",),
        }
        found[files] = {verb: bytes_of(repository, *some, probe=WHOLE_PROBE)[1] for verb, some in words.items()}
    return found


@pytest.mark.parametrize("verb", WHOLE_PEAK)
def test_a_command_takes_little_for_each_file(wholes, verb):
    less, more = (wholes[files][verb] for files in WHOLE_SIZES)
    took = (more - less) / (WHOLE_SIZES[1] - WHOLE_SIZES[0])
    assert took <= WHOLE_PEAK[verb]


def test_an_add_that_links_takes_little_for_each_file(tmp_path, cache_home):
    found = []
    for files in LINKED_SIZES:
        repository = Repository(tmp_path / str(files) / "repository", cache_home)
        repository.run("config", "cache.type", "hardlink")
        make_files(repository.folder / "data", files, 60)
        found.append(bytes_of(repository, "add", "data", probe=LINKING_PROBE)[1])
        assert all(path.stat().st_nlink == 2 for path in (repository.folder / "data").rglob("*.bin"))
    assert (found[1] - found[0]) / (LINKED_SIZES[1] - LINKED_SIZES[0]) <= LINKED_PEAK
