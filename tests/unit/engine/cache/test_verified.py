"""The record of verified objects where it is large: read in portions, merged in portions."""

import hashlib
import os
import tracemalloc
from array import array

import pytest

from kist.builtin.hashlib_hasher import HashlibHasher
from kist.engine.cache import record_file, verified
from kist.engine.cache.folder import CacheFolder
from kist.engine.cache.known_inodes import HEAD, KnownInodes
from kist.engine.cache.record_file import FIELDS, RecordFile, dump_record, merge_records
from kist.engine.cache.verified import VerifiedRecord
from kist.engine.checkout.shares import Helper
from kist.engine.storage import sections
from kist.engine.storage.members import memory_reader
from kist.util.gathering import cut

ALGORITHM, WIDTH = "sha256", 32


def raws_of(count, seed=""):
    return sorted(hashlib.sha256(f"{seed}{number}".encode()).digest() for number in range(count))


def look_at(raw, change=0):
    size, mtime, ctime = (int.from_bytes(raw[8 * at : 8 * at + 4], "big") + change for at in range(3))
    return size, mtime, ctime, change, 1 << 63


def dump(raws, change=0):
    return dump_record(ALGORITHM, raws, array("Q", [number for raw in raws for number in look_at(raw, change)]))


def parse(data, reads=None):
    def read(offset, length):
        if reads is not None:
            reads.append(length)
        return data[offset : offset + length]

    return RecordFile.parse(read, len(data), ALGORITHM, WIDTH)


@pytest.mark.parametrize("count", [1, 30, 4000, 40_000])
@pytest.mark.parametrize("step", [1, 7, 150, 10_000])
def test_what_is_recorded_is_found(count, step):
    raws = raws_of(count)
    others = raws_of(40, "other")
    asked = sorted({*raws[::step], *others})
    assert dict(parse(dump(raws)).looks(asked)) == {raw: look_at(raw) for raw in raws[::step]}


def test_few_questions_read_little_of_a_large_file_once_it_was_checked():
    raws, reads = raws_of(100_000), []
    record = parse(dump(raws), reads)
    assert record.whole
    reads.clear()
    assert len(dict(record.looks(raws[500::40_000]))) == 3
    assert sum(reads) < 3 * (100 * WIDTH + 8 * FIELDS)


@pytest.mark.parametrize("at", [0, 8, 50, 70, 64 + 32 * 30 + 5, -20, -1])
def test_a_changed_byte_makes_a_file_count_for_nothing(at):
    data = bytearray(dump(raws_of(30)))
    data[at] ^= 1
    record = parse(bytes(data))
    assert record is None or (not record.whole and list(record.looks(raws_of(30))) == [])


def test_a_file_of_another_length_is_none():
    data = dump(raws_of(3))
    assert parse(data + b"x") is None
    assert parse(data[:-1]) is None
    assert parse(data[:50]) is None
    assert RecordFile.parse(memory_reader(data), len(data), "blake3", WIDTH) is None


@pytest.mark.parametrize("buffer", [100, 256 << 10])
def test_merged_files_are_as_if_written_at_once(tmp_path, monkeypatch, buffer):
    monkeypatch.setattr(sections, "_BUFFER", buffer)
    raws = raws_of(3000)
    parts = [raws[:2000], raws[1500:2500], raws[5:2990:3]]
    records = [parse(dump(part, change)) for change, part in enumerate(parts)]
    assert all(record.whole for record in records)
    merge_records(records, ALGORITHM, WIDTH, tmp_path / "merged", 0o640)
    data = (tmp_path / "merged").read_bytes()
    newest = {raw: look_at(raw, change) for change, part in enumerate(parts) for raw in part}
    known = sorted(newest)
    assert data == dump_record(ALGORITHM, known, array("Q", [number for raw in known for number in newest[raw]]))
    assert (tmp_path / "merged").stat().st_mode & 0o777 == 0o640


def test_files_are_read_in_blocks(monkeypatch):
    monkeypatch.setattr(record_file, "_STEP", 16)
    monkeypatch.setattr(record_file, "_BLOCK", 100)
    raws, reads = raws_of(1000), []
    record = parse(dump(raws), reads)
    assert record.whole
    assert max(reads) <= 16 * WIDTH
    assert b"".join(record.under(byte)[0] for byte in range(256)) == b"".join(raws)


# ── many files ──


@pytest.fixture
def folder(tmp_path):
    folder = CacheFolder(tmp_path / "cache", HashlibHasher)
    folder.ensure()
    return folder


