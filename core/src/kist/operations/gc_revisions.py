"""What Git revisions need, for gc; a metafile in them that cannot be read is named, and only left out when told to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from kist.engine.gc.roots import GcRoot
from kist.errors import KistError, MetafileError
from kist.model.digest import Digest
from kist.repo import metafiles
from kist.repo.context import RepoContext

_DIGEST = re.compile(rb"([a-z0-9][a-z0-9_-]{0,31}):([0-9a-f]{16,128})")
_SHOWN = 3


def roots_of(context: RepoContext, commits: Iterable[str], without: Sequence[str]) -> Iterator[GcRoot]:
    """The versions that commits record; each metafile's content is read once, however many commits have it.

    Args:
        context: the repository, inside Git.
        commits: full names of commits.
        without: revisions whose metafiles may be unreadable: the digests that stand in those are kept then.

    Yields:
        What must live.

    Raises:
        MetafileError: a metafile cannot be read, and no revision that has it is in *without*.
        UsageError: a revision that does not exist.
    """
    git = context.git
    assert git is not None
    excused = {git.resolve(revision) for revision in without}
    places: dict[str, set[str]] = {}
    holders: dict[str, list[str]] = {}
    forgiven: set[str] = set()
    for commit in dict.fromkeys([*commits, *excused]):
        for path, name in git.files(commit, context.metafile_names.patterns).items():
            places.setdefault(name, set()).add(os.fsdecode(path))
            if len(some := holders.setdefault(name, [])) < _SHOWN:
                some.append(commit)
            if commit in excused:
                forgiven.add(name)
    for name, data in git.read(places).items():
        for metafile in sorted(places[name]):
            try:
                yield from _read(context, metafile, data)
            except KistError as error:
                if name not in forgiven:
                    raise _unreadable(error, metafile, holders[name]) from error
                yield from _standing_in(context, data)


def _read(context: RepoContext, metafile: str, data: bytes) -> list[GcRoot]:
    found = []
    for one in metafiles.parse(context.formats, metafile, data):
        digest = one.output.digest
        if 2 * context.hasher(digest.algorithm).digest_size != len(digest.hex):
            raise MetafileError(f"{metafile}: not a digest of {digest.algorithm}: {digest}", path=metafile)
        found.append(GcRoot(digest, one.output.is_directory))
    return found


def _standing_in(context: RepoContext, data: bytes) -> Iterator[GcRoot]:
    """Everything in an unreadable metafile that looks like a digest of an algorithm that is known here."""
    for algorithm, hexadecimal in dict.fromkeys(_DIGEST.findall(data)):
        digest = Digest(algorithm.decode(), hexadecimal.decode())
        try:
            if 2 * context.hasher(digest.algorithm).digest_size == len(digest.hex):
                yield GcRoot(digest)
        except KistError:
            continue


def _unreadable(error: KistError, metafile: str, commits: Sequence[str]) -> MetafileError:
    shown = ", ".join(commit[:12] for commit in commits)
    return MetafileError(
        f"nobody can tell what {metafile} of commit {shown} needs, so nothing was collected: {error}",
        path=metafile,
        hint=f"'kist gc --without {commits[0][:12]}' goes on without it; digests that stand in it are kept",
    )
