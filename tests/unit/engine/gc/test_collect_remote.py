"""gc of a remote: condemned first, deleted after the grace, and nothing that a push came to need."""

from __future__ import annotations

import time

import pytest
from gc_support import age

from kist.engine.gc import reach
from kist.engine.gc.collect_remote import RemoteCollector
from kist.engine.gc.roots import GcRoot
from kist.engine.transfer.parts import TransferSettings
from kist.engine.transfer.remote_store import GRACE, RemoteStore
from kist.errors import KistError, ObjectMissing, TransferError
from kist.remotes.memory import MemoryRemote
from kist.util import clock

REPOSITORY = "0123456789abcdef"
OLD = {f"old{number}": b"old %d" % number for number in range(50)} | {"big": b"B" * (2 << 20), "both": b"both"}
NEW = {f"new{number}": b"new %d" % number for number in range(50)} | {"both": b"both"}


def collector(here, **options):
    settings = TransferSettings(here.codec)
    return RemoteCollector(here.store(), options.pop("repository_id", REPOSITORY), settings, **options)


def collect(here, *versions, **options):
    gc = collector(here, **options)
    return gc.apply(gc.plan([GcRoot(one.root, one.is_directory) for one in versions]))


@pytest.fixture
def remote():
    return MemoryRemote()


@pytest.fixture
def here(clone, remote):
    return clone(remote)


@pytest.fixture
def old(here):
    version = here.add(OLD)
    here.push(version)
    return version


@pytest.fixture
def new(here, old):
    version = here.add(NEW)
    here.push(version, bases=[old])
    return version


def test_1_1_another_repositorys_manifest_that_is_gone_stops_it(here, remote, clone):
    """Nobody can tell then what that version needs: what is left of it may be all that a repair has."""
    other = clone(remote)
    version = other.add(OLD)
    other.push(version, repository_id="other")
    mine = here.add(NEW)
    here.push(mine)
    remote.delete(next(key for key in remote.objects if _holds(here, remote, key, version.root)))
    before = dict(remote.objects)
    with pytest.raises(ObjectMissing) as caught:
        collect(here, mine, grace=0)
    assert str(version.root) in str(caught.value)
    assert remote.objects == before
    other.push(version, repository_id="other", repair=True)
    collect(here, mine, grace=0)
    there = clone(remote, memory=False)
    there.fetch(version)
    assert there.files(version) == OLD


def test_another_repositorys_large_file_is_not_read(here, remote, clone, monkeypatch):
    monkeypatch.setattr(reach, "MAX_UNFOLDED", 1 << 20)
    other = clone(remote)
    version = other.add_file(b"L" * (3 << 20))
    other.push(version, repository_id="other")
    mine = here.add(NEW)
    here.push(mine)
    read, plain = [], MemoryRemote.open
    monkeypatch.setattr(MemoryRemote, "open", lambda self, key, **how: read.append(key) or plain(self, key, **how))
    collect(here, mine, grace=0)
    assert not [key for key in read if key.startswith("objects/")]
    there = clone(remote, memory=False)
    there.fetch(version)


def _holds(here, remote, key, root):
    """Whether a key is the pack with a version's root node."""
    return key.startswith("packs/") and root.raw in remote.objects[key].data


def test_nothing_goes_before_the_grace(here, remote, old, new, clone):
    before = set(remote.objects)
    assert collect(here, new) == []
    assert before < set(remote.objects)
    clone(remote).fetch(old)
    assert collect(here, new) == []
    clone(remote).fetch(old, new)


def test_after_the_grace_the_dead_are_gone(here, remote, old, new, clone):
    collect(here, new)
    age(remote)
    deleted = collect(here, new)
    assert f"roots/blake3/{old.root.hex}" in deleted
    assert any(key.startswith("objects/") for key in deleted)
    assert [key.partition("/")[0] for key in deleted] == sorted(
        (key.partition("/")[0] for key in deleted), key=["sets", "roots", "refs", "index", "packs", "objects"].index
    )
    there = clone(remote)
    there.fetch(new)
    assert there.files(new) == NEW
    with pytest.raises(TransferError):
        there.fetch(old)
    age(remote)
    assert collect(here, new) == []
    assert not here.store().read_condemned().keys


