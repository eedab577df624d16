"""Large objects as segments: resume on both ways, damage, the list's form."""

from __future__ import annotations

import errno
import io
import os
import random
import tempfile
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from children import as_nobody
from kist.abc.progress import Progress
from kist.builtin.pool_executor import PoolExecutor
from kist.engine.cache.copies import Copy
from kist.engine.process import workers
from kist.engine.process.workers import Workers
from kist.engine.transfer import objects, partial
from kist.engine.transfer.segments import Flying, SegmentList, SegmentTransfer
from kist.errors import MetafileVersionError, ObjectCorrupt, RemoteObjectNotFound, RemoteUnavailable
from kist.model.digest import Digest
from kist.remotes.memory import MemoryRemote
from kist.remotes.wrappers import RecordingRemote, RetryingRemote, RetryPolicy
from kist_blake3.hasher import Blake3Hasher

HASHER = Blake3Hasher()
SIZE = 1 << 16
CONTENT = random.Random(1).randbytes(10 * SIZE + 123)
DIGEST = HASHER.digest(CONTENT)


class Told(Progress):
    done = 0

    def advance(self, amount):
        self.done += amount


def transfer(remote, progress=None, jobs=4):
    return SegmentTransfer(remote, HASHER, Workers(PoolExecutor("threads", jobs), 8), progress or Progress(), SIZE)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def fetch(remote, folder, **options):
    with transfer(remote, **options).get(DIGEST, folder) as path:
        return path.read_bytes()


def test_round_trip(source, tmp_path):
    remote = RecordingRemote(MemoryRemote())
    told = Told()
    assert transfer(remote, told).put(source, DIGEST, resend=None) == len(CONTENT) == told.done
    assert remote.calls["put_file"] == 12
    told = Told()
    assert fetch(remote, tmp_path / "partial", progress=told) == CONTENT
    assert told.done == len(CONTENT)
    assert list((tmp_path / "partial").iterdir()) == []
    assert transfer(remote).check(DIGEST)


def test_more_is_in_flight_the_longer_nothing_fails():
    failed = 0
    flying = Flying(1 << 30, 2 << 20, lambda: failed)
    assert flying.most() == 2
    flying.moved = 200 << 20
    assert flying.most() == 10
    failed = 1
    assert flying.most() == 2
    flying.moved = 260 << 20
    assert flying.most() == 3


def test_segments_that_are_there_are_not_sent_again(source):
    remote = MemoryRemote()
    puts = 0

    def gate(method):
        nonlocal puts
        puts += method == "put_file"
        if method == "put_file" and puts > 5:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        transfer(MemoryRemote(remote.objects, gate=gate), jobs=1).put(source, DIGEST)
    assert len(remote.objects) == 5
    assert objects.segments_key(DIGEST) not in remote.objects
    recorder = RecordingRemote(remote)
    assert transfer(recorder).put(source, DIGEST) == len(CONTENT) - 5 * SIZE
    assert transfer(recorder).put(source, DIGEST) == 0
    everything = set(remote.objects)
    assert transfer(recorder).put(source, DIGEST, resend=everything) == len(CONTENT)


def test_appending_sends_only_what_is_new(source, tmp_path):
    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)
    longer = CONTENT + b"more"
    source.write_bytes(longer)
    assert transfer(remote).put(source, HASHER.digest(longer)) == 123 + 4


