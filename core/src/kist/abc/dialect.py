"""Dialect: how a kind of repository on disk is read.

What you write: a module with a ``kist_make_dialect`` hook that returns your Dialect for its marker folder, and an entry
point ``<marker> = "<module>"`` in the group ``kist.dialects``. Check it with ``kist.testing.DialectContract``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from kist.model.digest import Digest


class StoreLayout(ABC):
    """Where a dialect's caches and remotes keep their objects.

    Attributes:
        name: written into the marker file of a store of this layout.
        packs: whether small objects go into packs.
        root_markers: whether a version's root marker says that it is complete.
        file_mode: mode of a loose object in a cache.
    """

    name: str
    packs: bool
    root_markers: bool
    file_mode: int = 0o444

    @abstractmethod
    def object_keys(self, digest: Digest) -> tuple[str, ...]:
        """Keys under which an object may lie, the one to write first."""

    @abstractmethod
    def parse_key(self, key: str) -> Digest | None:
        """The object that lies under *key*, None if it is not an object's key."""


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """One configuration file of a dialect.

    Args:
        path: relative to the repository.
        tracked: whether it comes with the clone, so that it is trusted less.
    """

    path: str
    tracked: bool


class Dialect(ABC):
    """How a kind of repository is read.

    Attributes:
        marker: the folder whose presence makes a folder a repository, such as ``.kist``.
        metafile_formats: names of the metafile formats, the one that new outputs get first.
        default_hashers: algorithms for new outputs where configuration names none, in order of preference.
        ignore_file: name of the ignore file (gitignore grammar).
        store: the layout of caches and remotes.
    """

    marker: str
    metafile_formats: tuple[str, ...]
    default_hashers: tuple[str, ...]
    ignore_file: str
    store: StoreLayout

    @abstractmethod
    def config_sources(self) -> Sequence[ConfigSource]:
        """Configuration files inside the repository, the weakest first."""

    @abstractmethod
    def always_ignored(self) -> frozenset[bytes]:
        """Names that are never part of an output, in any folder, such as ``.git``."""
