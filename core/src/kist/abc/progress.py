"""Progress: how long work tells how far it is."""

from __future__ import annotations


class Progress:
    """Receives progress; every method may be called from any thread.

    The base class ignores everything, so an implementation overrides what it shows.
    """

    def start(self, phase: str, *, total: int | None = None, unit: str = "B") -> None:
        """A phase begins.

        Args:
            phase: what is done, e.g. ``hash``.
            total: how much there is, in *unit*, None where unknown.
            unit: ``B`` for bytes, else a plural noun such as ``files``.
        """

    def advance(self, amount: int) -> None:
        """*amount* more of the phase's unit is done; an exception raised here aborts the work."""

    def message(self, text: str) -> None:
        """Something worth a line, such as "waiting for the lock"."""

    def finish(self) -> None:
        """The phase has ended, well or not."""


class NullProgress(Progress):
    """Shows nothing."""
