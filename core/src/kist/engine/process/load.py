"""Load: what the transfers of a process hold in memory, and how often remotes asked for less."""

from __future__ import annotations

import threading

MEMORY = 128 << 20
"""Bytes that all transfers of a process hold in memory at once, unless configured."""


class MemoryBudget:
    """Bytes in flight, shared by all transfers of a process.

    Args:
        total: how many may be in flight.
    """

    def __init__(self, total: int = MEMORY) -> None:
        self._total = total
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, amount: int, *, anyway: bool = False) -> bool:
        """Reserve *amount* bytes.

        Args:
            amount: bytes.
            anyway: take them even if they are too many: who holds nothing must be able to go on.

        Returns:
            Whether they were reserved.
        """
        with self._lock:
            if not anyway and self._taken + amount > self._total:
                return False
            self._taken += amount
            return True

    def give(self, amount: int) -> None:
        """Give *amount* reserved bytes back."""
        with self._lock:
            self._taken -= amount

    @property
    def taken(self) -> int:
        """Bytes reserved now."""
        return self._taken


class Load:
    """What workers of one remote watch: the process's memory, and refusals that retries have hidden from them.

    Args:
        memory: shared by all transfers of the process.

    Attributes:
        refusals: how often a call to the remote failed for lack of a connection or because of too much load.
    """

    def __init__(self, memory: MemoryBudget | None = None) -> None:
        self.memory = memory or MemoryBudget()
        self.refusals = 0

    def refused(self) -> None:
        """Note a refusal; called from any thread, and one lost in a race is as good as two."""
        self.refusals += 1
