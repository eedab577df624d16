"""Push and fetch over a remote in memory: what moves, what it costs, and what a failure leaves behind."""

from __future__ import annotations

import errno
import random
import threading
import time

import pytest

from kist.engine.storage.indexes import Index
from kist.engine.storage.members import PLAIN
from kist.engine.storage.packs import NODES, PackReader
from kist.engine.transfer import packing
from kist.errors import (
    ObjectCorrupt,
    ObjectMissing,
    RemoteFormatError,
    RemotePermissionError,
    RemoteUnavailable,
    StorageError,
    TransferError,
)
from kist.remotes.memory import MemoryRemote
from kist.remotes.wrappers import RecordingRemote


def make_files(count: int, *, seed: int = 0, size: int = 60) -> dict[str, bytes]:
    random.seed(seed)
    return {f"part{number // 1000:03}/file{number:06}.txt": random.randbytes(size) for number in range(count)}


def keys(remote: MemoryRemote, prefix: str = "") -> list[str]:
    return [info.key for info in remote.list(prefix)]


def damage(remote: MemoryRemote, key: str, at: int = -100) -> None:
    stored = remote.objects[key]
    data = bytearray(stored.data)
    data[at] ^= 0xFF
    remote.objects[key] = stored._replace(data=bytes(data))


def test_round_trip(clone):
    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    files = make_files(3000) | {"empty": b"", "big": random.randbytes(3 << 20)}
    version, single = here.add(files), here.add_file(b"one file" * 100)
    report = here.push(version, single)
    assert set(report.roots) == {str(version.root), str(single.root)}
    assert report.objects == len(files) + 1 + len(list(nodes_of(here, version)))
    report = there.fetch(version, single)
    assert there.files(version) == files
    assert there.files(single) == {"file": b"one file" * 100}
    assert not report.failures


def test_segmented_objects(clone, monkeypatch):
    monkeypatch.setattr("kist.engine.transfer.push_side.SEGMENTED_FROM", 1 << 20)
    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    files = {f"big{number}": random.randbytes((2 << 20) + number) for number in range(3)} | {"small": b"s"}
    version = here.add(files)
    here.push(version)
    assert len(keys(remote, "objects/")) == 8  # 1 + 2 + 2 segments, 3 lists
    there.fetch(version)
    assert there.files(version) == files
    assert list((there.cache.root / "partial").iterdir()) == []
    large = [key for key in keys(remote, "objects/") if len(remote.objects[key].data) > 1 << 20]
    for segment in large[:2]:
        damage(remote, segment)
    other = clone(remote)
    with pytest.raises(TransferError) as caught:
        other.fetch(version)
    assert len(caught.value.failures) == 2  # the second one too: what failed before it stops no other
    here.push(version, repair=True)
    other.fetch(version)
    assert other.files(version) == files


def nodes_of(clone, version):
    view = clone.codec.open(version.root, lambda raws: clone.cache.read_many("blake3", raws))
    return view.nodes()


def test_small_remote_for_many_files(clone):
    remote = MemoryRemote()
    here = clone(remote)
    files = make_files(100_000, size=40)
    version = here.add(files)
    here.push(version)
    assert len(keys(remote)) <= 60
    before = len(keys(remote))
    changed = here.add(files | {"part050/file050123.txt": b"changed"})
    recorder = RecordingRemote(remote)
    here.remote = recorder
    report = here.push(changed, bases=[version])
    assert len(keys(remote)) - before <= 8
    assert recorder.bytes_sent < 400_000
    assert report.requests == recorder.requests
    there = clone(RecordingRemote(remote))
    there.fetch(changed)
    assert there.files(changed) == files | {"part050/file050123.txt": b"changed"}


