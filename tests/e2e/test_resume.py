"""A large file over a line that is cut again and again, and with processes that are killed: little moves twice.

The ordinary run has one server and a small file. ``KIST_RESUME=whole`` (``tox run -e resume``) has every kind of remote,
and 1 GiB with twenty cuts, or ten where a server is slow.
"""

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.scenario import Place, Team
from servers.webdav import webdav  # noqa: F401 (a fixture)

from . import lines

WHOLE = os.environ.get("KIST_RESUME") == "whole"
SIZE = (1024 if WHOLE else 96) << 20
SLOW = ("azure", "gdrive")
KINDS = ["webdav", "s3", "ssh", *SLOW] if WHOLE else ["webdav"]


@dataclass
class Line:
    """A team, and the proxy between it and its remote."""

    team: Team
    proxy: lines.proxied
    cuts: int

    @property
    def most(self):
        """Traffic for each byte of the file: what is in flight weighs more in a small one."""
        return 1.15 if WHOLE else 1.08 + self.cuts * (5 << 20) / SIZE

    def begin(self):
        """Forget the traffic so far."""
        traffic = self.proxy.traffic
        traffic.up = traffic.down = traffic.resets = 0

    def check(self, what):
        """The traffic is little more than the file."""
        ratio = self.proxy.traffic.moved / SIZE
        print(f"{what}: {ratio:.3f} bytes moved for each byte of {SIZE >> 20} MiB")
        assert ratio <= self.most


@pytest.fixture(params=KINDS)
def line(request, tmp_path, webdav):  # noqa: F811
    """Two people with a remote behind a line that is slower than they are, so that little waits in sockets to be lost."""
    more = (webdav,) if request.param == "webdav" else ()
    place = tmp_path / "place"
    place.mkdir()
    with getattr(lines, request.param)(place, 40e6, *more) as (where, proxy):
        where.patience = 900
        team = Team(tmp_path / "team", where)
        team.found()
        team.record("first", {"large": os.urandom(SIZE)}, "one")
        cuts = 6 if not WHOLE else 10 if request.param in SLOW else 20
        yield Line(team, proxy, cuts)
        shutil.rmtree(team.folder)


def kill_until_done(start, moved, cuts):
    """Run a command that is killed each time when so many bytes have moved, and once to the end: how often."""
    kills, step = 0, SIZE // cuts
    while True:
        before = moved()
        running = start()
        while running.poll() is None and (kills == cuts or moved(running) - before < step):
            time.sleep(0.002)
        if running.poll() is not None:
            assert running.returncode == 0
            return kills
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        kills += 1


def nothing_is_left(team, clone):
    """No half-brought object stays, once another command has run."""
    team.kist(clone, "fetch")
    cache = team.folder / clone / ".git" / "kist" / "cache"
    assert list((cache / "partial").iterdir()) == []
    assert [path for path in (cache / "tmp").iterdir() if path.is_dir()] == []


def test_5_cut(line):
    team, proxy = line.team, line.proxy
    for clone, verb in (("first", "push"), ("second", "pull")):
        if verb == "pull":
            team.clone(clone)
        line.begin()
        proxy.faults.cut_every, proxy.faults.cuts = SIZE // line.cuts, line.cuts
        team.kist(clone, verb)
        proxy.faults.cut_every = None
        assert proxy.traffic.resets >= line.cuts - 1
        line.check(f"{verb}, {proxy.traffic.resets} cuts")
    assert team.files("second") == team.files("first")


def test_5_killed(line):
    team = line.team
    for clone, verb in (("first", "push"), ("second", "pull")):
        if verb == "pull":
            team.clone(clone)
        line.begin()
        kills = kill_until_done(
            lambda clone=clone, verb=verb: team.start(clone, verb), lambda *_: line.proxy.traffic.moved, line.cuts
        )
        assert kills >= line.cuts - 1
        line.check(f"{verb}, {kills} kills")
    assert team.files("second") == team.files("first")
    nothing_is_left(team, "second")


@pytest.mark.skipif(not WHOLE, reason="KIST_RESUME=whole")
def test_5_killed_in_a_folder(tmp_path):
    """A folder has no line: what the killed processes wrote is counted, as the kernel tells it."""
    team, cuts, counted = Team(tmp_path / "team", Place(str(tmp_path / "store"), patience=900)), 20, {}
    team.found()
    team.record("first", {"large": os.urandom(SIZE)}, "one")

    def moved(running=None):
        if running is not None:
            with Path(f"/proc/{running.pid}/io").open() as stream:
                counted[running.pid] = int(dict(line.split(": ") for line in stream)["wchar"])
        return sum(counted.values())

    for clone, verb in (("first", "push"), ("second", "fetch")):
        if verb == "fetch":
            team.clone(clone)
        counted.clear()
        kills = kill_until_done(lambda clone=clone, verb=verb: team.start(clone, verb), moved, cuts)
        ratio = moved() / SIZE
        print(f"{verb}, {kills} kills: {ratio:.3f} bytes written for each byte of {SIZE >> 20} MiB")
        assert kills >= cuts - 1
        assert ratio <= 1.15
    team.kist("second", "checkout")
    assert team.files("second") == team.files("first")
    nothing_is_left(team, "second")
    shutil.rmtree(team.folder)
