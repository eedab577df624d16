"""superseded: tell when a version that came through Git is about to be taken back by a workspace that never had it."""

from __future__ import annotations

import os

from kist.abc.metafile import ManifestView
from kist.errors import ObjectError
from kist.model.tracked import TrackedOutput
from kist.repo.context import RepoContext
from kist.util.units import show_count

_SHOWN = 3


def taken_back(context: RepoContext, path: str, recorded: TrackedOutput, view: ManifestView) -> list[str]:
    """What to tell where the metafile has a version that the workspace was never brought to, as after ``git pull``.

    Recording the workspace as it is then takes back what that version changed.

    Args:
        context: the repository.
        path: the output's, a directory.
        recorded: what the metafile records so far.
        view: what is to be recorded.

    Returns:
        One warning, or none.
    """
    latest = context.fingerprints.latest(os.fsencode(path))
    if latest is None or recorded.digest in (latest, view.root) or latest.algorithm != recorded.digest.algorithm:
        return []
    try:
        lost = _lost(context.view(latest), view, context.view(recorded.digest))
    except ObjectError:
        what = "what is new in that"
    else:
        if not lost:
            return []
        shown = ", ".join(f"{path}/{os.fsdecode(one)}" for one in lost[:_SHOWN])
        what = f"{show_count(len(lost), 'change')} of that ({shown}{' and others' if lost[_SHOWN:] else ''})"
    both = "'git checkout' of the metafile, 'kist add' of just the files that you changed, 'kist pull'"
    never = f"{path} was never brought to the version that its metafile recorded"
    return [f"{never}, and this takes back {what}; to keep both: {both}"]


def _lost(before: ManifestView, now: ManifestView, recorded: ManifestView) -> list[bytes]:
    """Paths that *recorded* changed since *before*, and that *now* does not have as it has them."""
    from kist.engine.manifest.merge import merge

    found = merge(before, now, recorded)
    return sorted([change.path for change in found.changes] + [one.path for one in found.conflicts])
