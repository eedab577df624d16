"""Guard: a last look at a file before it is replaced or removed, in case it changed since the plan was made."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable

from kist.abc.hasher import RunningHash
from kist.abc.kernel import STAT_FIELDS
from kist.engine.checkout.plan import CheckoutPlan
from kist.engine.workspace.folders import hash_file, lstat_or_none
from kist.model.columns import Columns
from kist.model.entry import DIRECTORY, SYMLINK

_MARGIN = 2_000_000_000
"""Nanoseconds by which the clock of the file system may be behind ours, its granularity included."""


class Guard:
    """Knows what the plan found at each path that must give way.

    Args:
        plan: what was found, and when.
        new_hash: makes a running hash of the plan's algorithm.
        cache: the cache's folder: a symlink into it is one of our links.
    """

    def __init__(self, plan: CheckoutPlan, new_hash: Callable[[], RunningHash], cache: bytes) -> None:
        self._parts = (plan.replaced, plan.delete)
        self._looks = plan.looks if len(plan.looks) == STAT_FIELDS * len(plan.replaced) else array("q")
        self._since = plan.started_ns - _MARGIN
        self._new_hash = new_hash
        self._cache = cache.rstrip(b"/") + b"/"

    def clear(self, here: int, name: bytes, path: bytes, found: os.stat_result | None = None) -> bool:
        """Whether *name* may be lost: nothing is there, or what the plan found, unchanged.

        Args:
            here: descriptor of its folder.
            name: plain name.
            path: the name's path in the plan.
            found: what the system has just told of it; None: it is asked.
        """
        found = found or lstat_or_none(name, here)
        if found is None:
            return True
        for number, part in enumerate(self._parts):
            position = part.find(path)
            if position is not None:
                if not number and self._looks and self._is_known(found, position):
                    return True
                return self._unchanged(here, name, found, part.slice(position, position + 1))
        return False

    def _is_known(self, found: os.stat_result, position: int) -> bool:
        """Whether a file looks as it did when it certainly had the digest of *position* of what is replaced."""
        look = self._looks[position * STAT_FIELDS : (position + 1) * STAT_FIELDS]
        values = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return stat.S_ISREG(found.st_mode) and tuple(look) == values

    def _unchanged(self, here: int, name: bytes, found: os.stat_result, entry: Columns) -> bool:
        mode, kind = found.st_mode, entry.kinds[0]
        if stat.S_ISDIR(mode):
            return kind == DIRECTORY  # Removed by rmdir, which spares what is not empty.
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            return False
        if stat.S_ISLNK(mode) and kind != SYMLINK:
            return os.readlink(name, dir_fd=here).startswith(self._cache)
        if found.st_ctime_ns < self._since:
            return stat.S_ISLNK(mode) == (kind == SYMLINK)
        if stat.S_ISLNK(mode):
            return os.readlink(name, dir_fd=here) == entry.targets[0]
        return kind not in (SYMLINK, DIRECTORY) and hash_file(name, here, self._new_hash) == entry.raw(0)