@pytest.mark.parametrize("room", ["kept", "no place", "a full disk"])
def test_a_large_index_is_read_by_way_of_a_file_or_without(clone, monkeypatch, room):
    monkeypatch.setattr("kist.engine.transfer.remote_index.WHOLE_LIMIT", 1 << 12)
    monkeypatch.setattr("kist.engine.storage.indexes.WHOLE_LIMIT", 1 << 12)
    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    files = make_files(300, size=40)
    version = here.add(files)
    here.push(version)
    asked = []

    def full(*arguments):
        asked.append(arguments)
        raise StorageError("the disk is full", errno=errno.ENOSPC)

    if room == "no place":
        monkeypatch.setattr("kist.engine.transfer.hints.Hints.new_file", lambda *_: None)
    elif room == "a full disk":
        monkeypatch.setattr("kist.engine.transfer.remote_index.HeldFile.append", full)
    there.fetch(version)
    assert there.files(version) == files
    assert bool(asked) == (room == "a full disk")


def test_nothing_new_costs_three_requests(clone):
    remote = RecordingRemote(MemoryRemote())
    here = clone(remote)
    versions = [here.add({"a": b"%d" % number}, path=f"out{number}") for number in range(1000)]
    here.push(*versions)
    for other in (here, clone(remote, memory=False)):
        before = remote.requests
        report = other.push(*versions)
        assert remote.requests - before <= 3
        assert report.requests == remote.requests - before
        assert report.objects == 0
    before = remote.requests
    report = here.push(versions[0])
    assert report.requests == remote.requests - before <= 3


def test_one_changed_output_of_many(clone):
    remote = RecordingRemote(MemoryRemote())
    here = clone(remote, memory=False)
    versions = [here.add({"a": b"%d" % number}, path=f"out{number}") for number in range(100)]
    here.push(*versions)
    changed = [here.add({"a": b"new"}, path="out0"), *versions[1:]]
    before = remote.requests
    here.push(*changed, bases=versions)
    assert remote.requests - before <= 14
    there = clone(remote)
    there.fetch(*changed)
    assert there.files(changed[0]) == {"a": b"new"}


def test_many_versions_stay_cheap_to_fetch(clone):
    remote = MemoryRemote()
    here = clone(remote)
    files = make_files(5000)
    version = here.add(files)
    here.push(version)
    names = sorted(files)
    for number in range(500):
        name = names[(number * 37) % 5000]
        files[name] = b"version %d" % number
        previous, version = version, here.edit(version, name, files[name])
        here.push(version, bases=[previous])
    recorder = RecordingRemote(remote, keep_keys=True)
    there = clone(recorder)
    there.fetch(version)
    assert there.files(version) == files
    data = data_packs(remote)
    beside = [key for _, key in recorder.keys if key not in data]
    assert len(beside) <= 40
    assert len(recorder.keys) <= 80


def test_small_changes_do_not_send_much_again(clone, monkeypatch):
    """Joining small packs costs some sending; without it there would be a pack for each push."""

    def push_many():
        remote = MemoryRemote()
        here = clone(remote)
        version = here.add({f"file{number:04}": random.Random(number).randbytes(2000) for number in range(500)})
        here.push(version)
        sent = 0
        for number in range(100):
            previous, content = version, random.Random(-number).randbytes(20_000)
            version = here.edit(version, f"file{number:04}", content)
            sent += here.push(version, bases=[previous]).bytes
        recorder = RecordingRemote(remote)
        clone(recorder).fetch(version)
        return sent, recorder.requests

    sent, requests = push_many()
    monkeypatch.setattr("kist.engine.transfer.push_side.worth_joining", lambda sizes: 0)
    least, most = push_many()
    assert sent <= 2.5 * least
    assert requests < most / 2


def test_without_history_the_last_push_tells_what_is_there(clone):
    """Outside of Git nobody names base versions; what was pushed last is remembered, and its marker says the rest."""
    remote = MemoryRemote()
    here = clone(remote)
    version = here.add(make_files(5000))
    here.push(version)
    for number in range(3):
        version = here.edit(version, sorted(make_files(5000))[number], b"new %d" % number)
        before = set(keys(remote, "index/"))
        here.push(version)
        (fresh,) = set(keys(remote, "index/")) - before
        assert len(remote.objects[fresh].data) < 10_000


