"""DialectContract: what every dialect must keep."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.abc import Dialect
from kist.errors import ConfigError
from kist.kit import YAMLError
from kist.testing.base import ContractBase
from kist.util.paths import is_reserved

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SHARED = settings(
    # A contract is inherited by several classes, whose instances hypothesis takes for different executors.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    deadline=None,
    max_examples=50,
)


class DialectContract(ContractBase):
    """Subclass it as ``Test…`` and provide the fixture ``dialect``."""

    __test__ = False

    @pytest.fixture
    @abstractmethod
    def dialect(self) -> Dialect:
        """The dialect under test."""

    def test_marker_is_a_folder_name(self, dialect: Dialect) -> None:
        """The marker is one hidden folder's name, and not Git's: other names make nothing a repository."""
        assert dialect.marker.startswith(".")
        assert "/" not in dialect.marker
        assert dialect.marker not in (".", "..")
        assert dialect.marker == ".kist" or not is_reserved(os.fsencode(dialect.marker))

    def test_names_its_formats(self, dialect: Dialect) -> None:
        """There is at least one metafile format, and each is named once."""
        assert dialect.metafile_formats
        assert len(set(dialect.metafile_formats)) == len(dialect.metafile_formats)

    def test_names_its_hashers(self, dialect: Dialect) -> None:
        """There is at least one default hasher, by its name in digests."""
        assert dialect.default_hashers
        assert all(_NAME.fullmatch(name) for name in dialect.default_hashers)

    def test_ignore_file_is_a_name(self, dialect: Dialect) -> None:
        """The ignore file is a plain name, which may stand in any folder."""
        assert dialect.ignore_file
        assert "/" not in dialect.ignore_file

    def test_configuration_lies_inside(self, dialect: Dialect) -> None:
        """Configuration files of another tool are relative paths without detours, each named once."""
        sources = list(dialect.config_sources())
        assert len(set(sources)) == len(sources)
        for path in sources:
            assert not {"", ".", ".."} & set(path.split("/"))

    @_SHARED
    @given(data=st.binary(max_size=200))
    def test_any_configuration_is_read_or_refused(self, dialect: Dialect, data: bytes) -> None:
        """Whatever stands in a configuration file gives sections, ``ConfigError`` or ``YAMLError``."""
        for path in dialect.config_sources() or ("config.yaml",):
            try:
                values = dialect.read_config(path, data)
            except (ConfigError, YAMLError):
                continue
            assert isinstance(values, Mapping)

    def test_never_tracks_its_own_state(self, dialect: Dialect) -> None:
        """The marker folder and Git's are never part of an output."""
        ignored = dialect.always_ignored()
        assert isinstance(ignored, frozenset)
        assert {dialect.marker.encode(), b".git"} <= ignored
        assert not any(b"/" in name for name in ignored)
