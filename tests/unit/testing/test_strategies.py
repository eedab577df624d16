"""The strategies make only values that can exist."""

import re

from hypothesis import given

from kist.model.entry import DIRECTORY
from kist.testing.strategies import columns, digests, entries, key_sets, keys


@given(digests())
def test_digests_parse(digest):
    assert digest.parse(str(digest)) == digest


@given(entries())
def test_entries_have_what_their_kind_needs(entry):
    assert (entry.digest is not None) == (entry.kind in ("file", "executable"))
    assert (entry.target is not None) == (entry.kind == "symlink")


@given(columns())
def test_columns_are_sorted_and_consistent(found):
    assert found.paths == sorted(set(found.paths))
    assert len(found.kinds) == len(found.sizes) == len(found)
    for path, kind in zip(found.paths, found.kinds, strict=True):
        assert found.span(path) == (found.span(path)[0],) * 2, "an entry is no folder of others"
        assert kind != DIRECTORY or found.span(path)[0] == found.span(path)[1]


@given(keys())
def test_keys_are_portable(key):
    assert re.fullmatch(r"[0-9a-z][0-9a-z._/-]{0,254}", key)
    assert "//" not in key
    assert ".." not in key


@given(key_sets(min_size=1))
def test_key_sets_can_lie_in_folders(found):
    assert found
    assert not any(one.startswith(other + "/") for one in found for other in found)
