"""Comparing streams of entries against comparing dictionaries."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kist.model.columns import Columns
from kist.model.delta import changes, deltas
from kist.model.digest import Digest
from kist.model.entry import Entry

digest = st.integers(0, 2).map(lambda number: Digest.from_raw("sha256", bytes([number]) * 32))
bodies = st.one_of(
    st.tuples(st.sampled_from(["file", "executable"]), st.integers(0, 2), digest),
    st.tuples(st.just("symlink"), st.just(0), st.none(), st.sampled_from([b"x", b"y"])),
    st.tuples(st.just("directory")),
)
states = st.dictionaries(st.integers(0, 60).map(lambda number: b"%02d" % number), bodies, max_size=50)
cuts = st.lists(st.integers(0, 50), max_size=5)


def entries(state):
    return {path: Entry(path, *body) for path, body in state.items()}


def portions(state, edges):
    part = Columns.from_entries("sha256", 32, entries(state).values())
    bounds = [0, *sorted(min(edge, len(part)) for edge in edges), len(part)]
    return [part.slice(start, stop) for start, stop in pairwise(bounds)]


@given(old=states, new=states, shared=states, old_cuts=cuts, new_cuts=cuts)
def test_changes_are_those_of_dictionaries(old, new, shared, old_cuts, new_cuts):
    old, new = {**old, **shared}, {**new, **shared}
    before, after = entries(old), entries(new)
    found = list(changes(deltas(portions(old, old_cuts), portions(new, new_cuts))))
    assert [(change.path, change.old, change.new) for change in found] == [
        (path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


@given(old=states, new=states, old_cuts=cuts, new_cuts=cuts)
def test_deltas_are_never_empty_and_in_order(old, new, old_cuts, new_cuts):
    last = b""
    for before, after in deltas(portions(old, old_cuts), portions(new, new_cuts)):
        assert before.paths or after.paths
        assert min(before.paths[:1] + after.paths[:1]) > last
        last = max(before.paths[-1:] + after.paths[-1:])


def test_another_algorithm_differs_where_there_is_content():
    names = {b"a": Entry(b"a", "directory"), b"b": Entry(b"b", "file", 1, Digest.from_raw("sha256", bytes(32)))}
    old = Columns.from_entries("sha256", 32, names.values())
    new = Columns.from_entries("md5", 16, [names[b"a"], Entry(b"b", "file", 1, Digest.from_raw("md5", bytes(16)))])
    assert [change.path for change in changes(deltas([old], [new]))] == [b"b"]


def test_equal_streams_have_no_delta():
    state = {b"%02d" % number: ("symlink", 0, None, b"t") for number in range(50)}
    assert list(deltas(portions(state, [3, 17]), portions(state, [20]))) == []
