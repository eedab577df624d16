"""RepoView: what hooks may see of a repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from kist.model.tracked import Metafile


class RepoView(Protocol):
    """A repository as life-cycle hooks see it: read only."""

    @property
    def root(self) -> Path:
        """The repository's folder."""

    @property
    def id(self) -> str:
        """The repository's id, made at ``init``."""

    def config_value(self, key: str) -> object:
        """A configuration value by its dotted key, None where it is not set."""

    def metafiles(self, revision: str | None = None) -> Iterator[tuple[str, Metafile]]:
        """(path relative to the repository, metafile) of the workspace, or of a Git revision."""
