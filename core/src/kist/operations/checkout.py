"""checkout: cache to workspace, at the recorded or any other version."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kist.engine.checkout.apply import apply_checkout
from kist.engine.checkout.plan import CheckoutPlan, plan_checkout
from kist.engine.checkout.plan import merged as joined
from kist.engine.checkout.tools import CheckoutTools
from kist.engine.gc.roots import GcRoot
from kist.errors import KistError, ObjectMissing, PathNotTracked
from kist.model.columns import Columns
from kist.model.delta import changes, deltas
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.model.report import CheckoutReport
from kist.model.tracked import TrackedOutput
from kist.operations.absent import asked_by
from kist.operations.checkout_files import FileRows, as_entry, plan_files
from kist.operations.checkout_outcome import Missing, merged, named_error, put_damage_aside
from kist.operations.checkout_switch import plan_switch
from kist.operations.intents import intent_of, intent_of_many, saved_in_cache, targets_of
from kist.operations.needs import record_needs
from kist.operations.parts import edited_view, is_empty_folder, part_of, raise_problems, settle_folders
from kist.operations.publish import Edit, publish_made
from kist.operations.recovery import changing
from kist.operations.selection import among
from kist.operations.trash import make_room
from kist.repo import metafiles, targets
from kist.repo.beside_git import ignore_in_git
from kist.repo.context import RepoContext
from kist.repo.targets import Target
from kist.util.slotted import replace, slotted


@slotted(frozen=True)
class CheckoutOptions:
    """How to check out.

    Args:
        force: move unsaved changes that stand in the way to the trash.
        dry_run: only tell what would change.
        revision: a Git revision whose version to bring; its metafiles are written too.
    """

    force: bool = False
    dry_run: bool = False
    revision: str | None = None


@slotted(frozen=True)
class _Intended:
    """One output (or part), or many single-file outputs, with the plan that makes them right.

    Args:
        target: what was asked for; the first one of many.
        folder: the workspace folder that the plan's paths are relative to.
        plan: what must change.
        special: what to tell of FIFOs, sockets and devices, which stay where they are.
        files: all of many single-file outputs, none for one output.
    """

    target: Target
    folder: str
    plan: CheckoutPlan
    special: Sequence[str] = ()
    files: Sequence[Target] = ()


def checkout(
    context: RepoContext, texts: Sequence[str] = (), options: CheckoutOptions = CheckoutOptions()
) -> CheckoutReport:
    """Make the workspace what the metafiles record, or what a Git revision recorded.

    Args:
        context: the repository.
        texts: targets, all outputs if empty.
        options: how.

    Returns:
        What was done; objects that are nowhere on this machine are listed, all others are in place. An output whose
        manifest is not here stays as it is, its metafile too.

    Raises:
        UnsavedChanges: work would be lost, or the trash is full; nothing was changed.
        PathNotTracked: a target that is not tracked (in that revision).
        StorageError: no room; nothing was changed.
    """
    if options.dry_run:
        found = _targets(context, texts, options.revision)
        planned, missing, _ = _plan_all(context, found)
        return merged([_foreseen(one, force=options.force) for one in planned], missing)
    with changing(context), context.write_lock():  # nobody publishes between what is read here and what is done
        found = _targets(context, texts, options.revision)
        if options.revision is not None:
            for one in found:
                metafiles.check_alone(one.tracked)
        # What another repository stored in a shared cache is needed by this one too from now on.
        outputs = [one.tracked.output for one in found]
        record_needs(context, [GcRoot(one.digest, one.is_directory) for one in outputs])
        planned, missing, possible = _plan_all(context, found)
        _refuse_unsaved(context, planned, force=options.force)
        reports = [_apply(context, one, force=options.force) for one in planned]
        context.save_fingerprints()
        put_damage_aside(context, [digest for one in reports for digest, _ in one.missing])
        if options.revision is not None:
            publish_made(context, _edits(context, possible))
    report = merged(reports, missing)
    context.hooks.notify("kist_after_checkout", report=report)
    return report


def _targets(context: RepoContext, texts: Sequence[str], revision: str | None) -> list[Target]:
    if revision is None:
        return targets.resolve(context, texts)
    recorded = context.tracked(revision=revision)
    if not texts:
        return [Target(one) for one in recorded]
    found: dict[tuple[str, bytes], Target] = {}
    for text in texts:
        with asked_by(revision):
            here = among(context, text, recorded)
        if not here:
            raise PathNotTracked(f"{text} is not tracked in {revision}", path=text)
        found |= {(target.tracked.path, target.inside): target for target in here}
    return [found[key] for key in sorted(found)]


# ── planning ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _plan_all(context: RepoContext, found: Sequence[Target]) -> tuple[list[_Intended], Missing, list[Target]]:
    """The plans, what is missing, and the targets that are right already or will be: all but those left as they are."""
    left: set[int] = set()
    missing: list[tuple[str, tuple[str, ...]]] = []
    together, others = plan_files(context, found)
    planned = [_Intended(one.targets[0], "", one.plan, files=one.targets) for one in together]
    for target in others:
        try:
            planned.append(_plan(context, target))
        except ObjectMissing as error:
            missing.append((error.digest, (target.path,)))
            left.add(id(target))
        except KistError as error:
            named = named_error(target, error)
            if len(found) == 1:
                raise named from error
            context.problems.append(named)
            left.add(id(target))
    return planned, missing, [target for target in found if id(target) not in left]


def _plan(context: RepoContext, target: Target) -> _Intended:
    tracked = target.tracked
    output = tracked.output
    folder, name = posixpath.split(tracked.path)
    place = context.root / tracked.path
    stands = os.path.lexists(place)
    special: list[str] = []
    if not output.is_directory:
        wanted: Iterable[Columns] = [single(output, os.fsencode(name))]
        current = [below(os.fsencode(name), part) for part in _current(context, target, special)] if stands else []
        return _Intended(target, folder, _plan_columns(context, output.digest, current, wanted, None))
    view = context.view(output.digest)
    wanted = part_of(view, target.inside) if target.inside else view.leaves()
    if stands and (place.is_symlink() or not place.is_dir()):
        inner = os.fsencode(name)
        current = [below(inner, part) for part in _current(context, target, special)]
        shifted = (below(inner, part) for part in wanted)
        return _Intended(target, folder, _plan_columns(context, output.digest, current, shifted, None))
    if stands and not target.inside:
        scanner = context.scanner(output.digest.algorithm)
        if scanner.is_clean(os.fsencode(tracked.path), output.digest):
            return _Intended(target, tracked.path, _plan_columns(context, output.digest, (), (), None))
        if (switch := plan_switch(context, tracked.path, view, scanner, _plan_columns)) is not None:
            return _Intended(target, tracked.path, switch)
    return _Intended(
        target,
        tracked.path,
        _plan_columns(context, output.digest, _current(context, target, special), wanted, _base(context, target)),
        special,
    )


def _plan_columns(
    context: RepoContext,
    digest: Digest,
    current: Iterable[Columns],
    wanted: Iterable[Columns],
    base: Iterable[Columns] | None,
) -> CheckoutPlan:
    saved = saved_in_cache(context, digest.algorithm)
    ours = os.fsencode(os.path.realpath(context.cache_folder / "objects")) + b"/"
    return plan_checkout(current, wanted, base, saved, ours)


def _current(context: RepoContext, target: Target, special: list[str]) -> Iterable[Columns]:
    """What the workspace holds of a target now; FIFOs, sockets and devices are told to *special*."""
    place = context.root / target.tracked.path
    if not os.path.lexists(place):
        return
    scanner = context.scanner(target.tracked.output.digest.algorithm)
    path = os.fsencode(target.tracked.path)
    if place.is_symlink() or not place.is_dir():
        entry = scanner.scan_file(path)
        hasher = context.hasher(target.tracked.output.digest.algorithm)
        yield Columns.from_entries(hasher.name, hasher.digest_size, [replace(entry, path=b"")])
        return
    scan = scanner.scan(path, None, below=target.inside)
    yield from scan
    raise_problems(target.path, scan.problems)
    special += [f"{error}; it is left as it is" for _, error in scan.special]


def _base(context: RepoContext, target: Target) -> Iterable[Columns] | None:
    """What the directory was last equal to, whatever was edited since; None where that is not known."""
    digest = context.fingerprints.latest(os.fsencode(target.tracked.path))
    if digest is None or digest.algorithm != target.tracked.output.digest.algorithm:
        return None
    view = context.view_if_present(digest)
    if view is None:
        return None
    return part_of(view, target.inside) if target.inside else view.leaves()


def single(output: TrackedOutput, name: bytes) -> Columns:
    """A single-file output as Columns."""
    return Columns.from_entries(output.digest.algorithm, len(output.digest.raw), [as_entry(output, name)])


def below(name: bytes, part: Columns) -> Columns:
    """The same entries, seen from one folder higher; a path b"" becomes *name* itself."""
    paths = [name + b"/" + path if path else name for path in part.paths]
    return Columns(part.algorithm, part.width, paths, part.kinds, part.sizes, part.digests, part.targets)


def _refuse_unsaved(context: RepoContext, planned: Sequence[_Intended], *, force: bool = False) -> None:
    """Refuse the whole command before the first change, whichever output is concerned."""
    from kist.engine.checkout.checks import unsaved_changes

    lost = [os.path.join(os.fsencode(one.folder), path) for one in planned for path in one.plan.unsaved]
    if lost and not force:
        raise unsaved_changes(lost)
    make_room(context, lost)


# ── doing ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tools_for(context: RepoContext, output: TrackedOutput) -> CheckoutTools:
    """What a checkout of one output works with."""
    return CheckoutTools(
        objects=context.cache,
        kernel=context.kernel,
        hasher=context.hasher(output.digest.algorithm),
        links=context.links(output.links),
        journal=context.journal,
        trash=context.trash.displaced_folder(),
        fingerprints=context.fingerprints,
        progress=context.progress,
    )


def _told_tools(context: RepoContext, output: TrackedOutput) -> CheckoutTools:
    """The same, with a word about links that nobody can try."""
    tools = tools_for(context, output)
    if tools.links.trouble is not None:
        context.progress.message(f"copies are made this time, for links cannot be tried: {tools.links.trouble}")
    return tools


def _apply(context: RepoContext, one: _Intended, *, force: bool) -> CheckoutReport:
    output = one.target.tracked.output
    if one.files:
        return _apply_files(context, one, force=force)
    if not one.plan and (context.root / one.target.tracked.path).exists():
        return CheckoutReport(kept=_texts(one.folder, one.plan.kept), warnings=tuple(one.special))
    edited = bool(one.plan.kept or one.special) or not _noted(context, one)
    report = apply_checkout(
        context.root,
        os.fsencode(one.folder),
        one.plan,
        _told_tools(context, output),
        intent=intent_of("checkout", one.target),
        force=force,
    )
    whole = output.is_directory and not (one.target.inside or report.missing or report.warnings)
    context.fingerprints.set_base(os.fsencode(one.target.tracked.path), output.digest if whole else None, edited=edited)
    return replace(report, warnings=(*one.special, *report.warnings))


def _noted(context: RepoContext, one: _Intended) -> bool:
    """Whether the rows know what is done now."""
    from kist.engine.workspace.made import note_made

    output, plan, fingerprints = one.target.tracked.output, one.plan, context.fingerprints
    if not output.is_directory or one.target.inside:
        return True
    place = os.fsencode(one.target.tracked.path)
    if one.folder != one.target.tracked.path or not os.path.lexists(context.root / one.folder):
        fingerprints.forget(place)  # all of it is made anew
        return True
    if fingerprints.is_learning(place):  # where that fails the rows are no version's
        fingerprints.save()
    return note_made(fingerprints, place, plan.comes, plan.delete, output.digest.algorithm)


def _apply_files(context: RepoContext, one: _Intended, *, force: bool) -> CheckoutReport:
    report = apply_checkout(
        context.root,
        b"",
        one.plan,
        replace(_told_tools(context, one.target.tracked.output), fingerprints=FileRows(context.fingerprints)),
        intent=intent_of_many("checkout", one.files),
        force=force,
    )
    for target in one.files:
        context.fingerprints.set_base(os.fsencode(target.tracked.path), None)
    return report


def redo_checkout(context: RepoContext, header: Mapping[str, Any]) -> None:
    """Finish a killed checkout: plan it anew, so that edits made since then are protected."""
    found = targets_of(header)
    try:
        if len(found) == 1:
            planned = [_without_empty(context, _plan(context, found[0]))]
        else:
            planned, _, _ = _plan_all(context, found)
    except ObjectMissing:
        return
    _refuse_unsaved(context, planned)
    for one in planned:
        _apply(context, one, force=False)
    context.save_fingerprints()


def _without_empty(context: RepoContext, one: _Intended) -> _Intended:
    """Also take away empty folders that nobody records: after a kill they are what is left of an older version."""
    plan = one.plan
    place = context.root / one.folder
    gone = [path for path in plan.kept if is_empty_folder(place / os.fsdecode(path))]
    if gone:
        hasher = context.hasher(one.target.tracked.output.digest.algorithm)
        entries = [Entry(path, "directory") for path in gone]
        folders = Columns.from_entries(hasher.name, hasher.digest_size, entries)
        plan.delete = joined(plan.delete, folders) if len(plan.delete) else folders
        plan.kept = [path for path in plan.kept if path not in set(gone)]
    return one


def _foreseen(one: _Intended, *, force: bool) -> CheckoutReport:
    plan = one.plan
    unsaved = _texts(one.folder, plan.unsaved)
    refused = () if force else tuple(f"{path} has unsaved changes: refused without --force" for path in unsaved)
    return CheckoutReport(
        files=len(plan.create) + len(plan.replace) + len(plan.modes),
        deleted=len(plan.delete),
        bytes=sum(plan.create.sizes) + sum(plan.replace.sizes),
        kept=_texts(one.folder, plan.kept),
        trashed=unsaved if force else (),
        warnings=(*one.special, *refused),
    )


def _texts(folder: str, paths: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(posixpath.join(folder, os.fsdecode(path)) for path in paths)


# ── versions of a revision ───────────────────────────────────────────────────────────────────────────────────────────


def _edits(context: RepoContext, found: Sequence[Target]) -> list[Edit]:
    """How the metafiles change: one edit each, also for many parts; metafiles that are as in the revision stay."""
    groups: dict[str, list[Target]] = {}
    for target in found:
        groups.setdefault(target.tracked.metafile, []).append(target)
    edits = []
    for metafile, group in groups.items():
        if metafiles.bytes_if_present(context, metafile) != group[0].tracked.data:
            edits.append(_edit(context, group[0], [target.inside for target in group]))
    ignore_in_git(context, [target.tracked.path for target in found])
    return edits


def _edit(context: RepoContext, target: Target, insides: Sequence[bytes]) -> Edit:
    """How the metafile changes for the version of a revision: whole, or just the parts."""
    now = metafiles.load_if_present(context, target.tracked.metafile)
    if b"" in insides or not now or not now[0].output.is_directory:
        return Edit(target.tracked.path, target.tracked.metafile, now[0] if now else None, target.tracked.document)
    current = now[0]
    old, new = context.view(current.output.digest), context.view(target.tracked.output.digest)
    parts = {inside: list(changes(deltas(part_of(old, inside), part_of(new, inside)))) for inside in insides}
    edited = edited_view(context, old, settle_folders(context, old, current.path, parts))
    output = replace(current.output, digest=edited.root, files=edited.files, size=edited.size)
    return Edit(current.path, current.metafile, current, replace(current.document, outputs=(output,)))
