"""gc --undo and --forget: the way back, and owners of versions that are gone for good."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kist.engine.gc.undo import last_cache_gc, undo_cache_gc
from kist.errors import UsageError
from kist.operations.gc import cache_trash
from kist.repo import cache_refs
from kist.repo.context import RepoContext
from kist.util.atomic import storage_errors
from kist.util.paths import nearest
from kist.util.slotted import replace, slotted


@slotted(frozen=True)
class Restored:
    """What a gc that is undone gives back.

    Attributes:
        count: files of the cache, or keys of a remote.
        size: their bytes, None where nobody knows.
    """

    count: int
    size: int | None


def undo(context: RepoContext, remote: str | None = None, *, dry_run: bool = False) -> Restored:
    """Bring back what the last gc took away; on a remote, condemn nothing any more.

    Args:
        context: the repository.
        remote: the remote, None for the cache.
        dry_run: count, change nothing.

    Returns:
        How many files (on a remote: keys) are back, or would be, and their bytes.

    Raises:
        UsageError: there is nothing to bring back.
    """
    size: int | None = None
    if remote is not None:
        from kist.repo.remotes import open_remote

        opened = open_remote(context, remote)
        try:
            condemned = opened.store.read_condemned()
            left = {key: condemned.keys[key] for key in condemned.deleting if key in condemned.keys}
            count = len(condemned.keys) - len(left)  # a gc may be deleting those now: a push must know it
            if count and not dry_run:
                opened.store.write_condemned(replace(condemned, keys=left))
        finally:
            opened.close()
    elif dry_run:
        last = last_cache_gc(context.cache, cache_trash(context))
        count, size = (len(last.items), last.size) if last else (0, 0)
    else:
        with context.writing(), context.cache.exclusive():
            count, size = undo_cache_gc(context.cache, cache_trash(context))
    if not count:
        raise UsageError("there is no gc to undo", hint="what was deleted with --now, or after the grace, is gone")
    return Restored(count, size)


def forget(context: RepoContext, owner: str, remote: str | None = None, *, dry_run: bool = False) -> int:
    """Stop sparing what a repository needs that is gone for good.

    Args:
        context: the repository.
        owner: its id; for the cache also the folder of one clone or worktree.
        remote: the remote, None for the cache.
        dry_run: check, change nothing.

    Returns:
        How many refs it had.

    Raises:
        UsageError: there is no such repository, or it is this one, or a folder that is there.
    """
    if owner == context.id:
        raise UsageError("that is this repository itself", hint="name the folder of a clone that is gone")
    if remote is None and os.sep in owner:
        return _forget_folder(context, os.path.abspath(owner), dry_run=dry_run)
    if remote is None:
        known = cache_refs.owners(context)
        _check_owner(owner, known)
        count = len(cache_refs.places(context, owner))
        if not dry_run:
            cache_refs.forget(context, owner)
        return count
    from kist.engine.transfer import objects
    from kist.repo.remotes import open_remote

    opened = open_remote(context, remote)
    try:
        refs = [(key.key, objects.parse_ref_key(key.key)) for key in opened.store.remote.list("refs/")]
        _check_owner(owner, sorted({ref[0] for _, ref in refs if ref}))
        keys = [key for key, ref in refs if ref and ref[0] == owner]
        if not dry_run:
            for error in opened.store.remote.delete_many(keys).values():
                raise error
    finally:
        opened.close()
    return len(keys)


def _forget_folder(context: RepoContext, folder: str, *, dry_run: bool) -> int:
    """Stop sparing what a clone or worktree needs that was in a folder; returns how many files said so."""
    places = [one for owner in cache_refs.owners(context) for one in cache_refs.places(context, owner)]
    found = [one for one in places if one.root == folder]
    if not found:
        gone = ", ".join(dict.fromkeys(one.root for one in places if one.gone)) or "none"
        raise UsageError(f"no repository in {folder} uses this cache", hint=f"folders that are gone: {gone}")
    if os.path.lexists(folder):
        raise UsageError(f"{folder} is there", path=folder, hint=f"'kist -C {folder} gc' tells anew what it needs")
    for one in found if not dry_run else ():
        with storage_errors(one.file):
            one.file.unlink(missing_ok=True)
    return len(found)


def _check_owner(owner: str, known: Sequence[str]) -> None:
    if owner not in known:
        close = nearest(owner, known)
        hint = f"did you mean '{close}'?" if close else f"known: {', '.join(known) or 'none'}"
        raise UsageError(f"no repository '{owner}' uses this place", hint=hint)
