"""commit: add every tracked output that changed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from kist.model.report import AddReport
from kist.operations.add import AddOptions, add_tracked
from kist.operations.recovery import changing
from kist.operations.status import status
from kist.repo.context import RepoContext


def commit(context: RepoContext, texts: Sequence[str] = (), options: AddOptions = AddOptions()) -> AddReport:
    """Record the changes of every tracked output that has some; outputs that are absent stay as they are.

    Args:
        context: the repository.
        texts: outputs to look at, all if empty.
        options: how to add.
    """
    with nullcontext() if options.dry_run else changing(context):
        return _commit(context, texts, options)


def _commit(context: RepoContext, texts: Sequence[str], options: AddOptions) -> AddReport:
    found = status(context, texts)
    changed = {
        one.path
        for one in found.outputs
        if one.changes and not all(change.change == "missing" for change in one.changes)
    }
    tracked = [one for one in context.tracked() if one.path in changed]
    return add_tracked(context, tracked, options) if tracked else AddReport()
