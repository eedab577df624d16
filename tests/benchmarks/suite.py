"""Runs the suite: tools take turns, round after round, on the same data on the same disk."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks import table
from benchmarks.lifecycle import Lifecycle, Terms, small_pushes
from benchmarks.limits import Limits
from benchmarks.measure import Failed, run, touch_memory
from benchmarks.options import parse
from benchmarks.places import Unsuitable, mount_of, sharing_blocks, workplace
from benchmarks.remotes import FOLDER, site_of
from benchmarks.results import Results
from benchmarks.tools import TOOLS
from benchmarks.workloads import SMALL, START, WORKLOADS, Workload


def main() -> None:
    """Measure, or render what was measured before."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what is mounted is unmounted
    if options.load:
        results = Results.load(options.load)
    else:
        results = Results()
        try:
            with workplace(options.folder, options.image, options.any_disk) as place:
                Suite(place, options, results).run()
        except Unsuitable as error:
            raise SystemExit(str(error)) from None
    tables = table.markdown(results)
    print("\n\n".join(tables.values()) if options.markdown else table.text(results))
    for name, added in tables.items() if options.docs else ():
        table.write_between(options.docs, name, added)


class Suite:
    """One run.

    Args:
        place: an empty folder.
        options: of the command line.
        results: gets the figures.
    """

    def __init__(self, place: Path, options: argparse.Namespace, results: Results) -> None:
        self._place, self._options, self._results = place, options, results
        pushes = max(3, round(500 * min(1.0, options.scale)))
        self._terms = Terms(options.repeats, options.timeout, options.rest, pushes)
        self._missing: dict[str, str] = {}

    def run(self) -> None:
        """All workloads, the data of one at a time."""
        self._results.about = self._about()
        self._warm_up()
        chosen = [START, *(WORKLOADS[name].scaled(self._options.scale) for name in self._options.workloads), SMALL]
        for workload in chosen:
            wanted = set(workload.operations) & set(self._options.operations)
            if not wanted:
                continue
            source = self._place / "source"
            workload.make(source)
            self._results.workloads[workload.name] = self._title(workload)
            for number in range(self._options.rounds):
                self._round(workload, source, wanted, number)
            self._remove(source)

    def _round(self, workload: Workload, source: Path, wanted: set[str], number: int) -> None:
        """Every tool that can do it once, and the machine's limits; who begins changes from round to round."""
        able = [name for name in self._options.tools if workload.remote in TOOLS[name].remotes]
        first = number % max(1, len(able))
        if workload.remote == FOLDER:
            self._measure_limits(workload, source)
        for name in able[first:] + able[:first]:
            self._say(f"{workload.name}, round {number + 1} of {self._options.rounds}: {name}")
            self._one(name, workload, source, wanted)
            if self._options.json:
                self._results.save(self._options.json)

    def _measure_limits(self, workload: Workload, source: Path) -> None:
        found = Limits(self._folder("limits"), source).measure()
        for kind, value in found.items():
            self._results.limits.setdefault(workload.name, {}).setdefault(kind, []).append(value)
        self._remove(self._place / "limits")

    def _one(self, name: str, workload: Workload, source: Path, wanted: set[str], quiet: bool = False) -> None:
        """One tool, once."""
        results = Results() if quiet else self._results
        record = results.recorder(workload.name, name)
        if name in self._missing:
            for operation in wanted:
                record(operation, self._missing[name], None)
            return
        place, server = self._folder(name), self._folder("server")
        try:
            with site_of(workload.remote, server) as site:
                tool = TOOLS[name](place, workload, site)
                if "small_pushes" in wanted:
                    small_pushes(tool, source, self._terms, record)
                else:
                    Lifecycle(tool, source, self._terms, record, wanted - {"checkout_reflink"}).run()
        except Unsuitable as error:
            for operation in wanted:
                record(operation, str(error), None)
        self._remove(place)
        self._remove(server)
        if "checkout_reflink" in wanted and not quiet:
            self._reflink(name, workload, source)

    def _reflink(self, name: str, workload: Workload, source: Path) -> None:
        """Checkout where blocks can be shared: on a file system of its own."""
        record = self._results.recorder(workload.name, name)
        if not TOOLS[name].can(TOOLS[name], "checkout_reflink"):  # type: ignore[arg-type]
            record("checkout_reflink", None, None)
            return
        size = int(run(["du", "-s", "-B1M", str(source)], self._place, {}).split()[0])
        folder = self._folder("xfs")
        try:
            with sharing_blocks(folder, 4 * size + 1024) as point:
                tool = TOOLS[name](point / name, workload)
                Lifecycle(tool, source, self._terms, record, {"checkout_reflink"}).run()
        except Unsuitable as error:
            record("checkout_reflink", str(error), None)
        self._remove(folder)

    def _warm_up(self) -> None:
        """Let every tool live a short life with a few files: that compiles modules, and fills the system's caches."""
        touch_memory()
        workload = WORKLOADS["w1"].scaled(0.0005)
        source = self._place / "source"
        workload.make(source)
        for name in [one for one in self._options.tools if FOLDER in TOOLS[one].remotes]:
            self._say(f"warm-up: {name}")
            self._one(name, workload, source, {"status", "checkout_copy", "pull", "gc"}, quiet=True)
        self._remove(source)

    def _about(self) -> dict[str, object]:
        """What a reader must know beside the figures."""
        tools = {}
        for name in self._options.tools:
            tool = TOOLS[name](self._folder(name), START)
            try:
                version = tool.version_text()
            except Failed as error:
                version = self._missing[name] = f"not to be had: {error}"
            tools[name] = {"version": version, "flags": tool.flags}
            self._say(f"{name}: {version} ({tool.flags})")
            self._remove(tool.place)
        return {
            "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
            "command": shlex.join(["python", "tests/benchmarks", *without_paths(sys.argv[1:])]),
            "machine": machine(self._place),
            "rounds": self._options.rounds,
            "tools": tools,
        }

    def _title(self, workload: Workload) -> str:
        return workload.title if self._options.scale == 1 else f"{workload.title}, × {self._options.scale:g}"

    def _folder(self, name: str) -> Path:
        folder = self._place / name
        folder.mkdir()
        return folder

    def _remove(self, folder: Path) -> None:
        subprocess.run(["rm", "-rf", str(folder)], check=True)

    def _say(self, message: str) -> None:
        print(message, file=sys.stderr)


def without_paths(words: list[str]) -> list[str]:
    """The command line without what is of this machine only."""
    return [
        word for before, word in zip(["", *words], words, strict=False) if not {before, word} & {"--folder", "--json"}
    ]


def machine(place: Path) -> str:
    """Processor, memory, file system and what runs on it."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{len(os.sched_getaffinity(0))} processors ({processor}), {memory:.0f} GiB of memory, {mount_of(place)[0]}, "
        f"Linux {platform.release()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the beginning"
    )


if __name__ == "__main__":
    main()
