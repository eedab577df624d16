"""LinkType: how a workspace file is made from a loose cache object.

What you write: a module with a ``kist_make_link_type`` hook that returns your LinkType for its name, and an entry point
``<name> = "<module>"`` in the group ``kist.links``. Check it with ``kist.testing.LinkTypeContract``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path


class LinkType(ABC):
    """Makes workspace files from cache objects.

    Attributes:
        name: the word in ``cache.type``.
        isolated: whether editing the workspace file can never change the cache object.
        keeps_mode: whether the workspace file shares its mode with the cache object, so that an executable one
            needs another type.
        verified: whether the bytes pass through us, so that they are hashed on the way.
    """

    name: str
    isolated: bool
    keeps_mode: bool
    verified: bool = False

    @abstractmethod
    def probe(self, cache: Path, workspace: Path) -> str | None:
        """Try it between two existing folders with files of its own, and leave nothing behind.

        Returns:
            None if it works, else the reason why not, in a few words.
        """

    @abstractmethod
    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        """Make each of *targets* (absent so far) from the object of the same position.

        Args:
            source_dir: descriptor of the objects folder.
            sources: paths of loose objects relative to it.
            target_dir: descriptor of the folder that receives the files.
            targets: plain names in it.

        Raises:
            LinkUnsupported: this pair cannot be linked (other device, EMLINK, no right); the error's
                ``done`` attribute holds how many were made before, nothing half-made is left.
            StorageError: the disk is full, read-only or failing.
        """

    @abstractmethod
    def is_linked(self, source_dir: int, source: bytes, target_dir: int, target: bytes) -> bool:
        """Whether *target* is such a link to *source* now; False where it cannot be told (copies, reflinks)."""
