"""remove: stop tracking data and take it out of the workspace; recorded versions stay in the cache."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kist.abc.metafile import ManifestView
from kist.engine.checkout.apply import apply_checkout
from kist.engine.checkout.checks import unsaved_changes
from kist.engine.checkout.plan import CheckoutPlan, plan_removal
from kist.errors import ObjectError, PathNotTracked, UsageError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.operations.checkout import below, single, tools_for
from kist.operations.intents import intent_of, saved_in_cache, target_of
from kist.operations.keeping import own_files
from kist.operations.parts import edited_view, part_of, raise_problems, settle_folders
from kist.operations.publish import Edit, publish_made
from kist.operations.recovery import changing
from kist.operations.trash import make_room
from kist.repo import targets
from kist.repo.beside_git import ignore_in_git
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked, check_alone
from kist.repo.targets import Target
from kist.util.atomic import storage_errors, sync_directory
from kist.util.slotted import replace, slotted


@slotted(frozen=True)
class RemoveReport:
    """What `remove` did, or would do; every path is relative to the repository.

    Args:
        paths: what is not tracked any more.
        files: workspace files that were taken away.
        bytes: their sizes together.
        trashed: paths whose unsaved content went to the trash, with where.
        kept: untracked files that were left where they are.
    """

    paths: tuple[str, ...]
    files: int = 0
    bytes: int = 0
    trashed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@slotted(frozen=True)
class _Planned:
    target: Target
    folder: str
    plan: CheckoutPlan | None

    def paths(self, inner: Iterable[bytes]) -> list[bytes]:
        """Paths of the plan, relative to the repository."""
        return [os.path.join(os.fsencode(self.folder), path) for path in inner]


def remove(
    context: RepoContext, texts: Sequence[str], *, keep: bool = False, force: bool = False, dry_run: bool = False
) -> RemoveReport:
    """Stop tracking outputs, or parts of tracked directories.

    Args:
        context: the repository.
        texts: targets.
        keep: leave the files in the workspace; those that are links into the cache become files of their own.
        force: move unsaved changes to the trash.
        dry_run: only tell what would go.

    Returns:
        What is not tracked any more, and what became of the files.

    Raises:
        PathNotTracked: a target that is not tracked.
        UnsavedChanges: files that were edited since they were recorded, or more than the trash may hold; nothing was
            changed.
        ObjectMissing: files to be kept are links whose objects are gone; nothing was changed.
    """
    if not texts:
        raise UsageError("nothing to remove", hint="name tracked files or directories: kist remove data")
    if dry_run:
        return _report(_plan_all(context, texts, keep=keep, force=force))
    with changing(context), context.write_lock():  # nobody publishes between what is read here and what is done
        planned = _plan_all(context, texts, keep=keep, force=force)
        trashed: list[str] = []
        report = _report(planned)
        make_room(context, _unsaved(planned))
        if keep:
            own_files(context, [one.target for one in planned])
        for one in planned:
            if one.plan is not None:
                trashed += _take_away(context, one, force=force)
        for one in planned:
            if not one.target.inside:
                _forget(context, one.target.tracked)
        _publish_parts(context, [one.target for one in planned if one.target.inside])
    return replace(report, trashed=tuple(trashed))


def _plan_all(context: RepoContext, texts: Sequence[str], *, keep: bool, force: bool) -> list[_Planned]:
    """What must happen for all targets; refused as a whole where unsaved work would be lost."""
    found = targets.resolve(context, texts)
    for target in found:
        check_alone(target.tracked)
        _check_recorded(context, target)
    planned = [_plan(context, target, keep=keep) for target in found]
    if not force:
        _refuse(planned)
    return planned


def _report(planned: Sequence[_Planned]) -> RemoveReport:
    """What the plans say, before anything is done."""
    gone = [(one, one.plan) for one in planned if one.plan is not None]
    return RemoveReport(
        tuple(one.target.path for one in planned),
        sum(len(plan.delete) for _, plan in gone),
        sum(sum(plan.delete.sizes) for _, plan in gone),
        tuple(os.fsdecode(path) for one, plan in gone for path in one.paths(plan.unsaved)),
        tuple(os.fsdecode(path) for one, plan in gone for path in one.paths(plan.kept)),
    )


def _check_recorded(context: RepoContext, target: Target) -> None:
    if target.inside and not any(
        len(part) for part in part_of(context.view(target.tracked.output.digest), target.inside)
    ):
        raise PathNotTracked(f"{target.path} is not tracked", path=target.path)


def _unsaved(planned: Sequence[_Planned]) -> list[bytes]:
    return [path for one in planned if one.plan is not None for path in one.paths(one.plan.unsaved)]


def _refuse(planned: Sequence[_Planned]) -> None:
    if lost := _unsaved(planned):
        raise unsaved_changes(lost)


def _plan(context: RepoContext, target: Target, *, keep: bool) -> _Planned:
    tracked = target.tracked
    place = context.root / tracked.path
    folder, name = posixpath.split(tracked.path)
    if keep or not os.path.lexists(place):
        return _Planned(target, folder, None)
    output = tracked.output
    scanner = context.scanner(output.digest.algorithm)
    recorded: Iterable[Columns]
    if place.is_dir() and not place.is_symlink():
        folder = tracked.path
        scan = scanner.scan(os.fsencode(tracked.path), None, below=target.inside)
        current = list(scan)
        raise_problems(target.path, scan.problems)
        recorded = () if not output.is_directory else _recorded(context.view(output.digest), target.inside)
    else:
        entry = replace(scanner.scan_file(os.fsencode(tracked.path)), path=b"")
        hasher = context.hasher(output.digest.algorithm)
        current = [below(os.fsencode(name), Columns.from_entries(hasher.name, hasher.digest_size, [entry]))]
        recorded = () if output.is_directory else [single(output, os.fsencode(name))]

    return _Planned(target, folder, plan_removal(current, recorded, saved_in_cache(context, output.digest.algorithm)))


def _recorded(view: ManifestView, inside: bytes) -> Iterable[Columns]:
    return part_of(view, inside) if inside else view.leaves()


def _take_away(context: RepoContext, one: _Planned, *, force: bool) -> tuple[str, ...]:
    """Take one target's files away; returns what went to the trash, and where."""
    assert one.plan is not None
    output = one.target.tracked.output
    report = apply_checkout(
        context.root,
        os.fsencode(one.folder),
        one.plan,
        tools_for(context, output),
        intent=intent_of("remove", one.target, remove_root=not one.target.inside),
        force=force,
    )
    context.fingerprints.set_base(os.fsencode(one.target.tracked.path), None)
    return report.trashed


