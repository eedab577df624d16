"""gc and verify of a remote whose listings are old: nothing that somebody needs goes, and nothing is called missing."""

import pytest
from gc_support import age

from kist.engine.gc.collect_remote import RemoteCollector
from kist.engine.gc.roots import GcRoot
from kist.engine.transfer.parts import TransferSettings
from kist.engine.transfer.remote_check import verify_remote
from kist.remotes.memory import MemoryRemote

KEEPER, OTHER = "keeper", "other"
OLD = {f"old{number}": b"old %d" % number for number in range(30)} | {"both": b"both", "big": b"B" * (2 << 20)}
NEW = {f"new{number}": b"new %d" % number for number in range(30)} | {"both": b"both"}


class Scene:
    """A keeper who collects, and another repository, over a store whose listings are old."""

    def __init__(self, clone, store, remote):
        self.clone, self.store, self.remote = clone, store, remote
        self.keeper, self.other = clone(remote), clone(remote)
        self.old, self.new = self.keeper.add(OLD), self.keeper.add(NEW)
        self.other.add(OLD)
        self.keeper.push(self.old, repository_id=KEEPER)
        self.keeper.push(self.new, bases=[self.old], repository_id=KEEPER)

    def collect(self):
        gc = RemoteCollector(self.keeper.store(), KEEPER, TransferSettings(self.keeper.codec))
        return gc.apply(gc.plan([GcRoot(self.new.root, is_directory=True)]))

    def pass_the_grace(self):
        self.remote.settle()
        age(self.store)
        self.remote.settle()

    def check(self, *versions):
        for version in versions:
            there = self.clone(self.store)
            there.fetch(version)
            assert there.files(version) == (OLD if version is self.old else NEW)
        assert not verify_remote(self.other.store(), versions, TransferSettings(self.other.codec)).bad


@pytest.fixture(params=[1, 5, 100])
def scene(clone, lagging, request):
    store = MemoryRemote()
    return Scene(clone, store, lagging(store, request.param))


def test_5_gc_by_a_listing_that_lags_spares_what_others_need(scene):
    scene.other.push(scene.old, repository_id=OTHER)
    scene.collect()  # the other one's ref may not be listed yet: the version may be condemned, and that is all
    scene.check(scene.old, scene.new)
    scene.pass_the_grace()
    scene.collect()
    scene.check(scene.old, scene.new)


def test_5_gc_by_a_listing_that_lags_spares_what_was_put_again(scene):
    scene.remote.settle()
    scene.collect()
    scene.pass_the_grace()
    scene.other.push(scene.old, repository_id=OTHER)
    scene.collect()  # due, and neither marker nor ref of the new push is listed as new
    scene.check(scene.old, scene.new)
    scene.pass_the_grace()
    scene.collect()
    scene.check(scene.old, scene.new)


def test_5_gc_deletes_in_the_end(scene):
    for _ in range(3):
        scene.collect()
        scene.pass_the_grace()
    assert f"roots/blake3/{scene.old.root.hex}" not in scene.store.objects
    scene.check(scene.new)
