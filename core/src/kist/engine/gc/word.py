"""gc's word that it deletes some keys of a remote from now on."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from kist.engine.transfer.published import DELETING
from kist.engine.transfer.remote_store import Condemned, RemoteStore
from kist.util import clock
from kist.util.slotted import replace


class Word:
    """gc's word that it deletes some keys from now on, in the list of condemned keys.

    A remote cannot be asked to delete what was not put again since we looked. So we say first what will go, then look:
    a push puts first and reads the list then, so that one of the two sees the other.

    Args:
        store: the remote.
        condemned: the list, with all keys that are condemned and what another gc said.
        due: what is deleted.
        now: the remote's time.
    """

    def __init__(self, store: RemoteStore, condemned: Condemned, due: Sequence[str], now: float) -> None:
        self._store, self._condemned, self._due = store, condemned, due
        self._now, self._began = now, clock.steady()
        self._lock = threading.Lock()
        self._give(0.0)

    def _give(self, passed: float) -> None:
        self._given = clock.steady()
        deleting = {**self._condemned.deleting, **dict.fromkeys(self._due, self._now + passed)}
        self._store.write_condemned(replace(self._condemned, deleting=deleting))

    @property
    def holds(self) -> bool:
        """Whether nobody can take us for dead yet, and for some time to come."""
        return clock.steady() - self._given <= DELETING / 2

    def keep(self) -> None:
        """Give it again before anybody could take us for dead; called before each key."""
        with self._lock:
            if clock.steady() - self._given > DELETING / 3:
                self._give(clock.steady() - self._began)
