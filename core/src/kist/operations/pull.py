"""pull: fetch, then checkout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kist.errors import TransferError
from kist.model.report import CheckoutReport, TransferReport
from kist.operations.checkout import CheckoutOptions, checkout
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
    failed: TransferError | None = None
    try:
        reports = fetch(context, texts, options)
    except TransferError as error:
        reports, failed = list(error.reports), error
    placed = checkout(context, texts, CheckoutOptions(force=force, dry_run=options.dry_run))
    if options.dry_run or failed is not None:  # what is missing would have been fetched, or is among the failures
        placed = replace(placed, missing=())
    if failed is not None:
        failed.placed = placed
        raise failed
    return reports, placed
