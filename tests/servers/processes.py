"""Start server processes and end them: ports, waiting, and what happens where a program is missing."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(os.environ.get("KIST_TEST_TOOLS") or Path.home() / ".cache" / "kist-test-tools")
"""Where ``install.sh`` puts programs that are no system packages."""
PLACES = ["/usr/sbin", "/sbin", str(TOOLS / "node_modules" / ".bin")]


def unavailable(reason):
    """Skip the test, or fail it where servers are required."""
    if os.environ.get("KIST_REQUIRE_SERVERS") == "1":
        pytest.fail(f"a server is required and not to be had: {reason}", pytrace=False)
    pytest.skip(reason)


def program(name, package):
    """The path of a program, or the test ends here with the name of the package that brings it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))
    if found is None:
        unavailable(f"no {name} here: tests/servers/install.sh installs {package}")
    return found


def free_port():
    """A free port below the range from which the kernel takes the ports of outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """A server process in a session of its own, with a log.

    Args:
        command: program and arguments.
        log: the file that gets what it prints.
        environment: added to this process's own.
    """

    def __init__(self, command, log, environment=None):
        self.log = Path(log)
        with self.log.open("ab") as stream:
            self.running = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def wait_for_port(self, port, seconds=30):
        """Return when something accepts on the port.

        Raises:
            RuntimeError: the process ended, or nothing answered in time; with the end of the log.
        """
        self.wait_until(lambda: _accepts(port), f"port {port}", seconds)

    def wait_until(self, ready, what, seconds=30):
        """Return when *ready* returns true.

        Raises:
            RuntimeError: the process ended, or *what* did not come in time; with the end of the log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self.running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.running.args[0]}: no {what}\n{self.tail()}")
            time.sleep(0.05)

    def tail(self):
        """The end of the log."""
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self):
        """End the process and whatever it started; may be called twice."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.running.wait(5)
                return


@contextlib.contextmanager
def served(command, folder, port=None, environment=None):
    """Run one server while the block runs; with *port*, the block begins when it accepts there."""
    process = Process(command, Path(folder) / f"{Path(str(command[0])).name}.log", environment)
    try:
        if port is not None:
            process.wait_for_port(port)
        yield process
    finally:
        process.stop()


def python_module(name, package):
    """The command that runs a module of this interpreter, or the test ends here."""
    import importlib.util

    if importlib.util.find_spec(name) is None:
        unavailable(f"no module {name} here: pip install {package}")
    return [sys.executable, "-P", "-m", name]


def _accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
