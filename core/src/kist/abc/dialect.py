"""Dialect: how a kind of repository on disk is read.

What you write: a module with a ``kist_make_dialect`` hook that returns your Dialect for its marker folder, and an entry
point ``<marker> = "<module>"`` in the group ``kist.dialects``. Check it with ``kist.testing.DialectContract``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any


class Dialect(ABC):
    """How a kind of repository is read.

    Attributes:
        marker: the folder whose presence makes a folder a repository, such as ``.kist``; the nearest one counts.
        metafile_formats: names of the metafile formats, the one that new outputs get first.
        default_hashers: algorithms for new outputs where configuration names none, in order of preference.
        ignore_file: name of the ignore file (gitignore grammar).
    """

    marker: str
    metafile_formats: tuple[str, ...]
    default_hashers: tuple[str, ...]
    ignore_file: str

    @abstractmethod
    def always_ignored(self) -> frozenset[bytes]:
        """Names that are never part of an output, in any folder, such as ``.git``."""

    def config_sources(self) -> Sequence[str]:
        """Configuration files of another tool that count here too, the weakest first; none by default.

        They may come with a clone, so the same keys count as in tracked configuration, which is stronger.

        Returns:
            Paths relative to the repository, without ``..``; a file that is not there counts for nothing.
        """
        return ()

    def read_config(self, path: str, data: bytes) -> Mapping[str, Any]:
        """What a configuration file of :meth:`config_sources` says, in the sections and keys of kist's own.

        By default such a file is YAML as kist's own configuration is.

        Args:
            path: as :meth:`config_sources` names it.
            data: the file's bytes, at most 1 MiB.

        Returns:
            Section -> key -> value, such as ``{"remote": {"store": {"url": "../store"}}}``; what kist has no key
            for is left out.

        Raises:
            ConfigError: the file is not valid; ``kist.kit.YAMLError`` is told with its line.
        """
        from kist.errors import ConfigError
        from kist.util.yaml12 import load

        values = load(data) or {}
        if not isinstance(values, Mapping):
            raise ConfigError(f"{path}: a configuration file holds sections", path=path, hint="mend the file")
        return values
