import os
import signal

import pytest

from kist.abc.progress import Progress
from kist.engine.checkout import shares as checkout_shares
from kist.engine.checkout.shares import Helper, divide, in_turns, share_out
from kist.errors import PathConflict, StorageError


@pytest.fixture
def several(monkeypatch):
    monkeypatch.setattr(checkout_shares, "WORTH", 2)
    monkeypatch.setattr(checkout_shares, "_processes", lambda: 3)


def test_little_work_is_one_share():
    groups = {b"": [range(3)], b"a": [range(3, 5)]}
    assert divide(groups, [0] * 5) == ({b"": [range(3)]}, [{b"a": [range(3, 5)]}])


def test_shares_hold_no_folder_of_each_other(several):
    names = [b"", b"a", b"a/b", b"a/b/c", b"a/c", b"d/e/f", b"g", b"h/i"]
    groups = {name: [range(at * 2, at * 2 + 2)] for at, name in enumerate(names)}
    first, shares = divide(groups, [0] * 16)
    assert set(first) == {b"", b"a", b"a/b"}
    assert len(shares) == 3
    assert [name for share in shares for name in share] == [b"a/b/c", b"a/c", b"d/e/f", b"g", b"h/i"]
    assert all(shares)
    assert {**first, **{name: where for share in shares for name, where in share.items()}} == groups


def test_turns_are_whole_folders_in_order(monkeypatch):
    monkeypatch.setattr(checkout_shares, "TURN", 5)
    names = [b"a/b", b"", b"a", b"c", b"d"]
    groups = {name: [range(at, at + 1), range(9, 11)] for at, name in enumerate(names)}
    groups[b"c"] = [range(20)]
    turns = list(in_turns(groups))
    assert [list(turn) for turn in turns] == [[b""], [b"a"], [b"a/b"], [b"c"], [b"d"]]
    monkeypatch.setattr(checkout_shares, "TURN", 6)
    assert [list(turn) for turn in in_turns(groups)] == [[b"", b"a"], [b"a/b"], [b"c"], [b"d"]]
    assert {name: where for turn in turns for name, where in turn.items()} == groups
    assert list(in_turns({})) == []


def test_a_few_files_with_many_bytes_are_shared_too(several):
    groups = {b"a": [range(1)], b"b": [range(1, 3)], b"c": [range(3, 4)]}
    assert len(divide(groups, [100] * 4)[1]) == 2
    assert divide(groups, [100 << 10] * 4)[1] == [{b"a": [range(1)]}, {b"b": [range(1, 3)]}, {b"c": [range(3, 4)]}]
    assert divide(groups, [0, 0, 0, 1 << 30])[1] == [{b"a": [range(1)], b"b": [range(1, 3)]}, {b"c": [range(3, 4)]}]


def test_a_helper_sends_its_result():
    helper = Helper(lambda check: (check(), os.getpid()))
    assert helper.result()[1] not in (0, os.getpid())
    helper.stop()


@pytest.mark.parametrize("error", [StorageError("full", path="x", errno=28, hint="free"), PathConflict("no", path="y")])
def test_a_helper_sends_its_error(error):
    def work(_check):
        raise error

    with pytest.raises(type(error)) as caught:
        Helper(work).result()
    assert vars(caught.value) == vars(error)


@pytest.mark.parametrize("work", [lambda _check: os.kill(os.getpid(), signal.SIGKILL), lambda _check: os._exit(3)])
def test_a_helper_that_dies_is_an_error(work):
    helper = Helper(work)
    with pytest.raises(StorageError):
        helper.result()
    helper.stop()


def test_a_helper_can_be_stopped():
    helper = Helper(lambda _check: signal.pause())
    helper.stop()
    helper.stop()


class Recorded(Progress):
    """Keeps what it was told, and by which process."""

    def __init__(self):
        self.told = []

    def advance(self, amount):
        self.told.append((os.getpid(), amount))


def test_what_helpers_do_is_told_by_their_parent_alone():
    def work(tally, check):
        for _ in range(3):
            tally.advance(5)
            check()
        return os.getpid()

    progress, mine = Recorded(), []
    helpers = share_out([work, work], lambda check: (progress.advance(7), check(), mine.append(os.getpid())), progress)
    assert len({*helpers, *mine}) == 3
    assert {process for process, _ in progress.told} == {os.getpid()}
    assert sum(amount for _, amount in progress.told) == 2 * 3 * 5 + 7


def test_what_helpers_do_is_told_while_they_are_waited_for():
    reader, writer = os.pipe()

    class Waiting(Progress):
        def advance(self, amount):
            if amount:
                os.write(writer, b"go")  # the helper ends only once its first step was told of

    def work(tally, _check):
        tally.advance(1)
        return os.read(reader, 2)

    assert share_out([work], lambda _check: None, Waiting()) == [b"go"]
    os.close(reader)
    os.close(writer)
