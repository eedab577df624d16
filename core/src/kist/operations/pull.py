"""pull: fetch, then checkout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from kist.engine.cache.copies import Copies
from kist.errors import TransferError
from kist.model.report import CheckoutReport, TransferReport
from kist.operations.checkout import CheckoutOptions, checkout
from kist.operations.checkout_outcome import merged
from kist.operations.fetch import fetch
from kist.operations.recovery import entered
from kist.operations.transfers import TransferOptions
from kist.repo.context import RepoContext
from kist.util.slotted import replace


def pull(
    context: RepoContext,
    texts: Sequence[str] = (),
    options: TransferOptions = TransferOptions(),
    *,
    force: bool = False,
) -> tuple[list[TransferReport], CheckoutReport]:
    """Bring what targets need and put it into the workspace.

    Args:
        context: the repository.
        texts: targets, all outputs if empty.
        options: how to transfer.
        force: move unsaved changes that stand in the way to the trash.

    Raises:
        TransferError: something could not be had; all else is in the workspace.
    """
    if options.dry_run:
        return _pulled(context, texts, options, force=force)
    with ExitStack() as stack:
        if entered(context, stack):
            stack.enter_context(_copying_early(context))
        return _pulled(context, texts, options, force=force)


def _pulled(
    context: RepoContext, texts: Sequence[str], options: TransferOptions, *, force: bool
) -> tuple[list[TransferReport], CheckoutReport]:
    how = CheckoutOptions(force=force, dry_run=options.dry_run)
    reports, failed = _fetch(context, texts, options)
    placed = checkout(context, texts, how)
    if placed.missing and failed is None and not options.dry_run:
        # Damaged copies in the cache, known only since they were read, and aside by now.
        more, failed = _fetch(context, texts, options)
        reports += more
        placed = merged([replace(placed, missing=()), checkout(context, texts, how)])
    if options.dry_run or failed is not None:  # what is missing would have been fetched, or is among the failures
        placed = replace(placed, missing=())
    if failed is not None:
        failed.placed = placed
        raise failed
    return reports, placed


@contextmanager
def _copying_early(context: RepoContext) -> Iterator[None]:
    """Large objects are written for the workspace too while they arrive, where checkout would copy them."""
    folder = context.scratch.path
    cache = context.cache
    if folder.stat().st_dev == context.root.stat().st_dev:
        cache.copies = Copies(folder, lambda: context.links().always_copies)
    try:
        yield
    finally:
        cache.copies = Copies()


def _fetch(
    context: RepoContext, texts: Sequence[str], options: TransferOptions
) -> tuple[list[TransferReport], TransferError | None]:
    """The reports, and the error where something could not be had."""
    try:
        return fetch(context, texts, options), None
    except TransferError as error:
        return list(error.reports), error
