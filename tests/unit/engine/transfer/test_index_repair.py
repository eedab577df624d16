"""Index files that somebody deleted or damaged on a remote: a push finds and mends them, and so does the doctor."""

from __future__ import annotations

import random

import pytest

from kist.engine.transfer.hints import Hints
from kist.engine.transfer.index_repair import check_indexes, lost_indexes
from kist.remotes.memory import MemoryRemote
from kist.remotes.wrappers import RecordingRemote
from kist.testing.faults import RawMemory


def keys(remote, prefix):
    return sorted(key for key in remote.objects if key.startswith(prefix))


@pytest.fixture
def pushed(clone):
    """A remote with a version on it, who pushed it, and its files."""
    remote = MemoryRemote()
    here = clone(RecordingRemote(remote))
    files = {f"f{number}": random.Random(number).randbytes(3000) for number in range(50)} | {"big": b"b" * (2 << 20)}
    version = here.add(files)
    here.push(version)
    return remote, here, version, files


def spoil(remote, how):
    [key] = keys(remote, "index/")
    if how == "deleted":
        del remote.objects[key]
    elif how == "cut":
        RawMemory(remote.objects).write(key, remote.objects[key].data[:-9])
    else:
        data = bytearray(remote.objects[key].data)
        data[len(data) // 2] ^= 1
        RawMemory(remote.objects).write(key, bytes(data))


@pytest.mark.parametrize("how", ["deleted", "cut"])
def test_push_puts_a_lost_index_back_from_its_copy(clone, pushed, how):
    remote, here, version, files = pushed
    spoil(remote, how)
    before = here.remote.requests
    assert here.push(version).bytes == 0
    assert here.remote.requests - before <= 10
    there = clone(remote)
    there.fetch(version)
    assert there.files(version) == files
    before = here.remote.requests
    here.push(version)
    assert here.remote.requests - before <= 3


@pytest.mark.parametrize("how", ["deleted", "cut"])
def test_push_makes_a_lost_index_anew_from_the_packs(clone, pushed, how):
    remote, here, version, files = pushed
    spoil(remote, how)
    for path in (here.memory / "index").iterdir():
        path.unlink()
    if how == "cut":  # without a copy nobody knows its length: what cannot be read is as good as lost
        del remote.objects[keys(remote, "index/")[0]]
    assert here.push(version).bytes == 0
    there = clone(remote)
    there.fetch(version)
    assert there.files(version) == files


@pytest.mark.parametrize("how", ["deleted", "cut", "flipped"])
@pytest.mark.parametrize("copy", [True, False])
def test_push_repair_mends_every_damage(clone, pushed, how, copy):
    remote, here, version, files = pushed
    spoil(remote, how)
    if not copy:
        for path in (here.memory / "index").iterdir():
            path.unlink()
    here.push(version, repair=True)
    there = clone(remote)
    there.fetch(version)
    assert there.files(version) == files


@pytest.mark.parametrize("how", ["deleted", "cut", "flipped"])
def test_the_doctor_needs_no_copy_and_no_data(clone, pushed, how):
    remote, _, version, files = pushed
    spoil(remote, how)
    stranger = clone(remote)
    store = stranger.store()
    workers = store.workers(4)
    found = check_indexes(store, workers)
    assert (found.checked, len(found.bad), found.mended) == (1, 1, 0)
    assert check_indexes(store, workers, mend=True).mended == 1
    assert not check_indexes(store, workers).bad
    there = clone(remote)
    there.fetch(version)
    assert there.files(version) == files


def test_nothing_is_lost_where_all_is_well(pushed):
    _, here, version, _ = pushed
    store = here.store()
    store.hints = Hints(None)
    published = store.published([version.root])
    assert lost_indexes(store, published.values(), store.workers(2)) == set()
    assert not check_indexes(store, store.workers(2)).bad
