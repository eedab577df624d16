"""Broken dialects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kist.abc.dialect import ConfigSource
from kist.builtin.kist_dialect import KistDialect, KistStore
from kist.model.digest import Digest
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

    def config_sources(self) -> Sequence[ConfigSource]:
        return (ConfigSource("../config.yaml", tracked=True),)


@DIALECT.mutant
class TracksGit(KistDialect):
    """Tracks what belongs to Git."""

    def always_ignored(self) -> frozenset[bytes]:
        return frozenset({b".kist"})


class _Writable(KistStore):
    file_mode = 0o644


@DIALECT.mutant
class WritableObjects(KistDialect):
    """Keeps loose objects writable."""

    store = _Writable()


class _Leading(KistStore):
    def object_keys(self, digest: Digest) -> tuple[str, ...]:
        return tuple("/" + key for key in super().object_keys(digest))

    def parse_key(self, key: str) -> Digest | None:
        return super().parse_key(key.removeprefix("/"))


@DIALECT.mutant
class AbsoluteKeys(KistDialect):
    """Begins keys with a slash."""

    store = _Leading()


class _Short(KistStore):
    def object_keys(self, digest: Digest) -> tuple[str, ...]:
        return (*super().object_keys(digest), f"objects/{digest.algorithm}/recent")


@DIALECT.mutant
class SharedKey(KistDialect):
    """Has a key that every object may have."""

    store = _Short()


class _Strict(KistStore):
    def parse_key(self, key: str) -> Digest | None:
        return super().parse_key(key) if "/" in key else Digest.parse(key)


@DIALECT.mutant
class ForeignKeyFails(KistDialect):
    """Fails at a key that is not its own."""

    store = _Strict()
