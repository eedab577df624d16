"""published: what remotes have of the recorded versions, as they say now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kist.engine.transfer.knowledge import Standing, standings
from kist.model.digest import Digest
from kist.operations.transfers import TransferOptions, by_remote
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.remotes import open_remote
from kist.util.slotted import slotted


@slotted(frozen=True)
class Publication:
    """A recorded version, and what a remote has of it.

    Args:
        path: the output.
        digest: its recorded version.
        remote: the remote's name.
        standing: what stands there; None: the version is not complete there.
    """

    path: str
    digest: Digest
    remote: str
    standing: Standing | None


def published(
    context: RepoContext, texts: Sequence[str] = (), *, remote: str | None = None, jobs: int | None = None
) -> Iterator[Publication]:
    """Ask remotes for the markers of recorded versions.

    Args:
        context: the repository.
        texts: targets, all outputs if empty.
        remote: which remote, None for each output's own or the default.
        jobs: how many requests at once, None for the configured number.

    Yields:
        One an output, in order of remotes and paths.

    Raises:
        PathNotTracked: a target that is not tracked.
        RemoteError: a remote refused or failed.
    """
    chosen = {target.tracked.path: target.tracked for target in targets.resolve(context, texts)}
    for name, group in by_remote(context, list(chosen.values()), TransferOptions(remote)).items():
        opened = open_remote(context, name)
        try:
            workers = opened.store.workers(jobs or context.jobs)
            found = standings(opened.store, [one.output.digest for one in group], workers)
        finally:
            opened.close()
        for one in group:
            yield Publication(one.path, one.output.digest, name, found.get(one.output.digest))
