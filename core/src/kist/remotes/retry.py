"""RetryingRemote: the one place where failed calls are repeated."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from kist.abc import NullProgress, ObjectInfo, Progress, Remote
from kist.errors import KistError, RemoteError, RemoteExists, RemoteUnavailable
from kist.remotes.files import read_pieces, read_source, write_target
from kist.remotes.wrapping import WrappedRemote, buffered, has_own, read_into
from kist.util.slotted import slotted

T = TypeVar("T")


@slotted(frozen=True)
class RetryPolicy:
    """When and how often a failed call is repeated.

    Args:
        attempts: how many times in a row a call may fail without any byte gained, at least 1.
        base_delay: seconds before the second attempt; doubled each time.
        max_delay: no wait is longer, unless the remote asks for it.
        deadline: seconds after the first failure in a row when no further attempt is started, None for no limit.
        jitter: how much of a wait is left to chance, 0 to 1, so that many clients do not come back at once.
        sleep: how to wait.
        clock: how to tell the time.
        observe: called after every failure that another attempt may mend, from any thread.
        remote: the remote's name, for errors that tell none.
        first_answer: seconds after which no further attempt is started as long as the remote has never answered: what
            cannot be reached at all is more often a wrong address than a passing trouble. None for no limit.
    """

    attempts: int = 6
    base_delay: float = 0.25
    max_delay: float = 30.0
    deadline: float | None = 300.0
    jitter: float = 0.5
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    observe: Callable[[], object] | None = None
    remote: str | None = None
    first_answer: float | None = None

    def delay(self, failures: int, error: KistError) -> float:
        """Seconds to wait after the given number of failures in a row.

        Args:
            failures: at least 1.
            error: the last one; its ``retry_after`` is the least wait.

        Returns:
            The wait.
        """
        wait = min(self.max_delay, self.base_delay * 2.0 ** min(failures - 1, 30))
        wait *= 1 - self.jitter * random.random()  # noqa: S311 (spreads load, protects nothing)
        asked = error.retry_after if isinstance(error, RemoteUnavailable) else None
        return max(wait, asked or 0.0)


class Contact:
    """Whether a remote has ever answered.

    Attributes:
        made: it has; set from any thread, and never taken back.
    """

    def __init__(self) -> None:
        self.made = False


class Attempts:
    """Counts failures in a row and waits between them.

    Args:
        policy: the rules.
        contact: whether the remote has ever answered, None where that does not count.
    """

    def __init__(self, policy: RetryPolicy, contact: Contact | None = None) -> None:
        self._policy = policy
        self._contact = contact or Contact()
        self.failures = 0
        self._since = 0.0
        self._began = policy.clock()

    def gained(self) -> None:
        """Something came through: the count starts anew."""
        self.failures = 0
        self.answered()

    def answered(self) -> None:
        """The remote is there, whether something came through or not."""
        self._contact.made = True

    def failed(self, error: KistError) -> None:
        """Wait before the next attempt, or give up.

        Args:
            error: what happened.

        Raises:
            KistError: the same error, where another attempt makes no sense.
        """
        policy = self._policy
        now = policy.clock()
        if not isinstance(error, RemoteUnavailable) or error.retry_after is not None:
            self.answered()
        if not self.failures:
            self._since = now
        if error.remote is None:
            error.remote = policy.remote
        self.failures += 1
        if error.retryable and policy.observe is not None:
            policy.observe()
        if not error.retryable or self.failures >= policy.attempts:
            raise error
        wait = policy.delay(self.failures, error)
        if policy.deadline is not None and now + wait > self._since + policy.deadline:
            raise error
        first = None if self._contact.made else policy.first_answer
        if first is not None and now + wait > self._began + first:
            raise error
        policy.sleep(wait)


class RetryingRemote(WrappedRemote):
    """Repeats calls that failed in a way that may pass; reading goes on at the byte that was reached.

    Args:
        inner: the remote that does the work; its own retries are off.
        policy: how often and how long.
        resume: whether ``get_file`` is read as a stream that resumes; None: unless ``capabilities.cheap_get`` says that
            the remote has a faster way, which then starts anew after a failure.
    """

    def __init__(self, inner: Remote, policy: RetryPolicy = RetryPolicy(), *, resume: bool | None = None) -> None:
        super().__init__(inner)
        self._policy, self._contact = policy, Contact()
        self._resume = not inner.capabilities.cheap_get if resume is None else resume

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Store the bytes; a failed attempt starts anew, counted only once in *progress*."""
        seen = _HighWater(progress)
        attempts = Attempts(self._policy, self._contact)
        while True:
            try:
                self.inner.put_file(key, source, if_absent=if_absent, progress=seen)
            except RemoteExists:
                # The attempt that seemed to fail may be the one that won.
                if attempts.failures and self._holds(key, source):
                    return
                raise
            except RemoteError as exc:
                attempts.failed(exc)
                seen.restart()
            else:
                attempts.gained()
                return

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        """Store the bytes; a failed attempt starts anew, counted only once in *progress*."""
        if not has_own(self.inner, "put_bytes"):
            super().put_bytes(key, data, progress=progress, scratch=scratch)
            return
        seen = _HighWater(progress)
        self._call(lambda: self.inner.put_bytes(key, data, progress=seen, scratch=scratch), seen.restart)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Bring the object; what arrived before a break is not asked for again."""
        if self._resume:
            with self.open(key) as reader:
                write_target(target, read_pieces(reader), progress)
            return
        seen = _HighWater(progress)
        self._call(lambda: self.inner.get_file(key, target, progress=seen), seen.restart)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read the object; a stream that breaks is opened again where it broke."""
        attempts = Attempts(self._policy, self._contact)
        return buffered(_ResumingReader(self.inner, key, start, length, attempts))

    def stat(self, key: str) -> ObjectInfo:
        """Ask until there is an answer."""
        return self._call(lambda: self.inner.stat(key))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List; a listing that breaks is started again without the keys that were given already."""
        given: set[str] = set()
        attempts = Attempts(self._policy, self._contact)
        while True:
            try:
                for info in self.inner.list(prefix):
                    if info.key not in given:
                        given.add(info.key)
                        attempts.gained()
                        yield info
            except RemoteError as exc:
                attempts.failed(exc)
            else:
                attempts.gained()
                return

    def delete(self, key: str) -> None:
        """Remove a key; doing it twice does no harm."""
        self._call(lambda: self.inner.delete(key))

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Ask until there is an answer."""
        if not has_own(self.inner, "exists_many"):
            return super().exists_many(keys)
        return self._call(lambda: self.inner.exists_many(keys))

    def get_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Bring many objects, those that failed again one by one."""
        paths = dict(items)
        if not has_own(self.inner, "get_many"):
            return super().get_many(paths.items(), progress=progress)
        failed = self.inner.get_many(paths.items(), progress=progress)
        return self._again(failed, lambda key: self.get_file(key, paths[key]))

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Store many objects, those that failed again one by one."""
        paths = dict(items)
        if not has_own(self.inner, "put_many"):
            return super().put_many(paths.items(), progress=progress)
        failed = self.inner.put_many(paths.items(), progress=progress)
        return self._again(failed, lambda key: self.put_file(key, paths[key]))

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Remove many keys, those that failed again one by one."""
        if not has_own(self.inner, "delete_many"):
            return super().delete_many(keys)
        return self._again(self.inner.delete_many(keys), self.delete)

    def copy(self, source: str, target: str) -> None:
        """Copy; doing it twice does no harm."""
        if not has_own(self.inner, "copy"):
            super().copy(source, target)
            return
        self._call(lambda: self.inner.copy(source, target))

    def sync(self) -> None:
        """Pass on, again where that may help."""
        self._call(self.inner.sync)

    def _call(self, function: Callable[[], T], restart: Callable[[], None] = lambda: None) -> T:
        attempts = Attempts(self._policy, self._contact)
        while True:
            try:
                result = function()
            except RemoteError as exc:
                attempts.failed(exc)
                restart()
            else:
                attempts.gained()
                return result

    def _again(self, failed: dict[str, RemoteError], call: Callable[[str], None]) -> dict[str, RemoteError]:
        """Repeat single calls for the keys whose failure may pass."""
        left: dict[str, RemoteError] = {}
        for key, error in failed.items():
            if not error.retryable:
                left[key] = error
                continue
            try:
                call(key)
            except RemoteError as exc:
                left[key] = exc
        return left

    def _holds(self, key: str, source: Path) -> bool:
        """Whether the object is, byte for byte, what we tried to store."""
        with self.open(key) as theirs:
            for piece in read_source(source):
                if theirs.read(len(piece)) != piece:
                    return False
            return not theirs.read(1)


class _HighWater(Progress):
    """Passes on only what goes beyond the furthest point that an earlier attempt had reached."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self._reached = self._at = 0

    def restart(self) -> None:
        self._at = 0

    def advance(self, amount: int) -> None:
        self._at += amount
        if self._at > self._reached:
            more, self._reached = self._at - self._reached, self._at
            self._inner.advance(more)

    def message(self, text: str) -> None:
        self._inner.message(text)


