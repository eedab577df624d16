"""gc of a cache: what goes, what stays, how it comes back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kist.engine.cache.cache import Cache
from kist.engine.gc.collect import apply_cache_gc, plan_cache_gc
from kist.engine.gc.roots import GcRoot
from kist.engine.gc.undo import undo_cache_gc
from kist.engine.storage.trash import Trash
from kist.errors import ObjectCorrupt, ObjectMissing
from kist.remotes.memory import MemoryRemote

SHARED = {f"shared{number}": b"shared %d" % number for number in range(50)}
OLD = SHARED | {f"old{number}": b"old %d" % number for number in range(50)} | {"big-old": b"B" * (1 << 20)}
NEW = SHARED | {"new": b"new", "big-new": b"N" * (1 << 20)}


@pytest.fixture
def here(clone):
    return clone(MemoryRemote())


def roots_of(*versions):
    return [GcRoot(version.root, version.is_directory) for version in versions]


def collect(here, *versions, trash=None):
    plan = plan_cache_gc(here.cache, roots_of(*versions), here.codec)
    with here.cache.exclusive():
        return apply_cache_gc(here.cache, plan, roots_of(*versions), here.codec, trash)


def test_what_no_root_reaches_goes_and_comes_back(here):
    old, new = here.add(OLD), here.add(NEW)
    trash = Trash(here.folder / "trash", sync=False)
    plan = plan_cache_gc(here.cache, roots_of(new), here.codec)
    assert plan.candidates == 50 + 1 + 1
    assert plan.bytes > 1 << 20
    assert len(plan.objects()) == plan.candidates
    assert here.files(old) == OLD, "a plan changes nothing"
    with here.cache.exclusive():
        done = apply_cache_gc(here.cache, plan, roots_of(new), here.codec, trash)
    assert done.id == plan.id
    assert here.files(new) == NEW
    absent = here.cache.missing("blake3", [here.hasher.raw(data) for data in OLD.values()])
    assert len(absent) == 51
    assert here.cache.missing("blake3", [old.root.raw])
    assert collect(here, new, trash=trash).candidates == 0
    count, size = undo_cache_gc(here.cache, trash)
    assert count >= 2
    assert size >= done.bytes
    assert here.files(old) == OLD
    assert here.files(new) == NEW
    assert undo_cache_gc(here.cache, trash) == (0, 0)


def test_now(here):
    old, new = here.add(OLD), here.add(NEW)
    collect(here, new)
    assert here.files(new) == NEW
    with pytest.raises(ObjectMissing):
        here.files(old)
    again = here.add(OLD)
    assert again.root == old.root
    assert here.files(again) == OLD


def test_undo_after_some_of_it_was_stored_again(here):
    old, new = here.add(OLD), here.add(NEW)
    trash = Trash(here.folder / "trash", sync=False)
    collect(here, new, trash=trash)
    here.add_file(OLD["big-old"])
    undo_cache_gc(here.cache, trash)
    assert here.files(old) == OLD


@pytest.mark.parametrize("record", [b"", b"{}", None])
def test_undo_without_the_record_goes_by_what_the_files_hold(here, record):
    old, new = here.add(OLD), here.add(NEW)
    before = {path.relative_to(here.cache.root) for path in here.cache.root.rglob("*/*") if path.is_file()}
    trash = Trash(here.cache.folder.trash, sync=False)
    collect(here, new, trash=trash)
    (entry,) = trash.list()
    path = trash.folder / entry.id / "record.json"
    path.unlink() if record is None else path.write_bytes(record)
    count, size = undo_cache_gc(here.cache, trash)
    assert (count, size) == (len(entry.items), entry.size)
    assert here.files(old) == OLD
    assert here.files(new) == NEW
    assert all((here.cache.root / name).exists() for name in before if name.parts[0] in ("objects", "packs"))
    assert list(trash.list()) == []


def test_undo_without_the_record_leaves_what_nobody_knows(here):
    old, new = here.add(OLD), here.add(NEW)
    trash = Trash(here.cache.folder.trash, sync=False)
    collect(here, new, trash=trash)
    (entry,) = trash.list()
    folder = trash.folder / entry.id
    (folder / "record.json").write_bytes(b"{")
    (folder / "900").symlink_to("/etc/hostname")
    (folder / "901").mkdir()
    assert undo_cache_gc(here.cache, trash)[0] == len(entry.items)
    assert here.files(old) == OLD
    assert [item.name for one in trash.list() for item in one.items] == ["900", "901"]


def test_undo_lists_the_trash_once(here, monkeypatch):
    _, new = here.add(OLD), here.add(NEW)
    trash = Trash(here.folder / "trash", sync=False)
    collect(here, new, trash=trash)
    listed, plain = [], Trash.list
    monkeypatch.setattr(Trash, "list", lambda self: listed.append(self) or plain(self))
    assert undo_cache_gc(here.cache, trash)[0]
    assert len(listed) == 1


def test_3_3_a_plan_while_another_gc_takes_packs_away(here, monkeypatch):
    """The packs go one by one, each when the plan has just opened it."""
    _, new = here.add(OLD), here.add(NEW)
    trash = Trash(here.folder / "trash", sync=False)
    plain = Cache.packs

    def packs(self):
        for reader in plain(self):
            trash.put(Path(reader.where), reader.where, "another gc")
            yield reader

    monkeypatch.setattr(Cache, "packs", packs)
    assert plan_cache_gc(here.cache, roots_of(new), here.codec).packs


def test_all_goes_when_there_are_no_roots(here):
    here.add(OLD)
    single = here.add_file(b"1" * (1 << 20))
    assert collect(here, single).candidates == len(OLD) + 1
    assert here.files(single) == {"file": b"1" * (1 << 20)}
    collect(here)
    assert list(here.cache.objects()) == []
    assert list(here.cache.packs()) == []
    assert here.cache.folder.index_ids() == []


def test_a_root_of_unknown_kind_stands_for_what_it_reaches(here):
    old, new = here.add(OLD), here.add(NEW)
    single = here.add_file(b"just a file")
    roots = [GcRoot(old.root), GcRoot(new.root), GcRoot(single.root)]
    assert plan_cache_gc(here.cache, roots, here.codec).candidates == 0


def test_what_came_to_be_needed_since_the_plan_stays(here):
    old, new = here.add(OLD), here.add(NEW)
    plan = plan_cache_gc(here.cache, roots_of(new), here.codec)
    with here.cache.exclusive():
        done = apply_cache_gc(here.cache, plan, roots_of(old, new), here.codec, None)
    assert done.candidates == 0
    assert here.files(old) == OLD


def test_grace_spares_what_is_young(here):
    here.add(OLD)
    assert plan_cache_gc(here.cache, [], here.codec, grace=3600).candidates == 0


def test_a_version_that_is_not_here_is_told(here, clone):
    elsewhere = clone(MemoryRemote())
    absent = elsewhere.add(NEW)
    plan = plan_cache_gc(here.cache, roots_of(absent), here.codec)
    assert plan.unknown == [absent.root]


def test_a_damaged_node_stops_gc(here):
    version = here.add(OLD)
    place = here.cache.places("blake3", [version.root.raw])[version.root.raw]
    path = here.cache.folder.packs / place.pack
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(place.offset)
        file.write(b"xxxx")
    with pytest.raises(ObjectCorrupt):
        plan_cache_gc(here.cache, roots_of(version), here.codec)


def test_a_large_pack_with_little_dead_stays(here):
    files = {f"f{number}": random.Random(number).randbytes(100_000) for number in range(60)}
    version = here.add(files)
    fewer = here.add({name: data for name, data in files.items() if name != "f7"})
    plan = plan_cache_gc(here.cache, roots_of(fewer), here.codec)
    assert plan.objects() == [version.root], "only the old node goes"
