"""What the machine can do with the same data: a small C program that makes the system calls that cannot be saved."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Failed, run

SOURCE = Path(__file__).with_name("limits.c")
KINDS = {
    "start": "a bare Python, started and ended",
    "stat": "one stat for each file (C)",
    "read": "each file read (C) and as many bytes hashed by one thread",
    "create": "each file created and written (C)",
    "link": "one hard link for each file (C)",
    "write": "the same bytes into one file (dd)",
    "sync": "the same bytes into one file and onto the disk (dd conv=fdatasync)",
}
OF_OPERATION = {
    "version": ("start",),
    "help": ("start",),
    "init": ("start",),
    "add": ("read",),
    "status": ("stat",),
    "status_edited": ("stat",),
    "add_edited": ("stat",),
    "diff": ("start",),
    "checkout_other": ("stat",),
    "checkout_copy": ("create",),
    "checkout_hardlink": ("link",),
    "checkout_symlink": ("link",),
    "checkout_reflink": ("create",),
    "one_path": ("start",),
    "push": ("write",),
    "push_nothing": ("start",),
    "pull": ("write", "create"),
    "gc": ("start",),
    "verify": ("read",),
    "small_pushes": ("start",),
}
"""Operation -> the limits whose sum no tool can go below that does it one file after the other."""


class Limits:
    """Measures the limits for one set of data.

    Args:
        place: an existing folder on the same file system.
        source: the data.
    """

    def __init__(self, place: Path, source: Path) -> None:
        self._place, self._source, self._target = place, source, place / "limit"
        self._program = place / "limits"

    def measure(self) -> dict[str, float | str]:
        """Kind -> seconds, or why there are none."""
        found: dict[str, float | str] = {}
        for kind in KINDS:
            try:
                found[kind] = self._one(kind)()
            except (Failed, OSError) as error:
                found[kind] = str(error)
            finally:
                self._clear()
        return found

    def _one(self, kind: str) -> Callable[[], float]:
        how = {
            "start": lambda: timed([sys.executable, "-c", "pass"], self._place),
            "read": lambda: self._c("read") + hashing(self._bytes()),
            "write": self._dd,
            "sync": lambda: self._dd("conv=fdatasync"),
        }
        return how.get(kind, lambda: self._c(kind))

    def _c(self, kind: str) -> float:
        if not self._program.exists():
            run(["cc", "-O2", "-o", str(self._program), str(SOURCE)], self._place, {})
        target = [str(self._target)] if kind in ("create", "link") else []
        return float(run([str(self._program), kind, str(self._source), *target], self._place, {}))

    def _dd(self, *more: str) -> float:
        blocks = max(1, self._bytes() >> 16)
        words = ["dd", "if=/dev/zero", f"of={self._target}", "bs=64K", f"count={blocks}", "status=none", *more]
        return timed(words, self._place)

    def _bytes(self) -> int:
        return int(run(["du", "-s", "--apparent-size", "-B1", str(self._source)], self._place, {}).split()[0])

    def _clear(self) -> None:
        if self._target.is_dir():
            shutil.rmtree(self._target)
        self._target.unlink(missing_ok=True)


def timed(words: list[str], folder: Path) -> float:
    """Seconds of a command."""
    started = time.perf_counter()
    run(words, folder, {})
    return time.perf_counter() - started


def hashing(size: int) -> float:
    """Seconds that one thread hashes *size* bytes with kist's default algorithm."""
    try:
        from blake3 import blake3 as algorithm
    except ImportError:
        algorithm = hashlib.sha256
    data = bytes(1 << 24)
    started = time.perf_counter()
    for _ in range(8):
        algorithm(data).digest()
    return (time.perf_counter() - started) * size / (8 << 24)


def of(operation: str, found: dict[str, float | str], durable: bool = False) -> float | None:
    """The limit of an operation in seconds, None where it could not be measured."""
    parts = [found.get(kind) for kind in OF_OPERATION[operation]]
    if durable and operation == "add":
        parts.append(found.get("sync"))
    numbers = [part for part in parts if isinstance(part, float)]
    if len(numbers) < len(parts):
        return None
    return max(numbers) if durable and operation == "add" else sum(numbers)
