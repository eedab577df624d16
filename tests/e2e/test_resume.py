"""A large file over a line that is cut again and again, and with processes that are killed: little moves twice.

``KIST_RESUME_MIB`` and ``KIST_RESUME_CUTS`` ask for another size and more cuts than the ordinary run has.
"""

import json
import os
import signal
import time

import pytest

from servers.faultproxy import proxied
from servers.scenario import Place, Team
from servers.webdav import install_plugin, webdav  # noqa: F401 (a fixture)

SIZE = int(os.environ.get("KIST_RESUME_MIB", "96")) << 20
CUTS = int(os.environ.get("KIST_RESUME_CUTS", "6"))
MOST = 1.15 if SIZE >= 1 << 30 else 1.08 + CUTS * (5 << 20) / SIZE
"""Traffic for each byte: what is in flight weighs more in a small file."""


@pytest.fixture
def line(tmp_path, webdav):  # noqa: F811
    """Two people, a WebDAV server between them, and the proxy before it."""
    plugin = install_plugin(tmp_path / "plugin")
    with proxied(webdav.port, bandwidth=max(40e6, SIZE / 10)) as proxy:
        arguments = json.dumps({**webdav.arguments(port=proxy.port), "timeout": 20})
        url = f"webdav://{webdav.make_folder()}"
        env = {"PYTHONPATH": str(plugin), "KIST_CACHE_HOME": str(tmp_path / "index")}
        team = Team(tmp_path / "team", Place(url, local={"storage_options": arguments}, env=env, patience=900))
        team.found()
        team.record("first", {"large": os.urandom(SIZE)}, "one")
        team.proxy, team.traffic = proxy, proxy.traffic
        yield team


def begin(line):
    """Forget the traffic so far."""
    line.traffic.up = line.traffic.down = line.traffic.resets = 0


def kill_until_done(line, clone, verb):
    """Run a verb that is killed each time when so many bytes have moved, and once to the end: how often it was killed."""
    kills, step = 0, SIZE // CUTS
    while True:
        before = line.traffic.moved
        running = line.start(clone, verb)
        while running.poll() is None and (kills == CUTS or line.traffic.moved - before < step):
            time.sleep(0.002)
        if running.poll() is not None:
            assert running.returncode == 0
            return kills
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        kills += 1


def check(line, what):
    """The traffic is little more than the file."""
    ratio = line.traffic.moved / SIZE
    print(f"{what}: {ratio:.3f} bytes moved for each byte of {SIZE >> 20} MiB")
    assert ratio <= MOST


def test_5_cut(line):
    begin(line)
    line.proxy.faults.cut_every, line.proxy.faults.cuts = SIZE // CUTS, CUTS
    line.kist("first", "push")
    assert line.traffic.resets >= CUTS - 1
    check(line, f"push, {line.traffic.resets} cuts")
    line.proxy.faults.cut_every = None
    line.clone("second")
    begin(line)
    line.proxy.faults.cut_every, line.proxy.faults.cuts = SIZE // CUTS, CUTS
    line.kist("second", "pull")
    assert line.traffic.resets >= CUTS - 1
    check(line, f"pull, {line.traffic.resets} cuts")
    assert line.files("second") == line.files("first")


def test_5_killed(line):
    begin(line)
    kills = kill_until_done(line, "first", "push")
    assert kills >= CUTS - 1
    check(line, f"push, {kills} kills")
    line.clone("second")
    begin(line)
    kills = kill_until_done(line, "second", "pull")
    assert kills >= CUTS - 1
    check(line, f"pull, {kills} kills")
    assert line.files("second") == line.files("first")
    cache = line.folder / "second" / ".git" / "kist" / "cache"
    assert list((cache / "partial").iterdir()) == []
    line.kist("second", "fetch")
    assert [path for path in (cache / "tmp").iterdir() if path.is_dir()] == []
