"""Workers: threads for the network whose number follows what the remote bears."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from kist.abc.progress import Progress
from kist.engine.process.load import Load
from kist.errors import KistError, RemoteUnavailable

A = TypeVar("A")
B = TypeVar("B")

FIRST_LIMIT = 4
"""Calls in flight at the start."""

PATIENCE = 1.5
"""Seconds that running calls get to end after an interruption."""


class Stopped(Exception):
    """Raised inside a worker by the progress it reports to, after the transfer was stopped."""


class StoppableProgress(Progress):
    """Passes progress on from worker threads, one at a time, and ends calls that were stopped.

    Args:
        outer: who wants to know.
        stopped: tells whether the run that the calling thread works for was given up.
    """

    def __init__(self, outer: Progress, stopped: Callable[[], bool]) -> None:
        self._outer = outer
        self._stopped = stopped
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        """Pass on, unless stopped."""
        if self._stopped():
            raise Stopped
        with self._lock:
            self._outer.advance(amount)


class Workers:
    """Runs calls to a remote in a bounded number of threads.

    Starts with few calls in flight, adds one for every round that went well, and halves when the remote answers that it
    is overloaded, also when the retry policy hid that from the caller. Repeats nothing: that is the retry policy's
    part. Threads are daemons, so that a call which hangs cannot keep the process from ending.

    Args:
        jobs: most calls in flight, as configured.
        max_concurrency: most calls that the remote bears.
        load: the memory that calls may take, and the refusals of the remote.

    Attributes:
        limit: calls in flight allowed at the moment.
    """

    def __init__(self, jobs: int, max_concurrency: int, load: Load | None = None) -> None:
        self.most = max(1, min(jobs, max_concurrency))
        self.limit = min(FIRST_LIMIT, self.most)
        self._load = load or Load()
        self._here = threading.local()
        self._refusals = self._load.refusals
        self._good = 0

    def refusals(self) -> int:
        """How often a call to the remote failed in a way that may pass, also where the retry policy hid that."""
        return self._load.refusals

    def progress(self, outer: Progress) -> StoppableProgress:
        """A progress for the calls of any run, which ends those whose run was given up."""
        return StoppableProgress(outer, lambda: hasattr(self._here, "stop") and self._here.stop.is_set())

    def run(
        self,
        function: Callable[[A], B],
        items: Iterable[A],
        *,
        weigh: Callable[[A], int] | None = None,
        most: Callable[[], int] | None = None,
    ) -> Iterator[tuple[A, B | KistError]]:
        """Call *function* for each item and yield pairs of item and result as they come.

        At most ``limit`` items are in flight, those included whose result was not taken yet, and no more than the
        process's memory bears, so memory stays bounded.

        Args:
            function: called in threads; a KistError is a result, anything else is raised here.
            items: taken as needed, in this thread.
            weigh: bytes that an item and its result hold in memory; None: too few to count.
            most: tells how many items may be in flight at the moment, beside the limit; at least one.
        """
        tasks: SimpleQueue[_Flight[A] | None] = SimpleQueue()
        results: SimpleQueue[tuple[_Flight[A], B | BaseException]] = SimpleQueue()
        threads: list[threading.Thread] = []
        queue = _Queue(items, weigh, self._load)
        stop = threading.Event()
        try:
            while True:
                while (
                    len(queue.flying) < min(self.limit, most() if most else self.limit)
                    and (flight := queue.next()) is not None
                ):
                    tasks.put(flight)
                    self._hire(threads, len(queue.flying), function, tasks, results, stop)
                if not queue.flying:
                    return
                flight, result = results.get()
                self._adapt(result)
                if isinstance(result, BaseException) and not isinstance(result, KistError):
                    raise result
                queue.arrived(flight)
                yield flight.item, result
        finally:
            if queue.flying:
                stop.set()
            queue.close()
            self._dismiss(threads, tasks)

    def _hire(
        self,
        threads: list[threading.Thread],
        wanted: int,
        function: Callable[[A], B],
        tasks: SimpleQueue[_Flight[A] | None],
        results: SimpleQueue[tuple[_Flight[A], B | BaseException]],
        stop: threading.Event,
    ) -> None:
        """Start a thread if there are fewer than calls in flight."""
        if len(threads) >= wanted:
            return

        def work() -> None:
            self._here.stop = stop
            while (flight := tasks.get()) is not None:
                try:
                    if stop.is_set():
                        raise Stopped
                    results.put((flight, function(flight.item)))
                except BaseException as exc:
                    results.put((flight, exc))

        thread = threading.Thread(target=work, name="kist-transfer", daemon=True)
        thread.start()
        threads.append(thread)

    def _adapt(self, result: object) -> None:
        refusals = self._load.refusals
        if isinstance(result, RemoteUnavailable) or refusals != self._refusals:
            self._refusals = refusals
            self.limit, self._good = max(1, self.limit // 2), 0
            return
        self._good += 1
        if self._good >= self.limit:
            self.limit, self._good = min(self.most, self.limit + 1), 0

    def _dismiss(self, threads: list[threading.Thread], tasks: SimpleQueue[Any]) -> None:
        """End the threads; what still runs after an interruption gets a moment, no more."""
        for _ in threads:
            tasks.put(None)
        deadline = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


@dataclass(eq=False, slots=True)
class _Flight(Generic[A]):
    """One item in flight, and the bytes that are reserved for it."""

    item: A
    weight: int


class _Queue(Generic[A]):
    """Hands out items as far as the memory of the process bears them."""

    def __init__(self, items: Iterable[A], weigh: Callable[[A], int] | None, load: Load) -> None:
        self._source = iter(items)
        self._weigh = weigh
        self._memory = load.memory
        self._waiting: _Flight[A] | None = None
        self._arrived = 0
        self.flying: set[_Flight[A]] = set()

    def next(self) -> _Flight[A] | None:
        """The next item, None if there is none or it must wait until another one arrives."""
        self._settle()
        if self._waiting is None:
            try:
                item = next(self._source)
            except StopIteration:
                return None
            self._waiting = _Flight(item, self._weigh(item) if self._weigh is not None else 0)
        flight = self._waiting
        if flight.weight and not self._memory.take(flight.weight, anyway=not self.flying):
            return None
        self._waiting = None
        self.flying.add(flight)
        return flight

    def arrived(self, flight: _Flight[A]) -> None:
        """The item's result is handed out; what it holds in memory is free when the next one is asked for."""
        self.flying.remove(flight)
        self._arrived = flight.weight

    def close(self) -> None:
        """Give back all that is reserved."""
        self._settle()
        self._memory.give(sum(flight.weight for flight in self.flying))

    def _settle(self) -> None:
        self._memory.give(self._arrived)
        self._arrived = 0
