"""Leases: locks for file systems without ``flock``, kept alive by a heartbeat.

A lease is a numbered file beside the lock file: ``<name>.lease-<n>``. The highest number is the one in force. Who wants
the lock makes number n+1, exclusively, when n is released or dead; making a number that a later one has
overtaken counts for nothing. So no step ever removes what another process has just made. Shared locks are exclusive
here, save within one process: slower, never wrong.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kist.engine.process.locks import Holder

BEAT = 5.0
"""Seconds between two heartbeats."""

DEAD_AFTER = 30.0
"""Seconds without a heartbeat, by the waiter's own clock, after which a lease counts as dead."""

RELEASED = "released"

# What this process has seen of foreign leases: path -> (time of the last heartbeat, when that was first seen).
_seen: dict[Path, tuple[int, float]] = {}
# Shared leases of this process: lock file -> (lease in force, users).
_shared: dict[Path, tuple[Lease, int]] = {}
_guard = threading.Lock()


class Lease:
    """One try at holding a lock by a lease.

    Args:
        path: the lock file that has no kernel lock.
        holder: who holds it, for others to read.
        shared: whether other users in this process may hold it at the same time.
        mode: permissions of the file, whatever the umask.
    """

    def __init__(self, path: Path, holder: Holder, *, shared: bool, mode: int = 0o600) -> None:
        self._path = path
        self._holder = holder
        self._is_shared = shared
        self._mode = mode
        self._file: Path | None = None
        self._stop = threading.Event()

    def try_acquire(self) -> bool:
        """Take the lease if it is free.

        Returns:
            Whether it is held now.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._is_shared:
            with _guard:
                if self._path in _shared:
                    lease, users = _shared[self._path]
                    _shared[self._path] = (lease, users + 1)
                    return True
        numbers = _numbers(self._path)
        last = numbers[-1] if numbers else 0
        if last and not _free(_name(self._path, last)):
            return False
        mine = _name(self._path, last + 1)
        try:
            descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, self._mode)
        except FileExistsError:
            return False
        try:
            os.fchmod(descriptor, self._mode)
            os.write(descriptor, self._holder.dump().encode())
        finally:
            os.close(descriptor)
        if _numbers(self._path)[-1] != last + 1:
            mine.unlink(missing_ok=True)
            return False
        self._begin(mine, numbers)
        return True

    def release(self) -> None:
        """Let go: the file stays and says that the lease is free."""
        if self._is_shared:
            with _guard:
                lease, users = _shared[self._path]
                if users > 1:
                    _shared[self._path] = (lease, users - 1)
                    return
                del _shared[self._path]
            lease._end()  # noqa: SLF001 - another object of this class
        else:
            self._end()

    def discard(self) -> None:
        """Let go of a lock that nobody needs any more, with its file; not for shared ones."""
        file = self._file
        self._end()
        if file is not None:
            file.unlink(missing_ok=True)

    def _begin(self, mine: Path, old: list[int]) -> None:
        self._file = mine
        for number in old:
            _name(self._path, number).unlink(missing_ok=True)
        threading.Thread(target=self._beat, name="kist-lease", daemon=True).start()
        if self._is_shared:
            with _guard:
                _shared[self._path] = (self, 1)

    def _end(self) -> None:
        self._stop.set()
        if self._file is not None:
            with suppress(OSError):
                self._file.write_text(RELEASED, "ascii")
            self._file = None

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            file = self._file
            if file is not None:
                with suppress(OSError):
                    os.utime(file)


def lease_holder(path: Path) -> Holder | None:
    """Who holds the lease in place of the lock *path*.

    Args:
        path: the lock file.

    Returns:
        The holder that the lease in force names, None if there is none.
    """
    from kist.engine.process.locks import Holder

    try:
        numbers = _numbers(path)
        text = _name(path, numbers[-1]).read_text("utf-8", "replace") if numbers else ""
    except OSError:
        return None
    return Holder.parse(text)


def _name(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.lease-{number}")


def _numbers(path: Path) -> list[int]:
    start = f"{path.name}.lease-"
    return sorted(
        int(name[len(start) :])
        for name in os.listdir(path.parent)
        if name.startswith(start) and name[len(start) :].isdecimal()
    )


def _free(file: Path) -> bool:
    """Whether a lease is released, or its holder dead."""
    from kist.engine.process.locks import Holder

    try:
        facts = file.stat()
        text = file.read_text("utf-8", "replace")
    except FileNotFoundError:
        return False  # overtaken meanwhile: look again
    except PermissionError:
        text = ""  # another user is making it just now
    holder = Holder.parse(text)
    if holder is not None and holder.gone():
        return True
    if text == RELEASED:
        return True
    return _stale(file, facts.st_mtime_ns)


def _stale(file: Path, beat: int) -> bool:
    """Whether no heartbeat came for too long, by our own clock: those of other machines may differ."""
    now = time.monotonic()
    known = _seen.get(file)
    if known is None or known[0] != beat:
        _seen[file] = (beat, now)
        return False
    return now - known[1] > DEAD_AFTER
