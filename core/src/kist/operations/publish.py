"""Publish new versions: metafile and ignore rules, under the write lock, merging what moved meanwhile."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from kist.engine.gc.roots import GcRoot
from kist.errors import PathConflict
from kist.model.tracked import Metafile, TrackedOutput
from kist.operations.needs import record_needs
from kist.operations.parts import edited_view
from kist.repo import metafiles
from kist.repo.beside_git import ignore_in_git
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.util.slotted import replace, slotted


@slotted(frozen=True)
class Edit:
    """One metafile that shall change.

    Args:
        path: the output's path, relative to the repository.
        metafile: the metafile's path.
        before: what it said when the work began, None for a new one.
        document: what it shall say.
        warnings: what to tell.
    """

    path: str
    metafile: str
    before: Tracked | None
    document: Metafile
    warnings: tuple[str, ...] = ()

    @property
    def output(self) -> TrackedOutput:
        """The output that it describes."""
        return self.document.outputs[0]


def publish(
    context: RepoContext, edits: Sequence[Edit], *, settle: Callable[[], object] = lambda: None, locked: bool = False
) -> list[Edit]:
    """Write the metafiles and ignore rules of *edits*; what another process published meanwhile is merged.

    The objects are in the cache and durable before this is called: a reference follows its target.

    Args:
        context: the repository, inside its ``writing()``.
        edits: what shall change.
        settle: called when all is on disk, before the fingerprints are saved.
        locked: whether the caller holds the write lock.

    Returns:
        The edits as they were published.

    Raises:
        PathConflict: both changed the same entry in different ways.
    """
    with nullcontext() if locked else context.write_lock():
        edits = [_current(context, edit) for edit in edits]
        record_needs(context, [GcRoot(edit.output.digest, edit.output.is_directory) for edit in edits])
        changed = [edit for edit in edits if edit.before is None or edit.before.document != edit.document]
        folders = dict.fromkeys(posixpath.dirname(edit.metafile) for edit in changed)
        context.scratch.register([os.fsencode(os.path.abspath(context.root / folder)) for folder in folders])
        metafiles.save_many(
            context,
            [(edit.metafile, edit.document, edit.before.data if edit.before else None) for edit in changed],
            sync=str(context.config.get("core.fsync")),
            token=context.scratch.token,
        )
        ignore_in_git(context, [edit.path for edit in edits])
        settle()
        context.save_fingerprints()
    return _warned(context, edits)


def publish_made(context: RepoContext, edits: Sequence[Edit]) -> None:
    """Publish edits that were made in the workspace already; what it was last equal to follows them.

    Args:
        context: the repository, inside its ``writing()``, with the write lock.
        edits: what shall change.
    """

    def follow() -> None:
        for edit in edits:
            if edit.before is not None and edit.before.output.digest != edit.output.digest:
                context.fingerprints.follow(os.fsencode(edit.path), edit.before.output.digest, edit.output.digest)

    publish(context, edits, settle=follow, locked=True)


def _warned(context: RepoContext, published: list[Edit]) -> list[Edit]:
    """The edits with a warning on each metafile that a rule of Git's hides."""
    new = [edit.metafile for edit in published]
    if context.git is None or not new:
        return published
    hidden = context.git.ignored([os.fsencode(path) for path in new])
    return [
        replace(edit, warnings=(*edit.warnings, f"Git ignores {edit.metafile} by the rule {hidden[edit.metafile]}"))
        if edit.metafile in hidden
        else edit
        for edit in published
    ]


def _current(context: RepoContext, edit: Edit) -> Edit:
    """The edit on top of what the metafile says by now."""
    current = metafiles.load_if_present(context, edit.metafile, known=edit.before)
    return replace(_merge(context, edit, current[0]), before=current[0]) if current else replace(edit, before=None)


def _merge(context: RepoContext, edit: Edit, current: Tracked) -> Edit:
    """The edit on top of what the metafile says by now."""
    before = edit.before.output.digest if edit.before else None
    if current.output.digest in (before, edit.output.digest):
        document = replace(edit.document, extra={**current.document.extra, **edit.document.extra})
        return replace(edit, document=document)
    conflict = PathConflict(
        f"{edit.path} was changed by another process meanwhile",
        path=edit.path,
        hint=f"'kist checkout {edit.path}' takes the other version, 'kist add {edit.path}' records yours",
    )
    if before is None or not (current.output.is_directory and edit.output.is_directory):
        raise conflict
    if before.algorithm != current.output.digest.algorithm or before.algorithm != edit.output.digest.algorithm:
        raise conflict
    from kist.engine.manifest.merge import merge

    ours = context.view(current.output.digest)
    merged = merge(context.view(before), ours, context.view(edit.output.digest))
    if merged.conflicts:
        raise conflict
    view = edited_view(context, ours, merged.changes)
    output = replace(current.output, digest=view.root, files=view.files, size=view.size)
    return replace(edit, document=replace(current.document, outputs=(output,)))
