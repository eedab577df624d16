"""A push that outlasts the grace while two gcs of the remote cross it: no marker names what the second one deleted."""

from __future__ import annotations

import os

import pytest

from kist.engine.transfer.gc_guard import GcGuard
from kist.engine.transfer.remote_store import GRACE, RemoteStore
from kist.errors import ObjectMissing, RemotePrecondition, TransferError
from kist.util.slotted import replace

LONG = GRACE + 10
EVERY = 1 if os.environ.get("KIST_DAMAGE") == "whole" else 9
"""An ordinary run tries one pair of calls of some."""

STATES = {"never condemned": None, "condemned now": 0.0, "due": LONG}


def slow_push(scene, name, first, second, waits):
    """A push with a gc before its call *first* and one before *second*; in between more than the grace passes.

    Returns:
        whether it came to both calls.
    """

    def begin():
        scene.collect()
        if waits == "at once":
            scene.pass_time(LONG)
        if second == first:
            end()
        else:
            scene.hook, scene.left = end, second - first

    def end():
        ended.append(True)
        if waits != "at once":
            scene.pass_time(LONG)
        scene.collect()

    ended: list[bool] = []
    with scene.interrupted(first, begin):
        try:
            scene.push(name)
        except (RemotePrecondition, TransferError, ObjectMissing):
            scene.hook = None
            scene.push_until_done(name)
    return bool(ended)


def all_pairs(scene, name, waits, *, every=1, until_lost=False):
    """(how many were tried, what was lost); of *every* so many pairs of calls one is tried."""
    scene.tried, scene.losses, first = 0, [], 1
    while True:
        second = first
        while True:
            scene.restore()
            if not slow_push(scene, name, first, second, waits):
                break
            scene.tried += 1
            scene.losses += [(first, second, *one) for one in scene.lost(name, "new")]
            if until_lost and scene.losses:
                return scene.tried, scene.losses
            second += every
        if second == first:  # the push has fewer calls: all pairs were tried
            return scene.tried, scene.losses
        first += 1 if every == 1 else 2


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ["old", "fresh"])
@pytest.mark.parametrize("waits", ["at once", "at last"])
def test_1_1_two_collections_in_one_push_lose_nothing(scene, name, waits, state, record_property):
    scene.old_is_dead(condemned=STATES[state])
    tried, lost = all_pairs(scene, name, waits, every=EVERY)
    record_property("figures", f"two gcs in a push of {name}, {state}, {waits}: {tried} pairs, {len(lost)} lost")
    assert tried >= 5
    assert lost == []


# ── what the test must catch ─────────────────────────────────────────────────────────────────────────────────────────


def goes_by_what_it_read_first(patch):
    """A push that never reads the list of condemned keys again, however long it took."""
    patch.setattr(GcGuard, "check", lambda self: self.check_standing(self._state.resent))
    patch.setattr(GcGuard, "check_again", lambda _self, _markers, _roots: None)


def does_not_look_afterwards(patch):
    """A push that looks before it writes its marker only."""
    patch.setattr(GcGuard, "check_again", lambda _self, _markers, _roots: None)


def does_not_ask_what_was_deleted(patch):
    """A push that reads the list again, where what is gone already does not stand."""
    _reads(patch, collected=None)


def counts_the_grace_to_the_end(patch):
    """A push that does not care for how long what it relies on has been condemned."""
    _reads(patch, grace=10 * LONG)


def _reads(patch, **false):
    plain = RemoteStore.read_condemned
    patch.setattr(RemoteStore, "read_condemned", lambda self, **options: replace(plain(self, **options), **false))


MUTANTS = {
    goes_by_what_it_read_first: ("fresh", "never condemned", "at last"),
    does_not_look_afterwards: ("fresh", "never condemned", "at last"),
    does_not_ask_what_was_deleted: ("fresh", "never condemned", "at once"),
    counts_the_grace_to_the_end: ("fresh", "never condemned", "at once"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_what_is_broken_is_caught(scene, mutant, monkeypatch):
    name, state, waits = MUTANTS[mutant]
    scene.old_is_dead(condemned=STATES[state])
    mutant(monkeypatch)
    assert all_pairs(scene, name, waits, until_lost=True)[1]
