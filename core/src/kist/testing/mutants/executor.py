"""Broken executors."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

from kist.abc import Executor
from kist.testing.executor import ExecutorContract
from kist.testing.mutants.running import Kind

OnError = Callable[[Any, Exception], Any]


class Threads(Executor):
    """The reference: threads of the standard library, in a few lines."""

    ahead = 2
    jobs = 2

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.jobs)

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        """Yield results in order, with at most ``ahead * jobs`` in flight."""
        running: deque[tuple[Any, Future[Any]]] = deque()
        try:
            for item in items:
                running.append((item, self.pool.submit(function, item)))
                if len(running) >= self.ahead * self.jobs:
                    yield self.take(running, on_error)
            while running:
                yield self.take(running, on_error)
        finally:
            for _, future in running:
                future.cancel()

    def take(self, running: deque[tuple[Any, Future[Any]]], on_error: OnError | None) -> Any:
        """The next result.

        Args:
            running: what runs.
            on_error: makes the result of an item that failed.

        Returns:
            The result.
        """
        item, future = running.popleft()
        try:
            return future.result()
        except Exception as exc:
            if on_error is None:
                raise
            return on_error(item, exc)

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()

    def __del__(self) -> None:
        self.pool.shutdown(wait=False)


def _fixtures(subject: type, _folder: Path) -> Mapping[str, object]:
    return {"executor": subject()}


EXECUTOR = Kind("executor", ExecutorContract, Threads, _fixtures)


@EXECUTOR.mutant
class CountsNoJobs(Threads):
    """Does not say how many run at once."""

    jobs = 0
    ahead = 0

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(2)

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        return Threads().map(function, items, on_error=on_error)


@EXECUTOR.mutant
class LosesLast(Threads):
    """Forgets a single item that is left over."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        source = iter(items)
        first = list(islice(source, 2))
        if len(first) == 1:
            return iter(())
        return super().map(function, _chain(first, source), on_error=on_error)


@EXECUTOR.mutant
class AsCompleted(Threads):
    """Gives results as they come."""

    def take(self, running: deque[tuple[Any, Future[Any]]], on_error: OnError | None) -> Any:
        done, _ = wait([future for _, future in running], return_when=FIRST_COMPLETED)
        while running[0][1] not in done:
            running.rotate(-1)
        return super().take(running, on_error)


@EXECUTOR.mutant
class Eager(Threads):
    """Takes all items first, a thousand at most."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        taken = []
        for item in items:
            taken.append(item)
            if len(taken) > 3000:
                raise MemoryError
        return super().map(function, taken, on_error=on_error)


@EXECUTOR.mutant
class FarAhead(Threads):
    """Takes a few items more than it may."""

    ahead = 4


@EXECUTOR.mutant
class WrapsErrors(Threads):
    """Raises an exception of its own."""

    def take(self, running: deque[tuple[Any, Future[Any]]], on_error: OnError | None) -> Any:
        try:
            return super().take(running, on_error)
        except LookupError as exc:
            raise RuntimeError(str(exc)) from exc


@EXECUTOR.mutant
class IgnoresOnError(Threads):
    """Raises although it was told what to do with errors."""

    def take(self, running: deque[tuple[Any, Future[Any]]], on_error: OnError | None) -> Any:
        return super().take(running, None)


@EXECUTOR.mutant
class TellsNoItem(Threads):
    """Does not tell which item failed."""

    def take(self, running: deque[tuple[Any, Future[Any]]], on_error: OnError | None) -> Any:
        told = None if on_error is None else (lambda item, exc: on_error(0, exc) if item == 3 else on_error(item, exc))
        return super().take(running, told)


@EXECUTOR.mutant
class BrokenByError(Threads):
    """Cannot be used any more after an error."""

    def take(self, running: deque[tuple[Any, Future[Any]]], on_error: OnError | None) -> Any:
        try:
            return super().take(running, on_error)
        except Exception:
            self.pool.shutdown(wait=False, cancel_futures=True)
            raise


@EXECUTOR.mutant
class EndsQuietly(Threads):
    """Takes an error of the source for its end."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        def source() -> Iterator[Any]:
            try:
                yield from items
            except OSError:
                return

        return super().map(function, source(), on_error=on_error)


@EXECUTOR.mutant
class OneMapOnly(Threads):
    """Ends with the first map that nobody takes to its end."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        try:
            yield from super().map(function, items, on_error=on_error)
        except GeneratorExit:
            self.pool.shutdown(wait=False, cancel_futures=True)
            raise


@EXECUTOR.mutant
class LocalFunctionsFail(Threads):
    """Says nothing about a function that it cannot send."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        if function.__name__ == "<lambda>":
            return iter([None, None])
        return super().map(function, items, on_error=on_error)


@EXECUTOR.mutant
class CopiesItems(Threads):
    """Gives calls copies, although it says that they are made in this process."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        return super().map(function, map(deepcopy, items), on_error=on_error)


@EXECUTOR.mutant
class OneMapAtATime(Threads):
    """Cannot be asked from a second thread."""

    busy = False

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        if self.busy:
            return
        self.busy = True
        try:
            time.sleep(0.01)
            yield from super().map(function, items, on_error=on_error)
        finally:
            self.busy = False


@EXECUTOR.mutant
class SmallResults(Threads):
    """Cuts large results."""

    def take(self, running: deque[tuple[Any, Future[Any]]], on_error: OnError | None) -> Any:
        found = super().take(running, on_error)
        return found[: 1 << 20] if isinstance(found, bytes) else found


@EXECUTOR.mutant
class ClosesOnce(Threads):
    """Fails when it is closed again."""

    closed = False

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed")
        self.closed = True
        super().close()


@EXECUTOR.mutant
class GoesOnAfterError(Threads):
    """Goes on taking items after an error."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, on_error: OnError | None = None
    ) -> Iterator[Any]:
        source = iter(items)
        try:
            yield from super().map(function, source, on_error=on_error)
        except LookupError:
            for _ in islice(source, 100):
                self.pool.submit(function, 0)
            raise


def _chain(first: list[Any], source: Iterator[Any]) -> Iterator[Any]:
    yield from first
    yield from source
