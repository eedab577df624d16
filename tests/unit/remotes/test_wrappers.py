"""Retrying, verifying, throttling, recording: what wrappers add to a remote."""

from __future__ import annotations

import threading
from io import BufferedReader, FileIO
from pathlib import Path

import pytest

from kist.abc import Capabilities, NullProgress, Progress
from kist.errors import (
    KistError,
    RemoteAuthError,
    RemoteError,
    RemoteExists,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemoteUnavailable,
)
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
from kist.testing.faults import CuttingRemote, FlakyRemote, Gate, LyingRemote, RawMemory, SlowRemote
from kist.util.slotted import replace

DATA = bytes(range(256)) * 4096  # 1 MiB


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class Summing(Progress):
    def __init__(self) -> None:
        self.total = 0

    def advance(self, amount: int) -> None:
        self.total += amount


class Failing:
    """A gate that raises these errors, one a call, and lets all later calls pass."""

    def __init__(self, *errors: KistError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, method: str) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


def memory(*keys: str, gate=str, data: bytes = DATA) -> MemoryRemote:
    remote = MemoryRemote(gate=gate)
    for key in keys:
        RawMemory(remote.objects).write(key, data)
    return remote


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def policy(clock: Clock) -> RetryPolicy:
    return RetryPolicy(attempts=4, base_delay=1, max_delay=10, deadline=60, jitter=0, sleep=clock.sleep, clock=clock)


class TestRetryPolicy:
    def test_delays_double_up_to_the_longest(self) -> None:
        policy = RetryPolicy(base_delay=1, max_delay=10, jitter=0)
        delays = [policy.delay(failures, RemoteUnavailable("x")) for failures in range(1, 7)]
        assert delays == [1, 2, 4, 8, 10, 10]

    def test_jitter_only_shortens(self) -> None:
        policy = RetryPolicy(base_delay=8, max_delay=8, jitter=0.5)
        delays = {policy.delay(1, RemoteUnavailable("x")) for _ in range(100)}
        assert len(delays) > 10
        assert all(4 <= delay <= 8 for delay in delays)

    def test_what_the_remote_asks_is_the_least(self) -> None:
        policy = RetryPolicy(base_delay=1, max_delay=10, jitter=0)
        assert policy.delay(1, RemoteUnavailable("x", retry_after=42)) == 42
        assert policy.delay(3, RemoteUnavailable("x", retry_after=0)) == 4

    def test_many_failures_do_not_overflow(self) -> None:
        assert RetryPolicy(jitter=0).delay(10_000, RemoteUnavailable("x")) == 30


