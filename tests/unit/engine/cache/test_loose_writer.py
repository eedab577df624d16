"""Small loose objects: written where nobody sees them, and put into their places together."""

import errno
import os
import stat
from functools import partial

import pytest

from kist.abc.progress import NullProgress
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.engine.cache.cache import Cache
from kist.engine.checkout.shares import share_out
from kist.errors import StorageError

ALGORITHM = "sha256"
HASHER = HashlibHasher(ALGORITHM)


def some(count):
    """Contents by their raw digests."""
    return {HASHER.raw(content): content for content in (b"%d" % number * 50 for number in range(count))}


@pytest.fixture(params=["off", "batch", "each"])
def cache(request, tmp_path):
    """An empty cache."""
    return Cache(tmp_path / "cache", HashlibHasher, sync=request.param)


def stored(cache):
    """Raw digest -> content of all files among the loose objects, by their names."""
    files = [path for path in cache.objects_folder.rglob("*") if path.is_file()]
    return {bytes.fromhex(path.parent.name + path.name): path.read_bytes() for path in files}


def test_folders_come_whole_and_files_after_them_one_by_one(cache, monkeypatch):
    renamed = []
    rename = os.rename

    def renaming(source, target):
        whole = os.path.isdir(source)
        rename(source, target)
        renamed.append(whole)

    monkeypatch.setattr(os, "rename", renaming)
    contents = some(600)
    first = dict(list(contents.items())[:400])
    shards = {raw[0] for raw in first}
    for objects in (first, contents):
        with cache.session(ALGORITHM) as session:
            session.put_loose(
                {raw: data for raw, data in objects.items() if not cache.has_loose_many(ALGORITHM, [raw])[0]}
            )
            session.commit()
    more = {raw[0] for raw in contents} - shards
    assert renamed.count(True) == len(shards | more)
    assert renamed.count(False) == sum(raw[0] in shards for raw in contents if raw not in first)
    assert stored(cache) == contents
    assert all(cache.is_verified_many(ALGORITHM, list(contents)))
    assert os.listdir(cache.folder.tmp) == []


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_nobody_may_write_and_all_may_read_whatever_the_umask(cache, umask):
    cache.ensure()
    old = os.umask(0o022)
    try:
        with cache.session(ALGORITHM) as session:
            session.loose()
            if os.geteuid() and umask & 0o700:
                pytest.skip("only root may write into folders without rights")
            os.umask(umask)
            session.put_loose(some(3))
            session.commit()
    finally:
        os.umask(old)
    for raw in some(3):
        assert stat.S_IMODE(cache.folder.loose_path(ALGORITHM, raw).stat().st_mode) == 0o444


@pytest.mark.parametrize("stays", [False, True])
def test_half_of_an_object_never_comes_into_a_place(cache, monkeypatch, stays):
    """Not even where it cannot be removed at once, and the session goes on with others."""
    contents = some(5)
    bad = list(contents)[2]
    write, unlink = os.write, os.unlink
    refused = [stays]

    def half(descriptor, data):
        if bytes(data) == contents[bad]:
            write(descriptor, data[:9])
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, data)

    def removing(*words, **more):
        if refused[0] and bad.hex()[2:] in str(words[0]):
            refused[0] = False
            raise OSError(errno.EIO, "no")
        return unlink(*words, **more)

    with cache.session(ALGORITHM) as session:
        monkeypatch.setattr(os, "write", half)
        monkeypatch.setattr(os, "unlink", removing)
        with pytest.raises(StorageError):
            session.put_loose(contents)
        monkeypatch.setattr(os, "write", write)
        session.put_loose({raw: contents[raw] for raw in list(contents)[3:]})
        session.commit()
    assert stored(cache) == {raw: data for raw, data in contents.items() if raw != bad}


def test_what_is_there_stays_for_it_may_be_linked(cache, tmp_path):
    contents = some(40)
    with cache.session(ALGORITHM) as session:
        session.put_loose(contents)
        with cache.session(ALGORITHM) as other:
            other.put_loose(contents)
            other.commit()
        before = {raw: cache.folder.loose_path(ALGORITHM, raw).stat().st_ino for raw in contents}
        session.commit()
    assert {raw: cache.folder.loose_path(ALGORITHM, raw).stat().st_ino for raw in contents} == before


def test_processes_write_and_the_first_one_puts_all_into_their_places(cache):
    contents = some(90)
    with cache.session(ALGORITHM) as session:
        session.put_small(b"".join(contents), list(contents.values()))
        session.commit()
    told = []

    def divide(raws, write):
        helps = [partial(lambda part, _tally, _check: write(part, print), raws[at::3]) for at in (1, 2)]
        share_out(helps, lambda _check: write(raws[::3], told.append), NullProgress())

    assert cache.unpack(ALGORITHM, [*contents, *contents], None, divide) == 90
    assert stored(cache) == contents
    assert not any(cache.is_verified_many(ALGORITHM, list(contents)))  # whoever links them records it
    assert told == []


@pytest.mark.parametrize("again", [False, True])
def test_an_interruption_right_after_a_file_was_made_leaves_no_empty_object(cache, monkeypatch, again):
    """What came before is committed; and the same object may come once more."""
    contents = some(5)
    bad = list(contents)[2]
    opening = os.open

    def interrupted(path, *words, **more):
        descriptor = opening(path, *words, **more)
        if bad.hex()[2:] in str(path):
            os.close(descriptor)
            raise KeyboardInterrupt
        return descriptor

    with cache.session(ALGORITHM) as session:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(os, "open", interrupted)
            session.put_loose(contents)
        if again:
            session.put_loose(contents)
        session.commit()
    assert stored(cache) == (contents if again else dict(list(contents.items())[:2]))


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EBUSY])
def test_files_come_one_by_one_where_a_folder_may_not_be_replaced(cache, monkeypatch, number):
    contents = some(40)
    rename = os.rename

    def refusing(source, target):
        if os.path.isdir(source):
            raise OSError(number, "a sticky folder")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    with cache.session(ALGORITHM) as session:
        session.put_loose(contents)
        session.commit()
    assert stored(cache) == contents


def test_folders_of_an_attempt_that_failed_are_made_durable_by_the_next(cache, monkeypatch):
    contents = some(40)
    with cache.session(ALGORITHM) as session:
        session.put_loose(contents)
        rename, done, refused = os.rename, [], [True]

        def failing(source, target):
            if len(done) >= 3 and refused[0]:
                raise OSError(errno.EIO, "no")
            rename(source, target)
            done.append(target)

        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", failing)
            with pytest.raises(StorageError):
                session.commit()
            refused[0] = False
            synced: set[str] = set()
            patched.setattr(session._syncer, "folders", lambda paths: synced.update(map(str, paths)))
            session.commit()
    assert {str(cache.folder.loose_path(ALGORITHM, raw).parent) for raw in contents} <= synced
    assert stored(cache) == contents
