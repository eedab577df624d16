"""Two layers that see the calls which change files: a preloaded library, and wrappers around the functions of ``os``.

Both count the calls of a process after ``arm``, and at a chosen one kill its process group by SIGKILL or let the call
fail. The library sees every such call of the interpreter, of SQLite, of a compiled kernel and of forked workers. The
wrappers see only calls that Python code makes; they serve where no C compiler is.
"""

import ctypes
import os
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

COUNT, KILL_BEFORE, KILL_TORN, KILL_ONE, FAIL, FAIL_FROM = range(6)
"""What happens at the chosen call: nothing; the group dies before it, or half through a write; only the process that
makes it dies; it fails once; it fails and all after it do."""

_NAME_BYTES, _MOST_NAMES = 24, 16384


def build(folder):
    """Build the library.

    Args:
        folder: where to.

    Returns:
        Its path; None where there is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    target = Path(folder) / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", target, source, "-ldl"], check=True)
    return target


@dataclass(frozen=True)
class Seen:
    """The names of the calls, whether the chosen one came, and what that was made on."""

    names: list
    hit: bool
    path: str


class _Block(ctypes.Structure):
    _fields_ = (
        ("mode", ctypes.c_int),
        ("number", ctypes.c_int),
        ("at", ctypes.c_long),
        ("count", ctypes.c_long),
        ("hit", ctypes.c_long),
        ("trace", ctypes.c_int),
        ("path", ctypes.c_char * 512),
        ("names", (ctypes.c_char * _NAME_BYTES) * _MOST_NAMES),
    )


class Preloaded:
    """The library in this process, which was started with it."""

    name = "system calls, by a preloaded library"

    def __init__(self):
        self._library = ctypes.CDLL(None)
        self._library.kist_crash_block.restype = ctypes.POINTER(_Block)
        self._block = self._library.kist_crash_block().contents

    def choose(self, mode, at=0, number=0, *, trace=False):
        """Say, before the fork, what is to happen; *trace*: with SIGUSR1 raised there."""
        block = self._block
        ctypes.memset(ctypes.addressof(block.names), 0, _NAME_BYTES * min(block.count + 1, _MOST_NAMES))
        block.mode, block.number, block.at = mode, number, at
        block.count = block.hit = 0
        block.path, block.trace = b"", trace

    def arm(self):
        """Count from now on, in this process and those that it forks."""
        self._library.kist_crash_arm(1)

    def disarm(self):
        """Count no more."""
        self._library.kist_crash_arm(0)

    def seen(self):
        """What came so far; callable before and after the process is gone."""
        block = self._block
        assert block.count <= _MOST_NAMES
        names = [bytes(name.value).decode() for name in block.names[: block.count]]
        return Seen(names, bool(block.hit), os.fsdecode(block.path))


class InProcess:
    """Wrappers around the functions of ``os``, put there in the child; what they saw goes to the parent in a file."""

    name = "functions of os, in the process (no C compiler)"
    _CHANGING = ("rename", "replace", "link", "symlink", "unlink", "remove", "rmdir", "mkdir", "chmod", "fchmod",
                 "ftruncate", "truncate", "utime", "fsync", "fdatasync")  # fmt: skip

    def __init__(self):
        self._mode = self._at = self._number = 0
        self._armed = False
        self._log = os.memfd_create("calls")

    def choose(self, mode, at=0, number=0, *, trace=False):
        del trace
        self._mode, self._at, self._number = mode, at, number
        os.ftruncate(self._log, 0)

    def arm(self):
        if not self._armed:
            for name in self._CHANGING:
                setattr(os, name, self._wrapped(name, getattr(os, name), lambda *_: True))
            os.open = self._wrapped("open", os.open, lambda _, flags, *__: bool(flags & (os.O_CREAT | os.O_TRUNC)))
            for name in ("write", "pwrite"):
                setattr(os, name, self._wrapped(name, getattr(os, name), _regular))
        self._armed = True

    def disarm(self):
        self._armed = False

    def seen(self):
        size = os.fstat(self._log).st_size
        names = os.pread(self._log, size, 0).decode().split()
        return Seen(names, 0 < self._at <= len(names), "")

    def _wrapped(self, name, original, matters):
        plain_write = os.write

        def call(*args, **options):
            if not self._armed or not matters(*args):
                return original(*args, **options)
            os.lseek(self._log, 0, os.SEEK_END)
            plain_write(self._log, name.encode() + b"\n")
            count = len(self.seen().names)
            if self._mode == COUNT or count < self._at or (count > self._at and self._mode != FAIL_FROM):
                return original(*args, **options)
            if self._mode in (FAIL, FAIL_FROM):
                raise OSError(self._number, os.strerror(self._number))
            if self._mode == KILL_TORN and name in ("write", "pwrite") and len(args[1]) > 1:
                original(args[0], bytes(args[1])[: len(args[1]) // 2], *args[2:])
            os.kill(0 if self._mode != KILL_ONE else os.getpid(), signal.SIGKILL)
            raise AssertionError("still alive")

        return call


def _regular(descriptor, *_):
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def layer():
    """The layer that this process has."""
    return Preloaded() if hasattr(ctypes.CDLL(None), "kist_crash_block") else InProcess()
