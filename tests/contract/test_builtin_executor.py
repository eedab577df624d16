"""The executors of the core under the contract of all executors."""

import pytest

from kist.builtin.pool_executor import PoolExecutor
from kist.testing import ExecutorContract


class OnePool(ExecutorContract):
    __test__ = False
    name = "pool"

    @pytest.fixture
    def executor(self):
        executor = PoolExecutor(self.name, 2)
        yield executor
        executor.close()


class TestPool(OnePool):
    pass


class TestThreads(OnePool):
    name = "threads"


class TestProcesses(OnePool):
    name = "processes"
