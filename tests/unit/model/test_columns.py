"""Columns against plain lists of entries."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.testing.strategies import columns

DIGEST = Digest.from_raw("sha256", b"\x07" * 32)
ENTRIES = [
    Entry(b"a", "symlink", target=b"to a"),
    Entry(b"b/c", "file", 3, DIGEST),
    Entry(b"b/d", "symlink", target=b"to d"),
    Entry(b"e", "directory"),
    Entry(b"f", "executable", 9, DIGEST),
]


def test_from_entries_sorts_and_keeps_all():
    part = Columns.from_entries("sha256", 32, reversed(ENTRIES))
    assert list(part.entries()) == ENTRIES
    assert part.kinds == b"lfldx"
    assert part.sizes == array("Q", [0, 3, 0, 0, 9])
    assert part.targets == [b"to a", b"to d"]
    assert part.content_raws() == [DIGEST.raw, DIGEST.raw]


def test_empty_columns():
    part = Columns("sha256", 32)
    assert (len(part), list(part.entries()), part.raws(), part.find(b"a"), part.span(b"a")) == (0, [], [], None, (0, 0))
    assert Columns.concat("sha256", 32, []) == part


def test_new_columns_share_nothing():
    first, second = Columns("sha256", 32), Columns("sha256", 32)
    first.sizes.append(1)
    first.paths.append(b"a")
    assert second == Columns("sha256", 32)


@given(part=columns(), edges=st.tuples(st.integers(0, 45), st.integers(0, 45)))
def test_slice_is_that_of_the_entries(part, edges):
    start, stop = (min(edge, len(part)) for edge in sorted(edges))
    assert list(part.slice(start, stop).entries()) == list(part.entries())[start:stop]


@given(part=columns(), cut=st.integers(0, 45))
def test_concat_undoes_slices(part, cut):
    pieces = [part.slice(0, cut), part.slice(cut, len(part))]
    assert Columns.concat(part.algorithm, part.width, pieces) == part


def test_concat_leaves_its_parts_alone():
    parts = [Columns.from_entries("sha256", 32, [entry]) for entry in ENTRIES]
    Columns.concat("sha256", 32, parts)
    assert [len(part) for part in parts] == [1] * 5


@given(part=columns())
def test_find_and_raw(part):
    for position, entry in enumerate(part.entries()):
        assert part.find(entry.path) == position
        assert part.raw(position) == part.raws()[position] == (entry.digest.raw if entry.digest else bytes(32))
        assert part.find(entry.path + b"\0") is None


@pytest.mark.parametrize(("prefix", "found"), [(b"", 0), (b"b", 2), (b"b/c", 0), (b"a", 0), (b"z", 0)])
def test_span(prefix, found):
    part = Columns.from_entries("sha256", 32, ENTRIES)
    start, stop = part.span(prefix)
    assert stop - start == (found if prefix else len(ENTRIES))


def test_span_does_not_take_what_merely_begins_alike():
    names = sorted([b"b", b"b-/x", b"b./x", b"b/x", b"b/y/z", b"b0", b"bb/x"])
    part = Columns("sha256", 32, names, b"d" * 7, array("Q", bytes(56)), bytes(7 * 32))
    start, stop = part.span(b"b")
    assert part.paths[start:stop] == [b"b/x", b"b/y/z"]