class TestRetrying:
    def test_passing_failure_is_repeated(self, policy, clock) -> None:
        remote = RetryingRemote(memory("a", gate=Failing(RemoteUnavailable("x"), RemoteUnavailable("x"))), policy)
        assert remote.stat("a").size == len(DATA)
        assert clock.waits == [1, 2]

    def test_gives_up_after_the_attempts(self, policy, clock) -> None:
        gate = Failing(*[RemoteUnavailable(f"number {n}") for n in range(9)])
        with pytest.raises(RemoteUnavailable, match="number 3"):
            RetryingRemote(memory(gate=gate), policy).stat("a")
        assert gate.calls == 4
        assert clock.waits == [1, 2, 4]

    @pytest.mark.parametrize("error", [RemoteAuthError("x"), RemotePermissionError("x"), RemoteError("x")])
    def test_lasting_failure_is_not_repeated(self, policy, clock, error) -> None:
        gate = Failing(error)
        with pytest.raises(type(error)):
            RetryingRemote(memory(gate=gate), policy).stat("a")
        assert (gate.calls, clock.waits) == (1, [])

    def test_gives_up_at_the_deadline(self, clock) -> None:
        policy = RetryPolicy(
            attempts=100, base_delay=10, max_delay=10, deadline=35, jitter=0, sleep=clock.sleep, clock=clock
        )
        with pytest.raises(RemoteUnavailable):
            RetryingRemote(memory(gate=Gate(lambda: RemoteUnavailable("x"))), policy).stat("a")
        assert clock.waits == [10, 10, 10]

    def test_does_not_wait_beyond_the_deadline(self, policy, clock) -> None:
        gate = Failing(RemoteUnavailable("come back tomorrow", retry_after=86400))
        with pytest.raises(RemoteUnavailable, match="tomorrow"):
            RetryingRemote(memory(gate=gate), policy).stat("a")
        assert clock.waits == []

    def test_who_never_answered_is_not_waited_for_long(self, policy, clock) -> None:
        """Each attempt runs into its time-out; a remote that has been heard of is worth all attempts."""
        patient = replace(policy, attempts=9, first_answer=10)
        away = [True]

        def gate(method: str) -> None:
            if away:
                clock.now += 4
                raise RemoteUnavailable("it did not answer in time")

        for heard, longest in ((False, 10), (True, 60)):
            away[:], began = ([] if heard else [True]), clock.now
            remote = RetryingRemote(memory("a", gate=gate), patient)
            if heard:
                remote.stat("a")
                away.append(True)
            with pytest.raises(RemoteUnavailable):
                remote.stat("a")
            assert longest / 2 < clock.now - began <= longest + 4

    @pytest.mark.parametrize("error", [RemoteUnavailable("busy", retry_after=20), RemoteAuthError("who?")])
    def test_a_refusal_is_an_answer(self, policy, clock, error) -> None:
        remote = RetryingRemote(
            memory("a", gate=Failing(error, RemoteUnavailable("x"))), replace(policy, first_answer=0)
        )
        if error.retryable:
            assert remote.stat("a").size == len(DATA)
        else:
            with pytest.raises(RemoteAuthError):
                remote.stat("a")
            assert remote.stat("a").size == len(DATA)

    def test_retry_after_is_honoured(self, policy, clock) -> None:
        gate = Failing(RemoteUnavailable("slow down", retry_after=17))
        RetryingRemote(memory("a", gate=gate), policy).stat("a")
        assert clock.waits == [17]

    def test_what_progress_raises_is_not_repeated(self, policy, tmp_path) -> None:
        class Abort(Exception):
            pass

        class Aborting(Progress):
            def advance(self, amount: int) -> None:
                raise Abort

        (tmp_path / "source").write_bytes(DATA)
        gate = Failing()
        with pytest.raises(Abort):
            RetryingRemote(memory(gate=gate), policy).put_file("a", tmp_path / "source", progress=Aborting())
        assert gate.calls == 1

    def test_progress_counts_repeated_bytes_once(self, tmp_path) -> None:
        (tmp_path / "source").write_bytes(DATA * 3)
        patient = RetryPolicy(attempts=100, sleep=lambda seconds: None)
        flaky = FlakyRemote(MemoryRemote(), chance=0.7)
        sent, received = Summing(), Summing()
        remote = RetryingRemote(flaky, patient)
        for number in range(10):
            remote.put_file(f"{number}", tmp_path / "source", progress=sent)
            remote.get_file(f"{number}", tmp_path / "target", progress=received)
            assert (tmp_path / "target").read_bytes() == DATA * 3
        assert sent.total == received.total == 30 * len(DATA)
        assert flaky.faults > 10

    def test_progress_counts_once_without_resuming(self, tmp_path) -> None:
        patient = RetryPolicy(attempts=100, sleep=lambda seconds: None)
        remote = RetryingRemote(FlakyRemote(memory("a", data=DATA * 3), chance=0.7), patient, resume=False)
        for _ in range(10):
            received = Summing()
            remote.get_file("a", tmp_path / "target", progress=received)
            assert received.total == 3 * len(DATA)

    @pytest.mark.parametrize(("cheap", "method"), [(False, "open"), (True, "get_file")])
    def test_file_is_brought_as_the_remote_does_it_best(self, policy, tmp_path, cheap, method) -> None:
        class Folder(MemoryRemote):
            capabilities = Capabilities(cheap_get=cheap)

        recording = RecordingRemote(Folder(memory("a").objects))
        RetryingRemote(recording, policy).get_file("a", tmp_path / "target")
        assert recording.calls == {method: 1}
        assert (tmp_path / "target").read_bytes() == DATA

    def test_lost_answer_of_if_absent_is_success(self, policy, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"mine")
        inner = MemoryRemote()
        remote = RetryingRemote(
            FlakyRemote(inner, chance=0.5, seed=1, after=True), RetryPolicy(attempts=50, sleep=lambda s: None)
        )
        for number in range(20):
            remote.put_file(f"lock/{number}", tmp_path / "source", if_absent=True)
        assert len(inner.objects) == 20

    def test_another_winner_of_if_absent_is_told(self, policy, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"mine")
        remote = RetryingRemote(memory("lock", gate=Failing(RemoteUnavailable("x")), data=b"hers"), policy)
        with pytest.raises(RemoteExists):
            remote.put_file("lock", tmp_path / "source", if_absent=True)

    def test_listing_goes_on_where_it_broke(self) -> None:
        inner = memory(*[f"k{number:04}" for number in range(1000)], data=b"x")
        flaky = FlakyRemote(inner, chance=0.4, seed=3)
        remote = RetryingRemote(flaky, RetryPolicy(attempts=10_000, sleep=lambda seconds: None))
        assert [info.key for info in remote.list("k")] == sorted(inner.objects)
        assert flaky.faults > 2

    def test_missing_object_is_told_at_open(self, policy) -> None:
        with pytest.raises(RemoteObjectNotFound):
            RetryingRemote(memory(), policy).open("none")


