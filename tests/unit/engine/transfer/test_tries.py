"""Reading what may come damaged, again and again."""

from __future__ import annotations

import itertools

import pytest

from kist.engine.transfer import objects
from kist.errors import ObjectCorrupt, RemoteUnavailable
from kist.remotes.memory import MemoryRemote


class Spoiling(MemoryRemote):
    """Counts answers, each nth of which is to be spoilt."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every, self.answers = every, itertools.count(1)

    def spoils(self) -> bool:
        return next(self.answers) % self.every == 0

    def stat(self, key):
        self.spoils()
        raise RemoteUnavailable("whatever: nobody wants to know")


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("every", range(2, 6))
def test_a_server_that_spoils_each_nth_answer_does_not_spoil_each_attempt(before, after, every):
    """An attempt has one answer that matters, and others before and after it that do not."""
    remote = Spoiling(every)

    def read() -> str:
        answers = [remote.spoils() for _ in range(before + 1 + after)]
        if answers[before]:
            raise ObjectCorrupt("a")
        return "good"

    assert objects.insist(read, remote, "a") == "good"


def test_damage_that_stays_is_told():
    remote, attempts = Spoiling(3), []

    def read() -> None:
        attempts.append(1)
        raise ObjectCorrupt("a")

    with pytest.raises(ObjectCorrupt):
        objects.insist(read, remote, "a")
    assert len(attempts) == objects.TRIES
    assert next(remote.answers) == 4  # one small request before the third attempt, two before the fourth
