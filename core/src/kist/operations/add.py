"""add: workspace to cache and metafile."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise

from kist.engine.workspace.scan import Scan
from kist.errors import (
    MetafileError,
    ObjectMissing,
    PathConflict,
    PathIgnored,
    PathNotTracked,
    StorageError,
    UsageError,
    WorkspaceError,
)
from kist.model.change import Change
from kist.model.delta import changes, deltas
from kist.model.report import AddedOutput, AddReport
from kist.model.tracked import Metafile, TrackedOutput
from kist.operations.edited_links import ObjectsEdited, setting_aside
from kist.operations.parts import foretold, part_of, raise_problems, settle_folders
from kist.operations.publish import Edit, publish
from kist.operations.recovery import changing
from kist.operations.relink import relink
from kist.operations.superseded import taken_back
from kist.repo import metafiles, targets
from kist.repo.beside_git import tracked_by_git
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.storing import Storing
from kist.repo.targets import Target
from kist.util.paths import display, parts
from kist.util.units import show_count


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to add: a new or known output, or a part of a known one."""

    path: str
    tracked: Tracked | None
    inside: bytes = b""


@dataclass(frozen=True, slots=True)
class AddOptions:
    """How to add.

    Args:
        description: text to keep in the metafile.
        dry_run: look, but store and write nothing.
    """

    description: str | None = None
    dry_run: bool = False


def add(context: RepoContext, texts: Sequence[str], options: AddOptions = AddOptions()) -> AddReport:
    """Put files and directories under version control, or record their changes.

    Args:
        context: the repository.
        texts: paths as typed; new ones, tracked ones, or parts of tracked directories.
        options: how to add.

    Returns:
        What was added.

    Raises:
        UsageError: nothing to add, a path outside.
        PathNotTracked: a path that does not exist.
        PathIgnored: a path that an ignore rule hides.
        PathConflict: overlapping outputs, a path that Git tracks, FIFOs and devices.
        StorageError: files that cannot be read, all listed; the other outputs are done.
    """
    if not texts:
        raise UsageError("nothing to add", hint="name files or directories: kist add data")
    wanted: dict[tuple[str, bytes], Wanted] = {}
    with nullcontext() if options.dry_run else changing(context):  # a killed move is undone before paths are looked at
        for text in texts:
            for one in _wanted(context, text):
                wanted.setdefault((one.path, one.inside), one)
        check_overlaps(context, [one.path for one in wanted.values() if one.tracked is None])
        return add_wanted(context, list(wanted.values()), options)


def _wanted(context: RepoContext, text: str) -> list[Wanted]:
    path = targets.repository_path(context, text)
    if not path:
        raise UsageError(f"{text} is the repository itself", path=text, hint="name a folder or file inside it")
    if metafiles.format_of(context.formats, posixpath.basename(path)) and (context.root / path).is_file():
        targets.check_own(context, path)
        return [Wanted(one.path, one) for one in metafiles.load(context, path)]
    owner = targets.owner_of(context, path)
    if targets.is_glob(path) and _is_no_name(context, path, owner):
        return _fitting(context, path)
    if owner is not None:
        if owner.inside and not owner.tracked.output.is_directory:
            raise PathConflict(f"{text} lies inside {owner.tracked.path}, which is tracked as a file", path=text)
        if owner.inside and not _is_recorded(context, owner):
            _check_visible(context, path, text)
        return [Wanted(owner.tracked.path, owner.tracked, owner.inside)]
    if not os.path.lexists(context.root / path):
        raise PathNotTracked(f"{text} does not exist", path=text, hint=targets.similar(context, path))
    check_name(path, text)
    _check_new(context, path, text)
    return [Wanted(path, None)]


def check_name(path: str, text: str) -> None:
    """Refuse a path that nothing tracked may have.

    Args:
        path: relative to the repository.
        text: as typed.

    Raises:
        UsageError: it enters a private folder, say.
    """
    try:
        parts(os.fsencode(path))
    except MetafileError as error:
        raise UsageError(str(error), path=text) from error


def _is_no_name(context: RepoContext, path: str, owner: Target | None) -> bool:
    """Whether a text with glob characters is not just the name of something."""
    if os.path.lexists(context.root / path) or (owner is not None and not owner.inside):
        return False
    return owner is None or not _is_recorded(context, owner)


def _fitting(context: RepoContext, pattern: str) -> list[Wanted]:
    """What a glob stands for: names in the workspace, and recorded ones that are gone from tracked directories."""
    found = [
        one
        for name in targets.workspace_names(context, pattern)
        if not _is_hidden(context, name)
        for one in _wanted(context, os.path.join(context.root, name))
    ]
    gone = [target for target in targets.fitting(context, pattern) if target.inside]
    found += [Wanted(target.tracked.path, target.tracked, target.inside) for target in gone]
    if not found:
        raise PathNotTracked(f"nothing fits {pattern}", path=pattern)
    return found


