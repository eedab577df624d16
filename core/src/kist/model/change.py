"""Change: one path that differs between two states."""

from __future__ import annotations

from typing import Literal

from kist.model.entry import Entry
from kist.util.slotted import slotted

ChangeKind = Literal["added", "modified", "deleted", "renamed", "missing"]


@slotted(frozen=True)
class Change:
    """One path that differs.

    Args:
        path: the path now (or, for deleted and missing, before), relative to what was compared.
        change: added, modified, deleted, renamed, or missing (a whole output is absent).
        old: what was there, None if nothing.
        new: what is there, None if nothing.
        old_path: for renamed, where it was.
    """

    path: bytes
    change: ChangeKind
    old: Entry | None = None
    new: Entry | None = None
    old_path: bytes | None = None
