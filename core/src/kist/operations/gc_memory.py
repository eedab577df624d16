"""gc_memory: with what a gc of the cache had nothing to do, so that the next one need not look again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress

from kist.engine.gc.collect import GcPlan
from kist.engine.gc.roots import GcRoot
from kist.engine.process.scratch import write_alone
from kist.errors import StorageError
from kist.repo.context import RepoContext


class NothingDead:
    """What must live and what lies in the cache, as they were when all of that was needed.

    Packs and loose objects are named by what they hold, so the same names and the same roots give the same answer.
    It is a memory only: deleting it costs time.

    Args:
        context: the repository.
        roots: what must live.
    """

    def __init__(self, context: RepoContext, roots: Iterable[GcRoot]) -> None:
        self._folder = context.cache.folder
        self._cache = context.cache
        self._path = context.place.own / "nothing-dead"
        self._roots = sorted(f"{root.digest} {root.is_directory}" for root in roots)
        self._before = self._state()

    def holds(self) -> bool:
        """Whether it was found already that nothing can go."""
        try:
            return self._path.read_bytes() == self._before
        except OSError:
            return False

    def note(self, found: GcPlan) -> None:
        """Remember a plan, if it says that nothing can go and anybody would find the same.

        Args:
            found: made after this object was.
        """
        if found.candidates or found.unknown or found.malformed or found.passed_over or self._state() != self._before:
            return
        with suppress(OSError, StorageError):  # read-only, full: it was only a memory
            if os.access(self._path.parent, os.W_OK):
                write_alone(self._path, self._before, mode=0o600, sync=False)

    def _state(self) -> bytes:
        aside = sorted(os.listdir(self._folder.quarantine)) if self._folder.quarantine.exists() else []
        running = hashlib.sha256(usedforsecurity=False)
        for part in (self._roots, sorted(self._folder.pack_ids()), aside):
            running.update(b"%d\n%s\n" % (len(part), os.fsencode("\n".join(part))))
        algorithm = ""
        for one in self._cache.objects():  # perhaps millions, so none is held
            if one.algorithm != algorithm:
                algorithm = one.algorithm
                running.update(b"%s\n" % algorithm.encode())
            running.update(one.raw)
        return running.hexdigest().encode("ascii") + b"\n"
