"""ExecutorContract: what every executor must keep."""

from __future__ import annotations

import itertools
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator

import pytest

from kist.abc import Executor
from kist.testing.base import ContractBase


def double(number: int) -> int:
    """A piece of work that another process can import."""
    return 2 * number


def late_first(number: int) -> int:
    """The first item takes longest, so that results come in another order than items."""
    time.sleep(0.05 if number == 0 else 0)
    return number


def fail_at_three(number: int) -> int:
    """Fails for one item."""
    if number == 3:
        raise LookupError("three")
    return number


def make_bytes(size: int) -> bytes:
    """A large result."""
    return bytes(size)


def add_to_name(number: int, error: Exception) -> str:
    """The result for an item that failed."""
    return f"{number}: {error.args[0]}"


class ExecutorContract(ContractBase):
    """Subclass it as ``Test…`` and provide the fixture ``executor``: a fresh one with at least two jobs."""

    __test__ = False

    @pytest.fixture
    @abstractmethod
    def executor(self) -> Iterator[Executor]:
        """The executor under test; close it afterwards."""

    def test_says_how_many_jobs(self, executor: Executor) -> None:
        """``jobs`` tells how many run at once, at least one."""
        assert isinstance(executor.jobs, int)
        assert executor.jobs >= 1

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
    def test_every_item_once(self, executor: Executor, count: int) -> None:
        """Each item gives one result, in the order of the items, however many there are."""
        assert list(executor.map(double, range(count))) == [2 * number for number in range(count)]

    def test_keeps_the_order(self, executor: Executor) -> None:
        """A slow first item does not lose its place."""
        assert list(executor.map(late_first, range(8))) == list(range(8))

    def test_is_lazy(self, executor: Executor) -> None:
        """Items are taken as results are, so an endless source is fine."""
        results = executor.map(double, itertools.count())
        assert list(itertools.islice(results, 50)) == [2 * number for number in range(50)]

    def test_is_bounded(self, executor: Executor) -> None:
        """At most ``2 * jobs`` items are in flight."""
        taken = 0

        def source() -> Iterator[int]:
            nonlocal taken
            for number in range(200):
                taken += 1
                yield number

        for done, _ in enumerate(executor.map(double, source()), 1):
            assert taken - done <= 2 * executor.jobs

    def test_raises_what_the_work_raised(self, executor: Executor) -> None:
        """Without ``on_error`` the exception of an item is raised in its place, and earlier results stand."""
        results = executor.map(fail_at_three, range(10))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(LookupError, match="three"):
            next(results)

    def test_starts_nothing_after_an_error(self, executor: Executor) -> None:
        """After an error no further item is taken from the source."""
        source = iter(range(1000))
        with pytest.raises(LookupError):
            list(executor.map(fail_at_three, source))
        left = next(source)
        assert left <= 4 + 2 * executor.jobs
        time.sleep(0.05)
        assert next(source) == left + 1

    def test_on_error_gives_the_result(self, executor: Executor) -> None:
        """With ``on_error`` the other items go on."""
        results = list(executor.map(fail_at_three, range(6), on_error=lambda item, _: -item))
        assert results == [0, 1, 2, -3, 4, 5]

    def test_on_error_gets_item_and_exception(self, executor: Executor) -> None:
        """``on_error`` is told which item failed and why."""
        told: list[str] = []

        def note(item: int, error: Exception) -> int:
            told.append(add_to_name(item, error))
            return 0

        list(executor.map(fail_at_three, range(5), on_error=note))
        assert told == ["3: three"]

    def test_works_on_after_an_error(self, executor: Executor) -> None:
        """An error ends one map, not the executor."""
        with pytest.raises(LookupError):
            list(executor.map(fail_at_three, range(10)))
        assert list(executor.map(double, range(5))) == [0, 2, 4, 6, 8]

    def test_error_of_the_source_comes_through(self, executor: Executor) -> None:
        """What the source of items raises is raised where the results are taken."""

        def source() -> Iterator[int]:
            yield 1
            yield 2
            raise OSError("cannot list")

        with pytest.raises(OSError, match="cannot list"):
            list(executor.map(double, source()))

    def test_can_be_left_early(self, executor: Executor) -> None:
        """Results that nobody takes stop nothing."""
        next(iter(executor.map(double, range(100))))
        assert list(executor.map(double, [1, 2])) == [2, 4]

    def test_says_whether_calls_stay_in_this_process(self, executor: Executor) -> None:
        """Where ``shares_memory`` says so, a call is given the item itself and no copy."""
        if not executor.shares_memory:
            pytest.skip("shares_memory is False: it is given only what can be sent")
        boxes: list[list[int]] = [[] for _ in range(4)]
        list(executor.map(lambda box: box.append(1), boxes))
        assert boxes == [[1]] * 4

    def test_several_maps_at_once(self, executor: Executor) -> None:
        """Each of two threads gets the results of its own map."""
        found: list[list[int]] = []
        ranges = [range(20), range(100, 120)]
        threads = [
            threading.Thread(target=lambda one=one: found.append(list(executor.map(double, one))), daemon=True)
            for one in ranges
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(found) == [[2 * number for number in one] for one in ranges]

    def test_functions_without_a_name(self, executor: Executor) -> None:
        """A local function works, or is refused with an exception that says why; nothing hangs."""
        try:
            results = list(executor.map(lambda number: number + 1, range(4)))
        except Exception as exc:
            told = str(exc)
        else:
            told = str(results)
        assert told
        assert told[0] != "[" or told == "[1, 2, 3, 4]"

    def test_large_results(self, executor: Executor) -> None:
        """Megabytes come back whole."""
        sizes = [3_000_000, 0, 1, 2_000_000]
        assert [len(block) for block in executor.map(make_bytes, sizes)] == sizes

    def test_close_twice(self, executor: Executor) -> None:
        """Closing is idempotent, used or not."""
        executor.close()
        executor.close()

    def test_close_after_use(self, executor: Executor) -> None:
        """Closing after work ends the workers; nothing is left running."""
        assert list(executor.map(double, range(10)))
        executor.close()
        executor.close()
