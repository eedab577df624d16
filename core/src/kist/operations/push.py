"""push: versions from the cache to a remote."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from kist.engine.transfer.parts import Version
from kist.engine.transfer.push import push_versions
from kist.model.digest import Digest
from kist.model.report import TransferReport
from kist.operations.recovery import transferring
from kist.operations.selection import chosen_versions
from kist.operations.transfers import TransferOptions, by_remote, raise_failures
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.remotes import open_remote
from kist.util.slotted import replace


def push(
    context: RepoContext, texts: Sequence[str] = (), options: TransferOptions = TransferOptions()
) -> list[TransferReport]:
    """Send versions to their remotes; what a remote has is not sent again.

    Args:
        context: the repository.
        texts: targets, all outputs if empty.
        options: how to transfer.

    Returns:
        one report a remote.

    Raises:
        TransferError: something could not be sent; all else was.
    """
    chosen = chosen_versions(context, texts, options.select)
    if not chosen and options.remote is None:
        return []
    reports = []
    for name, group in (by_remote(context, chosen, options) or {str(options.remote): []}).items():
        reports.append(_push_to(context, name, group, options))
    raise_failures(reports, "sent")
    return reports


def _push_to(context: RepoContext, name: str, group: Sequence[Tracked], options: TransferOptions) -> TransferReport:
    opened = open_remote(context, name)
    opened.store.hints.frozen = options.dry_run
    try:
        with nullcontext() if options.dry_run else transferring(context, name):
            report = push_versions(
                context.cache,
                opened.store,
                [_version(one) for one in group],
                lambda: _bases(context, group),
                repository_id=context.id,
                codec=context.codec,
                jobs=options.jobs or context.jobs,
                progress=context.progress,
                dry_run=options.dry_run,
                repair=options.repair,
                before=lambda plan: context.hooks.veto("kist_before_transfer", plan=plan),
            )
    finally:
        opened.close()
    report = replace(report, requests=opened.requests)
    if not options.dry_run:
        context.hooks.notify("kist_after_transfer", report=report)
    return report


def _version(one: Tracked) -> Version:
    output = one.output
    return Version(output.digest, is_directory=output.is_directory, size=output.size, files=output.files, path=one.path)


def _bases(context: RepoContext, group: Sequence[Tracked]) -> list[Digest]:
    """Versions that the remote may have, the likeliest first: those that history records for the same outputs."""
    if context.git is None or not context.git.has_commits():
        return []
    paths = {one.path for one in group}
    found: dict[Digest, None] = {}
    for revision in context.git.likely_published():
        for one in context.tracked(revision=revision):
            if one.path in paths and one.output.is_directory:
                found.setdefault(one.output.digest)
    return list(found)
