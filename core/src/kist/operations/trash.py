"""trash: what forced commands displaced from the workspace; listed, restored, emptied."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from kist.engine.storage.trash_records import TrashEntry, TrashItem
from kist.errors import PathNotTracked, UnsavedChanges
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.writing import making_room
from kist.util.paths import display, nearest
from kist.util.slotted import slotted
from kist.util.units import show_count, show_size


@slotted(frozen=True)
class Trashed:
    """One file or folder in the trash.

    Args:
        id: the entry that it belongs to, as ``restore`` takes it.
        path: where it was, relative to the repository.
        size: bytes.
        when: when it went there, UTC seconds.
        reason: why.
    """

    id: str
    path: str
    size: int
    when: float
    reason: str


def list_trash(context: RepoContext) -> list[Trashed]:
    """What lies in the trash, the oldest first.

    Args:
        context: the repository.
    """
    return [_trashed(context, entry, item) for entry, item in _items(context)]


def _items(context: RepoContext) -> Iterator[tuple[TrashEntry, TrashItem]]:
    return ((entry, item) for entry in context.trash.list() for item in entry.items)


def _trashed(context: RepoContext, entry: TrashEntry, item: TrashItem) -> Trashed:
    return Trashed(entry.id, _path(context, item), item.size, entry.when, entry.reason)


def _path(context: RepoContext, item: TrashItem) -> str:
    if not os.path.isabs(item.original):
        return item.original
    relative = os.path.relpath(item.original, context.root)
    return item.original if relative.startswith("..") else relative


@slotted(frozen=True)
class RestoreReport:
    """What came back from the trash, or would.

    Args:
        places: where it is now: paths relative to the repository, or absolute ones outside.
        files: how many files or folders that is, as the trash lists them.
        bytes: their sizes together.
    """

    places: tuple[str, ...]
    files: int
    bytes: int


def restore(context: RepoContext, name: str, to: str | None = None, *, dry_run: bool = False) -> RestoreReport:
    """Bring something back from the trash; nothing is ever overwritten.

    Args:
        context: the repository.
        name: an entry's id, or the path that something had (the newest counts).
        to: where it goes, a path as typed; None: where it was.
        dry_run: tell where it would go, move nothing.

    Returns:
        Where it is now.

    Raises:
        PathNotTracked: the trash has no such thing.
        PathConflict: something is in the way.
    """
    entry, only = _find(context, name)
    target = Path(os.path.abspath(to)) if to is not None else None
    if target is not None and target.is_dir() and only is not None:
        target /= os.path.basename(next(item.original for item in entry.items if item.name == only))
    chosen = [item for item in entry.items if only in (None, item.name)]
    with nullcontext() if dry_run else context.writing(), nullcontext() if dry_run else context.write_lock():
        places = context.trash.restore(entry.id, target, base=context.root, only=only, dry_run=dry_run)
    shown = [
        os.path.relpath(place, context.root) if place.is_relative_to(context.root) else str(place) for place in places
    ]
    return RestoreReport(tuple(shown), len(chosen), sum(item.size for item in chosen))


def _find(context: RepoContext, name: str) -> tuple[TrashEntry, str | None]:
    """The entry that a name means, and the one item of it, None for all."""
    entries = list(context.trash.list())
    for entry in entries:
        if entry.id == name:
            return entry, entry.items[0].name if len(entry.items) == 1 else None
    path = targets.repository_path(context, name)
    known: list[str] = []
    for entry in reversed(entries):
        for item in entry.items:
            if path == _path(context, item):
                return entry, item.name
            known.append(_path(context, item))
    close = nearest(path, known)
    hint = f"did you mean '{close}'?" if close else "'kist trash list' shows what it has"
    raise PathNotTracked(f"the trash has no '{name}'", hint=hint, path=name)


def make_room(context: RepoContext, displaced: Sequence[bytes]) -> None:
    """Before files are displaced: what has been in the trash for long goes, and no more comes than it may hold.

    Args:
        context: the repository.
        displaced: paths of what will go there, relative to the repository.

    Raises:
        UnsavedChanges: it would become too much; nothing was moved, and nothing that is not old was deleted.
    """
    if not displaced:
        return
    context.trash.clean(float(context.config.get("trash.keep")))
    limit = int(context.config.get("trash.limit"))
    if not limit:
        return
    coming = 0
    for path in displaced:
        with suppress(FileNotFoundError):
            coming += os.lstat(os.path.join(os.fsencode(context.root), path)).st_size
    there = sum(entry.size for entry in context.trash.list())
    if there + coming > limit:
        raise UnsavedChanges(
            f"{show_count(len(displaced), 'file')} ({show_size(coming)}) would go to the trash, which has "
            f"{show_size(there)} already and may hold {show_size(limit)}",
            paths=[display(path) for path in displaced],
            hint="'kist trash empty --older-than 1d' makes room, 'kist config --local trash.limit 0' lifts the limit",
        )


def empty(context: RepoContext, older_than: float | None = None, *, dry_run: bool = False) -> tuple[int, int]:
    """Delete what has lain in the trash for a time.

    Args:
        context: the repository.
        older_than: seconds, None for ``trash.keep``; 0: everything.
        dry_run: count, delete nothing.

    Returns:
        How many entries, and how many bytes.
    """
    import time

    age = float(context.config.get("trash.keep")) if older_than is None else older_than
    limit = time.time() - age
    old = [entry for entry in context.trash.list() if not age or entry.when <= limit]
    if not dry_run:
        with making_room(context):
            context.trash.empty(age)
    return len(old), sum(entry.size for entry in old)
