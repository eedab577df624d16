"""Remotes that misbehave on purpose, for tests of what is built on remotes."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from kist.abc import NullProgress, ObjectInfo, Progress, Remote
from kist.errors import KistError, RemoteUnavailable
from kist.remotes.files import write_target
from kist.remotes.memory import Stored
from kist.remotes.wrapping import ObservedProgress, ObservedReader, WrappedRemote, buffered


class Gate:
    """For ``MemoryRemote(gate=…)``: raises what a server would.

    Args:
        error: makes the error.
        methods: the methods that fail, None for all.
    """

    def __init__(self, error: Callable[[], KistError], methods: Iterable[str] | None = None) -> None:
        self._error = error
        self._methods = None if methods is None else frozenset(methods)

    def __call__(self, method: str) -> None:
        """Raise for the methods that fail."""
        if self._methods is None or method in self._methods:
            raise self._error()


class RawMemory:
    """The back door to the objects of a MemoryRemote.

    Args:
        objects: its dictionary.
    """

    def __init__(self, objects: dict[str, Stored]) -> None:
        self._objects = objects

    def keys(self) -> list[str]:
        """Every key."""
        return sorted(self._objects)

    def write(self, key: str, data: bytes) -> None:
        """Put an object."""
        self._objects[key] = Stored(data, time.time(), hashlib.sha256(data).hexdigest())

    def read(self, key: str) -> bytes:
        """The bytes of an object."""
        return self._objects[key].data


class FlakyRemote(WrappedRemote):
    """Fails some calls, before or after doing them, and breaks some streams in their middle.

    Args:
        inner: the remote that does the work.
        chance: how likely a call fails, 0 to 1.
        seed: the same seed gives the same faults to the same calls.
        error: makes the error.
        after: whether the call is done before it fails, as when only the answer is lost.
    """

    def __init__(
        self,
        inner: Remote,
        *,
        chance: float = 0.5,
        seed: int = 0,
        error: Callable[[], KistError] = lambda: RemoteUnavailable("a fault on purpose"),
        after: bool = False,
    ) -> None:
        super().__init__(inner)
        self.faults = 0
        self._chance, self._error, self._after = chance, error, after
        self._random = random.Random(seed)  # noqa: S311 (faults that can be repeated)
        self._lock = threading.Lock()

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Fails in the middle, or after the object is stored."""
        if not self._due():
            self.inner.put_file(key, source, if_absent=if_absent, progress=progress)
            return
        if self._after:
            self.inner.put_file(key, source, if_absent=if_absent, progress=progress)
            raise self._error()
        self.inner.put_file(key, source, if_absent=if_absent, progress=ObservedProgress(progress, self._raise))
        raise self._error()

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Fails in the middle."""
        observed = ObservedProgress(progress, self._raise) if self._due() else progress
        self.inner.get_file(key, target, progress=observed)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Fails at once, or gives a stream that breaks after some bytes."""
        if self._due():
            raise self._error()
        stream = self.inner.open(key, start=start, length=length)
        if not self._due():
            return stream
        left = 1000

        def observe(count: int) -> None:
            nonlocal left
            left -= count
            if left <= 0:
                raise self._error()

        return buffered(ObservedReader(stream, observe), 100)

    def stat(self, key: str) -> ObjectInfo:
        """Fails now and then."""
        self._maybe()
        return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Fails now and then, also in the middle."""
        self._maybe()
        for number, info in enumerate(self.inner.list(prefix)):
            if number % 100 == 1:
                self._maybe()
            yield info

    def delete(self, key: str) -> None:
        """Fails now and then, before or after."""
        due = self._due()
        if due and not self._after:
            raise self._error()
        self.inner.delete(key)
        if due:
            raise self._error()

    def _due(self) -> bool:
        with self._lock:
            due = self._random.random() < self._chance
            self.faults += due
            return due

    def _maybe(self) -> None:
        if self._due():
            raise self._error()

    def _raise(self, _amount: int) -> None:
        raise self._error()


class SlowRemote(WrappedRemote):
    """Takes its time before every call.

    Args:
        inner: the remote that does the work.
        seconds: how long.
        sleep: how to wait.
    """

    def __init__(self, inner: Remote, seconds: float, *, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__(inner)
        self._seconds, self._sleep = seconds, sleep

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Waits first."""
        self._sleep(self._seconds)
        self.inner.put_file(key, source, if_absent=if_absent, progress=progress)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Waits first."""
        self._sleep(self._seconds)
        self.inner.get_file(key, target, progress=progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Waits first."""
        self._sleep(self._seconds)
        return self.inner.open(key, start=start, length=length)

    def stat(self, key: str) -> ObjectInfo:
        """Waits first."""
        self._sleep(self._seconds)
        return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Waits first."""
        self._sleep(self._seconds)
        yield from self.inner.list(prefix)

    def delete(self, key: str) -> None:
        """Waits first."""
        self._sleep(self._seconds)
        self.inner.delete(key)


class CuttingRemote(WrappedRemote):
    """Cuts every download after so many bytes, by an error or, worse, by an end that looks right.

    Args:
        inner: the remote that does the work.
        after: bytes of each stream or file that come through.
        times: how many downloads are cut, None for all.
        silently: whether the cut looks like the end of the object.
    """

    def __init__(self, inner: Remote, after: int, *, times: int | None = None, silently: bool = False) -> None:
        super().__init__(inner)
        self.cuts = 0
        self.bytes_sent = 0
        self._after, self._times, self._silently = after, times, silently

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Gives a stream that is cut."""
        stream = self.inner.open(key, start=start, length=length)
        return buffered(_CutReader(stream, self), 1 << 16)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Reads a stream that is cut."""
        with self.open(key) as reader:
            write_target(target, iter(lambda: reader.read(1 << 16), b""), progress)

    def allow(self, given: int, wanted: int) -> int:
        """How many of the wanted bytes a stream may give that gave so many already.

        Args:
            given: bytes that it gave.
            wanted: bytes that it is asked for.

        Returns:
            At most *wanted*; 0 where the cut looks like an end.

        Raises:
            RemoteUnavailable: here it is cut.
        """
        if self._times is not None and self.cuts >= self._times:
            return wanted
        if given < self._after:
            return min(wanted, self._after - given)
        self.cuts += 1
        if not self._silently:
            raise RemoteUnavailable("the connection was cut on purpose")
        return 0


class _CutReader(ObservedReader):
    def __init__(self, inner: BinaryIO, remote: CuttingRemote) -> None:
        super().__init__(inner, self._count)
        self._remote = remote
        self._given = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)
        return super().readinto(view[: self._remote.allow(self._given, len(view))])

    def _count(self, count: int) -> None:
        self._given += count
        self._remote.bytes_sent += count


class LyingRemote(WrappedRemote):
    """Gives other bytes than were put: one bit of each object is turned.

    Args:
        inner: the remote that does the work.
        prefix: how the keys begin that it lies about, "" for all.
    """

    def __init__(self, inner: Remote, prefix: str = "") -> None:
        super().__init__(inner)
        self._prefix = prefix

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Gives a stream whose first byte is wrong."""
        from io import BytesIO

        with self.inner.open(key, start=start, length=length) as reader:
            data = bytearray(reader.read())
        if data and key.startswith(self._prefix):
            data[0] ^= 1
        return BytesIO(data)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Brings a file whose first byte is wrong."""
        with self.open(key) as reader:
            write_target(target, iter(lambda: reader.read(1 << 20), b""), progress)
