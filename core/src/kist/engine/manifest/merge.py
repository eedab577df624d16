"""Three-way merge of manifests: only what differs from the base is looked at."""

from __future__ import annotations

from bisect import bisect_left

from kist.abc.metafile import ManifestView
from kist.model.change import Change
from kist.model.entry import Entry
from kist.util.paths import parents
from kist.util.slotted import slotted


@slotted(frozen=True)
class Conflict:
    """A path that both sides changed, each in its own way.

    Args:
        path: relative to the directory.
        base: what both started from, None if nothing.
        ours: what is there on our side, None if nothing.
        theirs: what is there on their side, None if nothing.
    """

    path: bytes
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None


@slotted(frozen=True)
class Merge:
    """What a merge of two manifests comes to.

    Args:
        changes: what to do to our side, in path order, to take over all of theirs that does not conflict.
        conflicts: what somebody must decide, in path order; our side stays as it is there.
    """

    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...]


def merge(base: ManifestView, ours: ManifestView, theirs: ManifestView) -> Merge:
    """Merge what *theirs* changed since *base* into *ours*.

    Equal changes on both sides are no conflict. An empty directory gives way to files that the other side has in it.

    Args:
        base: the manifest that both sides started from.
        ours: our side.
        theirs: their side.

    Returns:
        Changes of *ours*, and conflicts.

    Raises:
        MetafileError: a node of one of them is not valid.
    """
    if theirs.root in (base.root, ours.root):
        return Merge((), ())
    mine = {} if ours.root == base.root else {change.path: change for change in base.diff(ours)}
    taken: dict[bytes, Change] = {}
    conflicts: dict[bytes, Conflict] = {}
    for change in base.diff(theirs):
        own = mine.get(change.path)
        if own is None:
            taken[change.path] = change
        elif own.new != change.new:
            conflicts[change.path] = Conflict(change.path, change.old, own.new, change.new)
    present = {path: change.new for path, change in mine.items() if change.new is not None}
    for here, there in _clashes(present, taken):
        _settle(present[here], taken.get(there), taken, conflicts)
    return Merge(
        tuple(taken[path] for path in sorted(taken)),
        tuple(conflicts[path] for path in sorted(conflicts)),
    )


def _clashes(present: dict[bytes, Entry], taken: dict[bytes, Change]) -> list[tuple[bytes, bytes]]:
    """Pairs (path on our side, path taken over from theirs) of which one would be a folder of the other."""
    ordered = sorted(present)
    found = []
    for path in [path for path, change in taken.items() if change.new is not None]:
        found += [(folder, path) for folder in parents(path) if folder in present]
        for place in range(bisect_left(ordered, path + b"/"), len(ordered)):
            if not ordered[place].startswith(path + b"/"):
                break
            found.append((ordered[place], path))
    return found


def _settle(here: Entry, there: Change | None, taken: dict[bytes, Change], conflicts: dict[bytes, Conflict]) -> None:
    if there is None or there.new is None:
        return
    if here.kind == "directory" and len(here.path) < len(there.path):
        taken[here.path] = Change(here.path, "deleted", here)
        conflicts.pop(here.path, None)  # where a file was, both made a directory: that is agreement
    elif there.new.kind == "directory" and len(there.path) < len(here.path):
        del taken[there.path]
    else:
        del taken[there.path]
        conflicts[there.path] = Conflict(there.path, there.old, None, there.new)
        conflicts.setdefault(here.path, Conflict(here.path, None, here, None))
