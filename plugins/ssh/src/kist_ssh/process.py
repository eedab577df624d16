"""The ssh process: started, written to, overheard, ended."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import cast

from kist.errors import RemoteError
from kist_ssh.command import Command
from kist_ssh.failures import Talk

_PATIENCE = 2.0
"""Seconds that the process is given to end by itself."""

_PIPE = 1 << 20
"""Bytes that a pipe holds, where the system can be told: fewer turns between us and ssh."""

_LAST_WORDS = 0.5
"""Seconds to wait for the end of standard error, which a process that ssh left behind may keep open."""


class SSHProcess:
    """A running ssh.

    Args:
        command: how to start it.
        log: told of each line that it says.

    Raises:
        RemoteError: it cannot be started.
    """

    def __init__(self, command: Command, log: logging.Logger) -> None:
        self._log = log
        self._talk = Talk()
        self._writing = threading.Lock()
        self._overheard = threading.Event()
        self._running = _start(command)
        self.errors = threading.Thread(target=self._overhear, name="kist-ssh-errors", daemon=True)
        self.errors.start()

    @property
    def output(self) -> io.RawIOBase:
        """What it says on standard output, not buffered; belongs to whoever reads it."""
        return cast("io.RawIOBase", self._running.stdout)

    def write(self, head: bytes, data: bytes | memoryview) -> None:
        """Send bytes, all of them, not mixed with those of other threads.

        Args:
            head: goes first.
            data: goes next; not copied.

        Raises:
            OSError: it reads no more.
        """
        with self._writing:
            stream = self._running.stdin
            assert stream is not None
            if stream.closed:
                raise BrokenPipeError
            descriptor = stream.fileno()
            done = os.writev(descriptor, [head, data])
            if done < len(head) + len(data):
                rest = memoryview(head + bytes(data))[done:]
                while rest:
                    rest = rest[os.write(descriptor, rest) :]

    def wait(self) -> int:
        """Wait until it ends, and make it end where it does not.

        Returns:
            Its exit code, negative for a signal.
        """
        for signal_number in (0, signal.SIGTERM, signal.SIGKILL):
            if signal_number:
                self._running.send_signal(signal_number)
            with suppress(subprocess.TimeoutExpired):
                return self._running.wait(_PATIENCE)
        return self._running.wait()

    def end(self) -> None:
        """Tell it that nothing more comes, then make it end; may be called twice."""
        if self._writing.acquire(timeout=_PATIENCE):  # else a writer is stuck: the end of the process frees it
            self._close_input()
            self._writing.release()
        self.wait()
        with self._writing:
            self._close_input()
        self._overheard.wait(_LAST_WORDS)

    def kill(self) -> None:
        """End it at once."""
        self._running.kill()

    def last_words(self) -> list[str]:
        """The last lines of its standard error, escaped; call it when it has ended."""
        self._overheard.wait(_LAST_WORDS)
        return self._talk.lines()

    def _close_input(self) -> None:
        if self._running.stdin is not None:
            with suppress(OSError):
                self._running.stdin.close()

    def _overhear(self) -> None:
        """Take what it says about itself, so that it never waits to be heard."""
        stream = self._running.stderr
        assert stream is not None
        with stream, suppress(OSError):
            while data := stream.read(4096):
                for line in self._talk.add(data):
                    self._log.debug("ssh: %s", line)
        self._overheard.set()


def _start(command: Command) -> subprocess.Popen[bytes]:
    arguments = command.subsystem()
    try:
        running = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=not command.interactive,  # with a terminal it must stay where it can ask
        )
    except OSError as exc:
        raise RemoteError(f"{command.label}: {arguments[0]} cannot be run: {exc.strerror}") from exc
    for stream in (running.stdin, running.stdout):
        if stream is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # above what this system allows
                fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, _PIPE)
    return running
