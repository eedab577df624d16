"""absent: what to do when versions that were asked for by a Git revision are not on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kist.errors import ObjectMissing


def fetch_hint(*revisions: str) -> str:
    """How to bring what some revisions recorded.

    Args:
        revisions: Git revisions, as typed; at least one.
    """
    commands = " or ".join(f"'kist fetch --rev {revision}'" for revision in revisions)
    return f"run {commands} to bring it from a remote, or 'kist push -A' where it was added"


@contextmanager
def asked_by(*revisions: str | None) -> Iterator[None]:
    """Let an error about an object that is not here tell how the versions of these revisions are brought.

    Args:
        revisions: what the user asked for; None stands for the workspace's metafiles, about which the error is right.

    Raises:
        ObjectMissing: as it came, with that hint unless it had one of its own.
    """
    try:
        yield
    except ObjectMissing as error:
        named = [revision for revision in revisions if revision is not None]
        if not named or error.hint != ObjectMissing.hint:
            raise
        hint = fetch_hint(*named)
        raise ObjectMissing(error.digest, paths=error.paths, where=error.where, hint=hint) from error
