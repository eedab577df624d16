"""wanted: what people name to be added, new or known, and what refuses it before anything is read."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from itertools import pairwise

from kist.errors import MetafileError, ObjectMissing, PathConflict, PathIgnored, PathNotTracked, UsageError
from kist.repo import metafiles, targets
from kist.repo.beside_git import tracked_by_git
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.targets import Target
from kist.util.paths import display, parents, parts
from kist.util.slotted import slotted


@slotted(frozen=True)
class Wanted:
    """What to add: a new or known output, or a part of a known one; of a new one also the text as typed."""

    path: str
    tracked: Tracked | None
    inside: bytes = b""
    text: str = ""


def find_wanted(context: RepoContext, texts: Sequence[str]) -> list[Wanted]:
    """What paths stand for as they were typed, each output or part once.

    Args:
        context: the repository.
        texts: new paths, tracked ones, or parts of tracked directories.

    Raises:
        UsageError: a path outside.
        PathNotTracked: a path that does not exist.
        PathIgnored: a path that an ignore rule hides.
        PathConflict: overlapping outputs, a path that Git tracks, FIFOs and devices.
    """
    wanted: dict[tuple[str, bytes], Wanted] = {}
    owners = targets.Owners(context)
    for text in texts:
        for one in _wanted(context, text, owners):
            wanted.setdefault((one.path, one.inside), one)
    new = [one for one in wanted.values() if one.tracked is None]
    _check_git(context, new)
    check_overlaps(context, [one.path for one in new])
    _check_described(context, {one.path for one in new})
    return list(wanted.values())


def _wanted(context: RepoContext, text: str, owners: targets.Owners) -> list[Wanted]:
    path = targets.repository_path(context, text)
    if not path:
        raise UsageError(f"{text} is the repository itself", path=text, hint="name a folder or file inside it")
    return _wanted_at(context, path, text, owners)


def _wanted_at(context: RepoContext, path: str, text: str, owners: targets.Owners) -> list[Wanted]:
    if metafiles.format_of(context.formats, posixpath.basename(path)) and (context.root / path).is_file():
        owners.check_own(path)
        return [Wanted(one.path, one) for one in metafiles.load(context, path)]
    owner = owners.of(path)
    if targets.is_glob(path) and _is_no_name(context, path, owner):
        return _fitting(context, path, owners)
    if owner is not None:
        if owner.inside and not owner.tracked.output.is_directory:
            raise PathConflict(f"{text} lies inside {owner.tracked.path}, which is tracked as a file", path=text)
        if owner.inside and not _is_recorded(context, owner):
            _check_visible(context, path, text)
        return [Wanted(owner.tracked.path, owner.tracked, owner.inside)]
    if not os.path.lexists(context.root / path):
        raise PathNotTracked(f"{text} does not exist", path=text, hint=targets.similar(context, path))
    check_name(path, text)
    owners.check_own(path)
    _check_new(context, path, text)
    return [Wanted(path, None, text=text)]


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


def _fitting(context: RepoContext, pattern: str, owners: targets.Owners) -> list[Wanted]:
    """What a glob stands for: names in the workspace, and recorded ones that are gone from tracked directories."""
    found = [
        one
        for name in targets.workspace_names(context, pattern)
        if not _is_hidden(context, name)
        for one in _wanted_at(context, name, os.path.relpath(context.root / name), owners)
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
    _check_visible(context, path, text)
    mode = os.lstat(context.root / path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "neither a file nor a directory"
        raise PathConflict(f"{text} is {kind} and cannot be an output of its own", path=text)


def _check_git(context: RepoContext, new: Sequence[Wanted]) -> None:
    """Refuse new outputs with files that Git tracks."""
    held: dict[bytes, bytes] = {}
    for found in tracked_by_git(context, [one.path for one in new]):
        for above in (found, *parents(found)):
            held.setdefault(above, found)
    for one in new:
        first = held.get(os.fsencode(one.path))
        if first is None:
            continue
        if (inner := targets.inner_repository(context, one.path, one.text)) is not None:
            raise inner  # a submodule; a clone that Git does not know may be data
        raise PathConflict(
            f"{one.text} is tracked by Git ({display(first)})",
            path=one.text,
            hint=f"take it out of Git first: git rm -r --cached {one.text}",
        )


def _check_described(context: RepoContext, new: set[str]) -> None:
    """Refuse new outputs that a metafile beside them describes under another name: there would be two then."""
    suffixes = context.metafile_names.suffixes
    for folder in {posixpath.dirname(path) for path in new}:
        with os.scandir(context.root / folder) as entries:
            files = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
        beside = [  # not those that stand beside what they are named after, which is nearly all
            posixpath.join(folder, name)
            for name in sorted(files)
            if files[name]
            and name.endswith(suffixes)
            and not any(name.endswith(one) and name.removesuffix(one) in files for one in suffixes)
        ]
        for one in metafiles.load_all(context, beside, problems=[]):  # a broken one holds up nothing new
            if one.path in new:
                raise PathConflict(
                    f"{one.path} is described by {one.metafile}",
                    path=one.path,
                    hint=f"give that the name {context.metafile_names.new(one.path)}, or take it away",
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
