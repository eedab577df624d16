"""diff: two versions of the tracked data, file by file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from kist.engine.manifest.renames import pair_renames
from kist.errors import KistError, ObjectMissing, UsageError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.delta import changes, deltas
from kist.model.entry import Entry
from kist.operations.absent import asked_by
from kist.operations.status import noted, rebased, workspace_parts
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.targets import Target
from kist.util.paths import inside
from kist.util.slotted import replace, slotted


@slotted(frozen=True)
class DiffReport:
    """What differs between two versions.

    Args:
        old: name of the old version, for people.
        new: name of the new version.
        changes: one change a file, paths relative to the repository.
    """

    old: str
    new: str
    changes: tuple[Change, ...] = ()

    def totals(self) -> dict[str, int]:
        """Number of changes of each kind, and bytes added and removed."""
        counts = dict.fromkeys(("added", "modified", "deleted", "renamed"), 0)
        for change in self.changes:
            counts[change.change] = counts.get(change.change, 0) + 1
        new = sum(change.new.size for change in self.changes if change.new and change.change != "renamed")
        old = sum(change.old.size for change in self.changes if change.old and change.change != "renamed")
        return {**counts, "bytes_new": new, "bytes_old": old}


def diff(context: RepoContext, old: str | None = None, new: str | None = None, texts: Sequence[str] = ()) -> DiffReport:
    """Compare two versions.

    Args:
        context: the repository.
        old: a Git revision; None for HEAD, or for what the metafiles record where there is no commit.
        new: a Git revision; None for the files in the workspace.
        texts: paths, or globs, to limit the comparison to.

    Raises:
        PathNotTracked: a path that neither version has.
        UsageError: an unknown revision.
        ObjectMissing: a manifest that is not on this machine.
    """
    if old is None and context.git is not None and context.git.has_commits():
        old = "HEAD"
    before = _versions(context, old)
    after = {} if new is None else _versions(context, new)
    current = {one.path: one for one in context.tracked()} if new is None else {}
    limit = _limit(context, texts, [before, after, current])
    found: list[Change] = []
    with asked_by(old, new):
        for path in filter(limit.touches, sorted({*before, *after, *current})):
            was = before.get(path)
            if new is None:
                found += _against_workspace(context, was, current.get(path) or was)
            else:
                found += _between(context, was, after.get(path))
    kept = (change for change in found if limit.holds(change.path))
    context.save_fingerprints()
    return DiffReport(old or "recorded", new or "workspace", tuple(pair_renames(kept)))


def _compare(old: Iterable[Columns], new: Iterable[Columns]) -> Iterator[Change]:
    return changes(deltas(old, new))


def split_words(
    context: RepoContext, words: Sequence[str], behind: Sequence[str] | None = None
) -> tuple[str | None, str | None, list[str]]:
    """Tell revisions from paths, as Git does: at most two revisions come first.

    Args:
        context: the repository.
        words: revisions, then paths, as typed.
        behind: those of the words that stood behind ``--`` and are paths therefore; None if there was none.

    Returns:
        the old revision, the new one, the paths.

    Raises:
        UsageError: more than two revisions, or a word that is neither a revision nor a path.
    """
    if behind is not None:
        count = len(words) - len(behind)
        if count > 2:
            raise UsageError("at most two revisions can be compared", hint="paths stand behind '--'")
    else:
        count = next((at for at, word in enumerate(words[:2]) if _is_path(context, word)), min(len(words), 2))
    return words[0] if count else None, words[1] if count == 2 else None, list(words[count:])


def _is_path(context: RepoContext, word: str) -> bool:
    """Whether a word is a path and no revision; one that is neither is left to Git to complain about."""
    if context.git is not None:
        with suppress(KistError):
            context.git.resolve(word)
            return False
    with suppress(KistError):
        path = targets.repository_path(context, word)
        return os.path.lexists(word) or targets.is_glob(path) or targets.owner_of(context, path) is not None
    return False


@slotted(frozen=True)
class _Limit:
    """What the comparison is limited to; everything if there is neither a path nor a glob."""

    paths: tuple[str, ...] = ()
    globs: tuple[Callable[[str], bool], ...] = ()

    def touches(self, output: str) -> bool:
        """Whether an output, or something in it, can be meant."""
        if not self.paths or self.globs:
            return True
        return any(_below(output, one) or _below(one, output) for one in self.paths)

    def holds(self, path: bytes) -> bool:
        """Whether an entry is meant."""
        if not self.paths and not self.globs:
            return True
        text = os.fsdecode(path)
        if any(_below(text, one) for one in self.paths):
            return True
        pieces = text.split("/")
        return any(fits("/".join(pieces[:depth])) for depth in range(1, len(pieces) + 1) for fits in self.globs)


def _limit(context: RepoContext, texts: Sequence[str], versions: Sequence[Mapping[str, Tracked]]) -> _Limit:
    outputs = {path for version in versions for path in version}
    paths: list[str] = []
    globs: list[Callable[[str], bool]] = []
    for text in texts:
        path = targets.repository_path(context, text)
        if targets.is_glob(path) and not os.path.lexists(context.root / path):
            globs.append(targets.glob_matcher(path))
        elif any(_below(one, path) for one in outputs) or _is_known(context, path, versions):
            paths.append(path)
        elif path:
            raise targets.not_tracked(context, text, path)
    return _Limit(tuple(paths), tuple(globs))


def _is_known(context: RepoContext, path: str, versions: Iterable[Mapping[str, Tracked]]) -> bool:
    """Whether a path inside an output is in the workspace or in one of the versions, as far as is known here."""
    owners = [one for version in versions for place, one in version.items() if _below(path, place)]
    if not owners:
        return False
    if os.path.lexists(context.root / path):
        return True
    for one in owners:
        try:
            if targets.recorded(context, Target(one, os.fsencode(path[len(one.path) + 1 :]))):
                return True
        except ObjectMissing:
            return True
    return False


def _below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")


def _versions(context: RepoContext, revision: str | None) -> dict[str, Tracked]:
    return {one.path: one for one in context.tracked(revision=revision)}


def _file_entry(tracked: Tracked, path: bytes) -> Entry:
    output = tracked.output
    return Entry(path, "executable" if output.executable else "file", output.size, output.digest)


def _between(context: RepoContext, was: Tracked | None, now: Tracked | None) -> Iterable[Change]:
    """Changes from one recorded version of an output to another."""
    place = os.fsencode((was or now).path)  # type: ignore[union-attr]
    if was is None or now is None:
        return _by_parts(context, was, now, place)
    if was.output.digest == now.output.digest:
        return _mode_change(was, now)
    directories = was.output.is_directory and now.output.is_directory
    if directories and was.output.digest.algorithm == now.output.digest.algorithm:
        return rebased(context.view(was.output.digest).diff(context.view(now.output.digest)), place)
    return _by_parts(context, was, now, place)


def _mode_change(was: Tracked, now: Tracked) -> Iterable[Change]:
    if was.output.is_directory or was.output.executable == now.output.executable:
        return ()
    place = os.fsencode(was.path)
    return (Change(place, "modified", old=_file_entry(was, place), new=_file_entry(now, place)),)


def _by_parts(context: RepoContext, was: Tracked | None, now: Tracked | None, place: bytes) -> Iterator[Change]:
    """Compare where one side is absent, a file, or of another algorithm."""
    sides: list[Iterable[Columns]] = []
    singles: list[Entry | None] = []
    for one in (was, now):
        directory = one is not None and one.output.is_directory
        sides.append(context.view(one.output.digest).leaves() if one is not None and directory else ())
        singles.append(_file_entry(one, place) if one is not None and not directory else None)
    if singles[0] is not None and singles[1] is not None:
        yield Change(place, "modified", old=singles[0], new=singles[1])
    elif singles[0] is not None:
        yield Change(place, "deleted", old=singles[0])
    elif singles[1] is not None:
        yield Change(place, "added", new=singles[1])
    yield from rebased(_compare(sides[0], sides[1]), place)


def _against_workspace(context: RepoContext, was: Tracked | None, tracked: Tracked | None) -> Iterable[Change]:
    """Changes from a recorded version to the files that stand in the workspace."""
    if tracked is None:
        return ()
    is_directory = (context.root / tracked.path).is_dir()
    if os.path.lexists(context.root / tracked.path) and not is_directory:
        return _against_file(context, was, tracked)
    place = os.fsencode(tracked.path)
    if was is None or not was.output.is_directory:
        parts = workspace_parts(context, Target(tracked)) if is_directory else ()
        gone = () if was is None else (Change(place, "deleted", old=_file_entry(was, place)),)
        return (*gone, *rebased(_compare((), parts), place))
    scanner = context.scanner(was.output.digest.algorithm)
    if is_directory and scanner.is_clean(place, was.output.digest):
        return ()
    before = context.view(was.output.digest).leaves()
    if not is_directory:
        return rebased(_compare(before, ()), place)
    scan = scanner.scan(place, None)
    found = list(rebased(_compare(before, noted(context, tracked.path, scan)), place))
    unread = [path for path, _ in scan.problems]  # it is there, but nobody knows as what
    return [one for one in found if one.change != "deleted" or not any(inside(one.path, it) for it in unread)]


def _against_file(context: RepoContext, was: Tracked | None, tracked: Tracked) -> Iterable[Change]:
    """Changes from a recorded version to the one file that stands in the workspace."""
    place = os.fsencode(tracked.path)
    entry = context.scanner(tracked.output.digest.algorithm).scan_file(place)
    new = replace(entry, path=place)
    if was is None or was.output.is_directory:
        return (*_by_parts(context, was, None, place), Change(place, "added", new=new))
    old = _file_entry(was, place)
    return () if old == new else (Change(place, "modified", old=old, new=new),)
