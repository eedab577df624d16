"""HashedPacks: packs that came whole and were hashed whole, so that reading them at once need not do it again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kist.engine.cache.record_file import Look
from kist.engine.cache.verified import look_of
from kist.util import clock

_TRUSTED_FOR = 600.0
"""Seconds for which such a pack is trusted: a process that lives for days goes by what the disk says now."""


class HashedPacks:
    """Remembers in memory which packs this process has hashed, and how their files looked then."""

    def __init__(self) -> None:
        self._looks: dict[str, tuple[float, Look]] = {}

    def note(self, folder: Path, inodes: Mapping[str, int]) -> None:
        """Remember packs that were hashed and have come to their places.

        Args:
            folder: where they are now.
            inodes: pack id -> inode of the file that was hashed.
        """
        for pack, inode in inodes.items():
            with suppress(OSError):  # merged into another one meanwhile
                status = os.stat(folder / pack)
                if status.st_ino == inode:
                    self._looks[pack] = clock.steady() + _TRUSTED_FOR, look_of(status)

    def holds(self, pack: str, descriptor: int) -> bool:
        """Whether an open pack was hashed not long ago and looks as it did then."""
        until, look = self._looks.get(pack, (0.0, None))
        return look is not None and clock.steady() < until and look_of(os.fstat(descriptor)) == look
