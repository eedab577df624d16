"""What one command took: starts the launcher and reads what it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")
LEFT_OUT = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH")
"""Variables that would make Python programs slower than at a user's."""


OTHERS = ("KIST_", "GIT_", "DVC_", "RESTIC_", "BORG_", "RCLONE_", "XDG_", "AWS_", "AZURE_", "S3_", "SSH_", "PYTHON")
"""What begins so would let tools work otherwise than the suite says."""


class Failed(Exception):
    """A command that did not do what it should, with what it said."""


@dataclass(frozen=True)
class Command:
    """One command to be timed.

    Args:
        words: program and arguments.
        folder: where it runs.
        environment: variables beside those of the tool.
    """

    words: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """What a run took.

    Args:
        seconds: by the clock.
        cpu: seconds of processor time, of all processes that it waited for too.
        memory: the peak in bytes, summed over processes.
        read: bytes asked of the kernel.
        written: bytes given to the kernel.
        requests: to the remote, where the command tells.
    """

    seconds: float
    cpu: float
    memory: int
    read: int
    written: int
    requests: int | None = None

    def __add__(self, other: Sample) -> Sample:
        """One after the other."""
        return Sample(
            self.seconds + other.seconds,
            self.cpu + other.cpu,
            max(self.memory, other.memory),
            self.read + other.read,
            self.written + other.written,
            other.requests if self.requests is None else self.requests + (other.requests or 0),
        )

    def each(self, count: int) -> Sample:
        """The share of one of *count*."""
        requests = None if self.requests is None else round(self.requests / count)
        return replace(
            self,
            seconds=self.seconds / count,
            cpu=self.cpu / count,
            read=self.read // count,
            written=self.written // count,
            requests=requests,
        )


def clean_environment(added: dict[str, str]) -> dict[str, str]:
    """This process's variables without those that change a tool, with *added*."""
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT and not name.startswith(OTHERS)}
    return kept | added


def measure(command: Command, environment: dict[str, str], scratch: Path, timeout: float) -> Sample:
    """Run one command.

    Args:
        command: what to run.
        environment: the tool's variables.
        scratch: a folder for what it prints.
        timeout: seconds after which it is killed.

    Raises:
        Failed: it ended with an error; the end of what it said.
    """
    out, err = scratch / "stdout", scratch / "stderr"
    started = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), str(out), str(err), str(timeout), *command.words],
        cwd=command.folder,
        env=clean_environment(environment | command.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if started.returncode:
        raise Failed(started.stderr.strip().rpartition("\n")[2])
    found = json.loads(started.stdout)
    if found["code"]:
        raise Failed(told(command.words, found["code"], out, err))
    return Sample(
        found["seconds"], found["cpu"], found["memory"], found["rchar"], found["wchar"], requests_of(out.read_bytes())
    )


def told(words: list[str], code: int, out: Path, err: Path) -> str:
    """What a command said before it failed, in one line."""
    said = (err.read_text(errors="replace").strip() or out.read_text(errors="replace").strip())[-600:]
    return f"{' '.join(words)[:120]} ended with {code}: {' '.join(said.split())}"


def requests_of(output: bytes) -> int | None:
    """The requests that a JSON envelope tells of, None where it is not one or tells none."""
    try:
        found = json.loads(output)["data"].get("requests")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if isinstance(found, int) else None


def run(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a command outside of the figures and return what it prints.

    Raises:
        Failed: it ended with an error, or it is not there.
    """
    try:
        done = subprocess.run(
            words, cwd=folder, env=clean_environment(environment), capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise Failed(f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-600:]
        raise Failed(f"{' '.join(words)[:120]} ended with {done.returncode}: {' '.join(said.split())}")
    return done.stdout


_TOUCH = """
import mmap, sys
mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
"""


def touch_memory() -> None:
    """Use all free memory once: a virtual machine pays its host for the first touch, which is on no tool's account."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        free = next(int(line.split()[1]) << 10 for line in stream if line.startswith("MemFree:"))
    subprocess.run([sys.executable, "-I", "-S", "-c", _TOUCH, str(max(free - (512 << 20), 1 << 20))], check=True)


def settle(seconds: float) -> None:
    """Let the disk come to rest, and files grow older than the clock's grain, below which tools look twice."""
    os.sync()
    time.sleep(seconds)