@pytest.fixture(params=[True, False], ids=["kernel locks", "no kernel locks"])
def locks(request, monkeypatch):
    """A file system with kernel locks, and one without."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    if not request.param:
        monkeypatch.setattr(partial.fcntl, "flock", refuse)


@pytest.mark.usefixtures("locks")
def test_two_at_once_have_partial_files_of_their_own(tmp_path):
    with (
        partial.partial_file(tmp_path, DIGEST, 10) as (first, _),
        partial.partial_file(tmp_path, DIGEST, 10) as (path, _),
    ):
        assert path != first
    with partial.partial_file(tmp_path, DIGEST, 10) as (path, _):
        assert path == first
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("locks")
def test_fetch_goes_on_after_a_kill(source, tmp_path):
    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)
    reads = 0

    def gate(method):
        nonlocal reads
        reads += method == "open"
        if reads == 6:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        fetch(MemoryRemote(remote.objects, gate=gate), tmp_path / "partial", jobs=1)
    assert len(list((tmp_path / "partial").iterdir())) == 1
    recorder = RecordingRemote(remote)
    assert fetch(recorder, tmp_path / "partial") == CONTENT
    assert recorder.calls["open"] == 1 + 11 - 4


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a file of another user")
def test_a_partial_file_of_another_user_stops_nobody(source):
    with tempfile.TemporaryDirectory() as shared:
        os.chmod(shared, 0o777)
        folder = Path(shared, "partial")
        folder.mkdir()
        folder.chmod(0o777)
        begun = folder / f"{DIGEST.algorithm}-{DIGEST.hex}"
        begun.write_bytes(b"begun")
        begun.chmod(0o600)
        remote = MemoryRemote()
        transfer(remote).put(source, DIGEST)

        def other():
            assert fetch(remote, folder) == CONTENT

        as_nobody(other)
        assert begun.read_bytes() == b"begun"
        assert list(folder.iterdir()) == [begun]


def test_a_stream_that_breaks_is_continued(source, tmp_path):
    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)

    class Broken(io.RawIOBase):
        def __init__(self, data):
            self.data = data

        def readable(self):
            return True

        def readinto(self, buffer):
            if not self.data:
                raise RemoteUnavailable("cut")
            count = min(len(buffer), len(self.data))
            buffer[:count], self.data = self.data[:count], self.data[count:]
            return count

    class Cutting(MemoryRemote):
        cuts = 0

        def open(self, key, **options):
            reader = super().open(key, **options)
            self.cuts += not key.endswith(".segments")
            return io.BufferedReader(Broken(reader.read(SIZE // 2)), 1000) if self.cuts % 3 == 1 else reader

    recorder = RecordingRemote(Cutting(remote.objects))
    patient = RetryingRemote(recorder, RetryPolicy(base_delay=0.0))
    assert fetch(patient, tmp_path / "partial", jobs=1) == CONTENT
    assert recorder.bytes_received <= len(CONTENT) * 1.01 + 2000


def test_what_comes_after_a_failure_is_written_nowhere(source, tmp_path, monkeypatch):
    """A call that hangs outlives the transfer, and the number of its descriptor is the next file's by then."""
    monkeypatch.setattr(workers, "PATIENCE", 0.1)
    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)
    waiting, go_on, ended = Event(), Event(), Event()
    hanging = HASHER.digest(CONTENT[:SIZE]).hex

    class Late(io.RawIOBase):
        def __init__(self, reader):
            self.reader = reader

        def readable(self):
            return True

        def readinto(self, buffer):
            waiting.set()
            go_on.wait(60)
            return self.reader.readinto(buffer)

        def close(self):
            super().close()
            ended.set()

    class Failing(MemoryRemote):
        def open(self, key, **options):
            reader = super().open(key, **options)
            if key.endswith(".segments"):
                return reader
            if hanging[2:] in key:
                return io.BufferedReader(Late(reader), 1000)
            waiting.wait(60)
            raise RemoteUnavailable("gone")

    with pytest.raises(RemoteUnavailable, match="gone"):
        fetch(Failing(remote.objects), tmp_path / "partial")
    others = [tmp_path / str(number) for number in range(8)]
    with ExitStack() as stack:
        for other in others:
            stack.enter_context(other.open("wb"))
        go_on.set()
        assert ended.wait(60)
    assert [other.stat().st_size for other in others] == [0] * len(others)


@pytest.mark.parametrize("victim", ["list", "segment", "gone", "swapped"])
def test_damage_never_becomes_a_file(source, tmp_path, victim):
    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)
    key = objects.segments_key(DIGEST)
    other = next(one for one in remote.objects if one != key)
    stored = remote.objects[key if victim == "list" else other]
    if victim == "gone":
        del remote.objects[other]
    elif victim == "swapped":
        listed = SegmentList.load(remote.objects[key].data, DIGEST)
        parts = (listed.segments[1], listed.segments[0], *listed.segments[2:])
        remote.objects[key] = stored._replace(data=SegmentList(DIGEST, listed.size, parts).dump())
    else:
        flipped = bytearray(stored.data)
        flipped[40] ^= 1
        remote.objects[key if victim == "list" else other] = stored._replace(data=bytes(flipped))
    with pytest.raises(RemoteObjectNotFound if victim == "gone" else ObjectCorrupt):
        fetch(remote, tmp_path / "partial")


