"""Locks between processes: kernel locks that die with their holder, and say who holds them.

A lock is ``flock`` on a file that stays; its content only tells who holds it. File systems without ``flock`` get leases
(:mod:`kist.engine.process.leases`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from kist.errors import RepoLocked
from kist.util.atomic import storage_error, storage_errors, temp_name
from kist.util.json_text import load_json
from kist.util.paths import display
from kist.util.slotted import slotted

NO_FLOCK = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""Error numbers by which a file system says that it has no locks."""

TELL_AFTER = 1.0
"""Seconds of waiting before the waiting is told."""

_RECORD_LIMIT = 64 << 10


@slotted(frozen=True)
class Holder:
    """Who holds a lock.

    Args:
        pid: process number on its machine.
        host: name of the machine.
        machine: this boot and process space of the machine: only there does the number mean the same process.
        verb: what the process does.
        since: Unix time at which it got the lock.
    """

    pid: int
    host: str
    machine: str
    verb: str
    since: float

    @classmethod
    def this(cls, verb: str) -> Holder:
        """The holder that this process is."""
        return cls(os.getpid(), host_name(), machine(), verb or "kist", time.time())

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """Read what :meth:`dump` wrote, None if it is torn or foreign."""
        try:
            data = load_json(text)
            host, machine_name, verb = (str(data[key]) for key in ("host", "machine", "verb"))
            return cls(int(data["pid"]), host, machine_name, verb, float(data["since"]))
        except (ValueError, TypeError, KeyError):
            return None

    def dump(self) -> str:
        """One line of JSON."""
        return json.dumps({name: getattr(self, name) for name in self.__match_args__}, sort_keys=True)

    def is_here(self) -> bool:
        """Whether it is a process of this boot of this machine, of which it can be told whether it lives."""
        return self.machine == machine()

    def gone(self) -> bool:
        """Whether the process is known to have ended; False where that cannot be told from here."""
        try:
            os.kill(self.pid, 0)
        except (OSError, OverflowError) as exc:
            return isinstance(exc, ProcessLookupError | OverflowError) and self.is_here()
        return False

    def describe(self) -> str:
        """The holder for people: verb, process and host."""
        return f"'{display(self.verb[:80])}' (process {self.pid} on {display(self.host[:80])})"

    def when(self) -> str:
        """Since when, as local time."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(max(0.0, min(self.since, 4e9))))


def host_name() -> str:
    """The name of this machine."""
    return os.uname().nodename


def machine() -> str:
    """A name for this boot of this machine and its process numbers; containers of one host have different ones."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return host_name()