def data_packs(remote: MemoryRemote) -> set[str]:
    return {key for key in keys(remote, "packs/") if remote.objects[key].data[9] == 0}


def test_what_is_here_costs_no_request(clone):
    remote = RecordingRemote(MemoryRemote())
    here = clone(remote)
    version = here.add(make_files(50))
    here.push(version)
    before = remote.requests
    assert here.fetch(version).requests == 0
    assert remote.requests == before


def test_part_of_a_directory(clone):
    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    files = make_files(20_000)
    version = here.add(files)
    here.push(version)
    report = there.fetch(version, inside=(b"part003", b"part011/file011005.txt"))
    wanted = [data for name, data in files.items() if name.startswith("part003/") or name.endswith("011005.txt")]
    raws = [there.hasher.raw(data) for data in wanted]
    assert not there.cache.missing("blake3", raws)
    assert len(wanted) == 1001
    assert report.bytes < 1_000_000
    assert len(there.cache.missing("blake3", [there.hasher.raw(data) for data in files.values()])) == 20_000 - 1001


def test_never_pushed(clone):
    here, there = clone(MemoryRemote()), clone(MemoryRemote())
    version = here.add({"a": b"1"})
    with pytest.raises(TransferError) as caught:
        there.fetch(version)
    assert caught.value.exit_code == 8
    assert isinstance(caught.value.failures[0][1], ObjectMissing)
    assert "never pushed" in caught.value.failures[0][1].hint


def test_dry_run_moves_nothing(clone):
    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    files = make_files(2000)
    version = here.add(files)
    report = here.push(version, dry_run=True)
    assert (report.objects, keys(remote)) == (2000 + len(list(nodes_of(here, version))), [])
    here.push(version)
    report = there.fetch(version, dry_run=True)
    assert report.objects == 2000 + len(list(nodes_of(here, version)))
    assert there.cache.missing("blake3", [version.root.raw])


# ── what is missing or damaged ───────────────────────────────────────────────────────────────────────────────────────


def test_missing_here(clone):
    remote = MemoryRemote()
    here, broken = clone(remote), clone(remote)
    large = random.randbytes(2 << 20)
    files = make_files(500) | {"large": large}
    version, good = here.add(files), here.add({"x": b"good"}, path="good")
    path = here.cache.folder.loose_path("blake3", here.hasher.raw(large))
    path.unlink()
    with pytest.raises(TransferError) as caught:
        here.push(version, good)
    assert caught.value.exit_code == 8
    [(name, error)] = caught.value.failures
    assert name == str(here.hasher.digest(large))
    assert error.paths == ("data/large",)
    assert keys(remote, "roots/") == [f"roots/blake3/{good.root.hex}"]
    broken.fetch(good)
    here.add_file(large)
    recorder = here.remote = RecordingRemote(remote)
    here.push(version, good)
    assert recorder.bytes_sent < (2 << 20) + 100_000, "what went the first time is not sent again"
    there = clone(remote)
    there.fetch(version)
    assert there.files(version) == files


def test_damaged_here_is_not_sent(clone):
    remote = MemoryRemote()
    here = clone(remote)
    large = random.randbytes(2 << 20)
    version = here.add({"large": large, "small": b"s"})
    path = here.cache.folder.loose_path("blake3", here.hasher.raw(large))
    path.chmod(0o644)
    path.write_bytes(b"x" + large[1:])
    with pytest.raises(TransferError) as caught:
        here.push(version)
    assert caught.value.exit_code == 8
    assert isinstance(caught.value.failures[0][1], ObjectCorrupt)
    assert not keys(remote, "roots/")
    assert not keys(remote, "objects/")


