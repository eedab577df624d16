"""What keeps a push from a false marker while gc of the remote crosses it, however long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from kist.engine.process.workers import Workers
from kist.engine.transfer.objects import root_key
from kist.engine.transfer.published import DELETING, Condemned, Published, set_key
from kist.engine.transfer.push_plan import PushPlan
from kist.engine.transfer.push_side import PushState
from kist.engine.transfer.remote_store import RemoteStore
from kist.errors import KistError, RemoteObjectNotFound, RemotePrecondition
from kist.model.digest import Digest


class GcGuard:
    """Looks whether what a push relies on stays, before and after it says so in a marker.

    A gc that deletes a key has named it in the list of condemned keys for the whole grace, and then read all markers.
    So a marker that is written soon after the list was read holds without another look. One that is written later, by
    a push that took long or on a machine that slept, is based on a new reading.

    Args:
        store: the remote.
        workers: run the calls.
        plan: what the push does; its ``condemned`` is what was read last.
        state: what it has sent.
    """

    def __init__(self, store: RemoteStore, workers: Workers, plan: PushPlan, state: PushState) -> None:
        self._store = store
        self._workers = workers
        self._plan = plan
        self._state = state
        self._first = plan.condemned

    def check(self) -> None:
        """Base no marker on old knowledge of what gc means to delete, nor on what it deleted meanwhile.

        Raises:
            RemotePrecondition: gc crossed this push; running it again sends what is missing.
        """
        if self._plan.condemned.stale:
            self._read_again()
        else:
            self.check_standing(self._state.resent)

    def check_again(self, markers: Iterable[Published], roots: Sequence[Digest]) -> None:
        """Look once more if writing them took long, and take them back if they do not hold.

        Args:
            markers: the markers that were written.
            roots: the versions of the set that was written, none if there was none.

        Raises:
            RemotePrecondition: gc crossed this push; running it again sends what is missing.
        """
        if not self._plan.condemned.stale:
            return
        try:
            self._read_again()
        except RemotePrecondition:
            if roots:
                self._store.remote.delete(set_key(roots))
            for marker in markers:
                (root,) = marker.roots
                if self._store.read_marker(root) == marker:
                    self._store.remote.delete(root_key(root))
            raise

    def check_standing(self, keys: Iterable[str]) -> None:
        """Make sure that what was put under condemned keys stays: no gc may delete it that looked before it was put.

        Such a gc has said so in the list of condemned keys before it looked, so who reads the list after a put knows.

        Args:
            keys: what was put; those that were not condemned do not matter.

        Raises:
            RemotePrecondition: it is gone, or may go.
        """
        doomed = [key for key in keys if key in self._plan.condemned]
        if doomed:
            now = max(self._written(doomed).values())
            self._refuse_going(self._store.read_condemned(again=True), doomed, now)

    def _read_again(self) -> None:
        """Prove again that what the markers rely on is there and stays until they are written."""
        known = self._store.read_condemned(again=True)
        relied, believed = self._relied()
        if known.collected != self._first.collected:  # what has gone already stands in no list
            self._written(sorted(relied))
            self._prove(believed)
        doomed = sorted(key for key in relied if key in known)
        written = self._written(doomed)
        if doomed:
            self._refuse_going(known, doomed, max(written.values()))
        if self._first.age > known.grace / 2 and any(written[key] < known.keys[key] for key in doomed):
            raise self._crossed()  # condemned since the first reading, it may be due at any moment
        self._plan.condemned = known

    def _relied(self) -> tuple[set[str], dict[Digest, Published]]:
        """The keys that the markers rely on, and the markers of others that prove all below them."""
        plan = self._plan
        indexes = {f"index/{name}" for side in plan.sides for name in side.proven.names}
        believed = {
            root: one
            for root, one in plan.evidence.items()
            if root in plan.published or not indexes.isdisjoint(one.index_keys())
        }
        markers = {key for root, one in plan.published.items() for key in (root_key(root), *one.index_keys())}
        return indexes | markers | set(self._state.relied), believed

    def _prove(self, believed: dict[Digest, Published]) -> None:
        """Read markers again that told where objects lie: gc may have replaced their indexes and deleted objects."""
        told: set[str] = set()
        needed = {f"index/{name}" for side in self._plan.sides for name in side.proven.names}
        for root, result in self._workers.run(self._store.read_marker, believed):
            if isinstance(result, KistError):
                raise result
            if result is not None:
                told.update(result.index_keys())
            elif root in self._plan.published:
                raise self._crossed()
        if not needed <= told:
            raise self._crossed()

    def _written(self, keys: Sequence[str]) -> dict[str, float]:
        """When keys were last written, UTC seconds by the remote's clock.

        Raises:
            RemotePrecondition: one is gone.
        """
        written: dict[str, float] = {}
        for key, result in self._workers.run(self._store.remote.stat, keys):
            if isinstance(result, RemoteObjectNotFound):
                raise self._crossed()
            if isinstance(result, KistError):
                raise result
            written[key] = result.mtime or time.time()
        return written

    def _refuse_going(self, condemned: Condemned, doomed: Iterable[str], now: float) -> None:
        if not condemned.going(now).keys().isdisjoint(doomed):
            raise self._crossed()

    def _crossed(self) -> RemotePrecondition:
        hint = f"run the push again when it has ended; if it was killed, wait {DELETING / 60:.0f} minutes"
        name = self._store.name
        return RemotePrecondition(f"gc ran on {name} at the same time", hint=hint, remote=name)
