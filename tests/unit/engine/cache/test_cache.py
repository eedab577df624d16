import io
import multiprocessing
import os
import signal
import stat
import subprocess
import sys

import pytest

from children import as_nobody
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.engine.cache import catalog, hashed_packs, publish
from kist.engine.cache.cache import Cache
from kist.engine.cache.mend import unindexed
from kist.engine.process.locks import Waiting
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import LOOSE, Index, PackEntry, index_id
from kist.engine.storage.packs import PackReader
from kist.errors import (
    InvalidOption,
    MetafileError,
    ObjectCorrupt,
    ObjectMissing,
    RepoFormatError,
    RepoLocked,
    StorageError,
    WorkspaceError,
)
from kist.model.digest import Digest

ALGORITHM = "sha256"
HASHER = HashlibHasher(ALGORITHM)


def make(folder, **options):
    return Cache(folder / "cache", HashlibHasher, **{"sync": "off", **options})


@pytest.fixture
def cache(tmp_path):
    return make(tmp_path)


def store(cache, contents, nodes=()):
    with cache.session(ALGORITHM) as session:
        session.put_small(HASHER.raw_many(contents), contents)
        for node in nodes:
            session.put_node(node)
        session.commit()
    return [HASHER.raw(content) for content in contents]


def store_stream(cache, tmp_path, content):
    file = tmp_path / "source"
    file.write_bytes(content)
    with file.open("rb") as source, cache.session(ALGORITHM) as session:
        raw = session.put_stream(source.fileno(), len(content))
        session.commit()
    return raw


def digest(raw):
    return Digest.from_raw(ALGORITHM, raw)


