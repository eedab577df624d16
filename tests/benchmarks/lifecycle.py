"""The life of one repository of one tool: makes it, edits it, shares it, and measures on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.compare import SUFFIX, Content, content_of
from benchmarks.measure import Command, Failed, Sample, measure, run, settle
from benchmarks.operations import OPERATIONS, with_needs
from benchmarks.tools import Tool

MISSING_BEFORE = ("checkout_hardlink", "checkout_symlink", "checkout_copy", "checkout_reflink")


@dataclass(frozen=True)
class Terms:
    """How measuring is done.

    Args:
        repeats: how often what changes nothing is measured in a row.
        timeout: seconds after which a command is killed.
        rest: seconds to wait after data was written.
        pushes: how many small pushes.
    """

    repeats: int
    timeout: float
    rest: float
    pushes: int


Record = Callable[[str, Sample | str | None, int | None], None]
"""Takes an operation, its sample (a text: why there is none; None: no counterpart), and the bytes stored after it."""


class Lifecycle:
    """Does the operations on one tool, in order.

    Args:
        tool: in a fresh place.
        source: the first version of the data.
        terms: how.
        record: takes the figures.
        wanted: the operations to be measured; others are done where these need them.
    """

    def __init__(self, tool: Tool, source: Path, terms: Terms, record: Record, wanted: set[str]) -> None:
        self._tool, self._source, self._terms, self._record = tool, source, terms, record
        self._wanted, self._all = wanted, with_needs(set(wanted))
        self._expected: Content | None = None

    def run(self) -> None:
        """Do them all; one that fails is recorded, and the next is tried."""
        for name in OPERATIONS:
            if name not in self._all:
                continue
            try:
                if name == "add":
                    self._bring_data()
                if name == "status_edited" or (name == "add_edited" and "status_edited" not in self._all):
                    self._edit()
                if not self._tool.can(name):
                    self._tell(name, None)
                    continue
                self._measure(name)
            except (Failed, OSError) as error:
                self._tell(name, str(error))

    def _tell(self, name: str, sample: Sample | str | None, stored: int | None = None) -> None:
        if name in self._wanted:
            self._record(name, sample, stored)

    def _measure(self, name: str) -> None:
        """Measure one operation as often as it is to be."""
        count = self._terms.repeats if OPERATIONS[name].repeats and name in self._wanted else 1
        if name == "checkout_other":
            count += count % 2  # there and back
        if name == "init" and name in self._wanted:
            count = self._terms.repeats
        for turn in range(count):
            if name == "init" and turn:
                self._tool.start_over()
            self._tool.prepare(name)
            away = self._take_away(name)
            try:
                sample = self._timed(self._tool.commands(name))
                if name != "checkout_other" or turn % 2:
                    self._check(name)
            except Failed:
                self._bring_back(away)
                raise
            self._remove(away)
            stored = self._tool.stored() if name in ("add", "add_edited") else None
            self._tell(name, sample, stored)
        self._tool.finish(name)
        if name == "pull":
            shutil.rmtree(self._tool.clone)

    def _timed(self, commands: list[Command]) -> Sample:
        """The figures of some commands, one after the other."""
        before = self._tool.requests()
        samples = [measure(one, self._tool.environment, self._tool.place, self._terms.timeout) for one in commands]
        total = samples[0]
        for one in samples[1:]:
            total += one
        after = self._tool.requests()
        return total if before is None or after is None else replace(total, requests=after - before)

    def _bring_data(self) -> None:
        """The first version, as old as it is at the source."""
        self._tool.work.mkdir(exist_ok=True)
        run(["cp", "-a", str(self._source), str(self._tool.work / "data")], self._tool.place, {})
        self._expected = content_of(self._source)
        settle(self._terms.rest)

    def _edit(self) -> None:
        self._tool.workload.edit(self._tool.work / "data")
        self._expected = content_of(self._tool.work / "data")
        settle(self._terms.rest)

    def _take_away(self, name: str) -> tuple[Path, Path] | None:
        """Make what the operation is to bring back missing: where it was, and where it is now."""
        if name in MISSING_BEFORE:
            here = self._tool.work / "data"
        elif name == "one_path":
            here = self._tool.work / self._tool.workload.one_path
        else:
            return None
        aside = self._tool.place / "aside"
        if self._tool.workload.separate and here.is_dir():  # the metafiles beside the data stay
            run(["cp", "-a", str(here), str(aside)], self._tool.place, {})
            run(["find", str(here), "-name", f"*{SUFFIX}", "-delete"], self._tool.place, {})
        else:
            here.rename(aside)
        return here, aside

    def _remove(self, away: tuple[Path, Path] | None) -> None:
        if away:
            run(["rm", "-rf", str(away[1])], self._tool.place, {})

    def _bring_back(self, away: tuple[Path, Path] | None) -> None:
        if away:
            here, aside = away
            run(["rm", "-rf", str(here)], self._tool.place, {})
            aside.rename(here)

    def _check(self, name: str) -> None:
        """Compare what came out with the source.

        Raises:
            Failed: it is not the same.
        """
        folder = self._tool.work / "data" if name == "one_path" else self._tool.result(name)
        if folder is None:
            return
        try:
            found = content_of(folder)
        except OSError as error:
            raise Failed(f"the result cannot be read: {error}") from None
        if found != self._expected:
            raise Failed(f"the result is not the source: {found} instead of {self._expected}")


def small_pushes(tool: Tool, source: Path, terms: Terms, record: Record) -> None:
    """Edit one file, record it, push it, many times; what a push takes on the average.

    Args:
        tool: in a fresh place.
        source: the data at the beginning.
        terms: how.
        record: takes the figures.
    """
    if not tool.can("push_nothing"):
        record("small_pushes", None, None)
        return
    life = Lifecycle(tool, source, replace(terms, rest=0), lambda *_: None, {"push"})
    life.run()
    files = sorted(path for path in (tool.work / "data").rglob("*") if path.is_file())
    try:
        total = None
        for number in range(terms.pushes):
            files[number % len(files)].write_bytes(b"small change %d" % number)
            if not tool.pushes_workspace:
                for command in tool.commands("add_edited"):
                    run(command.words, command.folder, tool.environment | command.environment)
                tool.finish("add_edited")
            taken = [measure(one, tool.environment, tool.place, terms.timeout) for one in tool.commands("push")]
            total = taken[0] if total is None else total + taken[0]
        record("small_pushes", total.each(terms.pushes), None)
    except Failed as error:
        record("small_pushes", str(error), None)
