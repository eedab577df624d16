"""Columns of what is known of folders."""

from hypothesis import given
from hypothesis import strategies as st

from kist.engine.workspace.rows import changed_places

values = st.lists(st.tuples(st.binary(min_size=3, max_size=3), st.binary(min_size=3, max_size=3)), max_size=40)
mostly_equal = st.lists(st.tuples(st.just(b"abc"), st.sampled_from([b"abc"] * 9 + [b"abx"])), max_size=200)


@given(pairs=values | mostly_equal)
def test_places_that_changed_are_all_found(pairs):
    old, new = b"".join(one for one, _ in pairs), b"".join(other for _, other in pairs)
    assert changed_places(old, new, 3) == [at for at, (one, other) in enumerate(pairs) if one != other]
