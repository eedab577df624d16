"""Times the commands as whole processes on seeded data, beside ``cp`` and Git on the same disk in the same run.

``python tests/benchmarks/bench.py --files 100000 --folder DIR`` prints a table and, with ``--json FILE``, writes the
figures. DIR should be on a file system with a journal and with room for six times the data. Nothing passes or fails
by a time: the figures are for people, and only those of one run compare.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SMALLEST, LARGEST, PER_FOLDER = 1024, 8192, 200
EDITED, ADDED, DELETED = 100, 10, 10
KIST = [sys.executable, "-m", "kist"]
IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@example.invalid")


@dataclass(frozen=True)
class Row:
    """What one command took.

    Args:
        name: what it did.
        seconds: by the clock.
        cpu: seconds of processor time, of its own processes too.
        memory: the largest resident set, in MB.
        requests: to the remote, where it made any.
    """

    name: str
    seconds: float
    cpu: float
    memory: float
    requests: int | None = None


class Bench:
    """Runs commands and keeps their rows.

    Args:
        sync: the value of ``core.fsync``.
    """

    def __init__(self, sync: str) -> None:
        self.rows: list[Row] = []
        self.environment = {**os.environ, "KIST_FSYNC": sync}

    def run(self, name: str, command: list[str], folder: Path, **environment: str) -> None:
        """Run one command to its end; one that fails ends the benchmark.

        Args:
            name: of its row.
            command: program and arguments.
            folder: where it runs.
            **environment: variables of this run only.
        """
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=self.environment | environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with process.stdout as pipe:
            output = pipe.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"{name}: {' '.join(command)} ended with {process.returncode}\n{output.decode()}")
        cpu = usage.ru_utime + usage.ru_stime
        self.rows.append(Row(name, seconds, cpu, usage.ru_maxrss / 1024, requests_of(output)))

    def kist(self, name: str, folder: Path, *words: str, **environment: str) -> None:
        """Run one command of kist."""
        self.run(name, [*KIST, *words, "--json"], folder, **environment)


def requests_of(output: bytes) -> int | None:
    """The requests that a JSON envelope tells of, None where it is not one or tells none."""
    try:
        found = json.loads(output)["data"].get("requests")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if isinstance(found, int) else None


def make_files(folder: Path, files: int, seed: int) -> None:
    """Make *files* files of 1 to 8 KiB, the same for the same seed."""
    chance = random.Random(seed)
    pool = chance.randbytes(1 << 20)
    for number in range(files):
        place = file_of(folder, number)
        if number % PER_FOLDER == 0:
            place.parent.mkdir(parents=True)
        start = chance.randrange(len(pool) - LARGEST)
        head = chance.randbytes(16)
        place.write_bytes(head + pool[start : start + chance.randint(SMALLEST, LARGEST) - 16])


def file_of(folder: Path, number: int) -> Path:
    """Where a file is."""
    return folder / f"part{number // PER_FOLDER:05}" / f"{number:07}.bin"


def edit_files(folder: Path, files: int, seed: int) -> None:
    """Change, add and delete a few of *files* files."""
    chance = random.Random(seed + 1)
    names = [file_of(folder, number) for number in chance.sample(range(files), EDITED + DELETED)]
    for name in names[:EDITED]:
        name.write_bytes(chance.randbytes(2000))
    for name in names[EDITED:]:
        name.unlink()
    for number in range(ADDED):
        (names[number].parent / f"new{number}.bin").write_bytes(chance.randbytes(2000))


def git(folder: Path, *words: str) -> None:
    """Run Git outside of the figures."""
    subprocess.run(["git", *IDENTITY, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def commit(folder: Path, tag: str) -> None:
    """Commit the metafiles under a tag."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", tag)
    git(folder, "tag", tag)