def test_damaged_pack_here_sends_its_good_members(clone):
    remote = MemoryRemote()
    here = clone(remote)
    files = make_files(300, size=1000)
    version = here.add(files)
    bad = files["part000/file000100.txt"]
    place = here.cache.places("blake3", [here.hasher.raw(bad)])[here.hasher.raw(bad)]
    path = here.cache.folder.packs / place.pack
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(place.offset)
        file.write(b"wrong")
    with pytest.raises(TransferError) as caught:
        here.push(version)
    assert len(caught.value.failures) == 1
    assert not keys(remote, "roots/")
    [name] = keys(remote, "index/")
    assert Index.load(remote.objects[name].data, name[6:]).count == 299


def test_a_large_pack_of_nodes_goes_as_it_is(clone, monkeypatch):
    """Nothing is deflated again; where a node is damaged, the others go in another pack, and no marker."""
    deflated = []
    monkeypatch.setattr(packing, "encode", lambda data, _dense: deflated.append(data) or (PLAIN, data))
    monkeypatch.setattr(packing, "SMALL_PACK", 1000)
    remote, other = MemoryRemote(), MemoryRemote()
    here, there = clone(remote), clone(remote)
    version = here.add(make_files(3000))
    [pack] = [path for path in (here.cache.root / "packs").iterdir() if PackReader.open(path).kind == NODES]
    here.push(version)
    assert f"packs/{pack.name}" in keys(remote)
    assert not deflated
    there.fetch(version)
    assert there.files(version) == make_files(3000)
    data = bytearray(pack.read_bytes())
    data[1000:1064] = bytes(byte ^ 0xFF for byte in data[1000:1064])  # of a deflated stream some bits mean nothing
    pack.chmod(0o600)
    pack.write_bytes(data)
    here.remote = other
    with pytest.raises(TransferError):
        here.push(version)
    assert f"packs/{pack.name}" not in keys(other)
    assert not keys(other, "roots/")


def test_a_pack_is_copied_without_what_is_not_sent(clone, monkeypatch):
    """Most of a large pack goes as it lies there; what no version needs, or is damaged, stays out of the copy."""
    monkeypatch.setattr("kist.engine.transfer.packing._COPIED_FROM", 0)
    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    files = make_files(3000)
    here.add(files)
    unsent = [f"part000/file{number:06}.txt" for number in (0, 7, 8, 500, 999)]
    kept = {name: data for name, data in files.items() if name not in unsent}
    version = here.add(kept)
    bad = kept["part001/file001234.txt"]
    pack = next(path for path in (here.cache.root / "packs").iterdir() if bad in path.read_bytes())
    data = bytearray(pack.read_bytes())
    data[data.index(bad)] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)
    with pytest.raises(TransferError) as caught:
        here.push(version)
    assert len(caught.value.failures) == 1
    sent = b"".join(remote.objects[key].data for key in keys(remote, "packs/"))
    assert not any(files[name] in sent for name in unsent)
    assert bad not in sent and bytes([bad[0] ^ 1]) + bad[1:] not in sent
    data[data.index(bytes([bad[0] ^ 1]) + bad[1:])] ^= 1
    pack.write_bytes(data)
    report = here.push(version)
    assert not report.failures
    there.fetch(version)
    assert there.files(version) == kept


def test_damage_there(clone):
    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    large = random.randbytes(2 << 20)
    files = make_files(3000) | {"large": large}
    version = here.add(files)
    here.push(version)
    [pack] = data_packs(remote)
    index = Index.load(remote.objects[keys(remote, "index/")[0]].data)
    victim = here.hasher.raw(files["part001/file001500.txt"])
    [place] = index.lookup_many([victim])
    damage(remote, pack, place.offset)
    del remote.objects[next(key for key in keys(remote, "objects/"))]
    with pytest.raises(TransferError) as caught:
        there.fetch(version)
    assert caught.value.exit_code == 8
    assert {name for name, _ in caught.value.failures} == {
        f"blake3:{victim.hex()}",
        str(here.hasher.digest(large)),
    }
    raws = [here.hasher.raw(data) for data in files.values()]
    assert len(there.cache.missing("blake3", raws)) == 2
    here.push(version, repair=True)
    there.fetch(version)
    assert there.files(version) == files


