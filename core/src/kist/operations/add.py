"""add: workspace to cache and metafile."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

from kist.engine.workspace.file_scan import FileScan, ScannedFile
from kist.engine.workspace.scan import Scan
from kist.errors import MetafileError, PathConflict, PathNotTracked, StorageError, UsageError, WorkspaceError
from kist.model.change import Change
from kist.model.delta import changes, deltas
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.model.report import AddedOutput, AddReport
from kist.model.tracked import Metafile, TrackedOutput
from kist.operations.add_since import complete_versions, edited_since
from kist.operations.edited_links import ObjectsEdited, setting_aside
from kist.operations.parts import foretold, part_of, raise_problems, settle_folders
from kist.operations.publish import Edit, publish
from kist.operations.recovery import changing
from kist.operations.relink import relink
from kist.operations.superseded import taken_back
from kist.operations.wanted import Wanted, find_wanted
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked, check_alone
from kist.repo.storing import Storing
from kist.util.paths import display
from kist.util.slotted import replace, slotted
from kist.util.units import show_count


@slotted(frozen=True)
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
    with nullcontext() if options.dry_run else changing(context):  # a killed move is undone before paths are looked at
        return add_wanted(context, find_wanted(context, texts), options)


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
            ingested, bytes_read = _ingest_all(context, storing, wanted, options)
        if context.edited_links and not options.dry_run:
            raise ObjectsEdited
        storing.commit()
        stored = storing.bytes_stored
        context.progress.finish()
        edits = [one.edit for one in ingested if one.changed or not changed_only]
        if not options.dry_run:  # inside the session, so that no gc can come between an object and its metafile
            edits = publish(context, edits, settle=lambda: _settle(ingested))
            complete_versions(context).note({one.edit.path: one.root for one in ingested if one.root is not None})
    _forgive_data(context, edits)
    if not options.dry_run:
        relink(context, edits)
    report = AddReport(
        tuple(
            AddedOutput(edit.path, edit.metafile, str(edit.output.digest), edit.output.files, edit.output.size)
            for edit in edits
        ),
        bytes_read=bytes_read,
        bytes_stored=stored,
        warnings=tuple(warning for edit in edits for warning in edit.warnings),
    )
    if edits and not options.dry_run:
        context.hooks.notify("kist_after_add", report=report)
    return report


def _forgive_data(context: RepoContext, edits: Sequence[Edit]) -> None:
    """Drop what was told of files that looked like broken metafiles, but are data of what is recorded now."""
    recorded = tuple(f"{edit.path}/" for edit in edits)
    context.problems[:] = [
        one
        for one in context.problems
        if not (isinstance(one, MetafileError) and (one.path or "").startswith(recorded))
    ]


def _ingest_all(
    context: RepoContext, storing: Storing, wanted: Sequence[Wanted], options: AddOptions
) -> tuple[list[Ingested], int]:
    """Read all that is wanted, tell how much was read; failures of several outputs become the context's problems."""
    groups = _by_output(wanted)
    files, size = _scan_files(context, storing, groups)
    ingested = []
    for group in groups:
        try:
            ingested.append(_ingest(context, storing, group, options, files.get(group[0].path)))
        except (WorkspaceError, StorageError, UsageError) as error:
            if len(groups) == 1:
                raise
            context.problems.append(error)
    return ingested, size + sum(scan.bytes_read for one in ingested for scan in one.scans if isinstance(scan, Scan))


def _scan_files(
    context: RepoContext, storing: Storing, groups: Sequence[Sequence[Wanted]]
) -> tuple[dict[str, ScannedFile], int]:
    """What the outputs of one plain file are now, read folder by folder, and how many bytes that took."""
    paths: dict[str, list[bytes]] = {}
    for one in (group[0] for group in groups if not group[0].inside):
        paths.setdefault(_algorithm(context, one), []).append(os.fsencode(one.path))
    found: dict[str, ScannedFile] = {}
    size = 0
    for algorithm, some in paths.items():
        scan = FileScan(context.scanner(algorithm), storing.sink(algorithm))
        found |= {os.fsdecode(one.path): one for one in scan.scan(some)}
        size += scan.bytes_read
    return found, size


def _algorithm(context: RepoContext, one: Wanted) -> str:
    return one.tracked.output.digest.algorithm if one.tracked and not context.algorithm_set else context.algorithm


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


