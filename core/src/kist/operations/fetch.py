"""fetch: versions from a remote into the cache."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress

from kist.engine.gc.roots import GcRoot
from kist.engine.transfer.fetch import Fetch, fetch_versions
from kist.engine.transfer.parts import TransferSettings, Want, named_paths
from kist.errors import KistError, ObjectCorrupt, ObjectMissing
from kist.model.digest import Digest
from kist.model.report import TransferReport
from kist.model.tracked import TrackedOutput
from kist.operations.needs import record_needs
from kist.operations.recovery import transferring
from kist.operations.selection import selected
from kist.operations.transfers import TransferOptions, raise_failures
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.remotes import default_remote, open_remote
from kist.repo.targets import Target
from kist.util.slotted import replace


def fetch(
    context: RepoContext, texts: Sequence[str] = (), options: TransferOptions = TransferOptions()
) -> list[TransferReport]:
    """Bring what targets need into the cache; what is there is not fetched again.

    Args:
        context: the repository.
        texts: targets, all outputs if empty; a path inside a directory brings only that part.
        options: how to transfer.

    Returns:
        one report a remote.

    Raises:
        TransferError: something could not be had; all else is in the cache.
    """
    groups: dict[str, list[Want]] = {}
    for name, want in _wants(context, texts, options):
        groups.setdefault(name, []).append(want)
    reports = [_fetch_from(context, name, wants, options) for name, wants in groups.items()]
    raise_failures(reports, "fetched")
    return reports


def fetch_directories(context: RepoContext, outputs: Iterable[tuple[str, TrackedOutput]]) -> None:
    """Bring directories of any version with all their data, as their metafiles record them.

    Args:
        context: the repository.
        outputs: each with its path.

    Raises:
        ConfigError: no remote is configured.
        RemoteError: a remote refused or failed.
        TransferError: something could not be had; all else is in the cache.
    """
    options = TransferOptions()
    groups = _by_remote(context, outputs)
    raise_failures([_fetch_from(context, name, wants, options) for name, wants in groups.items()], "fetched")


def fetch_manifests(context: RepoContext, outputs: Iterable[tuple[str, TrackedOutput]]) -> None:
    """Bring the manifests of such directories, and none of their data; what was never pushed does not come.

    Args:
        context: the repository.
        outputs: each with its path.

    Raises:
        ConfigError: no remote is configured.
        RemoteError: a remote refused or failed.
    """
    for name, wants in _by_remote(context, outputs).items():
        opened = open_remote(context, name)
        try:
            with transferring(context, name):
                settings = TransferSettings(context.codec, context.jobs, context.progress)
                Fetch(context.cache, opened.store, settings).plan(wants)
        finally:
            opened.close()


def _by_remote(context: RepoContext, outputs: Iterable[tuple[str, TrackedOutput]]) -> dict[str, list[Want]]:
    groups: dict[str, list[Want]] = {}
    for path, output in outputs:
        name = output.remote or default_remote(context)
        groups.setdefault(name, []).append(Want(output.digest, is_directory=True, path=path))
    return groups


def _wants(context: RepoContext, texts: Sequence[str], options: TransferOptions) -> list[tuple[str, Want]]:
    parts: dict[tuple[str, str], list[bytes]] = {}
    found = selected(context, texts, options.select) if options.select else _targets(context, texts)
    for target in found:
        parts.setdefault((target.tracked.path, str(target.tracked.output.digest)), []).append(target.inside)
    wants = []
    for target in found:
        inside = parts.pop((target.tracked.path, str(target.tracked.output.digest)), None)
        if inside is None:
            continue
        output = target.tracked.output
        name = options.remote or output.remote or default_remote(context)
        limited = None if b"" in inside else tuple(inside)
        wants.append(
            (name, Want(output.digest, is_directory=output.is_directory, inside=limited, path=target.tracked.path))
        )
    return wants


def _targets(context: RepoContext, texts: Sequence[str]) -> list[Target]:
    """The targets; of a glob in a directory whose manifest is not here yet, the folder that the glob begins with."""
    if not texts:
        return targets.resolve(context, ())
    found: dict[tuple[str, bytes], Target] = {}
    for text in texts:
        try:
            here = targets.resolve(context, [text])
        except ObjectMissing:
            here = targets.resolve(context, [targets.fixed_part(text)])
        found |= {(target.tracked.path, target.inside): target for target in here}
    return list(found.values())


def _fetch_from(context: RepoContext, name: str, wants: Sequence[Want], options: TransferOptions) -> TransferReport:
    opened = open_remote(context, name)
    opened.store.hints.frozen = options.dry_run
    try:
        with nullcontext() if options.dry_run else transferring(context, name):
            report = fetch_versions(
                context.cache,
                opened.store,
                wants,
                codec=context.codec,
                jobs=options.jobs or context.jobs,
                progress=context.progress,
                dry_run=options.dry_run,
                before=lambda plan: context.hooks.veto("kist_before_transfer", plan=plan),
            )
            if not options.dry_run:  # in the block, so that no gc of another repository comes in between
                record_needs(context, [GcRoot(want.root, want.is_directory) for want in wants])
    finally:
        opened.close()
    report = replace(report, requests=opened.requests)
    _name_paths(context, wants, report.failures)
    if not options.dry_run:
        context.hooks.notify("kist_after_transfer", report=report)
    return report


def _name_paths(context: RepoContext, wants: Sequence[Want], failures: Sequence[tuple[str, KistError]]) -> None:
    """Tell each failure which workspace paths need the object, as far as the manifests came."""
    failed = {error.digest: error for _, error in failures if isinstance(error, ObjectMissing | ObjectCorrupt)}
    if not failed:
        return
    needed: dict[str, list[str]] = {digest: [] for digest in failed}
    for want in wants:
        if str(want.root) in needed:
            needed[str(want.root)].append(want.path)
        if not want.is_directory:
            continue
        wanted = {Digest.parse(digest).raw: digest for digest in needed}
        with suppress(ObjectMissing, ObjectCorrupt):  # a manifest that did not come names no paths
            for part in context.view(want.root).leaves():
                for raw, path in named_paths(part, set(wanted)):
                    needed[wanted[raw]].append(posixpath.join(want.path, os.fsdecode(path)))
    for digest, error in failed.items():
        error.paths = tuple(needed[digest])
