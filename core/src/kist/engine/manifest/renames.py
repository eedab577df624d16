"""Renames: a deleted and an added entry of the same content are one renamed entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from kist.model.change import Change
from kist.util.slotted import replace


def pair_renames(changes: Iterable[Change]) -> list[Change]:
    """Join each deleted entry with an added one of the same content into one renamed change.

    Linear: content is matched by digest, doubles in path order. Entries without content are left alone.

    Returns:
        All changes, in order of their (new) paths.
    """
    changes = list(changes)
    gone: dict[object, list[Change]] = defaultdict(list)
    for change in changes:
        if change.change == "deleted" and change.old is not None and change.old.digest is not None:
            gone[change.old.digest].append(change)
    if not gone:
        return changes
    for waiting in gone.values():
        waiting.reverse()
    renamed: set[int] = set()
    result: list[Change] = []
    for change in changes:
        waiting = gone.get(change.new.digest, []) if change.change == "added" and change.new is not None else []
        if waiting:
            source = waiting.pop()
            renamed.add(id(source))
            result.append(replace(change, change="renamed", old=source.old, old_path=source.path))
        else:
            result.append(change)
    return [change for change in result if id(change) not in renamed]
