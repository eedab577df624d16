"""Broken dialects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kist.builtin.kist_dialect import KistDialect
from kist.testing.dialect import DialectContract
from kist.testing.mutants.running import Kind


def _fixtures(subject: type, _folder: Path) -> Mapping[str, object]:
    return {"dialect": subject()}


DIALECT = Kind("dialect", DialectContract, KistDialect, _fixtures)


@DIALECT.mutant
class DeepMarker(KistDialect):
    """Its marker is a path."""

    marker = ".config/kist"

    def always_ignored(self) -> frozenset[bytes]:
        return frozenset({b".git", b".config/kist"})


@DIALECT.mutant
class GitsMarker(KistDialect):
    """Takes Git's folder for its own."""

    marker = ".git"


@DIALECT.mutant
class SameFormatTwice(KistDialect):
    """Names a format twice."""

    metafile_formats = ("kist", "kist")  # type: ignore[assignment]


@DIALECT.mutant
class ShoutedHasher(KistDialect):
    """Names its hashers as people write them."""

    default_hashers = ("BLAKE3",)  # type: ignore[assignment]


@DIALECT.mutant
class DeepIgnoreFile(KistDialect):
    """Keeps its ignore file in one place only."""

    ignore_file = ".kist/ignore"


@DIALECT.mutant
class ConfigOutside(KistDialect):
    """Reads a configuration beside the repository."""

    def config_sources(self) -> Sequence[str]:
        return ("../config.yaml",)


@DIALECT.mutant
class TracksGit(KistDialect):
    """Tracks what belongs to Git."""

    def always_ignored(self) -> frozenset[bytes]:
        return frozenset({b".kist"})


@DIALECT.mutant
class GuessesConfig(KistDialect):
    """Fails at a configuration that is none."""

    def read_config(self, path: str, data: bytes) -> Mapping[str, Any]:
        return dict(line.split("=", 1) for line in data.decode("latin-1").splitlines() if path)