@pytest.mark.parametrize("prefix", ["index/", "packs/", "roots/"])
def test_damaged_or_lost_key_is_an_error_and_can_be_pushed_again(clone, prefix):
    remote = MemoryRemote()
    here = clone(remote, memory=False)
    files = make_files(200)
    version = here.add(files)
    here.push(version)
    for lost in (False, True):
        for key in keys(remote, prefix):
            if lost:
                del remote.objects[key]
            else:
                damage(remote, key, 150)
        with pytest.raises(TransferError) as caught:
            clone(remote).fetch(version)
        assert caught.value.exit_code == 8
        here.push(version, repair=True)
        there = clone(remote)
        there.fetch(version)
        assert there.files(version) == files


# ── interruptions ────────────────────────────────────────────────────────────────────────────────────────────────────


class Killed(Exception):
    pass


class DyingRemote(MemoryRemote):
    """Dies at the n-th put and stays dead."""

    def __init__(self, objects, survive: int):
        super().__init__(objects)
        self.left = survive
        self.lock = threading.Lock()

    def put_file(self, key, source, **options):
        with self.lock:
            self.left -= 1
            if self.left < 0:
                raise Killed
        super().put_file(key, source, **options)


def test_killed_at_every_put(clone):
    for survive in range(40):
        objects: dict = {}
        remote = MemoryRemote(objects)
        here = clone(remote)
        old_files = make_files(100)
        old = here.add(old_files)
        here.push(old)
        files = old_files | make_files(50, seed=9) | {"big": b"z" * (1 << 20)}
        versions = [here.add(files), here.add({"other": b"o"}, path="other")]
        here.remote = DyingRemote(objects, survive)
        try:
            here.push(*versions, bases=[old], jobs=1)
        except Killed:
            pass
        else:
            break
        there = clone(remote)
        for version in versions:
            try:
                there.fetch(version)
            except TransferError as exc:
                assert exc.exit_code == 8
                assert str(version.root) in [name for name, _ in exc.failures]
            else:
                assert there.files(version) == (files if version is versions[0] else {"other": b"o"})
        here.remote = remote
        here.push(*versions, bases=[old])
        there = clone(remote)
        there.fetch(*versions)
        assert there.files(versions[0]) == files
    assert 6 <= survive <= 20


def test_killed_push_does_not_spoil_what_follows(clone):
    """An index of an unfinished push is no proof: what lies below a node that it names may be missing."""
    objects: dict = {}
    here = clone(MemoryRemote(objects))
    files = make_files(3000)
    first = here.add(files)
    second = here.add(files | {"large": b"L" * (2 << 20)})
    path = here.cache.folder.loose_path("blake3", here.hasher.raw(b"L" * (2 << 20)))
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(TransferError):
        here.push(second)
    here.push(first)
    here.add_file(kept)
    here.push(second, bases=[first])
    there = clone(MemoryRemote(objects))
    there.fetch(second)
    assert there.files(second) == files | {"large": kept}


def test_overload_slows_down_and_succeeds(clone):
    remote = MemoryRemote()
    here = clone(remote)
    version = here.add(make_files(300))
    times = iter([1, 1, 0, 1] + [0] * 1000)

    def gate(method):
        if method == "put_file" and next(times):
            raise RemoteUnavailable("slow down", retry_after=0.01)

    here.remote = MemoryRemote(remote.objects, gate=gate)
    here.store().open(create=False)
    with pytest.raises(RemoteUnavailable):
        here.push(version)
    times = iter([0] * 1000)
    here.push(version)
    there = clone(remote)
    there.fetch(version)


