"""checkout of many single-file outputs: those that are right are left out, the others go into one plan."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from kist.engine.checkout.plan import CheckoutPlan, plan_checkout
from kist.engine.workspace.file_scan import FileScan
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.rows import Row, single_rows
from kist.engine.workspace.unchanged_files import unchanged_files
from kist.model.columns import Columns
from kist.model.entry import EXECUTABLE, FILE, Entry
from kist.model.tracked import TrackedOutput
from kist.operations.intents import saved_in_cache
from kist.repo.context import RepoContext
from kist.repo.targets import Target, recorded_file
from kist.util.paths import parents
from kist.util.slotted import slotted


@slotted(frozen=True)
class FilePlan:
    """What must change of single-file outputs that are written alike.

    Args:
        targets: the outputs.
        plan: paths relative to the repository.
    """

    targets: Sequence[Target]
    plan: CheckoutPlan


class FileRows:
    """Takes what a checkout tells of new folders for what is known of the single-file outputs in them.

    Args:
        fingerprints: learns it.
    """

    def __init__(self, fingerprints: Fingerprints) -> None:
        self._fingerprints = fingerprints

    def put_many(self, rows: Iterable[Row]) -> None:
        """Remember the files that new folders hold.

        Args:
            rows: of the folders.
        """
        for row in rows:
            self._fingerprints.put_many([one for one in single_rows(row) if one.listing.kinds[0] in (FILE, EXECUTABLE)])


def plan_files(context: RepoContext, found: Sequence[Target]) -> tuple[list[FilePlan], list[Target]]:
    """Plan the checkout of single-file outputs together.

    Args:
        context: the repository.
        found: any targets.

    Returns:
        The plans, and the targets that must be planned one by one: directories, outputs in each other's way, and
        places that hold something else than a plain file.
    """
    files, others = _apart(found)
    groups: dict[tuple[str, tuple[str, ...]], list[Target]] = {}
    for target in files:
        output = target.tracked.output
        groups.setdefault((output.digest.algorithm, output.links), []).append(target)
    plans = []
    for (algorithm, _), group in groups.items():
        changed = _changed(context, algorithm, group)
        plan, odd = _plan(context, algorithm, changed)
        others += odd
        if plan is not None:
            plans.append(plan)
    return plans, others


def _apart(found: Sequence[Target]) -> tuple[list[Target], list[Target]]:
    """Single-file outputs of which none is, or lies in, another target, and the other targets."""
    count: dict[str, int] = {}
    for target in found:
        count[target.tracked.path] = count.get(target.tracked.path, 0) + 1
    paths = {os.fsencode(path) for path in count}
    above = {folder for path in paths for folder in parents(path)} & paths
    files: list[Target] = []
    others: list[Target] = []
    for target in found:
        path = os.fsencode(target.tracked.path)
        alone = count[target.tracked.path] == 1 and path not in above and above.isdisjoint(parents(path))
        (files if alone and not target.tracked.output.is_directory else others).append(target)
    return files, others


def _changed(context: RepoContext, algorithm: str, group: Sequence[Target]) -> list[Target]:
    unchanged = unchanged_files(context.scanner(algorithm), map(recorded_file, group))
    return [target for target in group if recorded_file(target) not in unchanged]


def _plan(context: RepoContext, algorithm: str, group: Sequence[Target]) -> tuple[FilePlan | None, list[Target]]:
    """The plan for what is absent or a plain file, None if that is right already; and the targets that are neither."""
    if not group:
        return None, []
    started = time.time_ns()
    width = len(group[0].tracked.output.digest.raw)
    places = {os.fsencode(target.tracked.path): target for target in group}
    standing = [path for path in places if os.path.lexists(os.path.join(os.fsencode(context.root), path))]
    current = {one.path: one.entry for one in FileScan(context.scanner(algorithm)).scan(standing)}
    odd = [places.pop(path) for path in standing if path not in current]
    if not places:
        return None, odd
    wanted = [as_entry(target.tracked.output, path) for path, target in sorted(places.items())]
    there = [Entry(path, one.kind, one.size, one.digest) for path, one in sorted(current.items())]
    plan = plan_checkout(
        [Columns.from_entries(algorithm, width, there)],
        [Columns.from_entries(algorithm, width, wanted)],
        None,
        saved_in_cache(context, algorithm),
        os.fsencode(os.path.realpath(context.cache_folder / "objects")) + b"/",
    )
    plan.started_ns = started
    return (FilePlan(list(places.values()), plan), odd) if plan else (None, odd)


def as_entry(output: TrackedOutput, path: bytes) -> Entry:
    """A single-file output as an entry.

    Args:
        output: what its metafile says.
        path: the entry's path.
    """
    return Entry(path, "executable" if output.executable else "file", output.size, output.digest)
