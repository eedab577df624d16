"""cat: the bytes of one tracked file, of any version, from the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kist.errors import ObjectMissing, PathNotTracked, UsageError
from kist.model.digest import Digest
from kist.operations.absent import asked_by
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked

_BLOCK = 1 << 20


def cat(context: RepoContext, text: str, *, revision: str | None = None) -> Iterator[bytes]:
    """The content of one tracked file in blocks, hashed on the way.

    Args:
        context: the repository.
        text: a path as typed.
        revision: a Git revision, None for what the workspace's metafiles record.

    Raises:
        PathNotTracked: no such file in that version.
        UsageError: the path is a directory or a symlink.
        ObjectMissing: the content, or the manifest that names it, is not in the cache.
        ObjectCorrupt: the content is damaged; raised after the bytes before the end were given.
    """
    path = targets.repository_path(context, text)
    for tracked in context.tracked(revision=revision):
        if tracked.path == path or path.startswith(tracked.path + "/") or tracked.metafile == path:
            inside = b"" if tracked.metafile == path else os.fsencode(path[len(tracked.path) + 1 :])
            with asked_by(revision):
                digest = _digest(context, tracked, inside, text)
            if not context.cache.has(digest):
                command = "kist fetch" if revision is None else f"kist fetch --rev {revision}"
                hint = f"run '{command} {text}' first"
                raise ObjectMissing(str(digest), paths=(text,), where="the cache", hint=hint)
            return _blocks(context, digest)
    raise targets.not_tracked(context, text, path)


def _blocks(context: RepoContext, digest: Digest) -> Iterator[bytes]:
    with context.cache.open(digest) as stream:
        while block := stream.read(_BLOCK):
            yield block


def _digest(context: RepoContext, tracked: Tracked, inside: bytes, text: str) -> Digest:
    if not tracked.output.is_directory:
        if inside:
            raise PathNotTracked(f"{tracked.path} is a file", path=tracked.path)
        return tracked.output.digest
    view = context.view(tracked.output.digest)
    entry = view.find(inside) if inside else None
    if entry is None:
        if not inside or any(len(part) for part in view.leaves(inside)):
            raise UsageError(f"{text} is a directory", path=text, hint=f"'kist list {text}' shows what is in it")
        raise targets.not_tracked(context, text, targets.repository_path(context, text))
    if entry.digest is None:
        kind = "a symbolic link" if entry.kind == "symlink" else "an empty directory"
        raise UsageError(f"{text} is {kind}, it has no content", path=text)
    return entry.digest
