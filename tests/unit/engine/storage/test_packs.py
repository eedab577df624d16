import os
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.builtin.hashlib_hasher import HashlibHasher
from kist.engine.storage.members import PLAIN, ZLIB, decode, join_ranges, memory_reader
from kist.engine.storage.pack_writer import PackWriter, copy_members
from kist.engine.storage.packs import DATA, NODES, PackReader
from kist.errors import KistError, ObjectCorrupt, RepoFormatError, StorageError

HASHER = HashlibHasher("sha256")
CONTENTS = [b"", b"one", b"two" * 100, os.urandom(5000), bytes(300)]
RAWS = [HASHER.raw(content) for content in CONTENTS]


@pytest.fixture
def pack(tmp_path):
    return write(tmp_path / "pack", CONTENTS)


def write(path, contents, kind=DATA):
    writer = PackWriter(path, kind, "sha256", 32)
    writer.append_many([HASHER.raw(content) for content in contents[:-1]], contents[:-1])
    last = contents[-1]
    writer.append(HASHER.raw(last), zlib.compress(last), len(last), ZLIB)
    writer.finish()
    writer.close()
    return path


def read_all(reader, members):
    return {
        members.raws()[position]: decode(members.codecs[position], stored, members.plains[position])
        for position, stored in reader.read_many(members.in_offset_order(), members)
    }


def load(data):
    return PackReader(memory_reader(data), len(data), "x")


def test_what_goes_in_comes_out(pack):
    with PackReader.open(pack) as reader:
        assert (reader.algorithm, reader.width, reader.kind) == ("sha256", 32, DATA)
        assert reader.members.raws() == sorted(RAWS)
        assert read_all(reader, reader.members) == dict(zip(RAWS, CONTENTS, strict=True))
        assert all(good for _, good in reader.check(HASHER))
        assert reader.members.position(RAWS[1]) == sorted(RAWS).index(RAWS[1])
        assert reader.members.position(bytes(32)) == -1
        assert reader.members.position(b"\xff" * 32) == -1


def test_bytes_are_as_documented(pack):
    data = pack.read_bytes()
    assert data[:12] == b"KISTPACK\x01\x00\x20\x06"
    assert data[12:64] == b"sha256".ljust(52, b"\0")
    assert data[64:96] == RAWS[0]
    assert data[-48:-40] == b"KISTPEND"
    offset, length = (int.from_bytes(data[at : at + 8], "little") for at in (-40, -32))
    assert offset + length + 48 == len(data)
    assert int.from_bytes(data[offset : offset + 8], "little") == len(CONTENTS)
    assert pack.stat().st_mode & 0o777 == 0o444


def test_name_is_the_footers_hash_and_equal_members_give_equal_packs(tmp_path):
    first, second = write(tmp_path / "a", CONTENTS), write(tmp_path / "b", CONTENTS)
    assert first.read_bytes() == second.read_bytes()
    with PackReader.open(first) as a, PackReader.open(second) as b:
        assert a.id == b.id
        assert len(a.id) == 64


def is_good(data):
    """Whether a reader finds nothing wrong: structure, name and every member."""
    try:
        reader = load(data)
        return reader.id == EXPECTED["id"] and all(good for _, good in reader.check(HASHER))
    except (ObjectCorrupt, RepoFormatError):
        return False


EXPECTED = {}