class TestResuming:
    """A stream that breaks goes on at the byte that was reached."""

    def test_link_that_is_cut_often(self, policy, tmp_path) -> None:
        data = DATA * 20
        cutting = CuttingRemote(memory("a", data=data), len(data) // 20)
        received = Summing()
        RetryingRemote(cutting, policy).get_file("a", tmp_path / "target", progress=received)
        assert (tmp_path / "target").read_bytes() == data
        assert cutting.cuts >= 19
        assert cutting.bytes_sent <= len(data) * 1.15
        assert received.total == len(data)

    @pytest.mark.parametrize(("start", "length"), [(0, None), (1000, None), (5, 300_000), (len(DATA) - 5, 100)])
    def test_range(self, policy, start, length) -> None:
        cutting = CuttingRemote(memory("a"), 10_000)
        with RetryingRemote(cutting, policy).open("a", start=start, length=length) as reader:
            assert reader.read() == DATA[start:][:length]

    def test_attempts_start_anew_with_every_byte_gained(self, policy, clock) -> None:
        cutting = CuttingRemote(memory("a"), 50_000)
        with RetryingRemote(cutting, policy).open("a") as reader:
            assert reader.read() == DATA
        assert cutting.cuts > policy.attempts
        assert set(clock.waits) == {1}

    def test_stream_that_gives_nothing_ends(self, policy) -> None:
        cutting = CuttingRemote(memory("a"), 0)
        with RetryingRemote(cutting, policy).open("a") as reader:
            with pytest.raises(RemoteUnavailable):
                reader.read()
        assert cutting.cuts == policy.attempts

    def test_silent_cut_is_noticed_and_resumed(self, policy, tmp_path) -> None:
        cutting = CuttingRemote(memory("a"), 100_000, silently=True)
        RetryingRemote(VerifyingRemote(cutting), policy).get_file("a", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == DATA

    def test_failed_get_leaves_no_target(self, policy, tmp_path) -> None:
        with pytest.raises(RemoteUnavailable):
            RetryingRemote(CuttingRemote(memory("a"), 0), policy).get_file("a", tmp_path / "target")
        assert list(tmp_path.iterdir()) == []


class TestVerifying:
    def test_short_file(self, tmp_path) -> None:
        remote = VerifyingRemote(CuttingRemote(memory("a"), 1000, silently=True))
        with pytest.raises(RemoteUnavailable, match="cut short"):
            remote.get_file("a", tmp_path / "target")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("length", [None, 2000])
    def test_short_stream(self, length) -> None:
        remote = VerifyingRemote(CuttingRemote(memory("a"), 1000, silently=True))
        with remote.open("a", length=length) as reader, pytest.raises(RemoteUnavailable, match="cut short"):
            reader.read()

    def test_range_beyond_the_end_is_no_cut(self) -> None:
        with VerifyingRemote(memory("a")).open("a", start=len(DATA) - 10, length=100) as reader:
            assert reader.read() == DATA[-10:]
        with VerifyingRemote(memory("a")).open("a", start=len(DATA) + 10, length=100) as reader:
            assert reader.read() == b""

    def test_full_range_asks_for_no_size(self) -> None:
        recording = RecordingRemote(memory("a"))
        with VerifyingRemote(recording).open("a", start=10, length=100) as reader:
            assert reader.read(100) == DATA[10:110]
        assert recording.calls == {"open": 1}

    def test_put_that_arrives_short(self, tmp_path) -> None:
        class Truncating(WrappedRemote):
            def put_file(self, key, source, *, if_absent=False, progress=NullProgress()) -> None:
                (tmp_path / "half").write_bytes(source.read_bytes()[:10])
                self.inner.put_file(key, tmp_path / "half")

        (tmp_path / "source").write_bytes(DATA)
        with pytest.raises(RemoteUnavailable, match="10 of"):
            VerifyingRemote(Truncating(memory())).put_file("a", tmp_path / "source")


class TestThrottled:
    def test_bytes_a_second(self, clock, tmp_path) -> None:
        budget = Budget(bytes_per_second=len(DATA) / 2, clock=clock, sleep=clock.sleep)
        remote = ThrottledRemote(memory("a"), budget)
        remote.get_file("a", tmp_path / "target")
        assert sum(clock.waits) == pytest.approx(2)
        remote.put_file("b", tmp_path / "target")
        assert sum(clock.waits) == pytest.approx(4)
        with remote.open("a") as reader:
            reader.read()
        assert sum(clock.waits) == pytest.approx(6)

    def test_much_that_comes_at_once_is_paid_for_in_parts(self, clock, monkeypatch) -> None:
        inner = memory("a")
        monkeypatch.setattr(inner, "open", lambda _key, **_how: BufferedReader(FileIO("/dev/zero")))
        remote = ThrottledRemote(inner, Budget(bytes_per_second=1 << 20, clock=clock, sleep=clock.sleep))
        with remote.open("a") as reader:
            assert reader.readinto1(memoryview(bytearray(1 << 20))) == 1 << 18
        assert clock.waits == [0.25]

    def test_requests_a_second(self, clock) -> None:
        remote = ThrottledRemote(memory("a"), Budget(requests_per_second=4, clock=clock, sleep=clock.sleep))
        for _ in range(8):
            remote.stat("a")
        assert sum(clock.waits) == pytest.approx(2)

    def test_unused_time_is_not_saved_up(self, clock) -> None:
        remote = ThrottledRemote(memory("a"), Budget(requests_per_second=1, clock=clock, sleep=clock.sleep))
        clock.now += 1000
        remote.stat("a")
        remote.stat("a")
        assert clock.waits == [1, 1]

    def test_remotes_share_a_budget(self, clock) -> None:
        budget = Budget(requests_per_second=2, clock=clock, sleep=clock.sleep)
        ThrottledRemote(memory("a"), budget).stat("a")
        ThrottledRemote(memory("a"), budget).stat("a")
        assert sum(clock.waits) == pytest.approx(1)

    def test_no_limit_waits_for_nothing(self, clock, tmp_path) -> None:
        remote = ThrottledRemote(memory("a"), Budget(clock=clock, sleep=clock.sleep))
        remote.get_file("a", tmp_path / "target")
        assert clock.waits == []


class TestReadOnly:
    def test_reads(self, tmp_path) -> None:
        remote = ReadOnlyRemote(memory("a"))
        remote.get_file("a", tmp_path / "target")
        assert remote.stat("a").size == len(DATA)
        assert [info.key for info in remote.list()] == ["a"]

    def test_refuses_to_change(self, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"x")
        inner = memory("a")
        remote = ReadOnlyRemote(inner)
        for call in (
            lambda: remote.put_file("b", tmp_path / "source"),
            lambda: remote.delete("a"),
            lambda: remote.copy("a", "b"),
        ):
            with pytest.raises(RemotePermissionError, match="read-only"):
                call()
        assert set(remote.put_many([("b", tmp_path / "source")])) == {"b"}
        assert set(remote.delete_many(["a"])) == {"a"}
        assert remote.sweep() == 0
        assert list(inner.objects) == ["a"]


class Batching(MemoryRemote):
    """Has batch methods of its own."""

    def exists_many(self, keys):
        return super().exists_many(keys)

    def get_many(self, items, *, progress=NullProgress()):
        return super().get_many(items, progress=progress)

    def put_many(self, items, *, progress=NullProgress()):
        return super().put_many(items, progress=progress)

    def delete_many(self, keys):
        return super().delete_many(keys)

    def copy(self, source, target):
        super().copy(source, target)


class TestRecording:
    def test_counts_calls_and_bytes(self, tmp_path) -> None:
        remote = RecordingRemote(memory("a"), keep_keys=True)
        remote.get_file("a", tmp_path / "target")
        remote.put_file("b", tmp_path / "target")
        with remote.open("a", start=10, length=90) as reader:
            reader.read()
        remote.stat("a")
        list(remote.list())
        remote.delete("b")
        assert remote.calls == {"get_file": 1, "put_file": 1, "open": 1, "stat": 1, "list": 1, "delete": 1}
        assert remote.requests == 6
        assert (remote.bytes_sent, remote.bytes_received) == (len(DATA), len(DATA) + 90)
        assert remote.keys[:2] == [("get_file", "a"), ("put_file", "b")]

    def test_default_batches_are_counted_call_by_call(self, tmp_path) -> None:
        remote = RecordingRemote(memory("a", "b"))
        remote.exists_many(["a", "b", "c"])
        remote.get_many([("a", tmp_path / "a"), ("b", tmp_path / "b")])
        remote.put_many([("c", tmp_path / "a")])
        remote.delete_many(["a", "b"])
        assert remote.calls == {"stat": 3, "get_file": 2, "put_file": 1, "delete": 2}

    def test_own_batches_are_counted_as_they_travel(self, tmp_path) -> None:
        remote = RecordingRemote(Batching())
        (tmp_path / "source").write_bytes(b"x")
        remote.put_many([(f"{number}", tmp_path / "source") for number in range(1500)])
        remote.exists_many([f"{number}" for number in range(1500)])
        remote.get_many([("1", tmp_path / "a"), ("2", tmp_path / "b")])
        remote.copy("1", "2")
        remote.delete_many([f"{number}" for number in range(1500)])
        assert remote.calls == {"put_many": 1500, "exists_many": 2, "get_many": 2, "copy": 1, "delete_many": 2}
        assert (remote.bytes_sent, remote.bytes_received) == (1500, 2)

    def test_pages_of_a_listing(self) -> None:
        remote = RecordingRemote(memory(*[f"{number}" for number in range(1500)], data=b""))
        assert len(list(remote.list())) == 1500
        assert remote.requests == 2

    def test_repeated_calls_are_counted(self, policy) -> None:
        recording = RecordingRemote(memory("a", gate=Failing(RemoteUnavailable("x"))))
        RetryingRemote(recording, policy).stat("a")
        assert recording.requests == 2

    def test_threads_lose_no_count(self) -> None:
        remote = RecordingRemote(memory("a", data=b"x"))
        threads = [threading.Thread(target=lambda: [remote.stat("a") for _ in range(500)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert remote.requests == 2000


class TestWrapped:
    def test_everything_passes(self, tmp_path) -> None:
        inner = Batching()
        remote = WrappedRemote(WrappedRemote(inner))
        (tmp_path / "source").write_bytes(b"x")
        assert remote.put_many([("a", tmp_path / "source")]) == {}
        remote.copy("a", "b")
        assert remote.exists_many(["a", "b"]) == {"a": True, "b": True}
        assert remote.get_many([("a", tmp_path / "target")]) == {}
        assert remote.delete_many(["a"]) == {}
        assert (remote.sync(), remote.sweep(), list(remote.describe_access())) == (None, 0, [])
        assert remote.capabilities is inner.capabilities
        assert "Batching" in repr(remote)
        remote.close()

    def test_batches_of_retrying(self, policy, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"x")
        inner = Batching(gate=Failing(RemoteUnavailable("x")))
        remote = RetryingRemote(inner, policy)
        assert remote.put_many([("a", tmp_path / "source"), ("b", tmp_path / "source")]) == {}
        inner._gate = Failing(RemoteUnavailable("x"))
        assert remote.get_many([("a", tmp_path / "1"), ("b", tmp_path / "2")]) == {}
        inner._gate = Failing(RemoteUnavailable("x"), RemoteUnavailable("x"))
        assert remote.exists_many(["a", "c"]) == {"a": True, "c": False}
        inner._gate = Failing(RemoteUnavailable("x"), RemoteAuthError("x"))
        assert [type(one) for one in remote.delete_many(["a", "b"]).values()] == [RemoteAuthError]
        inner._gate = Failing(RemoteUnavailable("x"))
        remote.copy("b", "d")
        remote.sync()
        assert sorted(inner.objects) == ["b", "d"]


class TestFaults:
    def test_lying(self, tmp_path) -> None:
        remote = LyingRemote(memory("packs/a", "index/b"), "packs/")
        remote.get_file("packs/a", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() != DATA
        with remote.open("index/b") as reader:
            assert reader.read() == DATA

    def test_slow(self, clock, tmp_path) -> None:
        remote = SlowRemote(memory("a"), 3, sleep=clock.sleep)
        remote.get_file("a", tmp_path / "target")
        remote.put_file("b", tmp_path / "target")
        remote.open("a").close()
        remote.stat("a")
        list(remote.list())
        remote.delete("a")
        assert clock.waits == [3] * 6

    def test_same_seed_same_faults(self, tmp_path: Path) -> None:
        def faults() -> list[bool]:
            remote = FlakyRemote(memory("a"), seed=5)
            found = []
            for _ in range(50):
                try:
                    remote.stat("a")
                except RemoteUnavailable:
                    found.append(True)
                else:
                    found.append(False)
            return found

        assert faults() == faults()
