"""checkout_switch: from one recorded version to another, by what differs between them and by what was edited since."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import tee

from kist.abc.metafile import ManifestView
from kist.engine.checkout.plan import CheckoutPlan
from kist.engine.workspace.scan import Scanner
from kist.errors import ObjectError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.delta import Delta
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.repo.context import RepoContext

Plan = Callable[[RepoContext, Digest, Iterable[Columns], Iterable[Columns], Iterable[Columns]], CheckoutPlan]
"""Plans from what is there, what shall be, and what was: the context and the wanted version's root come first."""

_Sides = tuple[Iterable[Columns], Iterable[Columns], Iterable[Columns]]

_MOST = 1 << 16
"""Entries that differ between two versions and are compared one by one with what was edited."""


def plan_switch(
    context: RepoContext, path: str, view: ManifestView, scanner: Scanner, plan: Plan
) -> CheckoutPlan | None:
    """The plan for a directory that is another version but for few edits: of what differs.

    Args:
        context: the repository.
        path: the directory.
        view: the version that it shall be.
        scanner: of the version's algorithm.
        plan: makes the plan.

    Returns:
        The plan; None where that cannot be told, or too much was edited: then all of the workspace is to be compared.
    """
    from kist.engine.workspace.since import CHEAP, Since, with_old

    base = context.fingerprints.base(os.fsencode(path))
    if base is None or base.algorithm != view.root.algorithm:
        return None
    started = time.time_ns()
    since = Since(scanner, os.fsencode(path), base, context.view)
    try:
        if not since.look() or since.unread > CHEAP:
            return None
        found = list(since.changes())
        edits = with_old(since.base, found) if found else []
        if since.problems or since.special:
            return None
        sides = _edited(since.base.deltas(view), edits, view) if edits else _sides(since.base.deltas(view))
        planned = None if sides is None else plan(context, view.root, *sides)
    except ObjectError:  # the version before is not whole on this machine
        return None
    if planned is not None:
        since.keep()
        planned.started_ns = started  # what changed since the first look is looked at again
    return planned


def _edited(deltas: Iterable[Delta], edits: Sequence[Change], view: ManifestView) -> _Sides | None:
    """What is there, what shall be and what was, at all paths where not all three are the same; None: too many."""
    was: dict[bytes, Entry] = {}
    wanted: dict[bytes, Entry] = {}
    for old, new in deltas:
        if len(was) + len(wanted) + len(old) + len(new) > _MOST:
            return None
        was |= {entry.path: entry for entry in old.entries()}
        wanted |= {entry.path: entry for entry in new.entries()}
    here = dict(was)
    for edit in edits:
        if edit.path not in was and edit.path not in wanted and edit.old is not None:  # both versions have it
            was[edit.path] = wanted[edit.path] = edit.old
        here.pop(edit.path, None)
        if edit.new is not None:
            here[edit.path] = edit.new
    algorithm, width = view.root.algorithm, len(view.root.raw)
    return _columns(here, algorithm, width), _columns(wanted, algorithm, width), _columns(was, algorithm, width)


def _sides(deltas: Iterable[Delta]) -> _Sides:
    """The same where nothing was edited: what is there is what was."""
    parts = tee(deltas, 3)
    return (old for old, _ in parts[0]), (new for _, new in parts[1]), (old for old, _ in parts[2])


def _columns(entries: Mapping[bytes, Entry], algorithm: str, width: int) -> list[Columns]:
    return [Columns.from_entries(algorithm, width, entries.values())] if entries else []
