"""gc of a remote against push: one runs whole between any two calls of the other, and nothing that lives is lost."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress

import pytest
from gc_support import age

from kist.engine.gc.collect_remote import RemoteCollector
from kist.engine.gc.reach import GcRoot
from kist.engine.transfer import published, push_side, segments
from kist.engine.transfer.parts import TransferSettings
from kist.engine.transfer.push import Push
from kist.engine.transfer.remote_store import GRACE
from kist.errors import KistError, ObjectMissing, RemotePrecondition, TransferError
from kist.remotes.memory import MemoryRemote

KEEPER, OTHER = "keeper", "other"
LARGE, SEGMENTED = 3 << 10, 5 << 10
OLD = {f"old{number}": b"old %d" % number for number in range(9)} | {"both": b"both", "large": b"L" * LARGE}
OLD |= {"segmented": bytes(range(256)) * (SEGMENTED // 256)}
NEW = {f"new{number}": b"new %d" % number for number in range(9)} | {"both": b"both"}
FRESH = {"fresh": b"fresh", "both": b"both", "old1": OLD["old1"], "large": OLD["large"]}
REPEATS = 4
"""How often a push that gc crossed is repeated at most: each crossing needs a gc that ends within it."""


@pytest.fixture(autouse=True)
def small_objects(monkeypatch):
    """Objects of some KiB lie by themselves, and in segments."""
    from kist.engine.transfer import remote_store

    monkeypatch.setattr(remote_store, "PACK_THRESHOLD", 2 << 10)
    monkeypatch.setattr(push_side, "SEGMENTED_FROM", 4 << 10)
    monkeypatch.setattr(segments, "segment_size", lambda size: 2 << 10)


class Clock:
    """The monotonic clock of whoever pushes, which a test moves on."""

    def __init__(self, monkeypatch):
        self.ahead = 0.0
        plain = time.monotonic
        monkeypatch.setattr(published.time, "monotonic", lambda: plain() + self.ahead)


class Scene:
    """A remote on which a keeper collects, and other repositories that push."""

    def __init__(self, clone, monkeypatch):
        self.monkeypatch = monkeypatch
        self.clock = Clock(monkeypatch)
        self.clone = clone
        self.objects = {}
        self.hook = None
        self.left = self.tried = 0
        self.losses: list[tuple] = []
        self.keeper = clone(MemoryRemote(self.objects, gate=self._gate), pack_threshold=2 << 10)
        self.other = clone(MemoryRemote(self.objects, gate=self._gate), pack_threshold=2 << 10)
        self.new, self.old = self.keeper.add(NEW), self.keeper.add(OLD)
        self.versions = {name: self.other.add(files) for name, files in (("old", OLD), ("fresh", FRESH), ("new", NEW))}

    def _gate(self, _method):
        """Called before each call of the one that is interrupted; the other one's calls do not count."""
        if self.hook is None:
            return
        self.left -= 1
        if not self.left:
            hook, self.hook = self.hook, None
            hook()

    @contextmanager
    def interrupted(self, at, hook):
        """Run *hook* before the call number *at* of what follows; afterwards ``hook`` is None if it ran."""
        self.hook, self.left = hook, at
        yield

    def old_is_dead(self, *, condemned=None):
        """What is on the remote: NEW living; OLD pushed once and needed by nobody, condemned for some seconds."""
        self.keeper.push(self.old, repository_id=KEEPER, jobs=1)
        self.keeper.push(self.new, bases=[self.old], repository_id=KEEPER, jobs=1)
        if condemned is not None:
            age(self.keeper.remote, 60)
            self.collect()
            age(self.keeper.remote, condemned)
        self.saved = dict(self.objects)

    def restore(self):
        """The same remote again; who pushes remembers nothing of it but that it is there."""
        self.objects.clear()
        self.objects.update(self.saved)
        self.clock.ahead, self.hook = 0.0, None
        self.other.store().hints.clear()

    def collect(self):
        gc = RemoteCollector(self.keeper.store(), KEEPER, TransferSettings(self.keeper.codec, 1))
        return gc.apply(gc.plan([GcRoot(self.new.root, is_directory=True)]))

    def push(self, name):
        self.other.push(self.versions[name], bases=[self.new], repository_id=OTHER, jobs=1)

    def push_until_done(self, name):
        """Push as a person does: again, if it says so."""
        for _ in range(REPEATS):
            try:
                return self.push(name)
            except (RemotePrecondition, TransferError, ObjectMissing):
                continue
        return self.push(name)

    def lost(self, *names):
        """Which versions cannot be had from the remote, now and after everything that is condemned has gone."""
        found = []
        for looked_at in (names[:1], names):
            for name in looked_at:
                there = self.clone(MemoryRemote(self.objects), memory=False, pack_threshold=2 << 10)
                try:
                    there.fetch(self.versions[name], jobs=1)
                except KistError as error:
                    found.append((name, error))
            age(self.keeper.remote)
            try:
                self.collect()
            except ObjectMissing as error:
                found.append(("gc", error))
                break
        return found


