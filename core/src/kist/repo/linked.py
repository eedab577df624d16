"""LinkedFiles: tells workspace files that are links to cache objects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kist.errors import KistError
from kist.model.digest import Digest

if TYPE_CHECKING:
    from kist.repo.context import RepoContext


class LinkedFiles:
    """Recognises hard and symbolic links to the cache, of one algorithm.

    Args:
        context: the repository.
        algorithm: the objects' algorithm.
    """

    def __init__(self, context: RepoContext, algorithm: str) -> None:
        self._context = context
        self._algorithm = algorithm
        self._objects = os.fsencode(os.path.realpath(context.cache_folder / "objects")) + b"/"

    def is_hard_link(self, raw: bytes, stats: tuple[int, ...]) -> bool:
        """Whether a file with these stats (size, mtime, ctime, inode) is a hard link to the object *raw*."""
        cache = self._context.cache
        try:
            found = os.lstat(os.path.join(self._objects, cache.loose_name(self._algorithm, raw)))
        except OSError:
            return False
        same = (found.st_size, found.st_mtime_ns, found.st_ino) == (stats[0], stats[1], stats[3])
        return same and cache.is_verified_many(self._algorithm, [raw])[0]

    def resolve(self, target: bytes) -> tuple[bytes, int] | None:
        """Raw digest and size of the object that a symbolic link leads to, None if it leads elsewhere."""
        if not target.startswith(self._objects):
            return None
        algorithm, _, rest = os.fsdecode(target[len(self._objects) :]).partition("/")
        try:
            digest = Digest.parse(f"{algorithm}:{rest.replace('/', '')}")
            found = os.lstat(target)
        except (KistError, OSError):
            return None
        return (digest.raw, found.st_size) if algorithm == self._algorithm else None
