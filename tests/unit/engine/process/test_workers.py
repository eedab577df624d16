"""Threads for the network: bounded, adaptive, and gone when they are not needed."""

from __future__ import annotations

import threading
import time

import pytest

from kist.abc.progress import Progress
from kist.builtin.pool_executor import PoolExecutor
from kist.engine.process.load import Load, MemoryBudget
from kist.engine.process.workers import Workers
from kist.errors import PluginError, RemoteError, RemoteUnavailable
from kist.plugins.checked_executor import CheckedExecutor
from kist.testing.mutants.executor import EXECUTOR, Threads


def make(jobs, most, load=None):
    return Workers(PoolExecutor("threads", max(1, jobs)), most, load)


def test_every_item_has_a_result_and_errors_are_results():
    def work(number):
        if number % 10 == 3:
            raise RemoteError(str(number))
        return number * 2

    results = dict(make(8, 8).run(work, range(100)))
    assert len(results) == 100
    assert results[4] == 8
    assert isinstance(results[13], RemoteError)


@pytest.mark.parametrize(("jobs", "most"), [(3, 8), (20, 5), (0, 8)])
def test_never_more_than_allowed(jobs, most):
    lock, now, peak = threading.Lock(), 0, 0

    def work(_):
        nonlocal now, peak
        with lock:
            now += 1
            peak = max(peak, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    list(make(jobs, most).run(work, range(60)))
    assert peak <= max(1, min(jobs, most))


def test_grows_while_it_goes_well_and_halves_when_not():
    workers = make(32, 32)
    assert workers.limit == 4
    list(workers.run(abs, range(200)))
    grown = workers.limit
    assert grown > 10
    results = dict(workers.run(_refuse, range(3)))
    assert isinstance(results[0], RemoteUnavailable)
    assert workers.limit <= grown // 2 + 1


def _refuse(number):
    if number == 0:
        raise RemoteUnavailable("slow down", retry_after=0.01)
    return number


def test_halves_when_the_retry_policy_hid_a_refusal():
    load = Load()
    workers = make(32, 32, load)
    list(workers.run(abs, range(200)))
    grown = workers.limit
    load.refused()
    assert len(list(workers.run(abs, range(1)))) == 1
    assert workers.limit == grown // 2


def test_repeats_nothing():
    calls = []

    def work(number):
        calls.append(number)
        raise RemoteUnavailable("gone")

    [(_, error)] = make(4, 4).run(work, [1])
    assert isinstance(error, RemoteUnavailable)
    assert calls == [1]


def test_no_more_in_flight_than_memory_bears():
    memory = MemoryBudget(100)
    lock, now, peak = threading.Lock(), 0, 0

    def work(_):
        nonlocal now, peak
        with lock:
            now += 1
            peak = max(peak, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    list(make(8, 8, Load(memory)).run(work, range(40), weigh=lambda _: 40))
    assert peak <= 2
    assert memory.taken == 0


def test_one_item_goes_even_if_it_is_larger_than_the_memory():
    memory = MemoryBudget(10)
    assert len(list(make(8, 8, Load(memory)).run(abs, range(5), weigh=lambda _: 40))) == 5
    assert memory.taken == 0


def test_two_transfers_share_the_memory():
    memory = MemoryBudget(100)
    assert memory.take(80)
    run = make(8, 8, Load(memory)).run(abs, range(4), weigh=lambda _: 30)
    next(run)
    assert memory.taken == 110  # its own one, which it needs to get on
    run.close()
    assert memory.taken == 80


def test_a_run_after_one_that_was_given_up():
    workers = make(4, 4)
    run = workers.run(lambda number: time.sleep(0.01) or number, range(20))
    next(run)
    run.close()
    assert len(list(workers.run(abs, range(20)))) == 20


def test_other_exceptions_end_the_work_and_stop_the_others():
    workers = make(4, 4)
    progress = workers.progress(Progress())
    ended = threading.Event()

    def work(number):
        if number == 3:
            raise ZeroDivisionError
        try:
            while True:
                progress.advance(1)
                time.sleep(0.001)
        finally:
            ended.set()

    with pytest.raises(ZeroDivisionError):
        list(workers.run(work, range(10)))
    assert ended.wait(60)


def test_a_progress_made_before_a_run_was_given_up_serves_the_next_one():
    workers = make(2, 2)
    progress = workers.progress(Progress())
    run = workers.run(lambda number: progress.advance(1) or number, range(20))
    next(run)
    run.close()
    assert len(list(workers.run(lambda number: progress.advance(1) or number, range(20)))) == 20


def test_items_are_taken_as_needed():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    run = make(2, 2).run(abs, items())
    next(run)
    assert len(taken) <= 4
    run.close()


def test_no_thread_stays():
    before = set(threading.enumerate())  # those of other tests may end meanwhile
    list(make(8, 8).run(abs, range(100)))
    assert set(threading.enumerate()) <= before


def test_a_run_inside_another_one_on_a_pool_of_few_threads():
    workers = Workers(Threads(), 8)
    for _, outer in workers.run(abs, range(6)):
        assert dict(workers.run(abs, range(3))) == {0: 0, 1: 1, 2: 2}, outer


@pytest.mark.parametrize("kind", EXECUTOR.mutants, ids=lambda kind: kind.__name__)
def test_whatever_an_executor_does_nothing_is_lost_quietly(kind):
    try:
        executor = CheckedExecutor(kind(), "kist-own")
    except PluginError:
        return
    try:
        found = list(Workers(executor, 4).run(lambda number: 2 * number, range(50)))
    except PluginError as error:
        assert "kist-own" in error.message
    else:
        assert sorted(found) == [(number, 2 * number) for number in range(50)]