def some(count, size=100, seed=0):
    return [b"%d/%d " % (seed, number) * (size // 6) for number in range(count)]


def impatient(cache):
    """The same cache for somebody who does not wait."""
    return Cache(cache.root, HashlibHasher, sync="off", waiting=Waiting(timeout=0))


def drop_caches(cache):
    return Cache(cache.root, HashlibHasher, sync="off")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ── storing and reading ──


def test_nothing_is_made_before_the_first_object(cache, tmp_path):
    assert cache.missing(ALGORITHM, [bytes(32)]) == [bytes(32)]
    assert not cache.has(digest(bytes(32)))
    assert list(cache.objects()) == list(cache.packs()) == list(cache.verify()) == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("sync", ["batch", "each", "off"])
def test_small_objects_and_nodes(tmp_path, sync):
    cache = make(tmp_path, sync=sync)
    contents, nodes = [b"", b"x", *some(300)], [b"node " * 900, os.urandom(3000)]
    raws = store(cache, contents, nodes)
    for reader in (cache, drop_caches(cache)):
        assert reader.read_many(ALGORITHM, raws) == contents
        assert reader.read_many(ALGORITHM, [raws[3], raws[3], raws[1]]) == [contents[3], contents[3], contents[1]]
        assert dict(reader.read_iter(ALGORITHM, raws)) == dict(zip(raws, contents, strict=True))
        assert reader.read_many(ALGORITHM, [HASHER.raw(node) for node in nodes]) == nodes
        assert reader.missing(ALGORITHM, [*raws, bytes(32)]) == [bytes(32)]
        assert reader.size(digest(raws[5])) == len(contents[5])
    kinds = sorted(pack.kind for pack in cache.packs())
    assert kinds == [0, 1]
    assert os.listdir(cache.root / "tmp") == []
    assert all(good for _, good in cache.verify())
    assert len(list(cache.verify())) == len(contents) + len(nodes)


def test_nothing_is_stored_twice(cache):
    contents = some(50)
    with cache.session(ALGORITHM) as session:
        session.put_small(HASHER.raw_many(contents * 2), contents * 2)
        session.put_small(HASHER.raw_many(contents), contents)
        assert session.put_node(b"n" * 100) == session.put_node(b"n" * 100)
        assert session.bytes_stored == sum(map(len, contents)) + 100
        session.commit()
    before = files(cache.root)
    with drop_caches(cache).session(ALGORITHM) as session:
        session.put_small(HASHER.raw_many(contents), contents)
        session.put_node(b"n" * 100)
        assert session.bytes_stored == 0
        session.commit()
    assert files(cache.root) == before


def test_large_objects_are_loose_and_read_only(cache, tmp_path):
    content = os.urandom(3 << 20)
    raw = store_stream(cache, tmp_path, content)
    assert raw == HASHER.raw(content)
    path = cache.objects_folder / os.fsdecode(cache.loose_name(ALGORITHM, raw))
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert cache.has_loose_many(ALGORITHM, [raw, bytes(32)]) == [True, False]
    assert cache.places(ALGORITHM, [raw])[raw].pack == LOOSE
    assert cache.open(digest(raw)).read() == content
    assert cache.read_many(ALGORITHM, [raw]) == [content]
    assert cache.is_verified_many(ALGORITHM, [raw]) == [True]
    assert [(one.raw, one.size) for one in cache.objects()] == [(raw, len(content))]
    inode = path.stat().st_ino
    store_stream(cache, tmp_path, content)
    assert path.stat().st_ino == inode


def test_a_stream_of_another_length_is_refused(cache, tmp_path):
    file = tmp_path / "source"
    file.write_bytes(b"x" * 5000)
    for size in (4999, 5001):
        with file.open("rb") as source, cache.session(ALGORITHM) as session, pytest.raises(WorkspaceError):
            session.put_stream(source.fileno(), size)
    assert list(cache.objects()) == []
    assert os.listdir(cache.root / "tmp") == []


def test_threshold_of_zero_makes_all_loose(tmp_path):
    cache = make(tmp_path, pack_threshold=0)
    contents = some(100)
    raws = store(cache, contents)
    assert all(cache.has_loose_many(ALGORITHM, raws))
    assert list(cache.packs()) == []
    assert cache.read_many(ALGORITHM, raws) == contents


def test_packs_are_cut(cache, monkeypatch):
    monkeypatch.setattr("kist.engine.cache.session.PACK_LIMIT", 20_000)
    monkeypatch.setattr("kist.engine.cache.publish.SMALL_PACK", 0)
    contents = [os.urandom(1000 + number) for number in range(100)]
    raws = store(cache, contents)
    sizes = [pack.size for pack in cache.packs()]
    assert len(sizes) > 4
    assert max(sizes) < 24_000
    assert drop_caches(cache).read_many(ALGORITHM, raws) == contents


def test_abort_leaves_nothing(cache, tmp_path):
    store(cache, [b"before"])
    before = files(cache.root)
    with pytest.raises(ZeroDivisionError), cache.session(ALGORITHM) as session:
        session.put_small(HASHER.raw(b"after"), [b"after"])
        session.put_node(b"node")
        session.put_stream(os.open(__file__, os.O_RDONLY))
        raise ZeroDivisionError
    with cache.session(ALGORITHM) as session:
        session.put_small(HASHER.raw(b"not committed"), [b"not committed"])
    assert [name for name in files(cache.root) if name != "gc.lock"] == [name for name in before if name != "gc.lock"]
    assert not cache.has(digest(HASHER.raw(b"after")))


def test_nothing_is_visible_before_the_commit(cache):
    with cache.session(ALGORITHM) as session:
        raw = session.put_node(b"some node")
        assert session.read_nodes([raw]) == [b"some node"]
        assert not drop_caches(cache).has(digest(raw))
        session.commit()
        assert drop_caches(cache).has(digest(raw))
        assert session.read_nodes([raw]) == [b"some node"]


def test_of_many_loose_objects_few_wait_for_the_commit(cache, monkeypatch):
    monkeypatch.setattr("kist.engine.cache.session._SMALL_LIMIT", 10)
    contents = [b"%02d" % number * 3000 for number in range(25)]
    raws = [HASHER.raw(content) for content in contents]
    with pytest.raises(ZeroDivisionError), cache.session(ALGORITHM) as session:
        for raw, content in zip(raws, contents, strict=True):
            session.put_loose({raw: content})
        assert sum(cache.has_loose_many(ALGORITHM, raws)) == 20
        assert cache.is_verified_many(ALGORITHM, raws) == [True] * 20 + [False] * 5
        raise ZeroDivisionError
    assert sum(drop_caches(cache).has_loose_many(ALGORITHM, raws)) == 20
    assert list(cache.folder.tmp.iterdir()) == []
    with cache.session(ALGORITHM) as session:
        session.put_small(b"".join(raws), contents)
        assert session.bytes_stored == 5 * 6000
        session.commit()
    assert cache.missing(ALGORITHM, raws) == []


def test_no_commit_leaves_out_what_could_not_be_put_into_its_place(cache, monkeypatch):
    """Of a part of the loose objects that came on the way; whoever stored them may take them for stored."""
    monkeypatch.setattr("kist.engine.cache.session._SMALL_LIMIT", 10)
    contents = [b"%02d" % number * 3000 for number in range(11)]
    raws = [HASHER.raw(content) for content in contents]
    with cache.session(ALGORITHM) as session:
        for raw, content in zip(raws[:9], contents, strict=False):
            session.put_loose({raw: content})
        obstacle = cache.folder.loose_path(ALGORITHM, raws[5]).parent
        obstacle.parent.mkdir()
        obstacle.touch()
        for raw, content in zip(raws[9:], contents[9:], strict=True):
            with pytest.raises(StorageError):
                session.put_loose({raw: content})
        assert 0 < sum(drop_caches(cache).has_loose_many(ALGORITHM, raws)) < 10
        with pytest.raises(StorageError):
            session.commit()
        obstacle.unlink()
        obstacle.mkdir()
        session.commit()
    assert drop_caches(cache).missing(ALGORITHM, raws) == []


def test_session_goes_on_after_a_commit(cache):
    with cache.session(ALGORITHM) as session:
        for content in (b"one", b"two", b"one"):
            session.put_small(HASHER.raw(content), [content])
            session.commit()
    assert cache.missing(ALGORITHM, [HASHER.raw(b"one"), HASHER.raw(b"two")]) == []


def test_adopting_files_and_packs(cache, tmp_path):
    other = Cache(tmp_path / "other", HashlibHasher, sync="off")
    contents = some(40)
    raws = store(other, contents)
    (pack,) = (other.root / "packs").iterdir()
    with cache.session(ALGORITHM) as session:
        copy = session.file()
        copy.write_bytes(pack.read_bytes())
        assert session.adopt_pack(copy, verified=False) == pack.name
        loose = session.file()
        loose.write_bytes(b"loose")
        session.put_loose_file(loose, digest(HASHER.raw(b"loose")))
        session.commit()
    assert cache.read_many(ALGORITHM, raws) == contents
    assert cache.has_loose_many(ALGORITHM, [HASHER.raw(b"loose")]) == [True]


def test_a_damaged_pack_is_not_adopted(cache, tmp_path):
    other = Cache(tmp_path / "other", HashlibHasher, sync="off")
    store(other, some(10))
    (pack,) = (other.root / "packs").iterdir()
    data = bytearray(pack.read_bytes())
    data[150] ^= 1
    with cache.session(ALGORITHM) as session:
        copy = session.file()
        copy.write_bytes(data)
        with pytest.raises(ObjectCorrupt):
            session.adopt_pack(copy, verified=False)
        copy.write_bytes(data[:-1])
        with pytest.raises(ObjectCorrupt):
            session.adopt_pack(copy)


def test_unpack_makes_loose_copies(cache):
    contents = some(100)
    raws = store(cache, contents)
    assert cache.unpack(ALGORITHM, raws[:60]) == 60
    assert cache.unpack(ALGORITHM, raws[:70]) == 10
    assert cache.has_loose_many(ALGORITHM, raws) == [True] * 70 + [False] * 30
    path = cache.objects_folder / os.fsdecode(cache.loose_name(ALGORITHM, raws[0]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    with pytest.raises(ObjectMissing):
        cache.unpack(ALGORITHM, [bytes(32)])


def test_what_is_expected_is_looked_up_once(cache, monkeypatch):
    monkeypatch.setattr(catalog, "LARGE", 300)
    contents = some(300)
    raws = store(cache, contents)
    looked = []
    find = Index.find
    monkeypatch.setattr(Index, "find", lambda self, raws: looked.append(len(raws)) or find(self, raws))
    cache.expect(ALGORITHM, [*raws[:200], bytes(32)])
    assert looked == [201]
    for start in range(0, 200, 10):
        assert cache.read_many(ALGORITHM, raws[start : start + 10]) == contents[start : start + 10]
    assert looked == [201]
    assert cache.read_many(ALGORITHM, raws[190:210]) == contents[190:210]  # the others are looked for as ever
    assert looked == [201, 10]


def test_what_is_expected_may_move_meanwhile(cache, monkeypatch):
    monkeypatch.setattr(catalog, "LARGE", 0)
    raws = store(cache, some(30))
    more = store(cache, some(30, seed=1))
    cache.expect(ALGORITHM, [*raws, *more])
    before = set(cache.folder.packs.iterdir())
    store(make(cache.root.parent), some(100, seed=2))
    assert before - set(cache.folder.packs.iterdir()), "nothing was merged"
    assert cache.read_many(ALGORITHM, [*more, *raws]) == [*some(30, seed=1), *some(30)]
    cache.expect(ALGORITHM, raws)
    for pack in cache.folder.packs.iterdir():
        pack.unlink()
    with pytest.raises(ObjectMissing):
        cache.read_many(ALGORITHM, raws)


def test_missing_objects_are_named_and_the_others_still_read(cache):
    raws = store(cache, [b"one", b"two"])
    with pytest.raises(ObjectMissing) as caught:
        cache.read_many(ALGORITHM, [raws[0], b"\1" * 32])
    assert caught.value.digest == f"{ALGORITHM}:{'01' * 32}"
    with pytest.raises(ObjectMissing):
        cache.size(digest(bytes(32)))
    with pytest.raises(ObjectMissing):
        cache.open(digest(bytes(32)))
    errors = []
    found = dict(cache.read_iter(ALGORITHM, [*raws, bytes(32)], lambda raw, error: errors.append((raw, error))))
    assert found == {raws[0]: b"one", raws[1]: b"two"}
    assert [(raw, type(error)) for raw, error in errors] == [(bytes(32), ObjectMissing)]


@pytest.mark.parametrize("name", ["../../etc", "A", "", "sha256/..", "a" * 40, "sha 256"])
def test_algorithms_that_are_no_names_reach_no_path(cache, name):
    with pytest.raises(MetafileError):
        cache.loose_name(name, bytes(32))


@pytest.mark.parametrize("text", ["", "00", "0" * 63, "0" * 66, "G" * 64, "A" * 64, "../" + "0" * 61, "0" * 64 + "\n"])
def test_digests_of_another_form_reach_no_path(cache, text):
    with pytest.raises(MetafileError):
        cache.has(Digest(ALGORITHM, text))
    with pytest.raises(MetafileError):
        cache.loose_name(ALGORITHM, bytes(31))


# ── many commits, many processes ──


def test_many_small_commits_stay_few_files(cache):
    contents = [os.urandom(500) for _ in range(120)]
    for number in range(60):
        store(cache, contents[2 * number : 2 * number + 2], [b"node %d" % number])
    assert len(os.listdir(cache.root / "packs")) <= 16
    assert len(os.listdir(cache.root / "index")) <= 8
    raws = [HASHER.raw(content) for content in contents]
    for reader in (cache, drop_caches(cache)):
        assert reader.read_many(ALGORITHM, raws) == contents
    assert all(good for _, good in cache.verify())
    indexed = {entry.id for opened in drop_caches_and_look(cache).catalog.files() for entry in opened.index.packs}
    assert indexed == set(os.listdir(cache.root / "packs"))


def drop_caches_and_look(cache):
    fresh = drop_caches(cache)
    fresh.missing(ALGORITHM, [])
    return fresh


def test_a_reader_follows_merges_under_its_feet(cache):
    raws = store(cache, some(20))
    reader = drop_caches(cache)
    iterator = reader.read_iter(ALGORITHM, raws)
    next(iterator)
    assert reader.missing(ALGORITHM, raws) == []
    for number in range(8):
        store(cache, some(20, seed=number + 1))
    assert len(dict(iterator)) == 19
    assert reader.read_many(ALGORITHM, raws) == some(20)


def test_a_reader_that_looked_before_the_merge_looks_again(cache, monkeypatch):
    raws = store(cache, some(20))
    reader = drop_caches(cache)
    reader.missing(ALGORITHM, raws)
    real = reader.catalog.refresh
    monkeypatch.setattr(reader.catalog, "refresh", lambda *, force=False: real(force=True) if force else None)
    for number in range(4):
        store(cache, some(20, seed=number + 1))
    assert reader.read_many(ALGORITHM, raws) == some(20)


def work(folder, worker, rounds):
    cache = make(folder)
    for number in range(rounds):
        own = [b"worker %d round %d object %d" % (worker, number, position) for position in range(10)]
        shared = [b"round %d object %d" % (number, position) for position in range(10)]
        raws = store(cache, own + shared, [b"node %d" % number, b"node %d of %d" % (number, worker)])
        assert cache.read_many(ALGORITHM, raws) == own + shared
        assert cache.read_many(ALGORITHM, [HASHER.raw(b"node %d" % number)]) == [b"node %d" % number]


def test_four_processes_at_once(tmp_path):
    context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "fork")
    workers = [context.Process(target=work, args=(tmp_path, number, 15)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    cache = make(tmp_path)
    for number in range(15):
        contents = [b"round %d object %d" % (number, position) for position in range(10)]
        for worker in range(4):
            contents += [b"worker %d round %d object %d" % (worker, number, position) for position in range(10)]
        assert cache.read_many(ALGORITHM, [HASHER.raw(content) for content in contents]) == contents
    assert all(good for _, good in cache.verify())
    assert os.listdir(cache.root / "tmp") == []


def test_a_merge_between_two_looks_hides_nothing(cache):
    raws = store(cache, some(20))
    reader = drop_caches(cache)
    list_packs = reader.folder.pack_ids
    before, merges = set(list_packs()), [lambda: store(cache, some(20, seed=9))]

    def then_somebody_merges():
        names = list_packs()
        if merges:
            merges.pop()()
        return names

    reader.folder.pack_ids = then_somebody_merges
    assert reader.missing(ALGORITHM, raws) == []
    assert before - set(list_packs()), "nothing was merged"


def test_who_looked_while_another_merged_does_not_trust_it(cache, monkeypatch):
    """Old packs and the merged one were there at once: what both have is indexed where it still is."""
    raws = store(cache, some(20))
    removals = []
    monkeypatch.setattr(publish._Indexer, "_remove", lambda self, paths: removals.extend(paths))
    late = drop_caches(cache)
    with late.session(ALGORITHM) as session:
        contents = some(20, seed=3)
        session.put_small(HASHER.raw_many(contents), contents)
        store(cache, some(20, seed=2))  # merges both packs of the cache
        merges = [path for path in removals if path.parent == cache.folder.packs]
        assert merges, "nothing was merged"
        late.catalog.refresh(force=True)
        monkeypatch.undo()
        for path in removals:
            path.unlink(missing_ok=True)
        with monkeypatch.context() as stopped:
            stopped.setattr(late.catalog, "refresh", lambda *, force=False: None)
            session.commit()
    assert drop_caches(cache).read_many(ALGORITHM, raws) == some(20)
    assert drop_caches(cache).missing(ALGORITHM, raws) == []


def test_an_index_that_leads_to_a_pack_that_is_gone_is_found_and_made_anew(cache):
    raws = store(cache, some(20))
    (old,) = cache.folder.pack_ids()
    data = (cache.folder.packs / old).read_bytes()
    store(cache, some(20, seed=5))  # merged: what was in the old pack is in the new one
    (new,) = cache.folder.pack_ids()
    builder = IndexBuilder(ALGORITHM, 32)
    (cache.folder.packs / old).write_bytes(data)
    for name in (old, new):
        with PackReader.open(cache.folder.packs / name) as pack:
            builder.add_pack(PackEntry(pack.id, pack.size, pack.kind), pack.members)
    for name in cache.folder.index_ids():
        (cache.folder.index / name).unlink()
    content = builder.build()
    (cache.folder.index / index_id(content)).write_bytes(content)
    assert unindexed(drop_caches(cache)) == 0
    (cache.folder.packs / old).unlink()
    broken = drop_caches(cache)
    assert broken.missing(ALGORITHM, raws) == sorted(raws)
    assert unindexed(broken) == 20
    assert broken.rebuild_indexes() == 1
    assert unindexed(broken) == 0
    assert broken.read_many(ALGORITHM, raws) == some(20)


def test_gc_keeps_sessions_out_and_waits_for_them(cache):
    with cache.exclusive():
        with pytest.raises(RepoLocked), impatient(cache).session(ALGORITHM):
            pass
    with cache.session(ALGORITHM):
        with cache.session(ALGORITHM):
            pass
        with pytest.raises(RepoLocked), impatient(cache).exclusive():
            pass


KILLED = """
import os, signal, sys
from pathlib import Path
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.engine.cache.cache import Cache
from kist.engine.cache.mend import unindexed
left = int(sys.argv[2])
def killing(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
hasher = HashlibHasher("sha256")
cache = Cache(Path(sys.argv[1]), HashlibHasher, sync="batch", pack_threshold=1000)
contents = [b"new %d" % number for number in range(20)] + [bytes([65 + n]) * 2000 for n in range(3)]
with cache.session("sha256") as session:
    session.put_small(hasher.raw_many(contents), contents)
    session.put_node(b"new node")
    for name in ("rename", "replace", "unlink", "fsync", "mkdir"):
        setattr(os, name, killing(getattr(os, name)))
    session.commit()
"""


def test_killed_at_any_step_of_a_commit_the_cache_works(tmp_path):
    new = [b"new %d" % number for number in range(20)] + [bytes([65 + n]) * 2000 for n in range(3)]
    raws = [HASHER.raw(content) for content in new]
    for step in range(200):
        folder = tmp_path / str(step)
        cache = make(folder, pack_threshold=1000)
        old = store(cache, some(15), [b"old node"])
        script = [sys.executable, "-c", KILLED, str(cache.root), str(step)]
        code = subprocess.run(script, check=False).returncode
        reader = make(folder)
        assert reader.read_many(ALGORITHM, old) == some(15), step
        assert all(good for _, good in reader.verify()), step
        for raw in set(raws) - set(reader.missing(ALGORITHM, raws)):
            assert reader.read_many(ALGORITHM, [raw]) == [new[raws.index(raw)]]
        store(make(folder, pack_threshold=1000), new, [b"new node"])
        assert make(folder).read_many(ALGORITHM, raws) == new
        assert os.listdir(cache.root / "tmp") == []
        if code == 0:
            assert step > 8
            return
        assert code == -signal.SIGKILL
    pytest.fail("it never came to its end")


# ── indexes are only a help ──


def test_lost_indexes_lose_nothing(cache):
    contents = some(30)
    raws = store(cache, contents, [b"a node"])
    for path in (cache.root / "index").iterdir():
        path.unlink()
    for reader in (cache, drop_caches(cache)):
        assert reader.read_many(ALGORITHM, raws) == contents
    assert cache.rebuild_indexes() == 2
    assert len(os.listdir(cache.root / "index")) == 1
    assert drop_caches(cache).read_many(ALGORITHM, raws) == contents


def test_damaged_indexes_lose_nothing_and_are_reported(cache):
    raws = store(cache, some(30))
    (path,) = (cache.root / "index").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    reader = drop_caches(cache)
    assert reader.read_many(ALGORITHM, raws) == some(30)
    assert [found for found, good in reader.verify() if not good] == [Digest("index", path.name)]
    reader.rebuild_indexes()
    assert all(good for _, good in drop_caches(cache).verify())


def test_a_pack_without_footer_is_saved_from_its_members(cache):
    raws = store(cache, some(30))
    (pack,) = (cache.root / "packs").iterdir()
    pack.chmod(0o644)
    os.truncate(pack, pack.stat().st_size - 20)
    reader = drop_caches(cache)
    assert reader.read_many(ALGORITHM, raws) == some(30)
    assert Digest("pack", pack.name) in [found for found, good in reader.verify() if not good]
    for path in (cache.root / "index").iterdir():
        path.unlink()
    assert reader.missing(ALGORITHM, raws) == sorted(raws)
    assert reader.rebuild_indexes() == 1
    assert drop_caches(cache).read_many(ALGORITHM, raws) == some(30)
    assert all(good for _, good in drop_caches(cache).verify())


def test_left_overs_of_the_killed_are_swept(cache):
    store(cache, [b"x"])
    (cache.root / "tmp" / "host-1-00000000").mkdir()
    (cache.root / "tmp" / "host-1-00000000" / "0").write_bytes(b"torn")
    (cache.root / "tmp" / "host-1-00000000.lock").write_bytes(b"")
    store(cache, [b"y"])
    assert os.listdir(cache.root / "tmp") == []


# ── damage ──


def flip(path, position):
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 1]))


def test_a_flipped_byte_in_a_pack_is_never_delivered(cache):
    contents = [b"the first object", b"the second object"]
    raws = store(cache, contents)
    (pack,) = (cache.root / "packs").iterdir()
    place = cache.places(ALGORITHM, raws)[raws[0]]
    for position in range(place.stored):
        flip(pack, place.offset + position)
        with pytest.raises(ObjectCorrupt) as caught:
            drop_caches(cache).read_many(ALGORITHM, raws)
        assert caught.value.digest == str(digest(raws[0]))
        flip(pack, place.offset + position)
    assert cache.read_many(ALGORITHM, raws) == contents


def test_quarantine_of_a_packed_object(cache):
    contents = some(20)
    raws = store(cache, contents)
    assert cache.quarantine(digest(raws[3])) == []
    place = cache.places(ALGORITHM, raws)[raws[3]]
    flip(cache.root / "packs" / place.pack, place.offset)
    bad = [found for found, good in cache.verify() if not good]
    assert bad == [digest(raws[3])]
    errors = []
    assert len(dict(cache.read_iter(ALGORITHM, raws, lambda raw, error: errors.append(raw)))) == 19
    assert errors == [raws[3]]
    assert len(cache.quarantine(digest(raws[3]))) == 1
    for reader in (cache, drop_caches(cache)):
        assert reader.missing(ALGORITHM, raws) == [raws[3]]
        assert all(good for _, good in reader.verify())
    store(cache, contents)
    for reader in (cache, drop_caches(cache)):
        assert reader.read_many(ALGORITHM, raws) == contents
    for number in range(10):
        store(cache, some(20, seed=number + 1))
    assert drop_caches(cache).read_many(ALGORITHM, raws) == contents


def test_a_pack_that_comes_again_counts_again(cache):
    (raw,) = store(cache, [b"alone in its pack"])
    place = cache.places(ALGORITHM, [raw])[raw]
    flip(cache.root / "packs" / place.pack, place.offset)
    cache.quarantine(digest(raw))
    assert not cache.has(digest(raw))
    store(cache, [b"alone in its pack"])
    assert os.listdir(cache.root / "packs") == [place.pack]
    assert drop_caches(cache).read_many(ALGORITHM, [raw]) == [b"alone in its pack"]
    assert cache.read_many(ALGORITHM, [raw]) == [b"alone in its pack"]


def test_quarantine_of_a_loose_object(cache, tmp_path):
    content = os.urandom(2 << 20)
    raw = store_stream(cache, tmp_path, content)
    flip(cache.objects_folder / os.fsdecode(cache.loose_name(ALGORITHM, raw)), 1 << 20)
    with pytest.raises(ObjectCorrupt):
        cache.open(digest(raw)).read()
    with pytest.raises(ObjectCorrupt):
        cache.read_many(ALGORITHM, [raw])
    assert [found for found, good in cache.verify() if not good] == [digest(raw)]
    assert len(cache.quarantine(digest(raw))) == 1
    assert not cache.has(digest(raw))
    store_stream(cache, tmp_path, content)
    assert cache.open(digest(raw)).read() == content


def test_a_good_copy_stands_in_for_a_damaged_one(cache):
    raws = store(cache, some(5))
    cache.unpack(ALGORITHM, raws[:1])
    place = cache.places(ALGORITHM, raws)[raws[0]]
    flip(cache.root / "packs" / place.pack, place.offset)
    assert drop_caches(cache).read_many(ALGORITHM, raws) == some(5)
    cache.quarantine(digest(raws[0]))
    assert drop_caches(cache).read_many(ALGORITHM, raws) == some(5)


def test_sample_checks_a_part(cache):
    store(cache, some(400))
    assert list(cache.verify(sample=0)) == []
    assert 20 < len(list(cache.verify(sample=25))) < 200


def test_a_pack_that_was_hashed_as_it_came_is_hashed_again_only_once_it_looks_different(cache, tmp_path, monkeypatch):
    contents = some(50, size=600)
    raws = store(cache, contents)
    (pack,) = (cache.root / "packs").iterdir()
    other = make(tmp_path / "other")
    with other.session(ALGORITHM) as session:
        copy = session.file()
        copy.write_bytes(pack.read_bytes())
        session.adopt_pack(copy)
        session.commit()
    hashed = []
    monkeypatch.setattr(HashlibHasher, "raw_many", lambda self, all_: hashed.append(len(all_)) or b"")
    assert dict(other.read_iter(ALGORITHM, raws)) == dict(zip(raws, contents, strict=True))
    assert hashed == []
    monkeypatch.undo()
    path = other.root / "packs" / pack.name
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff")
    with pytest.raises(ObjectCorrupt):
        dict(other.read_iter(ALGORITHM, raws))


def test_a_hashed_pack_is_not_trusted_for_ever(cache, tmp_path, monkeypatch):
    contents = some(50, size=600)
    raws = store(cache, contents)
    (path,) = (cache.root / "packs").iterdir()
    cache.hashed.note(path.parent, {path.name: path.stat().st_ino})
    hashed = []
    raw_many = HashlibHasher.raw_many
    monkeypatch.setattr(HashlibHasher, "raw_many", lambda self, all_: hashed.append(1) or raw_many(self, all_))
    dict(cache.read_iter(ALGORITHM, raws))
    assert hashed == []
    now = hashed_packs.clock.steady()
    monkeypatch.setattr(hashed_packs.clock, "steady", lambda: now + 601)
    dict(cache.read_iter(ALGORITHM, raws))
    assert hashed


# ── the record of verified objects ──


def test_links_do_not_cost_trust_but_edits_do(cache, tmp_path):
    raw = store_stream(cache, tmp_path, b"x" * 2_000_000)
    path = cache.objects_folder / os.fsdecode(cache.loose_name(ALGORITHM, raw))
    assert cache.is_verified_many(ALGORITHM, [raw, bytes(32)]) == [True, False]
    os.link(path, tmp_path / "link")
    assert cache.is_verified_many(ALGORITHM, [raw]) == [True]
    path.chmod(0o644)
    assert cache.is_verified_many(ALGORITHM, [raw]) == [False]
    path.chmod(0o444)
    assert cache.is_verified_many(ALGORITHM, [raw]) == [True]
    status = path.stat()
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns + 1))
    assert cache.is_verified_many(ALGORITHM, [raw]) == [False]
    cache.mark_verified(ALGORITHM, [raw])
    assert cache.is_verified_many(ALGORITHM, [raw]) == [True]


