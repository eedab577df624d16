import os
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import LOOSE, SEGMENTED, Index, PackEntry
from kist.engine.storage.located import Located, in_order, split_by_size
from kist.engine.storage.members import Members

WIDTH = 16
FIRST, SECOND = (PackEntry(f"{number:064x}", 1000, 0) for number in (1, 2))


def index_of(placed):
    """An index of objects: raw digest -> pack entry or ``LOOSE`` or ``SEGMENTED``, offset, size."""
    builder = IndexBuilder("sha256", WIDTH)
    for where in dict.fromkeys(where for where, _, _ in placed.values()):
        raws = sorted(raw for raw in placed if placed[raw][0] == where)
        sizes = array("Q", [placed[raw][2] for raw in raws])
        if where in (LOOSE, SEGMENTED):
            builder.add_loose(raws, sizes, segmented=where == SEGMENTED)
        else:
            offsets = array("Q", [placed[raw][1] for raw in raws])
            builder.add_pack(where, Members(WIDTH, b"".join(raws), offsets, sizes, sizes, bytes(len(raws))))
    return Index.load(builder.build())


def located(index, *turns, believe=None):
    """What is found in some turns, and what is left of each."""
    found = Located(WIDTH)
    left = []
    for raws in turns:
        ranks = found.rank(raws)
        left.append(found.look_in(index, sorted(ranks), ranks, believe))
    return found, left


@settings(deadline=None)
@given(st.data())
def test_each_object_is_in_the_group_of_its_pack(data):
    names = [os.urandom(WIDTH) for _ in range(data.draw(st.integers(1, 40)))]
    where = [data.draw(st.sampled_from([FIRST, SECOND, LOOSE, SEGMENTED])) for _ in names]
    placed = {raw: (pack, 100 * number, number) for number, (raw, pack) in enumerate(zip(names, where, strict=True))}
    asked = data.draw(st.lists(st.lists(st.sampled_from([*names, bytes(WIDTH)])), min_size=1, max_size=4))
    found, left = located(index_of(placed), *asked)
    wanted = list(dict.fromkeys(raw for turn in asked for raw in turn if any(turn)))
    there = [raw for raw in wanted if raw in placed]
    assert left == [sorted({raw for raw in turn if raw not in placed}) for turn in asked]
    rows = {
        raw: (name, offset, plain)
        for name, group in found.groups.items()
        for raw, offset, _, plain, _ in group.members.rows()
    }
    expected = {}
    for raw in there:
        pack, offset, size = placed[raw]
        name = pack if isinstance(pack, str) and pack in (LOOSE, SEGMENTED) else pack.id
        expected[raw] = (name, 0 if name in (LOOSE, SEGMENTED) else offset, size)
    assert rows == expected
    assert (len(found), found.plain) == (len(there), sum(placed[raw][2] for raw in there))
    assert in_order(found.groups.values()) == there
    for name, group in found.groups.items():
        order = group.ranks if name in (LOOSE, SEGMENTED) else group.members.offsets
        assert list(order) == sorted(order)
    firsts = [min(group.ranks) for group in found.groups.values()]
    assert firsts == sorted(firsts)


def test_what_is_not_believed_is_left():
    names = sorted(os.urandom(WIDTH) for _ in range(9))
    index = index_of({raw: (FIRST, 100 * number, number) for number, raw in enumerate(names)})
    found, [left] = located(index, names, believe=lambda raws, _rows, _names: range(0, len(raws), 3))
    assert left == [raw for number, raw in enumerate(names) if number % 3]
    assert found.groups[FIRST.id].members.raws() == names[::3]


def test_some_of_what_is_located():
    names = sorted(os.urandom(WIDTH) for _ in range(6))
    index = index_of({raw: ((FIRST, SECOND)[number % 2], 100 * number, number) for number, raw in enumerate(names)})
    found, _ = located(index, names)
    assert found.among([names[0], names[3], bytes(WIDTH)]) == {names[0], names[3]}
    assert found.among([]) == set()
    only = found.only({names[1], names[5]})
    assert {pack: group.members.raws() for pack, group in only.items()} == {SECOND.id: [names[1], names[5]]}
    small, large = split_by_size(found.groups, 4)
    assert large == {names[4]: 4, names[5]: 5}
    assert in_order(small.values()) == names[:4]
    assert split_by_size(only, 1) == ({}, {names[1]: 1, names[5]: 5})
