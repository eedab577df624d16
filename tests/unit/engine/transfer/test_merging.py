"""Small packs are joined so that few remain and little is sent twice."""

from math import log

from hypothesis import given
from hypothesis import strategies as st

from kist.engine.transfer.merging import GROWTH, worth_joining

SIZES = st.lists(st.integers(1, 1 << 20), max_size=40).map(sorted)


@given(sizes=SIZES)
def test_what_is_joined_grows_much(sizes):
    count = worth_joining(sizes)
    assert count == 0 or 2 <= count <= len(sizes)
    assert count == 0 or sum(sizes[:count]) >= GROWTH * sizes[count - 1]


@given(additions=st.lists(st.integers(1 << 10, 1 << 16), min_size=1, max_size=300))
def test_few_packs_remain_and_little_is_written_again(additions):
    packs, written = [], 0
    for size in additions:
        packs = sorted([*packs, size])
        count = worth_joining(packs)
        written += sum(packs[:count]) if count else size
        packs = sorted([*packs[count:], sum(packs[:count])]) if count else packs
    total = sum(additions)
    assert sum(packs) == total
    span = total / min(additions)
    assert written <= total * (1 + log(span, GROWTH))  # each writing makes the pack of an object so much larger
    assert len(packs) <= 1 + log(span, GROWTH / (GROWTH - 1))  # each one that stays is a good part of all before it
