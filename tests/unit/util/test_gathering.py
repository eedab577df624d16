"""Cutting and gathering: the same as by one slice or call an item."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.util.gathering import cut, gather


@given(st.integers(1, 64), st.binary(max_size=5000))
def test_items_are_cut_as_slices_cut_them(width, block):
    assert cut(block, width) == [block[start : start + width] for start in range(0, len(block), width)]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200, 4097])
def test_full_items(count):
    block = bytes(range(256)) * (count // 8 + 1)
    assert b"".join(cut(block[: 32 * count], 32)) == block[: 32 * count]
    assert len(cut(block[: 32 * count], 32)) == count


@given(
    st.lists(st.integers(0, 99), max_size=300), st.sampled_from([list, tuple, bytes, lambda items: array("Q", items)])
)
def test_items_are_gathered_in_order(positions, kind):
    column = kind(range(100, 200))
    assert list(gather(column, positions)) == [column[position] for position in positions]


@pytest.mark.parametrize("count", [0, 1, 2, 4095, 4096, 4097, 8193])
def test_positions_in_turns(count):
    assert list(gather(range(count), range(count - 1, -1, -1))) == list(range(count - 1, -1, -1))


def test_a_position_that_is_not_there():
    with pytest.raises(IndexError):
        list(gather(b"abc", [1, 3]))
