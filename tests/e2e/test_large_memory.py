"""How much memory a push and a pull of one large file take: no more for a larger one.

The ordinary run has a file that is larger than what may be held. ``KIST_RESUME=whole`` (``tox run -e resume``) has one
of 8 GiB, which takes two to four times that on the disk, and nearly nothing where blocks can be shared.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from kist.engine.transfer.segments import segment_size
from servers.s3_sink import block, running_sink
from servers.scenario import Place, Team

WHOLE = os.environ.get("KIST_RESUME") == "whole"
SIZE = (8 << 30) if WHOLE else (320 << 20)
MOST = 256_000_000
PROBE = """
import re, sys
from kist.cli.main import main
sys.argv = ["kist", *%r]
code = main()
with open("/proc/self/status", encoding="ascii") as stream:
    print("PEAK", code, re.search(r"VmHWM:\\s+(\\d+) kB", stream.read())[1], file=sys.stderr)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")


def peak_of(team, clone, *words):
    """The most bytes that a command holds in memory."""
    command = [sys.executable, "-P", "-c", PROBE % (list(words),)]
    done = subprocess.run(command, cwd=team.folder / clone, env=team.env, check=False, capture_output=True, text=True)
    found = re.search(r"^PEAK (\d+) (\d+)$", done.stderr, re.MULTILINE)
    assert found is not None, done.stderr
    assert found[1] == "0", done.stdout + done.stderr
    return int(found[2]) << 10


@pytest.fixture
def team(tmp_path):
    """Two people whose remote forgets all but the lengths; a large file is not copied where it can be linked."""
    with running_sink() as sink:
        keys = {"access_key_id": "nobody", "secret_access_key": "nothing"}
        place = Place("s3://bucket/store", {"endpoint_url": sink.endpoint}, keys, patience=3600)
        team = Team(tmp_path / "team", place)
        team.env |= {"KIST_CACHE_TYPE": "reflink,hardlink"}
        team.found()
        yield team, sink
        shutil.rmtree(team.folder)


def test_a_large_file_is_never_held_in_memory(team):
    (team, sink), length = team, segment_size(SIZE)
    folder = team.folder / "first" / "data"
    folder.mkdir()
    with (folder / "large").open("wb") as stream:
        for number in range(SIZE // length):
            stream.write(block(number, length))
    peaks = {"add": peak_of(team, "first", "add", "data")}
    team.git("first", "add", "-A")
    team.git("first", "commit", "-q", "-m", "one")
    peaks["push"] = peak_of(team, "first", "push")
    assert sink.received >= SIZE
    shutil.rmtree(folder)
    shutil.rmtree(team.folder / "first" / ".git" / "kist" / "cache")  # room for the other one
    team.clone("second")
    peaks["pull"] = peak_of(team, "second", "pull")
    assert sink.sent >= SIZE
    print(", ".join(f"{verb} of {SIZE >> 20} MiB: {peak / 1e6:.0f} MB" for verb, peak in peaks.items()))
    assert (team.folder / "second" / "data" / "large").stat().st_size == SIZE
    assert max(peaks.values()) <= MOST, peaks
