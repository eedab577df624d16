"""transfers: what push, fetch and pull have in common."""

from __future__ import annotations

from collections.abc import Sequence

from kist.errors import TransferError
from kist.model.report import TransferReport
from kist.operations.selection import Selection
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.remotes import default_remote
from kist.util.slotted import field, slotted
from kist.util.units import show_count


@slotted(frozen=True)
class TransferOptions:
    """How to transfer.

    Args:
        remote: the remote's name, None for each output's own or the default.
        jobs: how many requests at once, None for the configured number.
        dry_run: only tell what would move.
        repair: push: check what the remote has and replace what is missing or damaged there.
        select: versions of Git revisions, beside (push) or instead of the workspace's.
    """

    remote: str | None = None
    jobs: int | None = None
    dry_run: bool = False
    repair: bool = False
    select: Selection = field(default_factory=Selection)


def by_remote(context: RepoContext, chosen: Sequence[Tracked], options: TransferOptions) -> dict[str, list[Tracked]]:
    """The outputs by the remote they go to."""
    groups: dict[str, list[Tracked]] = {}
    for one in chosen:
        name = options.remote or one.output.remote or default_remote(context)
        groups.setdefault(name, []).append(one)
    return groups


def raise_failures(reports: Sequence[TransferReport], verb: str) -> None:
    """Raise one error for all that failed, if anything did; the reports hang on it.

    Raises:
        TransferError: naming each failure.
    """
    failures = [failure for report in reports for failure in report.failures]
    if failures:
        error = TransferError(
            f"{show_count(len(failures), 'object was', 'objects were')} not {verb}; all others were",
            failures,
            remote=", ".join(report.remote for report in reports if report.failures),
        )
        error.reports = tuple(reports)
        raise error
