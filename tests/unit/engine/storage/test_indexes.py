import os
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.engine.storage import indexes
from kist.engine.storage.index_builder import IndexBuilder, build_index
from kist.engine.storage.indexes import LOOSE, SEGMENTED, Index, PackEntry, Place, index_id, plan_merge
from kist.engine.storage.members import Members, memory_reader
from kist.errors import KistError, ObjectCorrupt, RepoFormatError


def members(raws, start=100):
    offsets = array("Q", [start + 60 * position for position in range(len(raws))])
    sizes = array("Q", [position % 50 for position in range(len(raws))])
    return Members(len(raws[0]), b"".join(raws), offsets, sizes, sizes, bytes(len(raws)))


def pack(number):
    return PackEntry(f"{number:064x}", 1000 + number, number % 2)


def raws(count, width=32):
    return sorted(os.urandom(width) for _ in range(count))


class Recorder:
    def __init__(self, data):
        self.data = data
        self.calls = []

    def __call__(self, offset, length):
        self.calls.append((offset, length))
        return self.data[offset : offset + length]


@pytest.mark.parametrize("count", [1, 2, 255, 256, 3000, 40_000])
@pytest.mark.parametrize("width", [16, 32, 64])
def test_finds_all_and_nothing_else(count, width):
    names = raws(count, width)
    data = build_index("sha256", width, [(pack(3), members(names))])
    for index in (Index.load(data, index_id(data)), Index(memory_reader(data), len(data))):
        assert (index.algorithm, index.width, index.count, index.packs) == ("sha256", width, count, [pack(3)])
        others = raws(100, width)
        asked = sorted([*names, *others])
        known = set(names)
        assert [place is not None for place in index.lookup_many(asked)] == [raw in known for raw in asked]
        some = names[:: max(1, count // 7)]
        assert [place.offset for place in index.lookup_many(some)] == [100 + 60 * names.index(raw) for raw in some]
        assert dict(index) == dict(zip(names, index.lookup_many(names), strict=True))
        assert index.check()
        assert index.lookup_many([]) == []


def test_what_is_missing_is_found_group_by_group():
    names, others = raws(3000), raws(3000)
    data = build_index("sha256", 32, [(pack(3), members(names))])
    index = Index(memory_reader(data), len(data), hold=True)
    for start in range(0, 3000, 100):  # by position at first, then by a set
        group = sorted(names[start : start + 100] + others[start : start + 100])
        assert index.missing(group) == sorted(others[start : start + 100])
    assert index.missing([]) == []


@pytest.mark.parametrize("head", [b"\7" * 4, b"\7\0", b"\7\xff"])
def test_finds_few_among_many_that_are_not_spread_evenly(head):
    names = sorted(head + os.urandom(32 - len(head)) for _ in range(5000))
    index = Index.load(build_index("sha256", 32, [(pack(1), members(names))]))
    for raw in (names[0], names[1], names[2500], names[-2], names[-1]):
        assert list(index.find([raw])) == [names.index(raw)]
    for raw in (b"\7" * 32, b"\7" + bytes(31), b"\7" + b"\xff" * 31, names[7][:-1] + bytes([names[7][-1] ^ 1])):
        assert list(index.find([raw])) == [-1]


def test_a_digest_across_two_others_is_not_there():
    first, second = b"\7" + bytes(30) + b"\7", b"\7" + bytes(30) + b"\x09"
    across = b"\7" + second[:31]
    index = Index.load(build_index("sha256", 32, [(pack(1), members(sorted([first, second, *[b"\7" * 32] * 1])))]))
    assert list(index.find([across])) == [-1]


def test_digests_asked_for_again_and_again_are_read_at_most_twice():
    names = raws(40_000)
    data = build_index("sha256", 32, [(pack(1), members(names))])
    absent = raws(100)
    for hold in (True, False):
        read = Recorder(data)
        index = Index(read, len(data), hold=hold)
        for first in range(200):
            some = names[first::200]
            assert list(index.find(some)) == list(range(first, len(names), 200))
            assert list(index.find(absent)) == [-1] * 100
        total = sum(length for _, length in read.calls)
        assert (total < 3 * len(data)) == hold


@pytest.mark.parametrize("head", [b"", b"\0\0", b"\xff\xff\xff", b"\7" * 5])
def test_finds_in_memory_what_is_not_spread_evenly(head):
    names = sorted([*raws(1000), *(head + os.urandom(32 - len(head)) for _ in range(3000))])
    data = build_index("sha256", 32, [(pack(1), members(names))])
    index = Index(memory_reader(data), len(data), hold=True)
    some = names[::100]
    for _ in range(200):
        assert list(index.find(some)) == list(range(0, len(names), 100))
    near = sorted(raw[:-1] + bytes([raw[-1] ^ 1]) for raw in some)
    assert list(index.find(near)) == [-1] * len(near)


def test_bytes_are_as_documented():
    names = [bytes([first]) * 32 for first in (1, 1, 255)]
    names[1] = names[1][:-1] + b"\2"
    data = build_index("sha256", 32, [(pack(5), members(names))])
    assert data[:11] == b"KISTINDX\x01\x20\x06"
    assert data[11:48] == b"sha256".ljust(37, b"\0")
    assert data[48:64] == (3).to_bytes(8, "little") + (1).to_bytes(4, "little") + bytes(4)
    assert data[64:105] == bytes.fromhex(pack(5).id) + (1005).to_bytes(8, "little") + b"\1"
    fanout = [int.from_bytes(data[105 + 4 * i : 109 + 4 * i], "little") for i in range(257)]
    assert (fanout[1], fanout[2], fanout[255], fanout[256]) == (0, 2, 2, 3)
    assert data[1133 : 1133 + 96] == b"".join(names)
    assert len(data) == 1133 + 3 * (32 + 29)


def test_order_of_adding_does_not_matter():
    packs = [(pack(number), members(raws(50))) for number in range(4)]
    assert build_index("sha256", 32, packs) == build_index("sha256", 32, reversed(packs))


def test_loose_and_segmented():
    names = raws(4)
    builder = IndexBuilder("sha256", 32)
    builder.add_loose([names[2], names[0]], [5, 6])
    builder.add_loose([names[1]], [1 << 40], segmented=True)
    builder.add_pack(pack(1), members([names[3]]))
    places = Index.load(builder.build()).lookup_many(names)
    assert places[:3] == [Place(LOOSE, 0, 6, 6, 0), Place(SEGMENTED, 0, 1 << 40, 1 << 40, 0), Place(LOOSE, 0, 5, 5, 0)]
    assert places[3] == Place(pack(1).id, 100, 0, 0, 0)


def test_merging_keeps_the_first_place_and_drops_packs():
    names = raws(300)
    one = Index.load(build_index("sha256", 32, [(pack(1), members(names[:200]))]))
    two = Index.load(build_index("sha256", 32, [(pack(2), members(names[100:], 9000)), (pack(0), members(raws(9)))]))
    builder = IndexBuilder("sha256", 32)
    builder.add_index(one)
    builder.add_index(two, keep={pack(2).id}.__contains__)
    assert len(builder) == 400
    merged = Index.load(builder.build())
    assert merged.count == 300
    assert merged.packs == [pack(1), pack(2)]
    assert [place.pack for place in merged.lookup_many(names)] == [pack(1).id] * 200 + [pack(2).id] * 100


def test_large_ones_are_read_by_ranges():
    names = raws(60_000)
    data = build_index("sha256", 32, [(pack(0), members(names))])
    reader = Recorder(data)
    index = Index(reader, len(data), index_id(data))
    assert len(reader.calls) == 1
    assert index.lookup_many(names[30_000:30_005]) == Index.load(data).lookup_many(names[30_000:30_005])
    assert sum(length for _, length in reader.calls) < 100_000
    assert len(reader.calls) <= 8
    reader.calls.clear()
    assert all(index.lookup_many(names))
    assert len(reader.calls) <= 3


def test_columns_of_one_on_a_local_disk_are_read_part_by_part(monkeypatch):
    monkeypatch.setattr(indexes, "_SPAN", 1000)
    names = raws(60_000)
    data = build_index("sha256", 32, [(pack(0), members(names))])
    reader = Recorder(data)
    index = Index(reader, len(data), hold=True)
    reader.calls.clear()
    chosen = [*range(3, 25_000, 3), 59_999]
    assert index.places(chosen) == Index.load(data).places(chosen)
    assert max(length for _, length in reader.calls) <= 8000


def test_large_groups_make_no_set_of_a_held_index(monkeypatch):
    names = raws(60_000)
    data = build_index("sha256", 32, [(pack(0), members(names))])
    index = Index(memory_reader(data), len(data), hold=True)
    monkeypatch.setattr(indexes, "frozenset", lambda _: pytest.fail("a set was made"), raising=False)
    for start in range(6):
        assert index.missing([bytes(32), *names[start::6]]) == [bytes(32)]


def test_small_ones_are_read_whole_and_checked():
    data = build_index("sha256", 32, [(pack(0), members(raws(20)))])
    reader = Recorder(data)
    assert list(Index(reader, len(data), index_id(data)))
    assert len(reader.calls) == 1
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(ObjectCorrupt):
            Index.load(bytes(damaged), index_id(data))


def test_a_large_one_in_memory_is_checked_too():
    data = bytearray(build_index("sha256", 32, [(pack(0), members(raws(20_000)))]))
    name = index_id(bytes(data))
    data[-1] ^= 1
    with pytest.raises(ObjectCorrupt):
        Index.load(bytes(data), name)


def test_truncations_give_a_typed_error():
    data = build_index("sha256", 32, [(pack(0), members(raws(3)))])
    for length in range(len(data)):
        with pytest.raises(ObjectCorrupt):
            Index.load(data[:length])
    data = build_index("sha256", 32, [(pack(0), members(raws(30_000)))])
    index = Index(lambda offset, length: data[offset : offset + length] if offset < 70_000 else b"", len(data))
    with pytest.raises(ObjectCorrupt):
        index.lookup_many([b"\xff" * 32])


def test_newer_version_is_told():
    data = bytearray(build_index("sha256", 32, [(pack(0), members(raws(3)))]))
    data[8] = 2
    with pytest.raises(RepoFormatError):
        Index.load(bytes(data))


def test_pack_number_out_of_range():
    data = bytearray(build_index("sha256", 32, [(pack(0), members(names := raws(1)))]))
    data[-29] = 9
    with pytest.raises(ObjectCorrupt):
        Index.load(bytes(data)).lookup_many(names)


@settings(deadline=None)
@given(st.binary(max_size=1500))
def test_random_bytes_give_a_typed_error(data):
    for candidate in (data, b"KISTINDX\x01\x20\x06sha256".ljust(48, b"\0") + data):
        try:
            index = Index.load(candidate)
        except KistError:
            continue
        assert index.count == 0


@given(st.lists(st.integers(1, 10_000), max_size=200))
def test_geometric_merging_keeps_the_number_small(additions):
    sizes = []
    for size in additions:
        sizes = [*sorted(sizes, reverse=True), size]
        if count := plan_merge(sizes):
            assert count >= 2
            sizes[-count:] = [sum(sizes[-count:])]
    assert sum(sizes) == sum(additions)
    assert len(sizes) <= 2 + sum(sizes, 1).bit_length()


def test_plan_merge():
    assert plan_merge([]) == 0
    assert plan_merge([5]) == 0
    assert plan_merge([100, 5]) == 0
    assert plan_merge([9, 5]) == 2
    assert plan_merge([100, 19, 9, 5]) == 3


def test_a_pack_taken_out_again_leaves_nothing_behind():
    names = raws(30)
    builder = IndexBuilder("sha256", 32)
    builder.add_pack(pack(1), members(names[:10]))
    builder.add_pack(pack(2), members(names[10:20]))
    builder.drop_pack(pack(1).id)
    builder.add_pack(pack(3), members(names[20:]))
    assert builder.build() == build_index(
        "sha256", 32, [(pack(2), members(names[10:20])), (pack(3), members(names[20:]))]
    )


@pytest.mark.parametrize("held", [10, 1 << 17])
def test_one_that_is_written_to_a_file_has_the_same_bytes(tmp_path, monkeypatch, held):
    monkeypatch.setattr("kist.engine.storage.rows.HELD", held)
    monkeypatch.setattr("kist.engine.storage.sections._BUFFER", 100)
    names = raws(900)
    old = Index.load(build_index("sha256", 32, [(pack(5), members(names[600:]))]))
    built = []
    for new_file in (None, lambda: tmp_path / "rows"):
        builder = IndexBuilder("sha256", 32, new_file)
        builder.add_pack(pack(1), members(names[:300]))
        builder.add_pack(pack(4), members(names[:20]))
        builder.add_pack(pack(2), members(names[200:500], 9000))
        builder.drop_pack(pack(4).id)
        builder.add_loose(names[490:600], range(110))
        builder.add_index(old)
        built.append(builder)
    name = built[1].write(tmp_path / "index")
    data = (tmp_path / "index").read_bytes()
    assert data == built[0].build()
    assert name == index_id(data)
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
