"""Order, doubles and clashes, against the plain definition."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine.manifest.order import OrderCheck, check_order
from kist.errors import MetafileError

names = st.lists(st.sampled_from([b"a", b"-", b"b", b"/", b"0"]), min_size=1, max_size=6).map(b"".join)


def clash(paths):
    known = set(paths)
    return len(known) != len(paths) or any(
        path[:at] in known for path in paths for at in range(len(path)) if path[at : at + 1] == b"/"
    )


@given(paths=st.lists(names, max_size=25).map(sorted))
def test_one_part(paths):
    if clash(paths):
        with pytest.raises(MetafileError):
            check_order(paths)
    else:
        check_order(paths)


@given(paths=st.lists(names, max_size=25).map(sorted), cuts=st.lists(st.integers(0, 25), max_size=5))
def test_many_parts(paths, cuts):
    edges = [0, *sorted(min(cut, len(paths)) for cut in cuts), len(paths)]

    def check():
        order = OrderCheck()
        for start, stop in pairwise(edges):
            check_order(paths[start:stop])
            order.follows(paths[start:stop])

    if clash(paths):
        with pytest.raises(MetafileError):
            check()
    else:
        check()


@pytest.mark.parametrize("paths", [[b"b", b"a"], [b"a", b"c", b"b"]])
def test_disorder(paths):
    with pytest.raises(MetafileError, match="order"):
        check_order(paths)
    order = OrderCheck()
    with pytest.raises(MetafileError, match="order"):
        for path in paths:
            order.follows([path])


def test_messages_name_the_path():
    with pytest.raises(MetafileError, match=r"two entries for a$"):
        check_order([b"a", b"a"])
    with pytest.raises(MetafileError, match="a is both an entry and the folder of a/b"):
        check_order([b"a", b"a-", b"a/b"])
