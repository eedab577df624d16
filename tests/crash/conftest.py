"""A warm server of kist with the library preloaded, and the sites that scenes start from, made once."""

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import layers
import scenes
from server import Server
from torment import torment

from servers.file_systems import mounted
from users import environment

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A folder in memory where there is one: states are put back thousands of times."""


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """What is preloaded, None where there is no C compiler."""
    return layers.build(tmp_path_factory.mktemp("shim"))


class Pool:
    """Servers that carry out plans, as many at once as there are processors, where tests run in one process.

    Args:
        start: makes a server.
        count: how many.
        sites: a folder for the sites that scenes start from.
    """

    def __init__(self, start, count, sites):
        self._start = start
        self._idle = SimpleQueue()
        self._servers = []
        self._threads = ThreadPoolExecutor(count)
        self._futures = {}
        self._sites = sites
        for _ in range(count):
            self._idle.put(None)

    def use(self, work):
        """Call *work* with a server that nobody else uses."""
        server = self._idle.get()
        if server is None:
            server = self._start()
            self._servers.append(server)
        try:
            return work(server)
        finally:
            self._idle.put(server)

    def make_sites(self):
        """Make the sites that scenes start from."""

        def make(server):
            for name, function in scenes.SITES.items():
                server.ask(function, str(self._sites / name))

        self.use(make)

    def call(self, function, site, *args):
        """Call a function of this folder's modules with *args*, a site and an empty folder."""
        with tempfile.TemporaryDirectory(prefix="kist-crash-", dir=MEMORY) as stage:
            return self.use(lambda server: server.ask(function, *args, str(self._sites / site), stage))

    def begin(self, key, scene, plans, folder=MEMORY):
        """Carry out plans when a server is free; :meth:`result` waits for it."""

        def work(server):
            with tempfile.TemporaryDirectory(prefix="kist-crash-", dir=folder) as stage:
                return server.ask(torment, scene, str(self._sites / scenes.SCENES[scene].base), stage, plans)

        self._futures[key] = self._threads.submit(self.use, work)

    def begun(self, key):
        return key in self._futures

    def result(self, key):
        """The tallies of what was begun under a key."""
        return self._futures.pop(key).result()

    def close(self):
        self._threads.shutdown(cancel_futures=True)
        for server in self._servers:
            server.close()


@pytest.fixture(scope="session")
def pool(library, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("KIST_", "GIT_", "XDG_"))}
    variables |= environment(home)
    variables.pop("KIST_FSYNC")  # the calls that wait for the disk count too

    def start():
        return Server(library, variables)

    count = 1 if "PYTEST_XDIST_WORKER" in os.environ else len(os.sched_getaffinity(0))
    with ExitStack() as stack:
        made = Pool(start, count, tmp_path_factory.mktemp("sites"))
        stack.callback(made.close)
        made.make_sites()
        yield made


@pytest.fixture(scope="session")
def sharing(tmp_path_factory):
    """A folder on a file system that shares blocks, for reflinks; needs root."""
    with mounted("xfs", tmp_path_factory.mktemp("xfs")) as folder:
        yield folder