def test_what_was_hashed_on_its_way_in_is_read_once_without_a_check(cache, tmp_path):
    raw = store_stream(cache, tmp_path, b"x" * 2_000_000)
    descriptor = cache.open_known(ALGORITHM, raw)
    with os.fdopen(descriptor, "rb") as file:
        assert file.read() == b"x" * 2_000_000
    assert cache.open_known(ALGORITHM, raw) == -1
    assert cache.open_known(ALGORITHM, bytes(32)) == -1
    assert make(tmp_path).open_known(ALGORITHM, raw) == -1


@pytest.mark.parametrize("change", ["bytes", "look", "file", "gone"])
def test_what_changed_since_it_came_in_is_not_known(cache, tmp_path, change):
    raw = store_stream(cache, tmp_path, b"x" * 2_000_000)
    path = cache.objects_folder / os.fsdecode(cache.loose_name(ALGORITHM, raw))
    if change == "bytes":
        path.chmod(0o644)
        path.write_bytes(b"y" * 2_000_000)
    elif change == "look":
        os.utime(path)
    else:
        path.unlink()
    if change == "file":
        path.write_bytes(b"x" * 2_000_000)
    assert cache.open_known(ALGORITHM, raw) == -1


def test_an_object_that_was_there_already_is_not_known(cache, tmp_path):
    content = b"x" * 2_000_000
    raw = HASHER.raw(content)
    path = cache.objects_folder / os.fsdecode(cache.loose_name(ALGORITHM, raw))
    with cache.session(ALGORITHM) as session:
        session.put_loose({raw: content})
        path.parent.mkdir(parents=True)
        path.write_bytes(b"z" * 2_000_000)  # another process, and damaged since
        session.commit()
    assert cache.open_known(ALGORITHM, raw) == -1
    assert cache.is_verified_many(ALGORITHM, [raw]) == [False]


