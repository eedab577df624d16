"""Executor: runs many independent pieces of work.

What you write: a module with a ``kist_make_executor`` hook that returns your Executor for its name, and an entry
point ``<name> = "<module>"`` in the group ``kist.executors``. Check it with ``kist.testing.ExecutorContract``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Executor(ABC):
    """Runs a function over many items, perhaps in several processes or threads.

    Several maps may be under way at a time, asked for from several threads.

    Attributes:
        jobs: how many run at once, at least 1.
        shares_memory: whether calls run in this process, and so may use its connections and locks; where not, it is
            given only work that can be sent elsewhere.
    """

    jobs: int
    shares_memory: bool = True

    @abstractmethod
    def map(
        self, function: Callable[[A], B], items: Iterable[A], *, on_error: Callable[[A, Exception], B] | None = None
    ) -> Iterator[B]:
        """Yield ``function(item)`` for each item, in their order, lazily, with at most ``2 * jobs`` in flight.

        Args:
            function: may need to be importable from another process.
            items: taken as needed.
            on_error: makes the result for an item whose call raised; None: the exception is raised here and no
                further item is started.
        """

    @abstractmethod
    def close(self) -> None:
        """End workers; what is running is finished. May be called twice."""


class InLine(Executor):
    """The executor without workers: does each call when its result is asked for, in the thread that asks."""

    jobs = 1

    def map(
        self, function: Callable[[A], B], items: Iterable[A], *, on_error: Callable[[A, Exception], B] | None = None
    ) -> Iterator[B]:
        """Yield ``function(item)`` for each item, one at a time."""
        for item in items:
            try:
                result = function(item)
            except Exception as exc:
                if on_error is None:
                    raise
                result = on_error(item, exc)
            yield result

    def close(self) -> None:
        """There are no workers."""
