"""pull: fetch, then checkout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kist.errors import TransferError
from kist.model.report import CheckoutReport, TransferReport
from kist.operations.checkout import CheckoutOptions, checkout
from kist.operations.checkout_outcome import merged
from kist.operations.fetch import fetch
from kist.operations.push import TransferOptions
from kist.repo.context import RepoContext


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


def _fetch(
    context: RepoContext, texts: Sequence[str], options: TransferOptions
) -> tuple[list[TransferReport], TransferError | None]:
    """The reports, and the error where something could not be had."""
    try:
        return fetch(context, texts, options), None
    except TransferError as error:
        return list(error.reports), error
