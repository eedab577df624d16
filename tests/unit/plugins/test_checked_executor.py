"""What a plugin's executor gives back is looked at, so that work which it loses is told as its defect."""

import os
import pickle

import pytest

from kist.abc.executor import InLine
from kist.builtin.pool_executor import PoolExecutor
from kist.errors import ContractViolation, PluginBroken, StorageError
from kist.plugins.checked_executor import CheckedExecutor
from kist.testing import ExecutorContract


class Own(InLine):
    """An executor of which a test changes one thing."""

    def __init__(self, change=list):
        self.change = change

    def map(self, function, items, *, on_error=None):
        return self.change(super().map(function, items, on_error=on_error))


def checked(change):
    return CheckedExecutor(Own(change), "kist-own")


def fail(error):
    def change(_results):
        raise error

    return change


class TestOfThreads(ExecutorContract):
    """Behind the check, an executor is what it was."""

    @pytest.fixture
    def executor(self):
        executor = CheckedExecutor(PoolExecutor("threads", 2), "kist-own")
        yield executor
        executor.close()


class TestOfProcesses(ExecutorContract):
    @pytest.fixture
    def executor(self):
        executor = CheckedExecutor(PoolExecutor("processes", 2), "kist-own")
        yield executor
        executor.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda results: list(results)[:-1], "Own.map ended before all of its calls were done"),
        (lambda results: [next(results)], "Own.map ended before all of its calls were done"),
        (lambda results: list(results)[::-1], "Own.map gave _Done(number=3"),
        (lambda results: [*results, None], "Own.map gave None, not the result of call 4"),
        (lambda results: [7 for _ in results], "Own.map gave 7, not the result of call 0"),
        (lambda results: [one for one in results for _ in "twice"], "not the result of call 1"),
        (lambda results: [next(results)] * 4, "not the result of call 1"),
    ],
)
def test_lost_and_invented_results(change, told):
    with pytest.raises(ContractViolation) as caught:
        list(checked(change).map(abs, range(4)))
    assert caught.value.message.startswith("kist-own: Own.map")
    assert told in caught.value.message


@pytest.mark.parametrize("error", [RuntimeError("no worker"), SystemExit(3)])
def test_what_it_raises_itself_is_its_defect(error):
    with pytest.raises(PluginBroken, match=rf"the plugin kist-own does not work: Own\.map: {type(error).__name__}"):
        list(checked(fail(error)).map(abs, range(4)))


def test_an_executor_that_answers_with_nothing():
    with pytest.raises(PluginBroken, match="kist-own"):
        list(checked(lambda _: None).map(abs, range(4)))


def test_an_error_of_ours_passes():
    with pytest.raises(StorageError, match="full"):
        list(checked(fail(StorageError("full"))).map(abs, range(4)))


def test_a_source_whose_error_is_taken_for_its_end():
    def quiet(results):
        try:
            yield from results
        except OSError:
            return

    def items():
        yield 1
        raise OSError("cannot list")

    with pytest.raises(OSError, match="cannot list"):
        list(checked(quiet).map(abs, items()))


@pytest.mark.parametrize("jobs", [0, None, "two"])
def test_jobs_are_a_number(jobs):
    own = Own()
    own.jobs = jobs
    with pytest.raises(ContractViolation, match=r"kist-own: Own\.jobs gave"):
        CheckedExecutor(own, "kist-own")


def test_close_that_fails():
    own = Own()
    own.close = fail(RuntimeError("already gone")).__get__(own)
    with pytest.raises(PluginBroken, match=r"Own\.close: RuntimeError: already gone"):
        CheckedExecutor(own, "kist-own").close()


class Forks(InLine):
    """Makes each call in a copy of this process."""

    def map(self, function, items, *, on_error=None):
        for item in items:
            reader, writer = os.pipe()
            if os.fork() == 0:
                os.write(writer, pickle.dumps(function(item)))
                os._exit(0)
            os.close(writer)
            with os.fdopen(reader, "rb") as pipe:
                yield pickle.load(pipe)
            os.wait()


def test_who_says_that_it_shares_memory_and_forks_is_told_so():
    with pytest.raises(ContractViolation, match="shares_memory"):
        list(CheckedExecutor(Forks(), "kist-own").map(abs, range(4)))
    honest = type("Honest", (Forks,), {"shares_memory": False})
    assert list(CheckedExecutor(honest(), "kist-own").map(abs, range(4))) == [0, 1, 2, 3]


def test_who_says_that_it_shares_memory_and_sends_calls_is_told_so():
    own = PoolExecutor("processes", 2)
    own.shares_memory = True
    executor = CheckedExecutor(own, "kist-own")
    try:
        with pytest.raises(PluginBroken) as caught:
            list(executor.map(lambda number: number, range(4)))
    finally:
        executor.close()
    assert "shares_memory = False" in caught.value.hint