@slotted(frozen=True)
class Waiting:
    """How a command waits for locks, and what those hear who wait for it.

    Args:
        timeout: seconds to wait before giving up.
        notify: called with a sentence that says for whom it waits.
        verb: what the command is.
    """

    timeout: float = 300.0
    notify: Callable[[str], None] | None = None
    verb: str = ""


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """A lock on a file, for a ``with`` statement; shared by several readers or held by one.

    Args:
        path: the lock file; made if it is not there, its folder too.
        what: what is locked, for messages: "the repository".
        shared: whether others may hold it shared at the same time.
        timeout: seconds to wait before giving up; 0 tries once.
        notify: called with a sentence after a second of waiting, and again when somebody else holds it.
        verb: what this process does, told to those who wait.
    """

    mode = 0o600

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        what: str,
        shared: bool = False,
        timeout: float = 300,
        notify: Callable[[str], None] | None = None,
        verb: str = "",
    ) -> None:
        self.path = Path(path)
        self.what = what
        self.shared = shared
        self.timeout = timeout
        self._notify = notify
        self._verb = verb
        self._descriptor = -1
        self._lease: Any = None
        self._told = ""

    @property
    def held(self) -> bool:
        """Whether this object holds the lock now."""
        return self._descriptor >= 0 or self._lease is not None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait for the lock and take it.

        Raises:
            RepoLocked: somebody else held it to the end of the timeout.
            StorageError: the lock file cannot be made or opened.
        """
        if self.held:
            raise RuntimeError(f"the lock on {self.what} is held already")
        start = time.monotonic()
        pause = 0.005
        while not self.try_acquire():
            waited = time.monotonic() - start
            if waited >= self.timeout:
                holder = self.holder()
                raise RepoLocked(
                    self.what,
                    who=holder.describe() if holder else "another process",
                    since=holder.when() if holder else "",
                )
            if waited >= TELL_AFTER:
                self._tell()
            # A random part keeps many waiting processes from trying all at once.
            time.sleep(min(pause * (0.5 + os.urandom(1)[0] / 255), max(0.0, self.timeout - waited)))
            pause = min(pause * 1.5, 0.1)

    def try_acquire(self) -> bool:
        """Take the lock if it is free.

        Returns:
            Whether it is held now.

        Raises:
            StorageError: the lock file cannot be made or opened.
        """
        with storage_errors(self.path):
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                if not _still_there(descriptor, self.path):
                    os.close(descriptor)
                    return False
            except BlockingIOError:
                os.close(descriptor)
                return False
            except OSError as exc:
                os.close(descriptor)
                if exc.errno in NO_FLOCK:
                    return self._try_lease()
                raise
        self._descriptor = descriptor
        _held.add(self)
        self._record()
        return True

    def release(self) -> None:
        """Let go of the lock; harmless if it is not held."""
        if self._lease is not None:
            lease, self._lease = self._lease, None
            _held.discard(self)
            lease.release()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            _held.discard(self)
            try:
                again = any(other.path == self.path for other in list(_held))  # a lock around this one
                _write(descriptor, _others(descriptor, and_me=again) if self.shared else [])
            except OSError:
                pass  # the content only serves messages; a full disk must not keep the lock
            finally:
                os.close(descriptor)

    def holder(self) -> Holder | None:
        """Who holds the lock now, None if nobody is known to."""
        return find_holder(self.path)

    def forget(self) -> None:
        """In a forked child: close the copy of the descriptor, so that the lock ends with the parent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._lease = None

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make()
            descriptor = os.open(self.path, flags | os.O_CREAT, self.mode)
        facts = os.fstat(descriptor)
        if facts.st_mode & 0o777 != self.mode and facts.st_uid == os.geteuid():
            os.fchmod(descriptor, self.mode)
        return descriptor

    def _make(self) -> None:
        """Make the lock file, where that takes more than opening it."""

    def _try_lease(self) -> bool:
        from kist.engine.process.leases import Lease

        lease = Lease(self.path, Holder.this(self._verb), shared=self.shared, mode=self.mode)
        try:
            if not lease.try_acquire():
                return False
        except OSError as exc:
            raise storage_error(exc, self.path) from exc
        self._lease = lease
        _held.add(self)
        return True

    def _record(self) -> None:
        """Write who holds the lock; only messages depend on it, so failures do not matter."""
        with suppress(OSError):
            others = _others(self._descriptor) if self.shared else []
            _write(self._descriptor, [Holder.this(self._verb), *others])

    def _tell(self) -> None:
        if self._notify is None:
            return
        holder = self.holder()
        text = f"held by {holder.describe()} since {holder.when()}" if holder else "held by another process"
        if text != self._told:
            self._told = text
            self._notify(f"waiting for the lock on {self.what}, {text}")


class GroupLock(Lock):
    """A lock whose file every user may lock, whatever the umask: for caches that several users share."""

    mode = 0o666

    def _make(self) -> None:
        """Give it its name when it has its mode: another user who came in between could not open it."""
        temporary = self.path.with_name(temp_name(self.path.name))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, self.mode)
        try:
            os.fchmod(descriptor, self.mode)
            with suppress(OSError):  # somebody was faster, or the file system has no links: then as for any lock
                os.link(temporary, self.path)
        finally:
            os.close(descriptor)
            os.unlink(temporary)


def find_holder(path: str | os.PathLike[str]) -> Holder | None:
    """Who says in the lock file that it holds the lock.

    Args:
        path: the lock file.

    Returns:
        The newest holder that is not known to have ended, None if there is none.
    """
    from kist.engine.process.leases import lease_holder

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return lease_holder(Path(path))
    try:
        found = [holder for holder in _read(descriptor) if not holder.gone()]
    except OSError:
        found = []
    finally:
        os.close(descriptor)
    return found[0] if found else lease_holder(Path(path))


def has_flock(folder: str | os.PathLike[str]) -> bool:
    """Whether the file system of *folder* has kernel locks.

    Args:
        folder: a folder that this process may write to.

    Returns:
        False if leases must stand in for them.

    Raises:
        StorageError: the folder cannot be written.
    """
    import tempfile

    with storage_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno in NO_FLOCK:
                return False
            raise
    return True


def _read(descriptor: int) -> list[Holder]:
    text = os.pread(descriptor, _RECORD_LIMIT, 0).decode("utf-8", "replace")
    return [holder for line in text.splitlines() if (holder := Holder.parse(line))]


def _others(descriptor: int, *, and_me: bool = False) -> list[Holder]:
    """Who else says that it shares the lock, and this process itself where that is wanted."""
    return [one for one in _read(descriptor) if (and_me or one.pid != os.getpid()) and not one.gone()]


def _write(descriptor: int, holders: list[Holder]) -> None:
    data = "".join(f"{one.dump()}\n" for one in holders[:100]).encode()
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))


def _still_there(descriptor: int, path: Path) -> bool:
    """Whether the locked file is the one that has the name: somebody may have removed it between open and lock."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev)


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.forget()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
