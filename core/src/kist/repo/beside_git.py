"""What kist and Git share in one workspace: who tracks what, and who ignores it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kist.repo import gitignore

if TYPE_CHECKING:
    from kist.repo.context import RepoContext


def tracked_by_git(context: RepoContext, paths: Sequence[str]) -> list[bytes]:
    """Files at or below some paths that Git tracks; none without Git. Git is asked once for all."""
    if not paths or context.place.git is None or not (context.place.git.folder / "index").exists():
        return []
    assert context.git is not None
    return context.git.tracked([os.fsencode(path) for path in paths])


def ignore_in_git(context: RepoContext, added: Sequence[str], removed: Sequence[str] = ()) -> None:
    """Keep ``.gitignore`` in step with the tracked outputs: one edit a folder.

    Without Git too: when it comes later, its first ``git add -A`` runs before any command of ours.

    Args:
        context: the repository, inside its ``writing`` block.
        added: outputs that Git must ignore from now on.
        removed: those that it may see again.
    """
    names: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for which, paths in enumerate((added, removed)):
        for path in paths:
            folder, name = posixpath.split(path)
            names.setdefault(folder, ([], []))[which].append(os.fsencode(name))
    places = {folder: context.root / folder for folder in sorted(names)}
    context.scratch.register([os.fsencode(os.path.abspath(place)) for place in places.values()])
    for folder, place in places.items():
        if place.is_dir():
            add, remove = names[folder]
            gitignore.update(place, add=add, remove=remove, sync=context.sync, token=context.scratch.token)


def not_ignored(context: RepoContext) -> list[str]:
    """Tracked outputs that Git would take in with ``git add -A``; none without Git."""
    if context.git is None:
        return []
    before = len(context.problems)
    paths = [one.path for one in context.tracked()]
    del context.problems[before:]  # whoever reads metafiles for their own sake tells of broken ones
    hidden = context.git.ignored([os.fsencode(path) for path in paths], tracked=True)
    held = {os.fsdecode(path) for path in context.git.tracked([os.fsencode(path) for path in paths])}
    return [
        path
        for path in paths
        if path not in hidden and not any(one == path or one.startswith(path + "/") for one in held)
    ]
