"""The bytes of one node."""

import contextlib
import hashlib
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine.manifest.format import Ref, SamePaths, decode, encode_inner, encode_leaf
from kist.errors import MetafileError, MetafileVersionError
from kist.model.columns import Columns
from kist.testing.strategies import columns

LEAF = Columns(
    "sha256", 32, [b"a/b", b"c", b"d"], b"fld", array("Q", [5, 0, 0]), b"\x11" * 32 + bytes(64), [b"a/b"]
)  # fmt: skip


def leaf_bytes(part):
    return encode_leaf(part, b"\0".join(part.paths))


def test_leaf_to_the_byte():
    expected = (
        b"KISTNODE\x01\x00\x20\x06sha256"
        + struct.pack("<III", 3, 7, 3)
        + b"fld"
        + struct.pack("<QQQ", 5, 0, 0)
        + b"\x11" * 32
        + bytes(64)
        + b"a/b\0c\0d"
        + b"a/b"
    )
    assert leaf_bytes(LEAF) == expected
    assert decode(expected) == LEAF


def test_examples_of_the_reference_page():
    digests = hashlib.sha256(b"hello").digest() + bytes(64)
    part = Columns("sha256", 32, LEAF.paths, LEAF.kinds, LEAF.sizes, digests, LEAF.targets)
    assert hashlib.sha256(leaf_bytes(part)).hexdigest() == (
        "a8796eabb1adb3bd6126371a7465d90a0aaae35964de82d6de39b6b3ac6e3de4"
    )
    assert hashlib.sha256(leaf_bytes(Columns("sha256", 32))).hexdigest() == (
        "b0cf9e2640b8e6619ca9da5b3e8e48ead2230db5c8c9612de20f878485f175a4"
    )


def test_inner_node_to_the_byte():
    refs = [Ref(b"b", b"\x01" * 16, 3, 4), Ref(b"d/e", b"\x02" * 16, 5, 1 << 40)]
    expected = (
        b"KISTNODE\x01\x02\x10\x03md5"
        + struct.pack("<III", 2, 5, 0)
        + b"\x01" * 16
        + b"\x02" * 16
        + struct.pack("<QQ", 3, 5)
        + struct.pack("<QQ", 4, 1 << 40)
        + b"b\0d/e"
    )
    assert encode_inner(2, "md5", 16, refs) == expected
    node = decode(expected)
    assert (node.level, node.algorithm, node.width, node.refs) == (2, "md5", 16, refs)


@given(part=columns())
def test_leaves_come_back(part):
    assert decode(leaf_bytes(part)) == part


