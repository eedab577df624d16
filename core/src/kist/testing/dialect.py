"""DialectContract: what every dialect and its store layout must keep."""

from __future__ import annotations

import re
from abc import abstractmethod

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.abc import Dialect
from kist.model.digest import Digest
from kist.testing.base import ContractBase
from kist.testing.strategies import digests

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
        """The marker is one hidden folder's name."""
        assert dialect.marker.startswith(".")
        assert len(dialect.marker) > 1
        assert "/" not in dialect.marker

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
        """Configuration files are relative paths without detours."""
        sources = list(dialect.config_sources())
        assert sources
        for source in sources:
            parts = source.path.split("/")
            assert not source.path.startswith("/")
            assert not {"", ".", ".."} & set(parts)

    def test_never_tracks_its_own_state(self, dialect: Dialect) -> None:
        """The marker folder and Git's are never part of an output."""
        ignored = dialect.always_ignored()
        assert isinstance(ignored, frozenset)
        assert {dialect.marker.encode(), b".git"} <= ignored
        assert not any(b"/" in name for name in ignored)

    def test_layout_declares_its_facts(self, dialect: Dialect) -> None:
        """A layout has a name, says whether it packs and marks roots, and keeps loose objects read-only."""
        store = dialect.store
        assert store.name
        assert isinstance(store.packs, bool)
        assert isinstance(store.root_markers, bool)
        assert store.file_mode & 0o222 == 0

    @_SHARED
    @given(data=st.data())
    def test_key_names_its_object(self, dialect: Dialect, data: st.DataObject) -> None:
        """An object has at least one key; each is relative, without detours, and tells its object again."""
        digest = data.draw(digests(st.sampled_from(dialect.default_hashers)))
        keys = dialect.store.object_keys(digest)
        assert keys
        for key in keys:
            assert not {"", ".", ".."} & set(key.split("/"))
            assert len(key) <= 255
        assert dialect.store.parse_key(keys[0]) == digest

    @_SHARED
    @given(data=st.data())
    def test_different_objects_have_different_keys(self, dialect: Dialect, data: st.DataObject) -> None:
        """No two objects share a key."""
        algorithm = dialect.default_hashers[0]
        one, other = data.draw(st.lists(digests(st.just(algorithm)), min_size=2, max_size=2, unique=True))
        assert not set(dialect.store.object_keys(one)) & set(dialect.store.object_keys(other))

    @_SHARED
    @given(key=st.text(max_size=80))
    def test_other_keys_are_no_objects(self, dialect: Dialect, key: str) -> None:
        """Whatever lies in a store, a foreign key gives None and no error."""
        found = dialect.store.parse_key(key)
        assert found is None or isinstance(found, Digest)