class _ResumingReader(io.RawIOBase):
    """Reads a range of an object and opens it again at the byte reached when the stream breaks."""

    def __init__(self, remote: Remote, key: str, start: int, length: int | None, attempts: Attempts) -> None:
        super().__init__()
        self._remote, self._key = remote, key
        self._position = start
        self._end = None if length is None else start + length
        self._attempts = attempts
        self._stream: BinaryIO | None = None
        self._reopen()

    def _reopen(self) -> BinaryIO:
        while True:
            left = None if self._end is None else self._end - self._position
            try:
                self._stream = self._remote.open(self._key, start=self._position, length=left)
            except RemoteError as exc:
                self._attempts.failed(exc)
            else:
                self._attempts.answered()
                return self._stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            stream = self._stream or self._reopen()
            try:
                count = read_into(stream, memoryview(buffer))
            except RemoteError as exc:
                self._stream = None
                _close_quietly(stream)
                self._attempts.failed(exc)
                continue
            if count:
                self._attempts.gained()
            self._position += count
            return count

    def close(self) -> None:
        if not self.closed and self._stream is not None:
            self._stream.close()
        super().close()


def _close_quietly(stream: BinaryIO) -> None:
    """A broken stream may fail to close; what broke it is the error that matters."""
    import contextlib

    with contextlib.suppress(Exception):
        stream.close()