def test_records_are_merged_and_torn_ones_ignored(cache, tmp_path):
    raws = [store_stream(cache, tmp_path, bytes([number]) * 1_100_000) for number in range(20)]
    assert len(os.listdir(cache.root / "verified")) <= 9
    assert all(cache.is_verified_many(ALGORITHM, raws))
    for path in (cache.root / "verified").iterdir():
        path.chmod(0o644)
        os.truncate(path, path.stat().st_size - 1)
    assert not any(cache.is_verified_many(ALGORITHM, raws))


# ── places, modes, bad weather ──


def test_private_and_shared_modes(tmp_path):
    old = os.umask(0o022)
    try:
        private, shared = make(tmp_path / "a"), make(tmp_path / "b", shared=True)
        for cache in (private, shared):
            store(cache, [b"x"])
            cache.unpack(ALGORITHM, [HASHER.raw(b"x")])
    finally:
        os.umask(old)
    for folder in [private.root, *(path for path in private.root.rglob("*") if path.is_dir())]:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for folder in [shared.root, *(path for path in shared.root.rglob("*") if path.is_dir())]:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2775
    assert stat.S_IMODE((shared.root / "gc.lock").stat().st_mode) == 0o666


def test_newer_damaged_and_foreign_folders_are_refused(tmp_path):
    for number, text in enumerate([b'{"format":"kist-cache/2"}\n', b"", b"[]", b'{"format":"other/1"}']):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "kist-cache").write_bytes(text)
        cache = Cache(root, HashlibHasher)
        with pytest.raises(RepoFormatError):
            cache.has(digest(bytes(32))) or cache.catalog.refresh(force=True)
            cache.ensure()
        with pytest.raises(RepoFormatError), cache.session(ALGORITHM):
            pass
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(RepoFormatError, match="no cache"):
        Cache(tmp_path / "full", HashlibHasher).ensure()
    with pytest.raises(InvalidOption):
        Cache(tmp_path / "x", HashlibHasher, sync="sometimes")