@given(part=columns(max_size=8), data=st.data())
def test_every_truncation_is_refused(part, data):
    whole = leaf_bytes(part)
    with pytest.raises(MetafileError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(data=st.binary(max_size=200))
def test_random_bytes_behind_a_header(data):
    for level in (b"\0", b"\1"):
        with pytest.raises(MetafileError):
            decode(b"KISTNODE\x01" + level + b"\x20\x06sha256" + data[:11])
    with contextlib.suppress(MetafileError):
        decode(b"KISTNODE\x01\x01\x08\x03abc" + data)


@given(part=columns(max_size=8), place=st.integers(0, 5000), value=st.integers(1, 255))
def test_a_damaged_byte_raises_nothing_else(part, place, value):
    data = bytearray(leaf_bytes(part))
    data[place % len(data)] ^= value
    try:
        node = decode(bytes(data))
    except MetafileError:
        return
    assert node != part


def outcome(data, same):
    """What a node is, or why it is none."""
    try:
        return decode(data, same)
    except MetafileError as error:
        return str(error)


@given(part=columns(), place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_paths_known_of_another_version_let_nothing_pass(part, place, value):
    good = leaf_bytes(part)
    bad = bytearray(good)
    bad[place % len(bad)] = value
    same = SamePaths()
    assert decode(good, same) == part
    assert outcome(bytes(bad), same) == outcome(bytes(bad), None)
    assert outcome(bytes(bad), same) == outcome(bytes(bad), None)


def test_known_paths_are_taken_once_and_the_oldest_forgotten():
    same = SamePaths()
    lists = {b"%d" % number: [b"%d" % number] for number in range(65)}
    for joined, paths in lists.items():
        same.keep(joined, paths)
    assert same.take(b"0") is None
    assert same.take(b"64") is lists[b"64"]
    assert same.take(b"64") is None


def test_huge_counts_take_no_memory():
    for level in (b"\0", b"\1"):
        head = b"KISTNODE\x01" + level + b"\x20\x06sha256"
        with pytest.raises(MetafileError, match="length"):
            decode(head + struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF))


def test_newer_version_says_so():
    data = bytearray(leaf_bytes(LEAF))
    data[8] = 2
    with pytest.raises(MetafileVersionError, match="version 2"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("offset", "value"),
    [(9, 17), (10, 7), (10, 65), (11, 0), (11, 33), (12, ord("S")), (12, ord("-"))],
)
def test_bad_headers(offset, value):
    data = bytearray(leaf_bytes(LEAF))
    data[offset] = value
    with pytest.raises(MetafileError):
        decode(bytes(data))


def changed(**columns_changed):
    values = {name: getattr(LEAF, name) for name in ("paths", "kinds", "sizes", "digests", "targets")}
    return Columns("sha256", 32, **{**values, **columns_changed})


@pytest.mark.parametrize(
    "part",
    [
        changed(kinds=b"flz"),
        changed(kinds=b"ffd"),
        changed(kinds=b"lld"),
        changed(sizes=array("Q", [5, 1, 0])),
        changed(sizes=array("Q", [5, 0, 1])),
        changed(sizes=array("Q", [1 << 63, 0, 0])),
        changed(digests=b"\x11" * 96),
        changed(targets=[b""]),
        changed(targets=[b"x" * 4097]),
        changed(targets=[b"a", b"b"]),
        changed(paths=[b"a/b", b"c", b"c"]),
        changed(paths=[b"a/b", b"c", b"c/d"]),
        changed(paths=[b"c", b"a/b", b"d"]),
        changed(paths=[b"../b", b"c", b"d"]),
        changed(paths=[b"", b"c", b"d"]),
        changed(paths=[b"a", b"c", b"d\0e"]),
    ],
)
def test_inconsistent_leaves(part):
    with pytest.raises(MetafileError):
        decode(leaf_bytes(part))


@pytest.mark.parametrize(
    "refs",
    [
        [],
        [Ref(b"b", bytes(32), 1, 1), Ref(b"a", bytes(32), 1, 1)],
        [Ref(b"a", bytes(32), 1, 1), Ref(b"a", bytes(32), 1, 1)],
        [Ref(b"a", bytes(32), 0, 1), Ref(b"b", bytes(32), 1, 1)],
        [Ref(b"a", bytes(32), (1 << 64) - 1, 1), Ref(b"b", bytes(32), 1, 1)],
        [Ref(b"%05d" % number, bytes(32), 1, 1) for number in range(1025)],
    ],
    ids=["none", "order", "double", "empty", "overflow", "many"],
)
def test_inconsistent_inner_nodes(refs):
    with pytest.raises(MetafileError):
        decode(encode_inner(1, "sha256", 32, refs))


def test_what_cannot_be_written():
    with pytest.raises(MetafileError, match="larger"):
        encode_inner(1, "sha256", 32, [Ref(b"a", bytes(32), 1, (1 << 63) - 1), Ref(b"b", bytes(32), 1, 1)])
    with pytest.raises(MetafileError, match="larger"):
        encode_inner(17, "sha256", 32, [Ref(b"a", bytes(32), 1, 1)])
    with pytest.raises(MetafileError, match="algorithm"):
        encode_leaf(Columns("SHA 256", 32), b"")
    with pytest.raises(MetafileError, match="algorithm"):
        encode_leaf(Columns("short", 4), b"")


def test_a_leaf_holds_no_more_than_the_rule_allows():
    names = [b"%05d" % number for number in range(4097)]
    raws = b"\1" * 32
    whole = Columns("sha256", 32, names, b"f" * 4097, array("Q", [1] * 4097), raws * 4097)
    with pytest.raises(MetafileError):
        decode(leaf_bytes(whole))
    long = [b"/".join([b"d" * 250] * 16 + [b"%03d" % number]) for number in range(100)]
    with pytest.raises(MetafileError, match="longer"):
        decode(leaf_bytes(Columns("sha256", 32, long, b"f" * 100, array("Q", [1] * 100), raws * 100)))