def _forget(context: RepoContext, tracked: Tracked) -> None:
    """Take the ignore rule and the metafile away; the metafile goes last, so that a killed removal can be repeated."""
    ignore_in_git(context, (), [tracked.path])
    metafile = context.root / tracked.metafile
    with storage_errors(metafile):
        metafile.unlink(missing_ok=True)
        if context.sync:
            sync_directory(metafile.parent)
    context.fingerprints.forget(os.fsencode(tracked.path))
    context.save_fingerprints()


def _publish_parts(context: RepoContext, found: Sequence[Target]) -> None:
    groups: dict[str, list[Target]] = {}
    for target in found:
        groups.setdefault(target.tracked.metafile, []).append(target)
    edits = [edit_without(context, group[0].tracked, [target.inside for target in group]) for group in groups.values()]
    if edits:
        publish_made(context, edits)


def edit_without(context: RepoContext, tracked: Tracked, insides: Iterable[bytes]) -> Edit:
    """The edit that takes parts out of a tracked directory's recorded version."""
    view = context.view(tracked.output.digest)
    parts = {
        inside: [Change(entry.path, "deleted", old=entry) for part in part_of(view, inside) for entry in part.entries()]
        for inside in insides
    }
    edited = edited_view(context, view, settle_folders(context, view, tracked.path, parts))
    output = replace(tracked.output, digest=edited.root, files=edited.files, size=edited.size)
    return Edit(tracked.path, tracked.metafile, tracked, replace(tracked.document, outputs=(output,)))


def redo_remove(context: RepoContext, header: Mapping[str, Any]) -> None:
    """Finish a killed removal from the workspace; the metafile stays, so that the command can be repeated."""
    try:
        planned = _plan(context, target_of(header), keep=False)
    except ObjectError:  # the cache has lost the version since: nobody could tell what is unsaved
        return
    if planned.plan is not None:
        _refuse([planned])
        _take_away(context, planned, force=False)
