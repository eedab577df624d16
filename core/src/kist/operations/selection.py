"""selection: which versions of which targets a command is about, in the workspace or in Git revisions."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kist.errors import ObjectMissing, PathNotTracked, UsageError
from kist.model.digest import Digest
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.targets import Target
from kist.util.slotted import slotted


@slotted(frozen=True)
class Selection:
    """Which versions a command is about.

    Args:
        branches: also those of all branches.
        tags: also those of all tags.
        commits: also those of all commits.
        revisions: also those of these Git revisions.
    """

    branches: bool = False
    tags: bool = False
    commits: bool = False
    revisions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.branches or self.tags or self.commits or self.revisions)


def chosen_versions(context: RepoContext, texts: Sequence[str], select: Selection) -> list[Tracked]:
    """The outputs, in all versions asked for, each version of an output once."""
    found = selected(context, texts, select) if select else targets.resolve(context, texts)
    versions = {(one.tracked.path, one.tracked.output.digest): one.tracked for one in found}
    return [versions[key] for key in sorted(versions)]


def selected(context: RepoContext, texts: Sequence[str], select: Selection) -> list[Target]:
    """The targets in the versions of Git revisions, whether the workspace still tracks them or not.

    Args:
        context: the repository.
        texts: targets, all outputs if empty.
        select: the revisions.

    Raises:
        PathNotTracked: a target that no revision tracks.
        UsageError: there is no Git repository here, or an unknown revision.
    """
    found: dict[tuple[str, Digest, bytes], Target] = {}
    left = list(texts)
    for revision in revisions_of(context, select):
        recorded = context.tracked(revision=revision)
        here = [] if texts else [Target(one) for one in recorded]
        for text in texts:
            fitting = _among(context, text, recorded)
            here += fitting
            if fitting and text in left:
                left.remove(text)
        for one in here:
            found.setdefault((one.tracked.path, one.tracked.output.digest, one.inside), one)
    if left:
        raise PathNotTracked(f"{left[0]} is not tracked in the revisions asked for", path=left[0])
    return [found[key] for key in sorted(found)]


def _among(context: RepoContext, text: str, recorded: Sequence[Tracked]) -> list[Target]:
    """The targets; of a glob in a directory whose manifest is not here yet, the folder that the glob begins with."""
    try:
        return among(context, text, recorded)
    except ObjectMissing:
        return among(context, targets.fixed_part(text), recorded)


def revisions_of(context: RepoContext, select: Selection) -> list[str]:
    """The Git commits whose versions are asked for, each once.

    Raises:
        UsageError: there is no Git repository here, or an unknown revision.
    """
    git = context.git
    if git is None:
        raise UsageError("there is no Git repository here, so there are no revisions", hint="git init")
    found = [git.resolve(revision) for revision in select.revisions]
    if select.branches:
        found += git.branches()
    if select.tags:
        found += git.tags()
    if select.commits:
        found += git.changing(context.metafile_names.patterns)
    return list(dict.fromkeys(found))


def among(context: RepoContext, text: str, outputs: Sequence[Tracked]) -> list[Target]:
    """What a text stands for among the outputs of some version, which the workspace need not have.

    Args:
        context: the repository.
        text: as people typed it.
        outputs: of the version.

    Returns:
        the targets; a part is left out if the manifest is here and does not have it.

    Raises:
        ObjectMissing: the text is a glob, and a manifest is not on this machine.
    """
    path = targets.repository_path(context, text)
    found = [one for tracked in outputs if (one := _within(tracked, path)) is not None and _may_have(context, one)]
    return found or (list(targets.fitting(context, path, outputs)) if targets.is_glob(path) else [])


def _within(tracked: Tracked, path: str) -> Target | None:
    if path in (tracked.path, tracked.metafile, "") or tracked.path.startswith(path + "/"):
        return Target(tracked)
    if path.startswith(tracked.path + "/"):
        return Target(tracked, os.fsencode(path[len(tracked.path) + 1 :]))
    return None


def _may_have(context: RepoContext, target: Target) -> bool:
    """Whether a version has a target, as far as is known here."""
    try:
        return targets.recorded(context, target)
    except ObjectMissing:
        return True