@pytest.fixture
def scene(clone, monkeypatch):
    return Scene(clone, monkeypatch)


STATES = {"never condemned": None, "condemned now": 0.0, "due": GRACE + 10}
PUSHED = ["old", "fresh"]


def gc_inside_push(scene, name, at):
    """A push with a whole gc before one of its calls."""
    with scene.interrupted(at, scene.collect), crossed():
        scene.push(name)
    if scene.hook is None:
        scene.push_until_done(name)


def push_inside_gc(scene, name, at):
    """A gc with a whole push before one of its calls; a push that is told to wait for it is repeated afterwards."""

    def push():
        with crossed():
            done.append(scene.push(name))

    done: list[None] = []
    with scene.interrupted(at, push):
        scene.collect()
    if scene.hook is None and not done:
        scene.push_until_done(name)


def all_interleavings(scene, way, name, *, until_lost=False):
    """(how many were tried, what was lost)."""
    scene.tried, scene.losses, at = 0, [], 1
    while not (until_lost and scene.losses):
        scene.restore()
        way(scene, name, at)
        if scene.hook is not None:  # it has fewer calls: all were tried
            break
        scene.tried += 1
        scene.losses += [(at, *one) for one in scene.lost(name, "new")]
        at += 1
    return scene.tried, scene.losses


@contextmanager
def crossed():
    """A push that gc crossed may say so; it is repeated."""
    with suppress(RemotePrecondition, TransferError):
        yield


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", PUSHED)
@pytest.mark.parametrize("way", [gc_inside_push, push_inside_gc])
def test_nothing_is_lost(scene, way, name, state, record_property):
    scene.old_is_dead(condemned=STATES[state])
    tried, lost = all_interleavings(scene, way, name)
    record_property("figures", f"{way.__name__}, {name}, {state}: {tried} interleavings, {len(lost)} lost")
    assert tried >= 5
    assert lost == []


# ── what the test must catch ─────────────────────────────────────────────────────────────────────────────────────────


def ignores_refs(patch, _scene):
    """A gc that knows its own versions only."""
    patch.setattr(RemoteCollector, "_living_roots", lambda _self, keep, _listed: list(keep))


def deletes_without_a_look(patch, _scene):
    """A gc that does not look whether a key was put again since it was condemned."""

    def delete_one(self, since, word, key):
        self._store.remote.delete(key)
        return True

    patch.setattr(RemoteCollector, "_delete_one", delete_one)


def does_not_ask_again(patch, _scene):
    """A push that does not read, at its end, what gc is about to delete."""
    patch.setattr(Push, "_check_standing", lambda _self, _keys: None)


MUTANTS = {
    ignores_refs: ("push_inside_gc", "never condemned"),
    deletes_without_a_look: ("push_inside_gc", "due"),
    does_not_ask_again: ("push_inside_gc", "due"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_what_is_broken_is_caught(scene, mutant, monkeypatch):
    way, state = MUTANTS[mutant]
    scene.old_is_dead(condemned=STATES[state])
    mutant(monkeypatch, scene)
    assert all_interleavings(scene, globals()[way], "old", until_lost=True)[1]
