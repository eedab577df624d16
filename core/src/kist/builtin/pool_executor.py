"""The default executor: processes or threads on this machine.

``processes`` and ``threads`` are what they say. ``pool`` takes processes, which work around the interpreter's lock, if
the function can be sent to them and they can be started safely, else threads. Processes stay until the executor is
closed, as their start is dear, or until Ctrl-C, which ends them at once; threads end with their map.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kist import hookimpl
from kist.abc.executor import Executor, InLine
from kist.errors import KistError

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing.connection import Connection

A = TypeVar("A")
B = TypeVar("B")

NAMES = ("pool", "threads", "processes")


class _Running(Protocol):
    """A call that waits, runs or is done."""

    def cancel(self) -> object:
        """Do not begin it, if it has not begun."""

    def result(self) -> Any:
        """Wait for it; what it raised is raised here."""


class PoolExecutor(Executor):
    """Workers on this machine, started when the second item comes.

    Args:
        name: ``pool``, ``threads`` or ``processes``.
        jobs: how many run at once; with 1 there are no workers at all.
    """

    def __init__(self, name: str, jobs: int) -> None:
        self.name = name
        self.jobs = jobs
        self.shares_memory = name != "processes"
        self._processes: _Processes | None = None
        self._running: dict[int, deque[tuple[Any, _Running]]] = {}
        self._starting = threading.Lock()
        self._closed = False

    def map(
        self, function: Callable[[A], B], items: Iterable[A], *, on_error: Callable[[A, Exception], B] | None = None
    ) -> Iterator[B]:
        """Yield ``function(item)`` for each item, in their order, lazily, with at most ``2 * jobs`` in flight."""
        source = iter(items)
        first = list(islice(source, 2))
        if self.jobs == 1 or len(first) < 2 or self._closed:
            return InLine().map(function, chain(first, source), on_error=on_error)
        if not self._sends(function):
            return self._in_threads(function, chain(first, source), on_error)
        with self._starting:
            self._processes = self._processes or _Processes(self.jobs)
        return self._in_processes(self._processes, function, chain(first, source), on_error)

    def close(self) -> None:
        """End workers; what is running is finished."""
        self._closed = True
        # Not left to `shutdown(cancel_futures=True)`: it replaces the table of what is pending, and an item that cannot
        # be sent to a process at that moment is then taken out of the old table and waited for in the new one for ever.
        for running in list(self._running.values()):
            _cancel(running)
        processes, self._processes = self._processes, None
        if processes is not None:
            processes.end()

    def _sends(self, function: Callable[..., object]) -> bool:
        return self.name == "processes" or (self.name == "pool" and _may_start() and _can_be_sent(function))

    def _in_threads(
        self, function: Callable[[A], B], items: Iterator[A], on_error: Callable[[A, Exception], B] | None
    ) -> Iterator[B]:
        threads = _Threads(self.jobs)
        try:
            yield from self._in_order(threads.submit, function, items, on_error)
            threads.end(wait=True)
        finally:
            threads.end()

    def _in_processes(
        self,
        processes: _Processes,
        function: Callable[[A], B],
        items: Iterator[A],
        on_error: Callable[[A, Exception], B] | None,
    ) -> Iterator[B]:
        try:
            yield from self._in_order(processes.submit, function, items, on_error)
        except KeyboardInterrupt:
            processes.stop()
            raise

    def _in_order(
        self,
        submit: Callable[[Callable[[A], B], A], _Running],
        function: Callable[[A], B],
        items: Iterator[A],
        on_error: Callable[[A, Exception], B] | None,
    ) -> Iterator[B]:
        running: deque[tuple[A, _Running]] = deque()
        self._running[id(running)] = running
        try:
            for item in items:
                running.append((item, submit(function, item)))
                if len(running) >= 2 * self.jobs:
                    yield _result(*running.popleft(), on_error)
            while running:
                yield _result(*running.popleft(), on_error)
        finally:
            _cancel(running)
            del self._running[id(running)]


class _Processes:
    """Worker processes.

    Args:
        jobs: how many.
    """

    def __init__(self, jobs: int) -> None:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        from kist.builtin.spawning import SafeSpawnContext

        # Said here and not left to the interpreter, whose default differs between systems and versions.
        context = get_context("fork") if _may_fork() else SafeSpawnContext()
        self._reader, self._writer = context.Pipe(duplex=False)
        self._pool: ProcessPoolExecutor = ProcessPoolExecutor(
            jobs, mp_context=context, initializer=_begin_worker, initargs=(self._reader,)
        )

    def submit(self, function: Callable[[A], B], item: A) -> Future[B]:
        """Let a process call *function* with *item*."""
        return self._pool.submit(function, item)

    def stop(self) -> None:
        """End what is running, and all processes with it: nobody takes the results."""
        with suppress(OSError):  # they have ended
            self._writer.send_bytes(b"stop")

    def end(self) -> None:
        """End the processes; what is running is finished."""
        # In Python 3.11.2 a pool with nothing but cancelled items left may wait for ever: give it one more.
        with suppress(RuntimeError):  # a broken pool takes none
            self._pool.submit(int)
        self._pool.shutdown(wait=True)
        self._reader.close()
        self._writer.close()


class _Threads:
    """Threads of one map, started as calls come.

    Not those of ``concurrent.futures``: these are daemons, so that a call which hangs cannot keep the process from
    ending.

    Args:
        most: how many at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, function: Callable[[Any], Any], item: Any) -> _Call:
        """Let a thread call *function* with *item*."""
        call = _Call(function, item)
        self._calls.put(call)
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._work, name="kist-pool", daemon=True)
            thread.start()
            self._threads.append(thread)
        return call

    def end(self, *, wait: bool = False) -> None:
        """End the threads; what is running is finished, by itself or while we *wait*."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._calls.put(None)
        for thread in threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()


class _Call:
    """One call of one thread."""

    def __init__(self, function: Callable[[Any], Any], item: Any) -> None:
        self._function, self._item = function, item
        self._value: Any = None
        self._error: BaseException | None = None
        self._cancelled = False
        self._done = threading.Lock()
        self._done.acquire()

    def run(self) -> None:
        """Do it, unless it was cancelled."""
        try:
            if self._cancelled:
                raise KistError("the executor was closed before this began")
            self._value = self._function(self._item)
        except BaseException as exc:
            self._error = exc
        self._done.release()

    def cancel(self) -> None:
        """Do not begin it, if it has not begun."""
        self._cancelled = True

    def result(self) -> Any:
        """Wait for it; what it raised is raised here."""
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._value


@hookimpl
def kist_make_executor(name: str, jobs: int) -> Executor | None:
    """Make ``pool``, ``threads`` or ``processes``."""
    return PoolExecutor(name, jobs) if name in NAMES else None


def _cancel(running: Iterable[tuple[Any, _Running]]) -> None:
    for _, call in tuple(running):  # another thread may be taking from it
        call.cancel()


def _result(item: A, call: _Running, on_error: Callable[[A, Exception], B] | None) -> B:
    try:
        result: B = call.result()
        return result
    except Exception as exc:
        if _is_killed(exc):
            told = KistError("a worker process was killed", hint="is there enough memory? fewer --jobs need less")
            raise told from exc
        if on_error is None:
            raise
        return on_error(item, exc)


def _is_killed(exc: Exception) -> bool:
    """Whether a process pool broke; where there was none, its module is not loaded for that question."""
    module = sys.modules.get("concurrent.futures")
    return module is not None and isinstance(exc, module.BrokenExecutor)


def _begin_worker(stop: Connection) -> None:
    """Leave Ctrl-C to the parent, and end with it: a worker that outlived it would go on holding its locks."""
    import signal
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def follow(sentinel: int = parent.sentinel) -> None:
        wait([sentinel, stop])
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