def test_read_only_cache_serves_readers(cache, tmp_path):
    raws = store(cache, some(30))
    loose = store_stream(cache, tmp_path, os.urandom(1_500_000))
    assert all(good for _, good in cache.verify())  # loads what the child may not be let to, as from root's own Python
    folders = [cache.root, *(path for path in cache.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        run_unprivileged(lambda: read_only_checks(cache.root, raws, loose), tmp_path)
    finally:
        for folder in folders:
            folder.chmod(0o700)


def read_only_checks(root, raws, loose):
    cache = Cache(root, HashlibHasher)
    assert cache.read_many(ALGORITHM, raws) == some(30)
    assert all(good for _, good in cache.verify())
    cache.mark_verified(ALGORITHM, [loose])
    assert cache.is_verified_many(ALGORITHM, [loose]) == [True]
    try:
        with cache.session(ALGORITHM):
            pass
    except StorageError:
        return
    raise AssertionError("a session began in a folder that cannot be written")


def run_unprivileged(call, tmp_path):
    """Run it in a child that has no special rights, so that the test says the same for root."""
    if os.getuid() == 0:
        for folder in [tmp_path, *tmp_path.parents]:
            if folder.stat().st_uid == 0 and folder != folder.parent:
                folder.chmod(folder.stat().st_mode | 0o055)
        for path in tmp_path.rglob("kist-cache"):
            path.chmod(0o644)
        for path in tmp_path.rglob("verified/*"):
            path.chmod(0o644)
    as_nobody(call)


@pytest.mark.parametrize("number", [5, 28])
def test_failing_disk_is_told_and_leaves_nothing(cache, monkeypatch, number):
    store(cache, [b"before"])
    before = files(cache.root)

    def failing(*_):
        raise OSError(number, os.strerror(number))

    for name in ("writev", "write"):
        with cache.session(ALGORITHM) as session, monkeypatch.context() as patch, pytest.raises(StorageError) as caught:
            patch.setattr(os, name, failing)
            session.put_small(HASHER.raw(b"after"), [b"after"])
            with open(__file__, "rb") as source:
                session.put_stream(source.fileno())
            session.commit()
        assert caught.value.errno == number
    assert files(cache.root) == before


@pytest.mark.parametrize("sync", ["batch", "each"])
def test_a_failed_sync_is_final(tmp_path, monkeypatch, sync):
    cache = make(tmp_path, sync=sync)
    cache.ensure()

    def failing(_):
        raise OSError(5, "Input/output error")

    with cache.session(ALGORITHM) as session, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        session.put_small(HASHER.raw(b"x"), [b"x"])
        with pytest.raises(StorageError):
            session.commit()
    assert list(cache.packs()) == []
    assert not cache.has(digest(HASHER.raw(b"x")))


def test_open_streams_in_any_step(cache, tmp_path):
    content = os.urandom(1_200_000)
    raw = store_stream(cache, tmp_path, content)
    for step in (1000, 65536, -1):
        with cache.open(digest(raw)) as reader:
            taken = io.BytesIO()
            while block := reader.read(step):
                taken.write(block)
            assert taken.getvalue() == content
