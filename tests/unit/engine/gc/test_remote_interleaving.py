"""gc of a remote against push: one runs whole between any two calls of the other, and nothing that lives is lost."""

from __future__ import annotations

import pytest
from crossing import crossed

from kist.engine.gc.collect_remote import RemoteCollector
from kist.engine.transfer.gc_guard import GcGuard
from kist.engine.transfer.remote_store import GRACE

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
    patch.setattr(GcGuard, "check_standing", lambda _self, _keys: None)


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
