"""needs: tell a cache what this worktree needs, and say all of it anew where that was damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kist.engine.gc.roots import GcRoot
from kist.errors import ObjectCorrupt
from kist.model.report import Finding
from kist.repo import cache_refs
from kist.repo.context import RepoContext
from kist.util.units import show_count


def record_needs(context: RepoContext, roots: Sequence[GcRoot]) -> None:
    """Protect versions from the gc of whoever shares the cache; call it while the cache's ``gc.lock`` is held shared.

    Args:
        context: the repository.
        roots: what this worktree needs from now on.

    Raises:
        StorageError: it cannot be kept.
        MetafileError: what stood there is damaged, and a metafile cannot be read, so nobody can tell what is needed.
    """
    try:
        cache_refs.record(context, roots)
    except ObjectCorrupt:
        write_anew(context, roots)


def write_anew(context: RepoContext, roots: Sequence[GcRoot] = ()) -> None:
    """Say anew what this worktree needs: its workspace's versions, those of all commits, and some more.

    Args:
        context: the repository.
        roots: versions that no metafile names yet.

    Raises:
        StorageError: it cannot be kept.
        MetafileError: a metafile cannot be read.
    """
    from kist.operations.gc import GcOptions, own_roots

    cache_refs.replace(context, {*own_roots(context, GcOptions()), *roots})


def check_refs(context: RepoContext, fix: bool) -> Iterator[Finding]:
    """Whether the cache can tell what each repository needs.

    Args:
        context: the repository.
        fix: write this worktree's own file anew if it is damaged.

    Yields:
        What was found.
    """
    own, errors = cache_refs.damaged(context)
    for error in errors:
        yield Finding("cache refs", "error", str(error), error.hint)
    if own and fix:
        with context.writing():
            write_anew(context)
        yield Finding("cache refs", "ok", "mended: what this worktree needs was damaged and is written anew")
    elif own:
        yield Finding("cache refs", "error", "what this worktree needs is damaged", "kist doctor --fix")
    elif not errors:
        yield Finding("cache refs", "ok", show_count(len(cache_refs.owners(context)), "repository", "repositories"))
