"""What a transfer counts, and what it passes on to the remote."""

from kist.engine.transfer.counted import CountedRemote
from kist.remotes.memory import MemoryRemote


class Telling(MemoryRemote):
    def __init__(self):
        super().__init__()
        self.batches = []

    def identity(self):
        return "somebody"

    def describe_access(self):
        return [("identity", "somebody")]

    def delete_many(self, keys):
        self.batches.append(list(keys))
        return {}


def test_what_the_remote_tells_of_its_access_is_passed_on_and_not_counted():
    counted = CountedRemote(Telling())
    assert counted.describe_access() == [("identity", "somebody")]
    assert counted.identity() == "somebody"
    assert counted.calls == 0


def test_a_batch_stays_a_batch_and_counts_once():
    counted = CountedRemote(Telling())
    assert counted.delete_many(["a", "b"]) == {}
    assert counted.inner.batches == [["a", "b"]]
    assert counted.calls == 1
