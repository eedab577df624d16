"""How the files are named that describe outputs, by the metafile formats of a repository."""

from __future__ import annotations

from collections.abc import Sequence

from kist.abc.metafile import MetafileFormat
from kist.errors import ContractViolation


class MetafileNames:
    """The names that metafiles have.

    Args:
        formats: the metafile formats, the one for new outputs first.

    Attributes:
        patterns: shell patterns of all names.
        suffixes: endings of the names that are an output's name with an ending.
    """

    def __init__(self, formats: Sequence[MetafileFormat]) -> None:
        self.patterns = tuple(pattern for one in formats for pattern in one.patterns)
        self.suffixes = tuple(pattern[1:] for pattern in self.patterns if pattern.startswith("*"))

    def new(self, path: str) -> str:
        """The metafile to write for a new output at *path*.

        Raises:
            ContractViolation: no format of the dialect has a pattern that gives new names.
        """
        found = self.of(path)
        if not found:
            raise ContractViolation(
                f"a new metafile cannot be named: {', '.join(self.patterns)} has no '*' at its beginning",
                hint="this is a defect of the dialect: tell its authors",
            )
        return found[0]

    def of(self, path: str) -> list[str]:
        """The metafiles that may describe an output at *path*, the one to write first."""
        return [path + suffix for suffix in self.suffixes]
