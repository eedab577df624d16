"""Behaviour that any remote can be given by wrapping it; ``RetryingRemote`` is the outermost.

The usual order, from the outside: retrying, verifying, throttled, recording, the remote itself. So a truncated answer
is noticed by ``VerifyingRemote`` and repeated, and ``RecordingRemote`` counts all that is asked, repeats included.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from kist.abc import NullProgress, ObjectInfo, Progress, Remote
from kist.errors import RemoteError, RemotePermissionError, RemoteUnavailable
from kist.remotes.retry import RetryingRemote, RetryPolicy
from kist.remotes.wrapping import ObservedProgress, ObservedReader, WrappedRemote, buffered, has_own
from kist.util.atomic import storage_errors

__all__ = [
    "Budget",
    "ReadOnlyRemote",
    "RecordingRemote",
    "RetryPolicy",
    "RetryingRemote",
    "ThrottledRemote",
    "VerifyingRemote",
    "WrappedRemote",
]

_BATCH = 1000
"""Keys that one request of a batch call is taken to hold, as object stores have it."""

_PAID = 1 << 18
"""Bytes that are read before they are paid for: no server waits for long until more is wanted."""


class VerifyingRemote(WrappedRemote):
    """Notices an answer that is too short and an object that arrived with the wrong size.

    Digests are checked by who knows them; this catches what a remote can tell itself, early and retryable. The core
    wraps remotes with it whose puts are not all or nothing (``capabilities.atomic_put``), for writing only.

    Args:
        inner: the remote that does the work.
        reads: whether to check what is read too, which takes another request where nothing tells the size.
    """

    def __init__(self, inner: Remote, *, reads: bool = True) -> None:
        super().__init__(inner)
        self._reads = reads

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Store, then ask for the size."""
        with storage_errors(source):
            expected = source.stat().st_size
        self.inner.put_file(key, source, if_absent=if_absent, progress=progress)
        self._check_size(key, expected)

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        """Store, then ask for the size."""
        self.inner.put_bytes(key, data, progress=progress, scratch=scratch)
        self._check_size(key, len(data))

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Bring the file, then compare the sizes."""
        if not self._reads:
            self.inner.get_file(key, target, progress=progress)
            return
        self.inner.get_file(key, target, progress=progress)
        with storage_errors(target):
            found = target.stat().st_size
        expected = self.inner.stat(key).size
        if found != expected:
            target.unlink(missing_ok=True)
            raise RemoteUnavailable(f"{key} was cut short: {found} of {expected} bytes came")

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read; an end that comes too early is an error, not an end."""
        if not self._reads:
            return self.inner.open(key, start=start, length=length)
        reached = start
        end = None if length is None else start + length

        def observe(count: int) -> None:
            nonlocal reached
            reached += count
            if count or reached == end:
                return
            size = self.inner.stat(key).size
            expected = size if end is None else min(size, end)
            if reached < expected:
                raise RemoteUnavailable(f"{key} was cut short at byte {reached} of {size}")

        return buffered(ObservedReader(self.inner.open(key, start=start, length=length), observe))

    def _check_size(self, key: str, expected: int) -> None:
        found = self.inner.stat(key).size
        if found != expected:
            raise RemoteUnavailable(f"{key} arrived with {found} of {expected} bytes")


