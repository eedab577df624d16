"""Writing: the block in which one process changes a repository, and its write lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kist.errors import StorageError
from kist.repo import layout
from kist.repo.beside_git import ignore_in_git, not_ignored
from kist.util.atomic import FULL, use_token

if TYPE_CHECKING:
    from kist.engine.process.scratch import Scratch
    from kist.repo.context import RepoContext


_PLACED = ("cache", "trash", "fingerprints", "journal")
"""Members of the context that hold paths in the private folder, made anew when that has moved."""


class Writing:
    """Whether this process changes a repository now, and where it puts what is not finished.

    Args:
        context: the repository.
    """

    def __init__(self, context: RepoContext) -> None:
        self._context = context
        self._scratch: Scratch | None = None
        self._using = False
        self._locked = False

    @property
    def scratch(self) -> Scratch:
        """The scratch folder of this process; exists inside :meth:`block`."""
        assert self._scratch is not None, "scratch is used outside of writing()"
        return self._scratch

    @contextmanager
    def block(self) -> Iterator[None]:
        """Make what is needed and sweep what killed commands left; a block inside a block does nothing more."""
        if self._scratch is not None:
            yield
            return
        from kist.engine.process.scratch import Scratch, sweep, sweep_alone

        context = self._context
        layout.make(context.place)
        if not context.place.id:
            with self.lock():
                context.place = layout.name_clone(context.place)
        came = False
        if context.place.waiting is not None:
            from kist.repo.adopting import adopt

            with self.lock():
                context.place = adopt(context.place)
                for part in _PLACED:
                    context.__dict__.pop(part, None)
            layout.make(context.place)
            came = True
        for base in (context.place.scratch, context.cache_folder / "tmp"):
            sweep(base)
        for folder in self._shared_with_readers():
            sweep_alone(folder)
        with Scratch(context.place.scratch, verb=context.verb) as self._scratch:
            self._scratch.register(self._private_folders(), sync=False)
            use_token(self._scratch.token)
            try:
                if came:  # Git is new here: outputs may be older than the rules that hide them from it
                    with self.lock():
                        ignore_in_git(context, not_ignored(context))
                yield
            finally:
                use_token("")
                self._scratch = None

    def _shared_with_readers(self) -> Iterator[Path]:
        """Where commands that only read keep what they learned, without a scratch folder."""
        yield self._context.place.own
        yield self._context.cache_folder / "verified"
        for folder in self._context.place.own.glob("remotes/*"):
            yield from (folder, folder / "index")

    def _private_folders(self) -> list[bytes]:
        """Where small files of ours get their names, with temporary ones beside them: swept if this process dies."""
        place, cache = self._context.place, self._context.cache_folder
        folders = [place.root, place.config.parent, place.own, place.shared, place.local_config.parent]
        folders += [cache, cache / "verified", cache / "refs" / place.id]
        return [os.fsencode(os.path.abspath(folder)) for folder in folders]

    @contextmanager
    def using_cache(self) -> Iterator[None]:
        """Held from before a command looks at what the cache has until a metafile names it; gc waits for that."""
        if self._using:
            yield
            return
        with self._context.cache.in_use():
            self._using = True
            try:
                yield
            finally:
                self._using = False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while metafiles and the workspace change; waits for others and tells for whom; once is enough."""
        from kist.engine.process.locks import Lock

        if self._locked:
            yield
            return
        with Lock(
            self._context.place.own / "write.lock",
            what="the repository",
            verb=self._context.verb,
            timeout=self._context.lock_timeout,
            notify=self._context.progress.message,
        ):
            self._locked = True
            try:
                yield
            finally:
                self._locked = False


@contextmanager
def making_room(context: RepoContext) -> Iterator[None]:
    """The block of a command that frees space, which must not need any: where the disk is full fingerprints give way.

    Args:
        context: the repository.

    Raises:
        StorageError: there is no room for the little that must be written, even so.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(context.writing())
        except StorageError as error:
            if error.errno not in FULL or not _forget_fingerprints(context):
                raise
            context.progress.message("the disk is full: what is known about unchanged files is forgotten to make room")
            stack.enter_context(context.writing())
        yield


def _forget_fingerprints(context: RepoContext) -> bool:
    """Delete their file, unless somebody uses it now; what it knew is found out again."""
    import sqlite3

    context.fingerprints.close()
    path = context.place.fingerprints
    if not path.exists():
        return False
    try:
        holder = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            holder.execute("BEGIN EXCLUSIVE")
            path.unlink()
        finally:
            holder.close()
    except (sqlite3.Error, OSError):
        return False
    return True
