"""checkout: cache to workspace, at the recorded or any other version."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kist.engine.checkout_apply import CheckoutJob, apply_checkout
from kist.engine.checkout_plan import plan_checkout
from kist.errors import KistError, ObjectError, ObjectMissing, PathNotTracked
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.model.report import CheckoutReport
from kist.operations.add import part_of, raise_problems
from kist.operations.publish import Edit, publish
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.targets import Target


@dataclass(frozen=True, slots=True)
class CheckoutOptions:
    """How to check out.

    Args:
        force: move unsaved changes that stand in the way to the trash.
        dry_run: only tell what would change.
        revision: a Git revision whose version to bring; its metafiles are written too.
        incomplete: whether missing objects are the caller's to report.
    """

    force: bool = False
    dry_run: bool = False
    revision: str | None = None
    incomplete: bool = False