def make_objects(folder, count, seed=""):
    raws = []
    for number in range(count):
        data = f"{seed} {number}".encode()
        raws.append(hashlib.sha256(data).digest())
        path = folder.loose_path(ALGORITHM, raws[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return raws


def counts(folder):
    files = (parse(path.read_bytes()) for path in sorted(folder.verified.iterdir()))
    return [record.count for record in files]


def test_an_object_is_rewritten_a_few_times_only(folder, monkeypatch):
    raws = make_objects(folder, 400)
    written = []
    merge = merge_records

    def counted(records, *rest):
        written.append(sum(record.count for record in records))
        merge(records, *rest)

    monkeypatch.setattr(verified, "merge_records", counted)
    record = VerifiedRecord(folder)
    for start in range(0, 400, 4):
        record.mark(ALGORITHM, raws[start : start + 4])
    assert len(counts(folder)) <= 10
    assert sum(counts(folder)) == 400
    assert 0 < sum(written) <= 400 * 5
    assert all(VerifiedRecord(folder).check_many(ALGORITHM, raws))


def test_what_a_helper_records_is_merged_by_who_started_it(folder):
    raws = make_objects(folder, 30)
    record = VerifiedRecord(folder)

    def work(_check):
        for raw in raws[:20]:
            record.mark(ALGORITHM, [raw])

    Helper(work).result()
    assert counts(folder) == [1] * 20
    record.mark(ALGORITHM, raws[20:])
    assert counts(folder) == [30]
    assert all(record.check_many(ALGORITHM, raws))


def test_a_merged_file_does_not_overrule_what_came_meanwhile(folder, monkeypatch):
    raws = make_objects(folder, 9)
    path = folder.loose_path(ALGORITHM, raws[0])
    record, other = VerifiedRecord(folder), VerifiedRecord(folder)

    def slowly(*rest):
        os.utime(path, (1, 1))
        monkeypatch.setattr(verified, "merge_records", merge_records)
        monkeypatch.setattr(verified, "_MERGE_AT", 100)
        other.mark(ALGORITHM, [raws[0]])
        merge_records(*rest)

    monkeypatch.setattr(verified, "merge_records", slowly)
    for raw in raws[:8]:
        record.mark(ALGORITHM, [raw])
    assert counts(folder) == [8, 1]
    assert record.check_many(ALGORITHM, raws[:1]) == [True]


def test_files_that_are_gone_are_let_go(folder):
    raws = make_objects(folder, 30)
    record = VerifiedRecord(folder)
    for raw in raws:
        record.mark(ALGORITHM, [raw])
        assert record.check_many(ALGORITHM, [raw]) == [True]
    assert len(record._loaded) == len(counts(folder))


def test_it_serves_kept_in_memory_as_well(folder, monkeypatch):
    raws = make_objects(folder, 300)
    VerifiedRecord(folder).mark(ALGORITHM, raws)
    inodes = {os.stat(folder.loose_path(ALGORITHM, raw)).st_ino: raw for raw in raws}
    for held in (0, 1 << 20):
        monkeypatch.setattr(verified, "_HELD", held)
        record = VerifiedRecord(folder).kept()
        assert all(record.check_many(ALGORITHM, [raw])[0] for raw in raws)
        assert record.check_many(ALGORITHM, [bytes(32)]) == [False]
        known = record.inodes(ALGORITHM)
        assert {inode: known.raw(inode) for inode in inodes} == inodes
        assert {inode: known.head(inode) for inode in inodes} == {
            inode: int.from_bytes(raw[:HEAD]) for inode, raw in inodes.items()
        }
        for other in {*range(3), max(inodes) + 1, (1 << 64) - 1} - {*inodes}:
            assert (known.head(other), known.raw(other)) == (None, None)


def test_inodes_are_read_again_only_after_a_change(folder):
    raws = make_objects(folder, 300)
    record = VerifiedRecord(folder)
    record.mark(ALGORITHM, raws[:100])
    first = record.kept().inodes(ALGORITHM)
    assert record.kept().inodes(ALGORITHM) is first
    VerifiedRecord(folder).mark(ALGORITHM, raws[100:])  # as another process does
    second = record.kept().inodes(ALGORITHM)
    assert (len(first), len(second)) == (100, 300)


@pytest.mark.parametrize("size", [10, 70_000])
def test_inodes_of_a_file_are_read_in_few_blocks(size):
    data = dump(raws_of(size))
    ranges = []

    def read(start, length):
        ranges.append(length)
        return data[start : start + length]

    record = RecordFile.parse(read, len(data), ALGORITHM, WIDTH)
    assert record.whole
    ranges.clear()
    assert len(KnownInodes([record], WIDTH)) == size
    assert len(ranges) == 2 * -(-size // record_file.ROWS)


def test_of_an_inode_that_several_objects_had_the_last_counts():
    raws, others = raws_of(300), raws_of(300, "other")
    at = [(raw, (1 << 63) + number) for raws_ in (raws, others) for number, raw in enumerate(raws_)]
    looks = {raw: (1, 2, 3, inode, 2) for raw, inode in at}
    records = [
        parse(dump_record(ALGORITHM, part, array("Q", [number for raw in part for number in looks[raw]])))
        for part in (raws, others[5:])
    ]
    known = KnownInodes(records, WIDTH)
    assert known.raw(looks[raws[4]][3]) == raws[4]
    assert [known.raw(looks[raw][3]) for raw in raws[5:]] == others[5:]


def test_inodes_take_little_for_each_object():
    record = parse(dump(raws_of(20_000)))
    assert record.whole
    tracemalloc.start()
    try:
        known = KnownInodes([record], WIDTH)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert known
    assert held <= 18 * 20_000
    assert peak <= 90 * 20_000


def test_digests_of_a_portion_are_of_one_first_byte():
    record = parse(dump(raws_of(2000)))
    assert record.whole
    assert {raw[0] for raw in cut(record.under(77)[0], WIDTH)} == {77}
