"""Parts of outputs: recorded entries at or below a path, what a change of them means above, how much a scan reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from kist.abc.metafile import ManifestView
from kist.errors import KistError, ObjectError, WorkspaceError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.entry import Entry
from kist.repo.context import RepoContext
from kist.util.paths import parents


def settle_folders(
    context: RepoContext, view: ManifestView, output: str, parts: Mapping[bytes, Sequence[Change]]
) -> list[Change]:
    """Changes that keep the folders above right: an empty one gives way to entries, an emptied one is recorded.

    Args:
        context: the repository.
        view: the recorded version.
        output: the tracked directory.
        parts: the parts that changed, each with its changes.

    Returns:
        All changes in path order.
    """
    settled = {change.path: change for found in parts.values() for change in found}
    gone = {path for path, change in settled.items() if change.new is None}
    for inside, found in parts.items():
        added = any(change.new is not None for change in found)
        for folder in reversed(parents(inside)):
            entry = view.find(folder)
            if entry is not None and added:
                settled[folder] = Change(folder, "deleted", old=entry)
            elif not added and found and _holds_nothing(context, os.path.join(os.fsencode(output), folder)):
                # What the workspace lacks beside the parts stays recorded, and so does its folder.
                if any(path not in gone for columns in view.leaves(folder) for path in columns.paths):
                    break
                settled[folder] = Change(folder, "added", new=Entry(folder, "directory"))
                added = True
    return [settled[path] for path in sorted(settled)]


def _holds_nothing(context: RepoContext, folder: bytes) -> bool:
    """Whether *folder* is a folder, no symlink to one, and holds nothing that a version would hold."""
    from kist.engine.workspace.walk import visit

    with suppress(KistError):  # no folder, or nobody can tell
        found = next(visit(context.root, folder, context.kernel, context.ignore.rules, reading=False), None)
        return found is not None and not found.listing.names
    return False


def is_empty_folder(folder: Path) -> bool:
    """Whether *folder* is a folder, no symlink to one, and empty."""
    if folder.is_symlink():
        return False
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def part_of(view: ManifestView, inside: bytes) -> Iterable[Columns]:
    """The recorded entries at or below *inside*, as parts in path order."""
    entry = view.find(inside)
    if entry is not None:
        algorithm, width = view.root.algorithm, len(view.root.raw)
        return [Columns.from_entries(algorithm, width, [entry])]
    return view.leaves(inside)


def raise_problems(path: str, problems: Sequence[tuple[bytes, KistError]]) -> None:
    """Raise one error that lists all that could not be read, if anything.

    Raises:
        WorkspaceError: something that is no file, link or folder is among them.
        StorageError: files that cannot be read.
    """
    error = problem_of(path, problems)
    if error is not None:
        raise error


def note_problems(context: RepoContext, path: str, problems: Sequence[tuple[bytes, KistError]]) -> None:
    """Add what could not be read to the problems that do not end the command, as one error."""
    error = problem_of(path, problems)
    if error is not None:
        context.problems.append(error)


def problem_of(path: str, problems: Sequence[tuple[bytes, KistError]]) -> KistError | None:
    """One error that lists all that could not be read, None if there is nothing."""
    if not problems:
        return None
    errors = [error for _, error in problems]
    first = next((error for error in errors if isinstance(error, WorkspaceError)), errors[0])
    if len(errors) == 1:
        return first
    listed = "\n".join(str(error) for error in errors[:50]) + ("\n…" if len(errors) > 50 else "")
    message = f"{len(errors)} entries of {path} can be neither kept nor replaced; all of it stays as it is:\n{listed}"
    kind = ObjectError if isinstance(first, ObjectError) else type(first)  # its own classes speak of one object
    return kind(message, path=path, hint=first.hint)


def foretold(context: RepoContext, paths: Sequence[bytes]) -> AbstractContextManager[object]:
    """The block of scans: who watches is told how much they will read, as soon as that is known.

    Args:
        context: the repository.
        paths: what is scanned, relative to the repository.
    """
    if context.progress.total_after is None:
        return nullcontext()
    from kist.engine.workspace.foretell import Foretold

    return Foretold(context.scanner(context.algorithm), [path.rstrip(b"/") for path in paths], context.progress)


def edited_view(
    context: RepoContext, view: ManifestView, changes: Iterable[Change], *, dry_run: bool = False
) -> ManifestView:
    """A manifest with changes, stored in the cache.

    Args:
        context: the repository.
        view: the manifest so far.
        changes: in path order.
        dry_run: store nothing.
    """
    algorithm = view.root.algorithm
    with context.storing(dry_run=dry_run) as storing:
        edited = context.codec.edit(
            view, changes, storing.put_node(algorithm), context.hasher(algorithm), storing.read_nodes(algorithm)
        )
        storing.commit()
    return edited