class Budget:
    """Bytes and requests a second that all remotes of a process share.

    Args:
        bytes_per_second: None for no limit.
        requests_per_second: None for no limit.
        clock: how to tell the time.
        sleep: how to wait.
    """

    def __init__(
        self,
        *,
        bytes_per_second: float | None = None,
        requests_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rates = {"bytes": bytes_per_second, "requests": requests_per_second}
        self._free_at = {"bytes": 0.0, "requests": 0.0}
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()

    def spend(self, *, size: int = 0, requests: int = 0) -> None:
        """Take from the budget and wait until what was taken is paid for.

        Args:
            size: bytes.
            requests: calls.
        """
        with self._lock:
            now = self._clock()
            waits = [0.0]
            for what, amount in (("bytes", size), ("requests", requests)):
                rate = self._rates[what]
                if rate is not None and amount:
                    self._free_at[what] = max(self._free_at[what], now) + amount / rate
                    waits.append(self._free_at[what] - now)
        wait = max(waits)
        if wait > 0:
            self._sleep(wait)  # outside of the lock: others learn at once that their turn is later


class ThrottledRemote(WrappedRemote):
    """Keeps to a budget of bytes and requests a second.

    Args:
        inner: the remote that does the work.
        budget: shared by all that are given the same one.
    """

    def __init__(self, inner: Remote, budget: Budget) -> None:
        super().__init__(inner)
        self._budget = budget

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Store at the allowed speed."""
        self._budget.spend(requests=1)
        self.inner.put_file(key, source, if_absent=if_absent, progress=self._paid(progress))

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        """Store at the allowed speed."""
        self._budget.spend(requests=1)
        self.inner.put_bytes(key, data, progress=self._paid(progress), scratch=scratch)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Bring at the allowed speed."""
        self._budget.spend(requests=1)
        self.inner.get_file(key, target, progress=self._paid(progress))

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read at the allowed speed."""
        self._budget.spend(requests=1)
        stream = self.inner.open(key, start=start, length=length)
        return buffered(ObservedReader(stream, lambda count: self._budget.spend(size=count), _PAID))

    def stat(self, key: str) -> ObjectInfo:
        """Ask when a request is free."""
        self._budget.spend(requests=1)
        return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List; a thousand keys are counted as a request."""
        for number, info in enumerate(self.inner.list(prefix)):
            if number % _BATCH == 0:
                self._budget.spend(requests=1)
            yield info

    def delete(self, key: str) -> None:
        """Remove when a request is free."""
        self._budget.spend(requests=1)
        self.inner.delete(key)

    def get_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Bring many at the allowed speed."""
        return super().get_many(self._counted(items), progress=self._batch(progress, "get_many"))

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Store many at the allowed speed."""
        return super().put_many(self._counted(items), progress=self._batch(progress, "put_many"))

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Ask for many when a request is free."""
        self._budget.spend(requests=1)
        return super().exists_many(keys)

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Remove many when a request is free."""
        self._budget.spend(requests=1)
        return super().delete_many(keys)

    def _paid(self, progress: Progress) -> Progress:
        return ObservedProgress(progress, lambda amount: self._budget.spend(size=amount))

    def _batch(self, progress: Progress, method: str) -> Progress:
        return self._paid(progress) if has_own(self.inner, method) else progress  # single calls pay themselves

    def _counted(self, items: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
        for item in items:
            self._budget.spend(requests=1)
            yield item


class ReadOnlyRemote(WrappedRemote):
    """Refuses everything that would change the remote."""

    def put_file(self, key: str, *_args: object, **_options: object) -> None:
        """Refused."""
        raise _refused(f"{key} is not stored")

    def put_many(self, items: Iterable[tuple[str, Path]], **_options: object) -> dict[str, RemoteError]:
        """Refused, key by key."""
        return {key: _refused(f"{key} is not stored") for key, _ in items}

    def delete(self, key: str) -> None:
        """Refused."""
        raise _refused(f"{key} is not deleted")

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Refused, key by key."""
        return {key: _refused(f"{key} is not deleted") for key in keys}

    def copy(self, source: str, target: str) -> None:
        """Refused."""
        raise _refused(f"{source} is not copied to {target}")

    def sync(self) -> None:
        """Nothing was put."""

    def sweep(self) -> int:
        """Left-overs stay where they are."""
        return 0


def _refused(what: str) -> RemotePermissionError:
    return RemotePermissionError(f"the remote is configured as read-only: {what}")


class RecordingRemote(WrappedRemote):
    """Counts what is asked of a remote.

    Attributes:
        calls: method name to number of calls.
        keys: (method, key) of every call, in order, where ``keep_keys`` was asked for.
        bytes_sent: bytes of what was put.
        bytes_received: bytes of what was got or read.

    Args:
        inner: the remote that does the work.
        keep_keys: whether to remember every key.
    """

    def __init__(self, inner: Remote, *, keep_keys: bool = False) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self.keys: list[tuple[str, str]] = []
        self.bytes_sent = 0
        self.bytes_received = 0
        self._keep_keys = keep_keys
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """Calls on the wire: one a call, one an object brought or stored, one a thousand keys that are asked for."""
        return sum(self.calls.values())

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Counted."""
        self._count("put_file", key)
        self.inner.put_file(key, source, if_absent=if_absent, progress=ObservedProgress(progress, self._sent))

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        """Counted, as what it comes to."""
        self._count("put_bytes" if has_own(self.inner, "put_bytes") else "put_file", key)
        self.inner.put_bytes(key, data, progress=ObservedProgress(progress, self._sent), scratch=scratch)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Counted."""
        self._count("get_file", key)
        self.inner.get_file(key, target, progress=ObservedProgress(progress, self._received))

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Counted."""
        self._count("open", key)
        return buffered(ObservedReader(self.inner.open(key, start=start, length=length), self._received))

    def stat(self, key: str) -> ObjectInfo:
        """Counted."""
        self._count("stat", key)
        return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Counted, once a thousand keys."""
        self._count("list", prefix)
        for number, info in enumerate(self.inner.list(prefix), 1):
            yield info
            if number % _BATCH == 0:
                self._count("list", prefix)

    def delete(self, key: str) -> None:
        """Counted."""
        self._count("delete", key)
        self.inner.delete(key)

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Counted, once a thousand keys where the remote has a batch call."""
        if has_own(self.inner, "exists_many"):
            self._count_batch("exists_many", keys)
        return super().exists_many(keys)

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Counted, once a thousand keys where the remote has a batch call."""
        if has_own(self.inner, "delete_many"):
            self._count_batch("delete_many", keys)
        return super().delete_many(keys)

    def get_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Counted, once an object."""
        if not has_own(self.inner, "get_many"):
            return super().get_many(items, progress=progress)
        observed = ObservedProgress(progress, self._received)
        return self.inner.get_many(self._counted("get_many", items), progress=observed)

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Counted, once an object."""
        if not has_own(self.inner, "put_many"):
            return super().put_many(items, progress=progress)
        observed = ObservedProgress(progress, self._sent)
        return self.inner.put_many(self._counted("put_many", items), progress=observed)

    def copy(self, source: str, target: str) -> None:
        """Counted, once where the server copies."""
        if has_own(self.inner, "copy"):
            self._count("copy", target)
        super().copy(source, target)

    def _count(self, method: str, key: str, calls: int = 1) -> None:
        with self._lock:
            self.calls[method] += calls
            if self._keep_keys:
                self.keys.append((method, key))

    def _count_batch(self, method: str, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), _BATCH):
            self._count(method, keys[at])

    def _counted(self, method: str, items: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
        for item in items:
            self._count(method, item[0])
            yield item

    def _sent(self, amount: int) -> None:
        with self._lock:
            self.bytes_sent += amount

    def _received(self, amount: int) -> None:
        with self._lock:
            self.bytes_received += amount
