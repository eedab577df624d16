"""The default executor: processes or threads on this machine.

``processes`` and ``threads`` are what they say. ``pool`` takes processes, which work around the interpreter's lock, if
the function can be sent to them and they can be started safely, else threads.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from kist import hookimpl
from kist.abc.executor import Executor
from kist.errors import KistError

if TYPE_CHECKING:
    from concurrent.futures import Executor as FuturesExecutor
    from concurrent.futures import Future

A = TypeVar("A")
B = TypeVar("B")

NAMES = ("pool", "threads", "processes")


class PoolExecutor(Executor):
    """Workers on this machine, started when the second item comes.

    Args:
        name: ``pool``, ``threads`` or ``processes``.
        jobs: how many run at once; with 1 there are no workers at all.
    """

    def __init__(self, name: str, jobs: int) -> None:
        self.name = name
        self.jobs = jobs
        self._pools: dict[bool, FuturesExecutor] = {}
        self._running: list[deque[tuple[Any, Future[Any]]]] = []
        self._closed = False

    def map(
        self, function: Callable[[A], B], items: Iterable[A], *, on_error: Callable[[A, Exception], B] | None = None
    ) -> Iterator[B]:
        """Yield ``function(item)`` for each item, in their order, lazily, with at most ``2 * jobs`` in flight."""
        source = iter(items)
        first = list(islice(source, 2))
        if self.jobs == 1 or len(first) < 2 or self._closed:
            return _in_line(function, chain(first, source), on_error)
        return self._in_pool(self._pool(function), function, chain(first, source), on_error)

    def close(self) -> None:
        """End workers; what is running is finished."""
        self._closed = True
        # Not left to `shutdown(cancel_futures=True)`: it replaces the table of what is pending, and an item that cannot
        # be sent to a process at that moment is then taken out of the old table and waited for in the new one for ever.
        for running in self._running:
            _cancel(running)
        while self._pools:
            pool = self._pools.popitem()[1]
            # In Python 3.11.2 a pool with nothing but cancelled items left may wait for ever: give it one more.
            with suppress(RuntimeError):  # a broken pool takes none
                pool.submit(int)
            pool.shutdown(wait=True)

    def _in_pool(
        self,
        pool: FuturesExecutor,
        function: Callable[[A], B],
        items: Iterator[A],
        on_error: Callable[[A, Exception], B] | None,
    ) -> Iterator[B]:
        running: deque[tuple[A, Future[B]]] = deque()
        self._running.append(running)
        try:
            for item in items:
                running.append((item, pool.submit(function, item)))
                if len(running) >= 2 * self.jobs:
                    yield _result(*running.popleft(), on_error)
            while running:
                yield _result(*running.popleft(), on_error)
        finally:
            _cancel(running)
            self._running = [one for one in self._running if one is not running]

    def _pool(self, function: Callable[..., object]) -> FuturesExecutor:
        processes = self.name == "processes" or (self.name == "pool" and _may_start() and _can_be_sent(function))
        pool = self._pools.get(processes)
        if pool is None:
            pool = self._pools[processes] = _start_processes(self.jobs) if processes else _start_threads(self.jobs)
        return pool


@hookimpl
def kist_make_executor(name: str, jobs: int) -> Executor | None:
    """Make ``pool``, ``threads`` or ``processes``."""
    return PoolExecutor(name, jobs) if name in NAMES else None


def _in_line(
    function: Callable[[A], B], items: Iterable[A], on_error: Callable[[A, Exception], B] | None
) -> Iterator[B]:
    for item in items:
        try:
            result = function(item)
        except Exception as exc:
            if on_error is None:
                raise
            result = on_error(item, exc)
        yield result


def _cancel(running: Iterable[tuple[Any, Future[Any]]]) -> None:
    for _, future in running:
        future.cancel()


def _result(item: A, future: Future[B], on_error: Callable[[A, Exception], B] | None) -> B:
    from concurrent.futures import BrokenExecutor

    try:
        return future.result()
    except BrokenExecutor as exc:
        raise KistError("a worker process was killed", hint="is there enough memory? fewer --jobs need less") from exc
    except Exception as exc:
        if on_error is None:
            raise
        return on_error(item, exc)


def _start_threads(jobs: int) -> FuturesExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(jobs, thread_name_prefix="kist-pool")


def _start_processes(jobs: int) -> FuturesExecutor:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from kist.builtin.spawning import SafeSpawnContext

    # Said here and not left to the interpreter, whose default differs between systems and versions.
    context = get_context("fork") if _may_fork() else SafeSpawnContext()
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it: a worker that outlived it would go on holding its locks."""
    import signal
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def follow(sentinel: int = parent.sentinel) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=follow, name="kist-parent", daemon=True).start()


def _may_fork() -> bool:
    """A fork copies one thread only, and locks that others hold stay locked for ever in the copy."""
    return sys.platform.startswith("linux") and threading.active_count() == 1


def _may_start() -> bool:
    """Whether processes are safe to start without being asked for.

    A spawned worker imports the main script again; one that is not made for that would run twice.
    """
    if _may_fork():
        return True
    main = sys.modules.get("__main__")
    script = os.path.basename(getattr(main, "__file__", None) or "")
    spec = getattr(main, "__spec__", None)
    return script.partition(".")[0] == "kist" or (spec is not None and spec.name == "kist.__main__")


def _can_be_sent(function: Callable[..., object]) -> bool:
    from multiprocessing.reduction import ForkingPickler

    try:
        ForkingPickler.dumps(function)
    except Exception:
        return False
    return True