class Once(MemoryRemote):
    """Gives other bytes the first time that something is read, its lists aside."""

    def __init__(self, objects, wrong):
        super().__init__(objects)
        self.wrong = set(wrong)

    def open(self, key, **options):
        data = bytearray(super().open(key, **options).read())
        if key in self.wrong:
            self.wrong.remove(key)
            data[len(data) // 2] ^= 1
        return io.BytesIO(data)


def test_what_came_damaged_comes_again_and_its_followers_too(source, tmp_path):
    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)
    keys = [objects.object_key(HASHER.digest(CONTENT[at * SIZE :][:SIZE])) for at in (0, 4, 10)]
    once, told, copy = Once(remote.objects, keys), Told(), Copy(tmp_path / "copy")
    recorder = RecordingRemote(once)
    with transfer(recorder, told).get(DIGEST, tmp_path / "partial", copy.follow) as path:
        assert path.read_bytes() == CONTENT
    assert not once.wrong
    assert recorder.calls["open"] == 1 + 11 + len(keys)
    assert told.done == len(CONTENT)
    assert copy.close().read_bytes() == CONTENT


def test_a_partial_file_with_other_bytes_is_mended(source, tmp_path):
    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)
    folder = tmp_path / "partial"
    folder.mkdir()
    other = bytearray(CONTENT)
    other[3 * SIZE] ^= 1
    (folder / f"{DIGEST.algorithm}-{DIGEST.hex}").write_bytes(other)
    recorder = RecordingRemote(remote)
    assert fetch(recorder, folder) == CONTENT
    assert recorder.calls["open"] == 1 + 1


def test_what_comes_well_is_hashed_once(source, tmp_path):
    hashed = 0

    class Counting(Blake3Hasher):
        def new(self):
            running = super().new()

            class Running:
                digest = staticmethod(running.digest)

                def update(self, data):
                    nonlocal hashed
                    hashed += len(data)
                    running.update(data)

            return Running()

    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)
    workers = Workers(PoolExecutor("threads", 4), 8)
    with SegmentTransfer(remote, Counting(), workers, length=SIZE).get(DIGEST, tmp_path / "partial") as path:
        assert path.read_bytes() == CONTENT
    assert hashed == len(CONTENT)


def test_bad_bytes_get_no_list(source):
    remote = MemoryRemote()
    with pytest.raises(ObjectCorrupt):
        transfer(remote).put(source, HASHER.digest(b"something else"))
    assert not any(key.endswith(".segments") for key in remote.objects)


def test_two_processes_fetch_the_same(source, tmp_path):
    remote = MemoryRemote()
    transfer(remote).put(source, DIGEST)
    with transfer(remote).get(DIGEST, tmp_path / "partial") as first:
        assert fetch(remote, tmp_path / "partial") == CONTENT
        assert first.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"digest": str(DIGEST), "size": 3, "segments": [[str(DIGEST), 2]]},
        {"digest": str(DIGEST), "size": -1, "segments": []},
        {"digest": str(DIGEST), "size": 2, "segments": [[str(DIGEST)]]},
        {"digest": str(DIGEST), "size": 2, "segments": [["md5", 2]]},
        {"digest": str(DIGEST), "size": True, "segments": []},
        {"digest": str(HASHER.digest(b"")), "size": 0, "segments": []},
    ],
)
def test_list_that_makes_no_sense(value):
    with pytest.raises(ObjectCorrupt):
        SegmentList.load(objects.dump_text("segments", value), DIGEST)


def test_newer_list(newer_text):
    data = newer_text(objects.dump_text("segments", {}))
    with pytest.raises(MetafileVersionError):
        SegmentList.load(data, Digest("blake3", DIGEST.hex))