def _is_hidden(context: RepoContext, path: str) -> bool:
    return context.ignore.hides(os.fsencode(path), is_directory=os.path.isdir(context.root / path))


def _check_visible(context: RepoContext, path: str, text: str) -> None:
    if _is_hidden(context, path):
        raise PathIgnored(
            f"{text} is hidden by a rule in {context.dialect.ignore_file}",
            path=text,
            hint=f"change {context.dialect.ignore_file}, or name another path",
        )


def _is_recorded(context: RepoContext, owner: Target) -> bool:
    try:
        return targets.recorded(context, owner)
    except ObjectMissing:
        return False


def _check_new(context: RepoContext, path: str, text: str) -> None:
    targets.check_own(context, path)
    _check_visible(context, path, text)
    mode = os.lstat(context.root / path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "neither a file nor a directory"
        raise PathConflict(f"{text} is {kind} and cannot be an output of its own", path=text)
    held = tracked_by_git(context, path)
    if held and (inner := targets.inner_repository(context, path, text)) is not None:
        raise inner  # a submodule; a clone that Git does not know may be data
    if held:
        raise PathConflict(
            f"{text} is tracked by Git ({display(held[0])})",
            path=text,
            hint=f"take it out of Git first: git rm -r --cached {text}",
        )


def check_overlaps(context: RepoContext, new: Sequence[str]) -> None:
    """Refuse outputs that lie in one another.

    Raises:
        PathConflict: naming both.
    """
    known = [one.path for path in new if (context.root / path).is_dir() for one in context.tracked(path)]
    everything = sorted({*known, *new}, key=lambda path: path + "/")  # what lies in a folder follows it directly
    for one, other in pairwise(everything):
        if other.startswith(one + "/"):
            raise PathConflict(
                f"{one} and {other} overlap: an output cannot lie inside another",
                path=other,
                hint=f"'kist remove --keep {other}' stops tracking it on its own",
            )


def add_wanted(
    context: RepoContext, wanted: Sequence[Wanted], options: AddOptions, *, changed_only: bool = False
) -> AddReport:
    """Scan, store and publish; outputs that cannot be added do not hold up the others.

    Args:
        context: the repository.
        wanted: what to read.
        options: how to add.
        changed_only: leave out outputs that turn out to be what their metafile says.
    """
    with nullcontext() if options.dry_run else changing(context):
        return setting_aside(context, lambda: _add(context, wanted, options, changed_only=changed_only))


def _add(context: RepoContext, wanted: Sequence[Wanted], options: AddOptions, *, changed_only: bool) -> AddReport:
    context.progress.start("add")
    with context.storing(dry_run=options.dry_run) as storing:
        with foretold(context, [os.path.join(os.fsencode(one.path), one.inside) for one in wanted]):
            ingested = _ingest_all(context, storing, wanted, options)
        if context.edited_links and not options.dry_run:
            raise ObjectsEdited
        storing.commit()
        stored = storing.bytes_stored
        context.progress.finish()
        edits = [one.edit for one in ingested if one.changed or not changed_only]
        if not options.dry_run:  # inside the session, so that no gc can come between an object and its metafile
            edits = publish(context, edits, settle=lambda: _settle(ingested))
    if not options.dry_run:
        relink(context, edits)
    report = AddReport(
        tuple(
            AddedOutput(edit.path, edit.metafile, str(edit.output.digest), edit.output.files, edit.output.size)
            for edit in edits
        ),
        bytes_read=sum(one.bytes_read for one in ingested),
        bytes_stored=stored,
        warnings=tuple(warning for edit in edits for warning in edit.warnings),
    )
    if edits and not options.dry_run:
        context.hooks.notify("kist_after_add", report=report)
    return report


def _ingest_all(
    context: RepoContext, storing: Storing, wanted: Sequence[Wanted], options: AddOptions
) -> list[Ingested]:
    """Read all that is wanted; the failures of several outputs become the context's problems."""
    groups = _by_output(wanted)
    ingested = []
    for group in groups:
        try:
            ingested.append(_ingest(context, storing, group, options))
        except (WorkspaceError, StorageError, UsageError) as error:
            if len(groups) == 1:
                raise
            context.problems.append(error)
    return ingested


def _by_output(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    """What is wanted of each output: all parts of one go into the same edit; the whole, or a folder, covers a part."""
    groups: dict[str, list[Wanted]] = {}
    for one in sorted(wanted, key=lambda one: (bool(one.inside), one.inside + b"/")):
        group = groups.setdefault(one.path, [])
        if not any(
            not above.inside or one.inside.startswith(above.inside + b"/") for above in (*group[:1], *group[-1:])
        ):
            group.append(one)
    return list(groups.values())


def _settle(ingested: Sequence[Ingested]) -> None:
    for one in ingested:
        one.settle()


@dataclass(frozen=True, slots=True)
class Ingested:
    """One output (or parts of it) that was read into the cache."""

    edit: Edit
    scans: tuple[Scan, ...]

    @property
    def bytes_read(self) -> int:
        """Content read from the workspace."""
        return sum(scan.bytes_read for scan in self.scans)

    @property
    def changed(self) -> bool:
        """Whether the metafile is to say something new."""
        return self.edit.before is None or self.edit.output != self.edit.before.output

    def settle(self) -> None:
        """Remember which version the workspace is equal to, now that it is published."""
        for scan in self.scans:  # of several parts none speaks for the whole
            scan.commit_fingerprints(self.edit.output.digest if len(self.scans) == 1 else None)


def _ingest(context: RepoContext, storing: Storing, group: Sequence[Wanted], options: AddOptions) -> Ingested:
    """Read one output (or parts of it) into the cache; tells how its metafile changes."""
    one = group[0]
    if one.tracked is not None and one.inside:
        return _ingest_parts(context, storing, one.tracked, [part.inside for part in group])
    place = context.root / one.path
    if not os.path.lexists(place):
        raise PathNotTracked(
            f"{one.path} is not in the workspace",
            path=one.path,
            hint=f"'kist checkout {one.path}' brings it back, 'kist remove {one.path}' stops tracking it",
        )
    old = one.tracked.output if one.tracked else None
    algorithm = old.digest.algorithm if old and not context.algorithm_set else context.algorithm
    scanner = context.scanner(algorithm)
    name = posixpath.basename(one.path)
    warnings: list[str] = []
    if not place.is_dir():
        entry = scanner.scan_file(os.fsencode(one.path), storing.sink(algorithm))
        if entry.digest is None:
            raise PathConflict(f"{one.path} is no regular file", path=one.path)
        output = TrackedOutput(
            name, entry.digest, is_directory=False, executable=entry.kind == "executable", size=entry.size
        )
    else:
        scan = scanner.scan(os.fsencode(one.path), storing.sink(algorithm))
        view = context.codec.write(
            scan, storing.put_node(algorithm), context.hasher(algorithm), storing.read_nodes(algorithm)
        )
        raise_problems(one.path, [*scan.problems, *scan.special])
        output = TrackedOutput(name, view.root, is_directory=True, files=view.files, size=view.size)
        warnings = taken_back(context, one.path, old, view) if old and old.is_directory else []
    assert scanner.last is not None
    edit = _edit(context, one, _keep(output, old), options, scanner.last)
    return Ingested(replace(edit, warnings=(*edit.warnings, *warnings)), (scanner.last,))


def _keep(output: TrackedOutput, old: TrackedOutput | None) -> TrackedOutput:
    return output if old is None else replace(output, path=old.path, remote=old.remote, links=old.links)


def _edit(context: RepoContext, one: Wanted, output: TrackedOutput, options: AddOptions, scan: Scan) -> Edit:
    extra = {"description": options.description} if options.description is not None else {}
    metafile = one.tracked.metafile if one.tracked else context.metafile_names.of(one.path)[0]
    document = one.tracked.document if one.tracked else Metafile(())
    document = replace(document, outputs=(output,), extra={**document.extra, **extra})
    return Edit(one.path, metafile, one.tracked, document, warnings=tuple(_outside(scan)))


def _outside(scan: Scan) -> list[str]:
    found = [os.fsdecode(path) for path in scan.outside]
    if not found:
        return []
    shown = ", ".join(found[:3]) + (" and others" if len(found) > 3 else "")
    links = show_count(len(found), "symbolic link points", "symbolic links point")
    return [f"{links} outside of what is tracked: {shown}"]


def _ingest_parts(context: RepoContext, storing: Storing, tracked: Tracked, insides: Sequence[bytes]) -> Ingested:
    """Record only what lies at or below some paths inside a tracked directory."""
    old = tracked.output
    algorithm = old.digest.algorithm
    view = storing.view(old.digest)
    scans: list[Scan] = []
    parts: dict[bytes, list[Change]] = {}
    for inside in insides:
        scan = context.scanner(algorithm).scan(os.fsencode(tracked.path), storing.sink(algorithm), below=inside)
        found = list(changes(deltas(part_of(view, inside), scan)))
        raise_problems(tracked.path, [*scan.problems, *scan.special])
        full = posixpath.join(tracked.path, os.fsdecode(inside))
        if not found and view.find(inside) is None and not os.path.lexists(context.root / full):
            raise PathNotTracked(f"{full} exists neither in the workspace nor in the recorded version", path=full)
        parts[inside] = found
        scans.append(scan)
    edited = context.codec.edit(
        view,
        settle_folders(context, view, tracked.path, parts),
        storing.put_node(algorithm),
        context.hasher(algorithm),
        storing.read_nodes(algorithm),
    )
    output = replace(old, digest=edited.root, files=edited.files, size=edited.size)
    document = replace(tracked.document, outputs=(output,))
    warnings = tuple(dict.fromkeys(text for scan in scans for text in _outside(scan)))
    return Ingested(Edit(tracked.path, tracked.metafile, tracked, document, warnings), tuple(scans))
