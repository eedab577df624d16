"""CheckedExecutor: the border between the core and a plugin's executor; work that it loses is told as its defect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from kist.abc.executor import Executor
from kist.errors import ContractViolation, KistError, PluginBroken
from kist.plugins.blame import violation, wrong_answer
from kist.util.slotted import slotted

A = TypeVar("A")
B = TypeVar("B")


class CheckedExecutor(Executor):
    """Passes work on, each piece with its number, and looks that each comes back once, done, and in its turn.

    Args:
        inner: the plugin's executor.
        distribution: who brings it.

    Raises:
        ContractViolation: it does not say how many calls run at once; later, of ``map``, a result is lost, invented or
            not in its turn, or a call was made in another process although it says ``shares_memory``.
        PluginBroken: of ``map`` and ``close``, it raised something of its own.
    """

    def __init__(self, inner: Executor, distribution: str) -> None:
        self._inner = inner
        self._distribution = distribution
        jobs = getattr(inner, "jobs", None)
        if not isinstance(jobs, int) or jobs < 1:
            raise self._fault("jobs", jobs, "a number of at least 1")
        self.jobs = jobs
        self.shares_memory = bool(inner.shares_memory)

    def map(
        self, function: Callable[[A], B], items: Iterable[A], *, on_error: Callable[[A, Exception], B] | None = None
    ) -> Iterator[B]:
        """Yield ``function(item)`` for each item, in their order, as the plugin's executor does."""
        source, here = _Source(items), set[int]() if self.shares_memory else None
        for found in self._answers(_Marked(function, here), source):
            if not isinstance(found, _Done) or found.number != source.first:
                raise self._fault("map", found, f"the result of call {source.first}")
            if here is not None:
                self._expect_here(found.number, here)
            item = source.pop()
            if found.error is None:
                yield found.result
            elif on_error is None:
                raise found.error
            else:
                yield on_error(item, found.error)
        if source.error is not None:
            raise source.error
        if source.left():
            raise violation(self._distribution, f"{self._name('map')} ended before all of its calls were done")

    def close(self) -> None:
        """End workers."""
        try:
            self._inner.close()
        except (Exception, SystemExit) as exc:
            raise self._broken("close", exc) from exc

    def _answers(self, function: Callable[[Any], Any], source: _Source[Any]) -> Iterator[object]:
        try:
            yield from self._inner.map(function, source)
        except KistError:
            raise
        except (Exception, SystemExit) as exc:
            if exc is source.error:
                raise
            raise self._broken("map", exc) from exc

    def _expect_here(self, number: int, here: set[int]) -> None:
        if number not in here:
            what = f"{self._name('map')} made a call elsewhere, which only who says shares_memory = False may do"
            raise violation(self._distribution, what)
        here.remove(number)

    def _broken(self, method: str, exc: BaseException) -> PluginBroken:
        sent = "pickle" in str(exc) and self.shares_memory
        hint = (
            "an executor that sends calls elsewhere must say shares_memory = False: tell its authors" if sent else None
        )
        return PluginBroken(self._distribution, exc, where=self._name(method), hint=hint)

    def _fault(self, method: str, given: object, wanted: str) -> ContractViolation:
        return wrong_answer(self._distribution, self._inner, method, given, wanted)

    def _name(self, method: str) -> str:
        return f"{type(self._inner).__name__}.{method}"


@slotted(frozen=True)
class _Done:
    """What came of a call: a result, or what it raised."""

    number: int
    result: Any = None
    error: Exception | None = None


@slotted(frozen=True)
class _Marked:
    """The function that a plugin's executor calls: it tells of which item a result is. Can be sent if ours can.

    Args:
        function: ours.
        here: takes the numbers of calls that are made in this process; None where they need not be.
    """

    function: Callable[[Any], Any]
    here: set[int] | None

    def __call__(self, numbered: tuple[int, Any]) -> _Done:
        number, item = numbered
        if self.here is not None:
            self.here.add(number)
        try:
            return _Done(number, self.function(item))
        except Exception as exc:
            return _Done(number, error=exc)


class _Source(Generic[A]):
    """Items with their numbers, as the executor takes them.

    Attributes:
        first: the number of the item whose result comes next.
        error: what the source of the items raised, None if nothing.
    """

    def __init__(self, items: Iterable[A]) -> None:
        self._items = iter(items)
        self._flying: dict[int, A] = {}
        self._next = 0
        self.first = 0
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[tuple[int, A]]:
        return self

    def __next__(self) -> tuple[int, A]:
        try:
            item = next(self._items)
        except StopIteration:
            raise
        except BaseException as exc:
            self.error = exc
            raise
        number, self._next = self._next, self._next + 1
        self._flying[number] = item
        return number, item

    def pop(self) -> A:
        """The item whose result came."""
        number, self.first = self.first, self.first + 1
        return self._flying.pop(number)

    def left(self) -> bool:
        """Whether there are items without a result."""
        return bool(self._flying) or next(self._items, self) is not self