def test_every_flipped_byte_is_found(tmp_path):
    data = write(tmp_path / "pack", [b"", b"some bytes", b"z" * 100]).read_bytes()
    EXPECTED["id"] = load(data).id
    assert is_good(data)
    for position in range(len(data)):
        for flip in (1, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= flip
            if is_good(bytes(damaged)):
                # A deflated stream has bits without meaning: what it unfolds to was hashed and is the same.
                reader = load(bytes(damaged))
                at = reader.members.position(HASHER.raw(b"z" * 100))
                start = reader.members.offsets[at]
                assert reader.members.codecs[at] == ZLIB
                assert start <= position < start + reader.members.stored[at]


def test_every_truncation_is_found(tmp_path):
    data = write(tmp_path / "pack", [b"", b"some bytes", b"z" * 100]).read_bytes()
    EXPECTED["id"] = load(data).id
    assert not any(is_good(data[:length]) for length in range(len(data)))
    assert not is_good(data + b"\0")


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_give_a_typed_error(data):
    for candidate in (data, b"KISTPACK" + data, b"KISTPACK\x01\x00\x20\x06sha256".ljust(64, b"\0") + data):
        with pytest.raises(KistError):
            _ = load(candidate).members


def test_newer_version_is_told(pack):
    data = bytearray(pack.read_bytes())
    data[8] = 2
    with pytest.raises(ObjectCorrupt):  # the trailer says that it is of this version
        load(bytes(data))
    data[-24] = 2
    with pytest.raises(RepoFormatError, match="newer"):
        load(bytes(data))


def test_members_are_found_without_a_footer(pack):
    with PackReader.open(pack) as reader:
        whole = reader.members
        footer_at = max(o + s for o, s in zip(whole.offsets, whole.stored, strict=True))
    data = pack.read_bytes()
    for length in (footer_at, footer_at + 5, footer_at + 100, len(data) - 1):
        cut = load(data[:length])
        with pytest.raises(ObjectCorrupt):
            _ = cut.members
        found = cut.scan()
        good = {found.raws()[at] for at, fine in cut.check(HASHER, found) if fine}
        assert good == set(RAWS)
    assert len(load(data[:70]).scan()) == 0


def test_cut_off_inside_a_member_keeps_those_before(pack):
    with PackReader.open(pack) as reader:
        members = reader.members
        last = max(members.offsets)
    cut = load(pack.read_bytes()[: last + 1])
    assert set(cut.scan().raws()) < set(RAWS)


def test_copy_members(pack, tmp_path):
    with PackReader.open(pack) as reader:
        members = reader.members
        writer = PackWriter(tmp_path / "copy", NODES, "sha256", 32)
        copy_members(reader, members.in_offset_order()[1:], writer, members)
        writer.finish()
        writer.close()
    with PackReader.open(tmp_path / "copy") as copy:
        assert copy.kind == NODES
        assert read_all(copy, copy.members) == dict(zip(RAWS[1:], CONTENTS[1:], strict=True))


def test_full_disk_leaves_only_whole_members(tmp_path, monkeypatch):
    writer = PackWriter(tmp_path / "pack", DATA, "sha256", 32)
    writer.append_many(RAWS[:1], CONTENTS[:1])
    real = os.writev

    def full(descriptor, pieces):
        real(descriptor, pieces[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(StorageError) as caught:
        writer.append_many(RAWS[1:], CONTENTS[1:])
    assert caught.value.errno == 28
    monkeypatch.undo()
    writer.append_many(RAWS[1:], CONTENTS[1:])
    writer.finish()
    writer.close()
    with PackReader.open(tmp_path / "pack") as reader:
        assert read_all(reader, reader.members) == dict(zip(RAWS, CONTENTS, strict=True))


def test_short_writes_are_completed(tmp_path, monkeypatch):
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: real(descriptor, [b"".join(pieces)[:7]]))
    with PackReader.open(write(tmp_path / "pack", CONTENTS)) as reader:
        assert all(good for _, good in reader.check(HASHER))


def test_a_stream_that_unfolds_too_far_is_refused():
    bomb = zlib.compress(bytes(50 << 20))
    assert decode(ZLIB, bomb, 10) is None
    assert decode(ZLIB, zlib.compress(b"ten bytes!") + b"more", 10) is None
    assert decode(ZLIB, b"no stream", 10) is None
    assert decode(ZLIB, zlib.compress(b"ten bytes!"), 10) == b"ten bytes!"
    assert decode(PLAIN, b"abc", 3) == b"abc"
    assert decode(PLAIN, b"abc", 4) is None
    assert decode(7, b"abc", 3) is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 3_000_000)), max_size=30))
def test_joined_ranges_cover_each_member_once(gaps):
    offsets, lengths, at = [], [], 0
    for gap, length in gaps:
        offsets.append(at + gap)
        lengths.append(length)
        at += gap + length
    groups = list(join_ranges(offsets, lengths))
    assert [position for first, stop in groups for position in range(first, stop)] == list(range(len(gaps)))
    for first, stop in groups:
        assert stop == first + 1 or offsets[stop - 1] + lengths[stop - 1] - offsets[first] <= 4 << 20


def test_a_closed_reader_holds_nothing(tmp_path):
    """Whoever goes through packs has one in memory at a time, although the last reader still has a name."""
    path = write(tmp_path / "pack", [b"%d" % number for number in range(20_000)])
    tracemalloc.start()
    try:
        with PackReader.open(path) as reader:
            assert reader.is_whole(HASHER)
            assert len(reader.in_order) == 20_000
            assert tracemalloc.get_traced_memory()[0] > 20_000 * 57
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()
