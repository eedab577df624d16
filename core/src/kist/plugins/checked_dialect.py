"""CheckedDialect: the border between the core and a plugin's dialect; what is no answer is told as its defect."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from kist.abc.dialect import Dialect
from kist.errors import ContractViolation, MetafileError
from kist.plugins.blame import names_of, wrong_answer
from kist.util.paths import check_path


class CheckedDialect(Dialect):
    """Says what the plugin's dialect says, each thing looked at first.

    Args:
        inner: the plugin's dialect.
        distribution: who brings it.

    Raises:
        ContractViolation: one of its names is none; later, from each method, an answer is of the wrong kind.
    """

    def __init__(self, inner: Dialect, distribution: str) -> None:
        self._inner = inner
        self._distribution = distribution
        self.marker = getattr(inner, "marker", "")
        self.metafile_formats = names_of(distribution, inner, "metafile_formats", "a tuple of names")
        self.default_hashers = names_of(distribution, inner, "default_hashers", "a tuple of names")
        name = getattr(inner, "ignore_file", None)
        if not isinstance(name, str) or name in ("", ".", "..") or "/" in name:
            raise self._fault("ignore_file", name, "a file's name")
        self.ignore_file = name

    def always_ignored(self) -> frozenset[bytes]:
        """The plugin's names."""
        names = self._inner.always_ignored()
        if not isinstance(names, AbstractSet) or not all(isinstance(name, bytes) for name in names):
            raise self._fault("always_ignored", names, "a frozenset of bytes")
        return frozenset(names)

    def config_sources(self) -> Sequence[str]:
        """The plugin's paths, which lead nowhere but into the repository."""
        paths = self._inner.config_sources()
        if not isinstance(paths, Sequence) or isinstance(paths, str):
            raise self._fault("config_sources", paths, "paths")
        for path in paths:
            try:
                check_path(os.fsencode(path) if isinstance(path, str) else b"")
            except MetafileError as error:
                raise self._fault("config_sources", path, "a path inside the repository") from error
        return paths

    def read_config(self, path: str, data: bytes) -> Mapping[str, Any]:
        """The plugin's sections."""
        values = self._inner.read_config(path, data)
        if not isinstance(values, Mapping):
            raise self._fault("read_config", values, "sections")
        return values

    def _fault(self, member: str, given: object, wanted: str) -> ContractViolation:
        return wrong_answer(self._distribution, self._inner, member, given, wanted)
