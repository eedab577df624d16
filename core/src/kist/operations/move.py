"""move: move or rename tracked data, whole outputs or parts of tracked directories."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from functools import partial

from kist.engine.checkout.relocate import check_move, move_path, undo_move
from kist.engine.process.journal import JournalRecord
from kist.errors import ObjectError, PathConflict, PathNotTracked, UsageError
from kist.model.change import Change
from kist.model.entry import Entry
from kist.operations.parts import edited_view, part_of, settle_folders
from kist.operations.publish import Edit, publish_made
from kist.operations.recovery import changing
from kist.operations.wanted import check_name, check_overlaps
from kist.repo import metafiles, targets
from kist.repo.beside_git import ignore_in_git
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.targets import Target
from kist.util.atomic import storage_errors, sync_directory
from kist.util.paths import parts
from kist.util.slotted import replace, slotted


@slotted(frozen=True)
class MoveReport:
    """What `move` did, or would do.

    Args:
        old: the path so far, relative to the repository.
        new: the path now.
        files: how many recorded files that is.
        bytes: their sizes together; none of them is read or written.
    """

    old: str
    new: str
    files: int
    bytes: int


def move(context: RepoContext, source: str, target: str, *, dry_run: bool = False) -> MoveReport:
    """Move tracked data in the workspace and in what is recorded.

    Args:
        context: the repository.
        source: a tracked output, or a part of a tracked directory.
        target: its new path, or an existing folder to move it into.
        dry_run: check everything and tell what would move, move nothing.

    Returns:
        What moved.

    Raises:
        PathNotTracked: the source is not tracked.
        PathConflict: something stands at the target.
        UsageError: a part of a directory cannot go there.
    """
    if dry_run:
        return _move(context, source, target, dry_run=True)
    # Before paths are looked at: a killed move is undone first, and nobody publishes what we would not see.
    with changing(context), context.write_lock():
        return _move(context, source, target, dry_run=False)


def _move(context: RepoContext, source: str, target: str, *, dry_run: bool) -> MoveReport:
    found = targets.resolve(context, [source], recursive=False)
    if len(found) != 1:
        raise UsageError(f"{source} stands for {len(found)} things; move one at a time", path=source)
    one = found[0]
    metafiles.check_alone(one.tracked)
    new = targets.repository_path(context, target)
    if metafiles.format_of(context.formats, posixpath.basename(new)):
        new = new.rpartition(".")[0]
    if not new or (context.root / new).is_dir():
        new = posixpath.join(new, posixpath.basename(one.path))
    check_name(new, target)
    targets.check_own(context, new)
    if new == one.path:
        raise UsageError(f"{source} is there already", path=source)
    planned = _plan_part(context, one, new) if one.inside else _plan_output(context, one.tracked, new)
    if dry_run and os.path.lexists(context.root / one.path):
        check_move(context.root, os.fsencode(one.path), os.fsencode(new))
    elif not dry_run:
        planned.carry_out()
    return MoveReport(one.path, new, planned.files, planned.bytes)


@slotted(frozen=True)
class _Planned:
    """A move that was checked.

    Args:
        files: recorded files that move.
        bytes: their sizes together.
        carry_out: does it.
    """

    files: int
    bytes: int
    carry_out: Callable[[], None]


# ── whole outputs ────────────────────────────────────────────────────────────────────────────────────────────────────


def _plan_output(context: RepoContext, tracked: Tracked, new: str) -> _Planned:
    owner = targets.owner_of(context, new)
    if owner is not None:
        raise PathConflict(
            f"{new} lies in what is tracked as {owner.tracked.path}" if owner.inside else f"{new} is tracked already",
            path=new,
        )
    check_overlaps(context, [new])
    metafile = context.metafile_names.new(new)
    if _stands(context, metafile):
        raise PathConflict(f"{metafile} exists", path=metafile)
    output = tracked.output
    return _Planned(output.files, output.size, partial(_move_output, context, tracked, new, metafile))


def _stands(context: RepoContext, metafile: str) -> bool:
    """Whether something is at the path of a metafile; a name that is too long is told before anything moves."""
    path = context.root / metafile
    with storage_errors(path):
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def _move_output(context: RepoContext, tracked: Tracked, new: str, metafile: str) -> None:
    record: JournalRecord | None = None
    if os.path.lexists(context.root / tracked.path):
        record = move_path(
            context.root,
            os.fsencode(tracked.path),
            os.fsencode(new),
            context.journal,
            intent={"old_metafile": tracked.metafile, "new_metafile": metafile},
        )
    else:
        (context.root / posixpath.dirname(new)).mkdir(parents=True, exist_ok=True)
    output = replace(tracked.output, path=posixpath.basename(new))
    metafiles.save(
        context,
        metafile,
        replace(tracked.document, outputs=(output,)),
        tracked.data,  # comments and order survive
        sync=str(context.config.get("core.fsync")),
        token=context.scratch.token_for(context.root / posixpath.dirname(metafile)),
    )
    _drop(context, tracked.metafile)
    _follow(context, tracked.path, new)
    if record is not None:
        record.done()


def _follow(context: RepoContext, old: str, new: str) -> None:
    """Let what goes by an output's path know the new one; a second time nothing happens.

    Without its base the next checkout could not tell what another version removes from what the user added.
    """
    ignore_in_git(context, [new], [old])
    before, now, fingerprints = os.fsencode(old), os.fsencode(new), context.fingerprints
    if (base := fingerprints.latest(before)) is not None:
        fingerprints.set_base(now, base, edited=True)
    fingerprints.forget(before)
    fingerprints.set_base(before, None)
    context.save_fingerprints()


def _drop(context: RepoContext, metafile: str) -> None:
    path = context.root / metafile
    with storage_errors(path):
        path.unlink(missing_ok=True)
        if context.sync:
            sync_directory(path.parent)


def redo_move(context: RepoContext, record: JournalRecord) -> None:
    """Finish a killed move that was recorded already, undo one that was not."""
    header = record.header
    new, old = header.get("new_metafile"), header.get("old_metafile")
    if new is None and _is_recorded(context, str(header["target"])):
        return
    if not isinstance(new, str) or not isinstance(old, str) or not os.path.exists(context.root / new):
        undo_move(context.root, record)
        return
    for metafile in (new, old):
        parts(os.fsencode(metafile))
        if metafiles.format_of(context.formats, posixpath.basename(metafile)) is None:
            raise PathConflict(f"{metafile} is not the name of a metafile", path=metafile)
    _drop(context, old)
    _follow(context, str(header["source"]), str(header["target"]))


def _is_recorded(context: RepoContext, path: str) -> bool:
    """Whether a path inside a tracked directory is in what its metafile records."""
    goal = targets.owner_of(context, path)
    if goal is None or not goal.inside:
        return False
    try:
        return any(len(part) for part in part_of(context.view(goal.tracked.output.digest), goal.inside))
    except ObjectError:  # Git brought another version since: what the move itself recorded would be here
        return False


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _plan_part(context: RepoContext, one: Target, new: str) -> _Planned:
    goal = targets.owner_of(context, new)
    if goal is None or not goal.inside or not goal.tracked.output.is_directory:
        raise UsageError(
            f"{new} does not lie in a tracked directory",
            path=new,
            hint=f"a part of {one.tracked.path} can be moved within it, or into another tracked directory",
        )
    entries = [
        entry for part in part_of(context.view(one.tracked.output.digest), one.inside) for entry in part.entries()
    ]
    if not entries:
        raise PathNotTracked(f"{one.path} is not tracked", path=one.path)
    if _is_recorded(context, new):
        raise PathConflict(f"{new} is tracked already", path=new)
    if one.tracked.output.digest.algorithm != goal.tracked.output.digest.algorithm:
        raise UsageError(f"{one.tracked.path} and {goal.tracked.path} use different hash algorithms", path=new)
    size = sum(entry.size for entry in entries)
    return _Planned(len(entries), size, partial(_move_part, context, one, goal, entries))


def _move_part(context: RepoContext, one: Target, goal: Target, entries: Sequence[Entry]) -> None:
    gone = [Change(entry.path, "deleted", old=entry) for entry in entries]
    come = [
        Change(path, "added", new=replace(entry, path=path))
        for entry in entries
        for path in [goal.inside + entry.path[len(one.inside) :]]
    ]
    record: JournalRecord | None = None
    if os.path.lexists(context.root / one.path):
        record = move_path(context.root, os.fsencode(one.path), os.fsencode(goal.path), context.journal, intent={})
    edits = _part_edits(context, (one, gone), (goal, come))
    publish_made(context, edits)
    if record is not None:
        record.done()


def _part_edits(
    context: RepoContext, source: tuple[Target, list[Change]], goal: tuple[Target, list[Change]]
) -> list[Edit]:
    (one, gone), (other, come) = source, goal
    settled_gone = _settled(context, one, gone)
    settled_come = _settled(context, other, come)
    if one.tracked.metafile == other.tracked.metafile:
        return [_edit(context, one.tracked, [*settled_gone, *settled_come])]
    return [_edit(context, other.tracked, settled_come), _edit(context, one.tracked, settled_gone)]


def _settled(context: RepoContext, target: Target, found: list[Change]) -> list[Change]:
    view = context.view(target.tracked.output.digest)
    return settle_folders(context, view, target.tracked.path, {target.inside: found})


def _edit(context: RepoContext, tracked: Tracked, found: list[Change]) -> Edit:
    by_path = {change.path: change for change in found}
    edited = edited_view(context, context.view(tracked.output.digest), [by_path[path] for path in sorted(by_path)])
    output = replace(tracked.output, digest=edited.root, files=edited.files, size=edited.size)
    return Edit(tracked.path, tracked.metafile, tracked, replace(tracked.document, outputs=(output,)))
