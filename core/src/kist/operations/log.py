"""log: the versions of tracked data that Git's history knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kist.errors import KistError, UsageError
from kist.repo import metafiles, targets
from kist.repo.context import RepoContext
from kist.util.slotted import slotted


@slotted(frozen=True)
class Version:
    """One recorded version of an output.

    Args:
        revision: the Git commit that recorded it, full hexadecimal id.
        date: author date, ISO 8601.
        author: the author's name.
        subject: first line of the commit message.
        path: the output's path, relative to the repository.
        digest: the version's digest, None where the commit removed the output.
        files: number of entries.
        size: bytes.
    """

    revision: str
    date: str
    author: str
    subject: str
    path: str
    digest: str | None
    files: int = 0
    size: int = 0


def log(context: RepoContext, texts: Sequence[str] = (), *, most: int | None = None) -> Iterator[Version]:
    """Versions of outputs, the newest first.

    Args:
        context: the repository.
        texts: targets, all outputs if empty.
        most: how many to give at most, None for all.

    Raises:
        UsageError: there is no Git repository here.
    """
    if context.git is None:
        raise UsageError("there is no Git repository here, so there is no history to show", hint="git init")
    chosen = {target.tracked.metafile for target in targets.resolve(context, texts)} if texts else None
    given = 0
    for commit, changed in context.git.history(context.metafile_names.patterns, sorted(chosen) if chosen else None):
        for metafile, data in changed:
            for version in _versions(context, commit, metafile, data):
                if most is not None and given >= most:
                    return
                given += 1
                yield version


def _versions(context: RepoContext, commit: object, metafile: str, data: bytes | None) -> Iterator[Version]:
    facts = (commit.revision, commit.date, commit.author, commit.subject)  # type: ignore[attr-defined]
    if data is None:
        yield Version(*facts, metafile.rpartition(".")[0], None)
        return
    try:
        loaded = metafiles.parse(context.formats, metafile, data)
    except KistError as error:
        context.problems.append(error)
        return
    for one in loaded:
        yield Version(*facts, one.path, str(one.output.digest), one.output.files, one.output.size)
