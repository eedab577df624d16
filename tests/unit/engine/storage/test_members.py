import os
import zlib
from array import array

import pytest

from kist.engine.manifest.format import Ref, dense_part, encode_inner, encode_leaf
from kist.engine.storage.members import MAX_UNFOLDED, PLAIN, ZLIB, decode, encode
from kist.model.columns import Columns


def leaf(count, width=32):
    paths = [b"some/folder/part%05d/%07d.bin" % (number // 100, number) for number in range(count)]
    columns = Columns("blake3", width, paths, b"f" * count, array("Q", range(count)), os.urandom(width * count))
    return encode_leaf(columns, b"\0".join(paths))


def inner(count):
    refs = [Ref(b"path%05d" % number, os.urandom(32), 1, 1) for number in range(count)]
    return encode_inner(2, "blake3", 32, refs)


NODES = {
    "0 files": leaf(0),
    "1 file": leaf(1),
    "31 files": leaf(31),
    "32 files": leaf(32),
    "4000 files": leaf(4000),
    "long digests": leaf(3000, 64),
    "2 refs": inner(2),
    "900 refs": inner(900),
}
"""Under names that are the same in every process, which the bytes of these are not."""
OTHERS = {"nothing": b"", "text": b"no node at all" * 500, "cut leaf": leaf(100)[:-4000], "cut head": leaf(100)[:9]}


@pytest.mark.parametrize("data", NODES.values(), ids=NODES)
def test_a_node_is_stored_as_a_zlib_stream_of_it(data):
    start, stop = dense_part(data)
    codec, stored = encode(data, (start, stop))
    assert decode(codec, stored, len(data)) == data
    if codec == ZLIB:
        assert zlib.decompress(stored) == data
    assert len(stored) <= len(encode(data)[1]) * 1.01 + 20
    assert stop - start < 1024 or data[start:stop] in stored or stop - start > 0xFFFF


def test_digests_are_what_is_left_as_it_is():
    digests = os.urandom(32 * 300)
    columns = Columns("sha256", 32, [b"%05d" % n for n in range(300)], b"f" * 300, array("Q", [7]) * 300, digests)
    data = encode_leaf(columns, b"\0".join(columns.paths))
    start, stop = dense_part(data)
    assert data[start:stop] == digests


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_what_is_no_node_is_deflated_as_a_whole(data):
    assert dense_part(data) == (0, 0)
    codec, stored = encode(data, dense_part(data))
    assert decode(codec, stored, len(data)) == data


def test_a_stream_that_is_not_what_it_promises_is_refused():
    data = leaf(4000)
    codec, stored = encode(data, dense_part(data))
    assert codec == ZLIB != PLAIN
    assert decode(codec, stored, len(data) - 1) is None
    assert decode(codec, stored, MAX_UNFOLDED + 1) is None
    for at in (0, 3, len(stored) // 2, len(stored) - 1):
        assert decode(codec, stored[:at] + bytes([stored[at] ^ 0x40]) + stored[at + 1 :], len(data)) != data
    assert decode(codec, stored[:-1], len(data)) is None
    assert decode(codec, stored + b"x", len(data)) is None
