"""Workers: threads for the network whose number follows what the remote bears.."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

from kist.abc.progress import Progress
from kist.errors import KistError, RemoteUnavailable

A = TypeVar("A")
B = TypeVar("B")

FIRST_LIMIT = 4
"""Calls in flight at the start."""

ATTEMPTS = 3
"""How often one item is tried while the remote answers that it is not available."""

LONGEST_WAIT = 60.0
"""Seconds that are waited at most because a remote asked for it."""

PATIENCE = 1.5
"""Seconds that running calls get to end after an interruption."""


class Stopped(Exception):
    """Raised inside a worker by the progress it reports to, after the transfer was stopped."""


class StoppableProgress(Progress):
    """Passes progress on from worker threads, one at a time, and ends calls that were stopped.

    Args:
        outer: who wants to know.
        stop: set when all calls are to end.
    """

    def __init__(self, outer: Progress, stop: threading.Event) -> None:
        self._outer = outer
        self._stop = stop
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        """Pass on, unless stopped."""
        if self._stop.is_set():
            raise Stopped
        with self._lock:
            self._outer.advance(amount)


class Workers:
    """Runs calls to a remote in a bounded number of threads.

    Starts with few calls in flight, adds one for every round that went well, and halves when the remote answers that it
    is overloaded. Threads are daemons, so that a call which hangs cannot keep the process from ending.

    Args:
        jobs: most calls in flight, as configured.
        max_concurrency: most calls that the remote bears.

    Attributes:
        stop: set once the work is to end; calls that report progress end at their next report.
        limit: calls in flight allowed at the moment.
    """

    def __init__(self, jobs: int, max_concurrency: int) -> None:
        self.most = max(1, min(jobs, max_concurrency))
        self.limit = min(FIRST_LIMIT, self.most)
        self.stop = threading.Event()
        self._good = 0
        self._succeeded = False

    def progress(self, outer: Progress) -> StoppableProgress:
        """A progress for the calls, which stops them when the workers are stopped."""
        return StoppableProgress(outer, self.stop)

    def run(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B | KistError]]:
        """Call *function* for each item and yield pairs of item and result as they come.

        At most ``limit`` items are in flight, those included whose result was not taken yet, so memory stays bounded.

        Args:
            function: called in threads; a KistError is a result, anything else is raised here.
            items: taken as needed, in this thread.
        """
        tasks: SimpleQueue[tuple[A, int, float] | None] = SimpleQueue()
        results: SimpleQueue[tuple[A, int, B | BaseException]] = SimpleQueue()
        threads: list[threading.Thread] = []
        source, again, flying, more = iter(items), list[tuple[A, int, float]](), 0, True
        try:
            while True:
                while flying < self.limit and (again or more):
                    if again:
                        tasks.put(again.pop())
                    else:
                        try:
                            tasks.put((next(source), 1, 0.0))
                        except StopIteration:
                            more = False
                            continue
                    flying += 1
                    self._hire(threads, flying, function, tasks, results)
                if not flying:
                    return
                item, attempt, result = results.get()
                flying -= 1
                self._adapt(result)
                if isinstance(result, RemoteUnavailable) and attempt < ATTEMPTS and self._is_alive(result):
                    again.append((item, attempt + 1, min(result.retry_after or 0.05 * attempt, LONGEST_WAIT)))
                elif isinstance(result, BaseException) and not isinstance(result, KistError):
                    raise result
                else:
                    yield item, result
        finally:
            self._dismiss(threads, tasks, idle=not flying)

    def _hire(
        self,
        threads: list[threading.Thread],
        wanted: int,
        function: Callable[[A], B],
        tasks: SimpleQueue[tuple[A, int, float] | None],
        results: SimpleQueue[tuple[A, int, B | BaseException]],
    ) -> None:
        """Start a thread if there are fewer than calls in flight."""
        if len(threads) >= wanted:
            return

        def work() -> None:
            while (task := tasks.get()) is not None:
                item, attempt, delay = task
                try:
                    if self.stop.wait(delay) if delay else self.stop.is_set():
                        raise Stopped
                    results.put((item, attempt, function(item)))
                except BaseException as exc:
                    results.put((item, attempt, exc))

        thread = threading.Thread(target=work, name="kist-transfer", daemon=True)
        thread.start()
        threads.append(thread)

    def _is_alive(self, error: RemoteUnavailable) -> bool:
        """Whether trying again is worth it here: the retry policy has waited for a dead remote long enough."""
        return error.retry_after is not None or self._succeeded

    def _adapt(self, result: object) -> None:
        if isinstance(result, RemoteUnavailable):
            self.limit, self._good = max(1, self.limit // 2), 0
            return
        self._good += 1
        self._succeeded = True
        if self._good >= self.limit:
            self.limit, self._good = min(self.most, self.limit + 1), 0

    def _dismiss(self, threads: list[threading.Thread], tasks: SimpleQueue[Any], *, idle: bool) -> None:
        """End the threads; what still runs after an interruption gets a moment, no more."""
        if not idle:
            self.stop.set()
        for _ in threads:
            tasks.put(None)
        deadline = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
