"""Bytes of memory on their way through the wrappers."""

from __future__ import annotations

import tempfile

import pytest

from kist.abc import NullProgress, Progress
from kist.errors import RemotePermissionError, RemoteUnavailable
from kist.remotes.memory import MemoryRemote
from kist.remotes.wrappers import (
    Budget,
    ReadOnlyRemote,
    RecordingRemote,
    RetryingRemote,
    RetryPolicy,
    ThrottledRemote,
    VerifyingRemote,
    WrappedRemote,
)
from kist.testing.faults import FlakyRemote, RawMemory

DATA = bytes(range(256)) * 4096


class Taking(MemoryRemote):
    """Takes bytes as they are."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.taken = 0

    def put_bytes(self, key, data, *, progress=NullProgress(), scratch=None) -> None:
        progress.advance(len(data) // 2)
        if self.failures:
            raise self.failures.pop()
        progress.advance(len(data) - len(data) // 2)
        self.taken += 1
        RawMemory(self.objects).write(key, data)


class Summing(Progress):
    def __init__(self) -> None:
        self.total = 0

    def advance(self, amount: int) -> None:
        self.total += amount


@pytest.fixture(autouse=True)
def no_system_folder(monkeypatch, tmp_path):
    """Whoever needs a file uses the folder that is lent."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")


@pytest.fixture
def policy():
    return RetryPolicy(sleep=lambda seconds: None)


def test_the_default_makes_a_file_in_the_folder_that_is_lent(tmp_path):
    seen = []

    class Looking(MemoryRemote):
        def put_file(self, key, source, *, if_absent=False, progress=NullProgress()) -> None:
            seen.append(source.parent)
            super().put_file(key, source, if_absent=if_absent, progress=progress)

    remote = Looking()
    remote.put_bytes("a", DATA, scratch=tmp_path)
    assert seen == [tmp_path]
    assert remote.objects["a"].data == DATA


def test_bytes_go_through_all_wrappers_as_they_are(policy):
    inner = Taking()
    recording = RecordingRemote(inner)
    remote = RetryingRemote(VerifyingRemote(ThrottledRemote(recording, Budget())), policy)
    sent = Summing()
    remote.put_bytes("a", DATA, progress=sent)
    assert inner.taken == 1
    assert recording.calls == {"put_bytes": 1, "stat": 1}
    assert sent.total == recording.bytes_sent == len(DATA)


def test_a_file_that_is_made_of_bytes_goes_through_all_wrappers(policy, tmp_path):
    recording = RecordingRemote(MemoryRemote())
    flaky = FlakyRemote(VerifyingRemote(recording), chance=0.5, seed=3)
    remote = RetryingRemote(flaky, RetryPolicy(attempts=50, sleep=lambda seconds: None))
    sent = Summing()
    for number in range(10):
        remote.put_bytes(f"{number}", DATA, progress=sent, scratch=tmp_path)
    assert flaky.faults > 0
    assert sent.total == 10 * len(DATA)
    assert set(recording.calls) == {"put_file", "stat"}
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_sent_again_and_counted_once(policy):
    inner, sent = Taking(RemoteUnavailable("no"), RemoteUnavailable("not yet")), Summing()
    RetryingRemote(inner, policy).put_bytes("a", DATA, progress=sent)
    assert inner.objects["a"].data == DATA
    assert sent.total == len(DATA)


def test_a_wrong_size_is_noticed(policy):
    class Short(Taking):
        def put_bytes(self, key, data, *, progress=NullProgress(), scratch=None) -> None:
            super().put_bytes(key, data[1:] if not self.taken else data, progress=progress, scratch=scratch)

    inner = Short()
    with pytest.raises(RemoteUnavailable):
        VerifyingRemote(inner).put_bytes("a", DATA)
    RetryingRemote(VerifyingRemote(Short()), policy).put_bytes("a", DATA)


def test_bytes_pay_their_way():
    spent = []
    budget = Budget(bytes_per_second=len(DATA), clock=lambda: 0.0, sleep=spent.append)
    ThrottledRemote(Taking(), budget).put_bytes("a", DATA)
    assert spent == [0.5, 1.0]


def test_read_only_takes_none(tmp_path):
    inner = Taking()
    with pytest.raises(RemotePermissionError):
        ReadOnlyRemote(inner).put_bytes("a", DATA, scratch=tmp_path)
    assert inner.objects == {}


def test_a_wrapper_that_knows_only_files_is_not_passed_by(policy, tmp_path):
    class Scrambling(WrappedRemote):
        def put_file(self, key, source, *, if_absent=False, progress=NullProgress()) -> None:
            source.write_bytes(source.read_bytes()[::-1])
            super().put_file(key, source, if_absent=if_absent, progress=progress)

    inner = Taking()
    RetryingRemote(RecordingRemote(Scrambling(inner)), policy).put_bytes("a", DATA, scratch=tmp_path)
    assert inner.objects["a"].data == DATA[::-1]
