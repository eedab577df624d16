"""checkout_switch: from one recorded version to another, where the workspace is the first: by what differs alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from itertools import tee

from kist.abc.metafile import ManifestView
from kist.engine.checkout.plan import CheckoutPlan
from kist.engine.workspace.scan import Scanner
from kist.errors import ObjectError
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.repo.context import RepoContext

Plan = Callable[[RepoContext, Digest, Iterable[Columns], Iterable[Columns], Iterable[Columns]], CheckoutPlan]
"""Plans from what is there, what shall be, and what was: the context and the wanted version's root come first."""


def plan_switch(
    context: RepoContext, path: str, view: ManifestView, scanner: Scanner, plan: Plan
) -> CheckoutPlan | None:
    """The plan for a directory that certainly is a version as a whole: of what differs between that and another.

    Args:
        context: the repository.
        path: the directory.
        view: the version that it shall be.
        scanner: of the version's algorithm.
        plan: makes the plan.

    Returns:
        The plan; None where it is not certain, then all of the workspace is to be compared.
    """
    from kist.engine.workspace.since import Since, with_old

    base = context.fingerprints.base(os.fsencode(path))
    if base is None or base.algorithm != view.root.algorithm:
        return None
    started = time.time_ns()
    since = Since(scanner, os.fsencode(path), base, context.view)
    try:
        if not since.look() or since.differs:
            return None
        found = list(since.changes())
        if since.problems or since.special or (found and with_old(since.base, found)):
            return None
        parts = tee(since.base.deltas(view), 3)
        here, there, before = (old for old, _ in parts[0]), (new for _, new in parts[1]), (old for old, _ in parts[2])
        planned = plan(context, view.root, here, there, before)
    except ObjectError:  # the version before is not whole on this machine
        return None
    planned.started_ns = started  # what changed since the first look is looked at again
    return planned