def scenes_of_one_repository(bench: Bench, folder: Path, files: int, seed: int) -> None:
    """Add, look, edit, switch: *folder* holds the data already."""
    git(folder, "init", "-q", "-b", "main")
    bench.kist("init", folder, "init")
    bench.kist("add, not synced", folder, "add", "data", KIST_FSYNC="off")
    commit(folder, "one")
    bench.kist("status, nothing changed", folder, "status")
    edit_files(folder / "data", files, seed)
    bench.kist("status after the edit", folder, "status")
    bench.kist("add after the edit", folder, "add", "data")
    commit(folder, "two")
    bench.kist("diff of the two versions", folder, "diff", "one", "two")
    bench.kist("checkout of the other version", folder, "checkout", "--rev", "one")
    bench.kist("and back", folder, "checkout", "--rev", "two")
    os.rename(folder / "data", folder.parent / "aside")
    bench.kist("checkout, all files missing", folder, "checkout")
    shutil.rmtree(folder.parent / "aside")


def scenes_of_sharing(bench: Bench, folder: Path) -> None:
    """Push, push again, pull into a fresh clone, collect."""
    subprocess.run([*KIST, "remote", "add", "-d", "store", "../store"], cwd=folder, check=True, stdout=subprocess.PIPE)
    commit(folder, "remote")
    bench.kist("push to a local folder", folder, "push")
    bench.kist("push, nothing new", folder, "push")
    clone = folder.parent / "clone"
    git(folder.parent, "clone", "-q", str(folder), str(clone))
    bench.kist("pull into a fresh clone", clone, "pull")
    bench.kist("pull, nothing new", clone, "pull")
    shutil.rmtree(clone)
    bench.kist("gc, nothing to do", folder, "gc")


def scenes_beside(bench: Bench, folder: Path) -> None:
    """The same data once more: copied, added with syncing, and added to Git."""
    copy = folder.parent / "copy"
    copy.mkdir()
    bench.run("cp -r", ["cp", "-r", str(folder / "data"), str(copy / "data")], copy)
    os.sync()
    git(copy, "init", "-q")
    subprocess.run([*KIST, "init"], cwd=copy, check=True, capture_output=True)
    bench.kist("add, synced (batch)", copy, "add", "data", KIST_FSYNC="batch")
    shutil.rmtree(copy / ".git")
    (copy / ".gitignore").unlink()
    git(copy, "init", "-q")
    bench.run("git add", ["git", "add", "data"], copy)
    bench.run("git status", ["git", "status", "--short"], copy)


def start_up(bench: Bench, folder: Path) -> None:
    """The cost of a process that does little, the median of nine."""
    for name, command in (
        ("bare python", [sys.executable, "-c", "pass"]),
        ("kist --version", [*KIST, "--version"]),
        ("kist --help", [*KIST, "--help"]),
        ("status, three files", [*KIST, "status"]),
    ):
        one = Bench("off")
        for _ in range(9):
            one.run(name, command, folder)
        figures = [[getattr(row, field) for row in one.rows] for field in ("seconds", "cpu", "memory")]
        bench.rows.append(Row(name, *(statistics.median(values) for values in figures)))


def small_repository(folder: Path) -> None:
    """A repository with three files."""
    (folder / "data").mkdir(parents=True)
    for name in "abc":
        (folder / "data" / name).write_text(name)
    git(folder, "init", "-q")
    for words in (["init"], ["add", "data"]):
        subprocess.run([*KIST, *words], cwd=folder, check=True, capture_output=True)


def table(rows: list[Row]) -> str:
    """Rows as text."""
    return "\n".join(
        f"{row.name:32} {row.seconds:8.3f} s {row.cpu:8.3f} s cpu {row.memory:7.0f} MB"
        + (f" {row.requests:4} requests" if row.requests is not None else "")
        for row in rows
    )


def main() -> None:
    """Make the data, run every scene, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, required=True, help="an existing folder; 'bench' in it is made anew")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sync", choices=("batch", "each", "off"), default="off", help="core.fsync where not said")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    place = options.folder.resolve() / "bench"
    if place.exists():
        shutil.rmtree(place)
    small_repository(place / "small")
    bench = Bench(options.sync)
    start_up(bench, place / "small")  # first: a process starts with the resident set of the one that starts it
    make_files(place / "one" / "data", options.files, options.seed)
    os.sync()
    scenes_of_one_repository(bench, place / "one", options.files, options.seed)
    scenes_of_sharing(bench, place / "one")
    scenes_beside(bench, place / "one")
    print("\n" + table(bench.rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in bench.rows], indent=1) + "\n")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
