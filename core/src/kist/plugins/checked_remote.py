"""CheckedRemote: the border between the core and a plugin's remote; what is no answer at all is told as its defect."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from kist.abc.progress import NullProgress, Progress
from kist.abc.remote import Capabilities, ObjectInfo, Remote
from kist.errors import ContractViolation, KistError, RemoteError
from kist.plugins.blame import violation, wrong_answer
from kist.remotes.wrapping import WrappedRemote

_FAITHFUL = (io.BufferedReader, io.BytesIO)
"""Streams of the standard library: what they give is bytes, never more than was asked for."""


class CheckedRemote(WrappedRemote):
    """Passes every call on and looks at the kind of what comes back, so that nobody behind it meets anything else.

    Args:
        inner: the plugin's remote.
        distribution: who brings it.

    Raises:
        ContractViolation: its capabilities are none; later, from each method, an answer is of the wrong kind.
    """

    def __init__(self, inner: Remote, distribution: str) -> None:
        super().__init__(inner)
        self._distribution = distribution
        found = inner.capabilities
        self._expect(_are_capabilities(found), "capabilities", found, "a sensible kist.abc.Capabilities")

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Passed on; the file must be there then."""
        self.inner.get_file(key, target, progress=progress)
        if not os.path.lexists(target):
            raise violation(self._distribution, f"{self._name('get_file')} of {key} returned without its file")

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Passed on."""
        stream: Any = self.inner.open(key, start=start, length=length)
        if isinstance(stream, _FAITHFUL):
            return stream
        readable = callable(getattr(stream, "read", None)) and callable(getattr(stream, "close", None))
        self._expect(readable, "open", stream, "a stream of bytes")
        return cast("BinaryIO", _CheckedStream(stream, lambda given: self._fault("open", given, "a stream of bytes")))

    def stat(self, key: str) -> ObjectInfo:
        """Passed on."""
        info = self.inner.stat(key)
        if not _is_info(info):
            raise self._fault("stat", info, "a kist.abc.ObjectInfo")
        return info

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Passed on."""
        found = self.inner.list(prefix)
        self._expect(isinstance(found, Iterable), "list", found, "an iterator of kist.abc.ObjectInfo")
        for info in found:
            if not _is_info(info):
                raise self._fault("list", info, "a kist.abc.ObjectInfo")
            yield info

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Passed on."""
        found = super().exists_many(keys)
        whole = isinstance(found, Mapping) and found.keys() >= set(keys)
        self._expect(whole, "exists_many", found, "a dict with each of the keys")
        return found

    def get_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Passed on."""
        return self._errors("get_many", super().get_many(items, progress=progress))

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Passed on."""
        return self._errors("put_many", super().put_many(items, progress=progress))

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Passed on."""
        return self._errors("delete_many", super().delete_many(keys))

    def identity(self) -> str:
        """Passed on."""
        found = self.inner.identity()
        self._expect(isinstance(found, str), "identity", found, "a text")
        return found

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """Passed on."""
        found = self.inner.describe_access()
        pairs = isinstance(found, Sequence) and all(isinstance(one, tuple) and len(one) == 2 for one in found)
        self._expect(pairs, "describe_access", found, "a list of (label, text) pairs")
        return found

    def sweep(self) -> int:
        """Passed on."""
        found = self.inner.sweep()
        self._expect(isinstance(found, int), "sweep", found, "a number")
        return found

    def _errors(self, method: str, found: dict[str, RemoteError]) -> dict[str, RemoteError]:
        good = isinstance(found, Mapping) and all(isinstance(error, KistError) for error in found.values())
        self._expect(good, method, found, "a dict of the keys that failed, with their errors")
        return found

    def _expect(self, good: bool, method: str, given: object, wanted: str) -> None:
        if not good:
            raise self._fault(method, given, wanted)

    def _fault(self, method: str, given: object, wanted: str) -> ContractViolation:
        return wrong_answer(self._distribution, self.inner, method, given, wanted)

    def _name(self, method: str) -> str:
        return f"{type(self.inner).__name__}.{method}"


class _CheckedStream(io.RawIOBase):
    """Reads a plugin's own stream; each piece must be bytes, and no more than were asked for.

    Args:
        inner: the stream.
        fault: makes the error for a piece that is not.
    """

    def __init__(self, inner: Any, fault: Callable[[object], ContractViolation]) -> None:
        super().__init__()
        self._inner, self._fault = inner, fault

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._inner.read(size)
        try:
            count = len(piece) if isinstance(piece, bytes) else memoryview(piece).nbytes
        except TypeError as exc:
            raise self._fault(piece) from exc
        if 0 <= size < count:
            raise self._fault(piece)
        return cast("bytes", piece)

    def close(self) -> None:
        if not self.closed:
            super().close()  # first: what the plugin raises is told once, not by the garbage collector again
            self._inner.close()


def _is_info(info: Any) -> bool:
    """Whether it says of one key what an ObjectInfo says."""
    return (
        isinstance(info, ObjectInfo)
        and isinstance(info.key, str)
        and isinstance(info.size, int)
        and (info.mtime is None or isinstance(info.mtime, int | float))
    )


def _are_capabilities(found: Any) -> bool:
    """Whether these are capabilities that the core can count on."""
    if not isinstance(found, Capabilities):
        return False
    concurrency, largest = found.max_concurrency, found.max_object_size
    return isinstance(concurrency, int) and concurrency >= 1 and (largest is None or isinstance(largest, int))