def test_a_call_that_hangs_does_not_keep_us(clone):
    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    files = make_files(300) | {f"big{number}": random.randbytes(1 << 20) for number in range(8)}
    version = here.add(files)
    here.push(version)
    release = threading.Event()
    calls = []

    def gate(method):
        if method == "get_file":
            calls.append(method)
            if len(calls) == 4:
                raise KeyboardInterrupt
            if len(calls) > 4:
                release.wait(60)

    there.remote = MemoryRemote(remote.objects, gate=gate)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        there.fetch(version)
    assert time.monotonic() - started < 30  # workers get a moment, not the minute that the call hangs
    release.set()
    there.remote = remote
    here_before = len(there.cache.missing("blake3", [there.hasher.raw(data) for data in files.values()]))
    assert here_before < len(files), "what came stays"
    there.fetch(version)
    assert there.files(version) == files


# ── foreign and unfriendly remotes ───────────────────────────────────────────────────────────────────────────────────


def test_listing_forbidden_and_absent_told_as_forbidden(clone):
    class Guarded(MemoryRemote):
        def list(self, prefix=""):
            raise RemotePermissionError("no listing")

        def open(self, key, **options):
            if key not in self.objects:
                raise RemotePermissionError("no")
            return super().open(key, **options)

    remote = Guarded()
    here, there = clone(remote), clone(remote)
    files = make_files(100)
    version = here.add(files)
    here.push(version)
    newer = here.add(files | {"n": b"n"})
    here.push(newer, bases=[version])
    there.fetch(newer)
    assert there.files(newer) == files | {"n": b"n"}


def test_something_else_lies_there(clone, tmp_path):
    class Known(MemoryRemote):
        def identity(self):
            return "user jo"

    remote = Known()
    source = tmp_path / "x"
    source.write_bytes(b"x")
    remote.put_file("files/md5/aa/bb", source)
    here = clone(remote)
    version = here.add({"a": b"1"})
    for use in (here.push, here.push, clone(remote).fetch):
        with pytest.raises(RemoteFormatError, match=r"something else already \(files/md5/aa/bb\), seen as user jo$"):
            use(version)
    assert keys(remote) == ["files/md5/aa/bb"]
    remote.put_file("kist-remote", source)
    with pytest.raises(RemoteFormatError, match="cannot be read"):
        here.push(here.add({"a": b"1"}))


def test_another_repository_leaves_its_refs(clone):
    remote = RecordingRemote(MemoryRemote())
    here = clone(remote)
    version = here.add({"a": b"1"})
    here.push(version)
    here.push(version, repository_id="another")
    assert len(keys(remote.inner, "refs/")) == 2
    before = remote.requests
    here.push(version)
    here.push(version, repository_id="another")
    assert remote.requests - before <= 6


def test_progress_is_exact(clone):
    from kist.abc.progress import Progress

    class Told(Progress):
        def __init__(self):
            self.total, self.done = 0, 0

        def start(self, phase, *, total=None, unit="B"):
            self.total += total

        def advance(self, amount):
            self.done += amount

    remote = MemoryRemote()
    here, there = clone(remote), clone(remote)
    version = here.add(make_files(2000) | {"big": random.randbytes(3 << 20)})
    told = Told()
    here.push(version, progress=told)
    assert told.done == told.total > 3 << 20
    told = Told()
    there.fetch(version, progress=told)
    assert told.done == told.total == version.size


@pytest.mark.parametrize("lag", [1, 5, 100])
def test_5_a_listing_that_lags_loses_nothing(clone, lagging, lag):
    """Pushes of two people and fetches in between over a store whose listings are old: all or a clear error, then all."""
    store = MemoryRemote()
    remote = lagging(store, lag)
    here, there, third = clone(remote), clone(remote), clone(remote)
    files, version = {}, None
    for number in range(4):
        files |= make_files(50, seed=number) | {f"big{number}": random.randbytes(2 << 20)}
        version = here.add(files)
        here.push(version)
        there.fetch(version)
        assert there.files(version) == files
        there.push(there.add({f"other{number}": random.randbytes(70_000)}))
    third.fetch(version)
    assert third.files(version) == files
    fresh = clone(store)
    fresh.fetch(version)
    assert fresh.files(version) == files
