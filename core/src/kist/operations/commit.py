"""commit: add every tracked output that changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext

from kist.errors import KistError
from kist.model.report import AddReport
from kist.operations.add import AddOptions, add_wanted
from kist.operations.recovery import changing
from kist.operations.wanted import Wanted
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.targets import Target


def commit(context: RepoContext, texts: Sequence[str] = (), options: AddOptions = AddOptions()) -> AddReport:
    """Record the changes of every tracked output that has some; outputs that are absent stay as they are.

    Args:
        context: the repository.
        texts: outputs, or parts of tracked directories; all outputs if empty.
        options: how to add.

    Returns:
        What was recorded; outputs that turned out to be what they were are not in it.

    Raises:
        PathNotTracked: a target that is not tracked.
        StorageError: files that cannot be read, all listed; the other outputs are done.
    """
    with nullcontext() if options.dry_run else changing(context):
        found = [target for target in targets.resolve(context, texts, unrecorded=True) if _may_differ(context, target)]
        wanted = [Wanted(one.tracked.path, one.tracked, one.inside) for one in found]
        return add_wanted(context, wanted, options, changed_only=True) if wanted else AddReport()


def _may_differ(context: RepoContext, target: Target) -> bool:
    """Whether a target that is there must be read to know; no file is read here, so that each is read once."""
    output = target.tracked.output
    place = context.root / target.tracked.path
    if not os.path.lexists(place):
        return False
    if target.inside or not output.is_directory or not place.is_dir():
        return True
    try:
        return not context.scanner(output.digest.algorithm).is_clean(os.fsencode(target.tracked.path), output.digest)
    except KistError:
        return True  # reading it will say what is wrong