@slotted(frozen=True)
class Ingested:
    """One output (or parts of it) that was read into the cache; *root* if all of a directory certainly is there."""

    edit: Edit
    scans: tuple[Scan | ScannedFile, ...]
    root: Digest | None = None

    @property
    def changed(self) -> bool:
        """Whether the metafile is to say something new."""
        return self.edit.before is None or self.edit.output != self.edit.before.output

    def settle(self) -> None:
        """Remember which version the workspace is equal to, now that it is published."""
        old = self.edit.before.output.digest if self.edit.before is not None else None
        new = self.edit.output.digest
        for scan in self.scans:  # of several parts none speaks for the whole
            if isinstance(scan, ScannedFile):
                scan.commit_fingerprints(new)
            else:
                scan.commit_fingerprints(new, old, alone=len(self.scans) == 1)


def _ingest(
    context: RepoContext, storing: Storing, group: Sequence[Wanted], options: AddOptions, scanned: ScannedFile | None
) -> Ingested:
    """Read one output (or parts of it) into the cache, unless it was; tells how its metafile changes."""
    one = group[0]
    if one.tracked is not None and one.inside:
        return _ingest_parts(context, storing, one.tracked, [part.inside for part in group])
    old = one.tracked.output if one.tracked else None
    if scanned is not None:
        output = _keep(_single(one, scanned.entry), old)
        return Ingested(_edit(context, one, output, options, scanned), (scanned,))
    place = context.root / one.path
    if not os.path.lexists(place):
        raise PathNotTracked(
            f"{one.path} is not in the workspace",
            path=one.path,
            hint=f"'kist checkout {one.path}' brings it back, 'kist remove {one.path}' stops tracking it",
        )
    algorithm = _algorithm(context, one)
    scanner = context.scanner(algorithm)
    warnings: list[str] = []
    root: Digest | None = None
    if not place.is_dir():
        output = _single(one, scanner.scan_file(os.fsencode(one.path), storing.sink(algorithm)))
    else:
        view = None if options.dry_run else edited_since(context, storing, scanner, one.path)
        if view is None:
            scan = scanner.scan(os.fsencode(one.path), storing.sink(algorithm))
            view = context.codec.write(
                scan, storing.put_node(algorithm), context.hasher(algorithm), storing.read_nodes(algorithm)
            )
            raise_problems(one.path, [*scan.problems, *scan.special])
        root = view.root
        name = posixpath.basename(one.path)
        output = TrackedOutput(name, view.root, is_directory=True, files=view.files, size=view.size)
        warnings = taken_back(context, one.path, old, view) if old and old.is_directory else []
    assert scanner.last is not None
    edit = _edit(context, one, _keep(output, old), options, scanner.last)
    return Ingested(replace(edit, warnings=(*edit.warnings, *warnings)), (scanner.last,), root)


def _single(one: Wanted, entry: Entry) -> TrackedOutput:
    if entry.digest is None:
        raise PathConflict(f"{one.path} is no regular file", path=one.path)
    executable = entry.kind == "executable"
    name = posixpath.basename(one.path)
    return TrackedOutput(name, entry.digest, is_directory=False, executable=executable, size=entry.size)


def _keep(output: TrackedOutput, old: TrackedOutput | None) -> TrackedOutput:
    return output if old is None else replace(output, path=old.path, remote=old.remote, links=old.links)


def _edit(
    context: RepoContext, one: Wanted, output: TrackedOutput, options: AddOptions, scan: Scan | ScannedFile
) -> Edit:
    extra = {"description": options.description} if options.description is not None else {}
    if one.tracked:
        check_alone(one.tracked)
    metafile = one.tracked.metafile if one.tracked else context.metafile_names.new(one.path)
    document = one.tracked.document if one.tracked else Metafile(())
    document = replace(document, outputs=(output,), extra={**document.extra, **extra})
    return Edit(one.path, metafile, one.tracked, document, warnings=tuple(_left_out(scan)))


def _left_out(scan: Scan | ScannedFile) -> Iterator[str]:
    """What a version does not bring along, for people."""
    if outside := scan.outside:
        links = show_count(len(outside), "symbolic link points", "symbolic links point")
        yield f"{links} outside of what is tracked: {_some(outside)}"
    if private := scan.private:
        yield f"no version holds what belongs to Git or kist itself, so this is not recorded: {_some(private)}"


def _some(paths: Sequence[bytes]) -> str:
    shown = ", ".join(map(display, paths[:3]))
    return f"{shown} and others" if len(paths) > 3 else shown


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
    warnings = tuple(dict.fromkeys(text for scan in scans for text in _left_out(scan)))
    return Ingested(Edit(tracked.path, tracked.metafile, tracked, document, warnings), tuple(scans))