def test_1_1_a_plan_that_waited_deletes_only_what_was_due_when_it_was_made(here, remote, old, new, monkeypatch):
    """A marker that was written while it waited counts: who began before has the whole grace for it."""
    collect(here, new)
    age(remote, 0.6 * GRACE)
    gc = collector(here)
    plan = gc.plan([GcRoot(new.root, new.is_directory)])
    wait, steady, stamp = 0.45 * GRACE, clock.steady, RemoteStore.stamp_condemned
    monkeypatch.setattr(clock, "steady", lambda: steady() + wait)
    monkeypatch.setattr(RemoteStore, "stamp_condemned", lambda self, condemned: stamp(self, condemned) + wait)
    assert gc.apply(plan) == []
    assert f"roots/blake3/{old.root.hex}" in remote.objects


def test_pushed_again_after_all(here, remote, old, new, clone):
    """An index must not speak of what is gone: a version pushed again is sent again."""
    collect(here, new)
    age(remote)
    collect(here, new)
    here.push(old, bases=[new])
    there = clone(remote)
    there.fetch(old)
    assert there.files(old) == OLD


def test_push_sends_the_condemned_again(here, remote, old, new, clone):
    collect(here, new)
    again = clone(remote)
    again.add(OLD)
    again.push(old, bases=[new])
    age(remote, GRACE / 2)
    age(remote, GRACE / 2 + 10)
    collect(here, new, old)
    there = clone(remote)
    there.fetch(old, new)
    assert there.files(old) == OLD
    assert there.files(new) == NEW


def test_what_was_put_again_is_not_sent_a_third_time(here, remote, old, new, clone):
    collect(here, new)
    again = clone(remote)
    again.add(OLD)
    assert again.push(old, bases=[new]).objects
    assert again.push(old, bases=[new]).objects == 0
    assert clone(remote).fetch(old).objects
    age(remote)
    collect(here, new)  # spared, since it was put again, and condemned anew
    age(remote, 10)
    assert again.push(old, bases=[new]).objects


def test_put_again_without_a_marker_yet_is_spared(here, remote, old, new):
    """A push that is under way has put a condemned pack again; its marker comes later."""
    collect(here, new)
    age(remote)
    pack = next(key for key in remote.objects if key.startswith("objects/"))
    remote.objects[pack] = remote.objects[pack]._replace(mtime=time.time())
    assert pack not in collect(here, new)
    assert pack in remote.objects


def test_others_keep_what_they_refer_to(here, remote, old, new, clone):
    other = clone(remote)
    other.add(OLD)
    other.push(old, repository_id="another")
    collect(here, new)
    age(remote)
    collect(here, new)
    there = clone(remote)
    there.fetch(old, new)
    assert f"refs/another/blake3/{old.root.hex}" in remote.objects
    assert f"refs/{REPOSITORY}/blake3/{old.root.hex}" not in remote.objects
    here.push(old)
    assert f"refs/{REPOSITORY}/blake3/{old.root.hex}" in remote.objects, "our ref is written again"
    collect(other, repository_id="another")
    age(remote)
    collect(other, repository_id="another")
    clone(remote).fetch(old, new)


def test_a_version_that_is_not_whole_stops_gc(here, remote, new):
    for key in [key for key in remote.objects if key.startswith("packs/")]:
        del remote.objects[key]
    with pytest.raises(KistError) as caught:
        collect(here, new)
    assert isinstance(caught.value, ObjectMissing)
    assert "condemned" not in remote.objects


def test_sets_and_foreign_keys(here, remote, old, new, clone):
    here.push(old, new)
    single = here.add_file(b"one")
    here.push(new, single)
    remote.objects["somebody/else.txt"] = remote.objects["kist-remote"]
    collect(here, new, single)
    age(remote)
    collect(here, new, single)
    assert len([key for key in remote.objects if key.startswith("sets/")]) == 1
    assert "somebody/else.txt" in remote.objects
    report = here.push(new, single)
    assert report.requests <= 3
    clone(remote).fetch(new, single)


def test_at_once(here, remote, old, new, clone):
    assert collect(here, new, grace=0.0)
    there = clone(remote)
    there.fetch(new)
    with pytest.raises(TransferError):
        there.fetch(old)


def test_left_overs_of_a_killed_push(here, remote, new, clone):
    for key in list(remote.objects):
        if key.startswith(("roots/", "sets/")):
            del remote.objects[key]
    collect(here, new)
    age(remote)
    collect(here, new)
    assert not here.store().read_condemned().keys
    assert set(remote.objects) == {"kist-remote", "condemned"} | {
        key for key in remote.objects if key.startswith("refs/")
    }
    here.push(new)
    clone(remote).fetch(new)
