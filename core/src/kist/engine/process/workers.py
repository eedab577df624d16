"""Workers: calls to a remote through an executor, as many at once as the remote bears."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from kist.abc.executor import Executor
from kist.abc.progress import Progress
from kist.engine.process.load import Load
from kist.errors import KistError, RemoteUnavailable
from kist.util.slotted import slotted

A = TypeVar("A")
B = TypeVar("B")

FIRST_LIMIT = 4
"""Calls in flight at the start."""

PATIENCE = 1.5
"""Seconds that running calls get to end after an interruption."""

IDLE = 0.2
"""Seconds after which a lane that has nothing to do gives its worker back: another run may wait for it."""


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
    """Runs calls to a remote, a bounded number at once.

    Starts with few calls in flight, adds one for every round that went well, and halves when the remote answers that it
    is overloaded, also when the retry policy hid that from the caller. Repeats nothing: that is the retry policy's
    part. Where the calls run is the executor's part.

    Args:
        executor: runs them, in this process.
        most: most calls in flight, as configured and as the remote bears them.
        load: the memory that calls may take, and the refusals of the remote.

    Attributes:
        limit: calls in flight allowed at the moment.
    """

    def __init__(self, executor: Executor, most: int, load: Load | None = None) -> None:
        self.most = max(1, min(executor.jobs, most))
        self.limit = min(FIRST_LIMIT, self.most)
        self._executor = executor
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
            function: called by the executor's workers; a KistError is a result, anything else is raised here.
            items: taken as needed, in this thread.
            weigh: bytes that an item and its result hold in memory; None: too few to count.
            most: tells how many items may be in flight at the moment, beside the limit; at least one.
        """
        queue = _Queue(items, weigh, self._load)
        lanes = _Lanes(self._executor, function, self._here, self.most)
        try:
            while True:
                while (
                    len(queue.flying) < min(self.limit, most() if most else self.limit)
                    and (flight := queue.next()) is not None
                ):
                    lanes.give(flight, len(queue.flying))
                if not queue.flying:
                    lanes.end()
                    return
                flight, result = lanes.take()
                self._adapt(result)
                if isinstance(result, BaseException) and not isinstance(result, KistError):
                    raise result
                queue.arrived(flight)
                yield flight.item, result
        finally:
            if queue.flying:
                lanes.stop.set()
            queue.close()
            lanes.close()

    def _adapt(self, result: object) -> None:
        refusals = self._load.refusals
        if isinstance(result, RemoteUnavailable) or refusals != self._refusals:
            self._refusals = refusals
            self.limit, self._good = max(1, self.limit // 2), 0
            return
        self._good += 1
        if self._good >= self.limit:
            self.limit, self._good = min(self.most, self.limit + 1), 0


class _Lanes(Generic[A, B]):
    """What an executor is given of one run: lanes, each of which works off what waits, whoever gave it.

    Not the items themselves: an executor gives results in order, so one slow call would hold up, and keep in memory,
    all that were ready behind it. An executor is driven by a thread of ours, for it gives results only to who waits
    for them, and nobody may wait while items are still to be given.

    Args:
        executor: runs the lanes.
        function: what they call.
        here: tells each worker, while it serves a lane, whether the run was given up.
        most: lanes at most.

    Attributes:
        stop: set when the run is given up.
    """

    def __init__(self, executor: Executor, function: Callable[[A], B], here: threading.local, most: int) -> None:
        self.stop = threading.Event()
        self._executor, self._function, self._here = executor, function, here
        self._most, self._open = most, 0
        self._lock = threading.Lock()
        self._tasks: SimpleQueue[_Flight[A] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[_Flight[A], B | BaseException] | BaseException] = SimpleQueue()
        self._drivers: list[threading.Thread] = []

    def give(self, flight: _Flight[A], flying: int) -> None:
        """Let a lane take an item; *flying* of them are in flight now."""
        more = 0
        with self._lock:
            self._tasks.put(flight)
            if flying > self._open:
                more = min(self._open or 1, self._most - self._open)  # twice as many: few maps, few idle lanes
                self._open += more
        if more > 0:
            # A daemon, so that a call which hangs cannot keep the process from ending.
            driver = threading.Thread(target=self._drive, args=(more,), name="kist-transfer", daemon=True)
            driver.start()
            self._drivers.append(driver)

    def take(self) -> tuple[_Flight[A], B | BaseException]:
        """Wait for an item's result.

        Raises:
            BaseException: what the executor raised.
        """
        found = self._results.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def end(self) -> None:
        """End the lanes, when nothing is in flight.

        Raises:
            BaseException: what the executor raised although all is done.
        """
        self.close()
        if not self._results.empty():
            self.take()

    def close(self) -> None:
        """End the lanes; what still runs after an interruption gets a moment, no more."""
        for _ in range(self._open):
            self._tasks.put(None)
        deadline = time.monotonic() + PATIENCE
        while self._drivers:
            self._drivers.pop().join(max(0.0, deadline - time.monotonic()))

    def _drive(self, count: int) -> None:
        try:
            for _ in self._executor.map(self._work, range(count)):
                pass
        except BaseException as exc:
            self._results.put(exc)

    def _work(self, lane: int) -> int:
        """One lane, in a worker of the executor."""
        self._here.stop = self.stop
        while (flight := self._next()) is not None:
            try:
                if self.stop.is_set():
                    raise Stopped
                self._results.put((flight, self._function(flight.item)))
            except BaseException as exc:
                self._results.put((flight, exc))
        return lane

    def _next(self) -> _Flight[A] | None:
        """What this lane does next; None: it ends."""
        while True:
            with suppress(Empty):
                return self._tasks.get(timeout=IDLE)
            with self._lock:
                if self._tasks.empty():
                    self._open -= 1
                    return None


@slotted(eq=False)
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
