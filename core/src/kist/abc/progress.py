"""Progress: how long work tells how far it is."""

from __future__ import annotations


class Progress:
    """Receives progress; every method may be called from any thread.

    The base class ignores everything, so an implementation overrides what it shows.

    Attributes:
        total_after: seconds after which a total is wanted that must be found out beside the work itself; None if it
            is not worth that.
    """

    total_after: float | None = None

    def start(self, phase: str, *, total: int | None = None, unit: str = "B") -> None:
        """A phase begins.

        Args:
            phase: what is done, e.g. ``hash``.
            total: how much there is, in *unit*, None where unknown.
            unit: ``B`` for bytes, else a plural noun such as ``files``.
        """

    def expect(self, total: int) -> None:
        """How much there is in the phase, where that became known only after its start."""

    def advance(self, amount: int) -> None:
        """*amount* more of the phase's unit is done; an exception raised here aborts the work."""

    def message(self, text: str) -> None:
        """Something worth a line, such as "waiting for the lock"."""

    def finish(self) -> None:
        """The phase has ended, well or not."""


class NullProgress(Progress):
    """Shows nothing."""
