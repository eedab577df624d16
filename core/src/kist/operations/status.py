"""status: what the workspace holds, compared with what the metafiles say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from kist.engine.manifest.renames import pair_renames
from kist.errors import KistError, ObjectError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.delta import changes, deltas
from kist.model.entry import Entry
from kist.model.status import OutputStatus, StatusSection
from kist.model.tracked import TrackedOutput
from kist.operations.parts import note_problems, part_of, raise_problems
from kist.repo import targets
from kist.repo.beside_git import not_ignored
from kist.repo.context import RepoContext
from kist.repo.targets import Target, recorded_file
from kist.util.slotted import replace, slotted

if TYPE_CHECKING:
    from kist.engine.workspace.scan import Scan, Scanner


@slotted(frozen=True)
class StatusReport:
    """What `status` found.

    Args:
        outputs: every output that was looked at, with its changes.
        sections: what plugins add.
        warnings: what is wrong beside the changes: objects of the cache that were edited through a link.
    """

    outputs: tuple[OutputStatus, ...]
    sections: tuple[StatusSection, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing differs."""
        return not any(one.changes for one in self.outputs)


def status(context: RepoContext, texts: Sequence[str] = ()) -> StatusReport:
    """Compare the workspace with the metafiles; takes no lock and changes nothing but fingerprints.

    Args:
        context: the repository.
        texts: targets, all outputs if empty.

    Raises:
        PathNotTracked: a target that is not tracked.
    """
    from kist.engine.workspace.unchanged_files import unchanged_files

    found: list[OutputStatus] = []
    context.progress.start("status")
    chosen = targets.resolve(context, texts, unrecorded=True)
    files = [recorded_file(target) for target in chosen if not target.tracked.output.is_directory]
    unchanged = unchanged_files(context.scanner(context.algorithm), files)
    for target in chosen:
        try:
            same = not target.tracked.output.is_directory and recorded_file(target) in unchanged
            differing = () if same else compare_target(context, target)
        except KistError as error:
            context.problems.append(error)
            continue
        found.append(OutputStatus(target.path, target.tracked.metafile, differing))
    context.progress.finish()
    context.save_fingerprints()
    sections, errors = context.plugins.collect("kist_status_sections", repo=context)
    return StatusReport(tuple(found), tuple(sections), (*_warnings(context), *map(str, errors)))


def _warnings(context: RepoContext) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    if context.edited_links:
        from kist.operations.edited_links import findings

        found = findings(context)
    if context.place.waiting is not None and (bare := not_ignored(context)):  # Git came after kist
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        found += (f"Git does not ignore {bare[0]}{more} yet: run 'kist doctor --fix' before 'git add'",)
    return found


def compare_target(context: RepoContext, target: Target) -> tuple[Change, ...]:
    """The changes of one target from its recorded version to the workspace; paths relative to the repository."""
    output = target.tracked.output
    place = os.fsencode(target.tracked.path)
    if not os.path.lexists(context.root / target.tracked.path):
        return (Change(os.fsencode(target.path), "missing", old=_whole(output)),)
    if not output.is_directory or not os.path.isdir(context.root / target.tracked.path):
        return _compare_file(context, target, place)
    scanner = context.scanner(output.digest.algorithm)
    if not target.inside:
        found = _since(context, target, scanner)
        if found is not None:
            return tuple(rebased(pair_renames(found), place))
    view = context.view_if_present(output.digest)
    if view is None:
        return _compare_root(context, target, place)
    scan = scanner.scan(place, None, below=target.inside)
    old = part_of(view, target.inside) if target.inside else view.leaves()
    found = list(changes(deltas(old, scan)))
    raise_problems(target.path, scan.problems)
    note_problems(context, target.path, scan.special)
    if not found and not target.inside:
        scan.commit_fingerprints(output.digest)
    return tuple(rebased(pair_renames(found), place))


def _since(context: RepoContext, target: Target, scanner: Scanner) -> list[Change] | None:
    """The changes of a whole directory where its fingerprints are equal to the recorded version, else None."""
    from kist.engine.workspace.since import Since, with_old

    root = target.tracked.output.digest
    since = Since(scanner, os.fsencode(target.tracked.path), root, context.view)
    try:
        if not since.look():
            return None
        found = list(since.changes())
        settled = with_old(since.base, found) if found else []
    except ObjectError:  # the version is not whole on this machine
        return None
    raise_problems(target.path, since.problems)
    note_problems(context, target.path, since.special)
    if settled:
        since.keep_if_dear()
    elif since.moved:
        since.keep()
        since.commit_fingerprints(root)
    return settled


def rebased(found: Iterable[Change], place: bytes) -> Iterable[Change]:
    """Changes inside an output as changes of the repository."""
    return (
        replace(
            change,
            path=place + b"/" + change.path,
            old_path=place + b"/" + change.old_path if change.old_path is not None else None,
        )
        for change in found
    )


def _whole(output: TrackedOutput) -> Entry:
    return Entry(os.fsencode(output.path), "executable" if output.executable else "file", output.size, output.digest)


def _compare_file(context: RepoContext, target: Target, place: bytes) -> tuple[Change, ...]:
    output = target.tracked.output
    if output.is_directory or os.path.isdir(context.root / target.tracked.path):
        return (Change(place, "modified", old=_whole(output)),)
    entry = context.scanner(output.digest.algorithm).scan_file(place)
    old = replace(_whole(output), path=entry.path)
    return () if entry == old else (Change(place, "modified", old=old, new=entry),)


def _compare_root(context: RepoContext, target: Target, place: bytes) -> tuple[Change, ...]:
    """Compare by root digest alone, where the recorded manifest is not on this machine."""
    output = target.tracked.output
    hasher = context.hasher(output.digest.algorithm)
    scan = context.scanner(output.digest.algorithm).scan(place, None)
    view = context.codec.write(scan, hasher.raw, hasher)
    raise_problems(target.path, scan.problems)
    note_problems(context, target.path, scan.special)
    if view.root == output.digest:
        return ()
    return (Change(place, "modified", old=_whole(output)),)


def workspace_parts(context: RepoContext, target: Target) -> Iterable[Columns]:
    """What the workspace holds of a tracked directory, as parts in path order; nothing where it is absent."""
    place = context.root / target.tracked.path
    if not place.is_dir():
        return ()
    algorithm = target.tracked.output.digest.algorithm
    return noted(context, target.tracked.path, context.scanner(algorithm).scan(os.fsencode(target.tracked.path), None))


def noted(context: RepoContext, path: str, scan: Scan) -> Iterator[Columns]:
    """A scan as its parts; what could be read neither now nor ever becomes one of the context's problems at its end."""
    yield from scan
    note_problems(context, path, [*scan.problems, *scan.special])
