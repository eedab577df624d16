"""Segments on their way in: each into its place in a partial file, and the whole hashed behind them.

A segment's own digest is asked for only where the whole is not what it should be: one pass of hashing is enough to know
that all is well, and a second one finds out what is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from threading import Lock

from kist.abc.hasher import Hasher
from kist.abc.progress import Progress
from kist.abc.remote import Remote
from kist.engine.process.workers import Stopped
from kist.engine.transfer import objects
from kist.engine.transfer.partial import Buffers, written
from kist.engine.transfer.parts import ItemProgress
from kist.errors import ObjectCorrupt
from kist.model.digest import Digest
from kist.util.atomic import storage_errors, write_all_at
from kist.util.slotted import slotted

_CHUNK = 1 << 20


@slotted(frozen=True)
class Segment:
    """A part of an object.

    Args:
        digest: its name.
        offset: where it begins in the object.
        size: its bytes.
    """

    digest: Digest
    offset: int
    size: int


class Whole:
    """Hashes an object from its beginning as far as its segments are there, while others still come.

    Args:
        descriptor: of the file that they come to.
        hasher: names the object.
        follow: told the descriptor, and how far from the beginning all is there.
    """

    def __init__(self, descriptor: int, hasher: Hasher, follow: Callable[[int, int], object] = max) -> None:
        self._descriptor = descriptor
        self._tell = follow
        self._hasher, self._running = hasher, hasher.new()
        self._ends: dict[int, int] = {}
        self._reached = 0
        self._buffer = memoryview(bytearray(_CHUNK))

    def digest(self, segments: Iterable[Segment], start: int = 0) -> Digest:
        """Hash the object, or segments of it that follow one another.

        Args:
            segments: all of them, each as soon as it is in its place.
            start: where the first of them begins.
        """
        self._running, self._reached = self._hasher.new(), start
        for segment in segments:
            self._ends[segment.offset] = segment.offset + segment.size
            while (end := self._ends.pop(self._reached, None)) is not None:
                self._follow(end)
                self._tell(self._descriptor, end)
        return Digest.from_raw(self._hasher.name, self._running.digest())

    def _follow(self, end: int) -> None:
        while self._reached < end:
            piece = self._buffer[: end - self._reached]
            with storage_errors():
                count = os.preadv(self._descriptor, [piece], self._reached)
            if not count:
                return  # somebody cut the file: the digest will not be the object's
            self._running.update(piece[:count])
            self._reached += count


class SegmentStream:
    """Brings segments into their places in a partial file.

    Args:
        remote: where from.
        descriptor: of the file.
        hasher: names the segments.
        progress: is told of every byte.
    """

    def __init__(self, remote: Remote, descriptor: int, hasher: Hasher, progress: Progress) -> None:
        self._remote = remote
        self._descriptor = descriptor
        self._hasher = hasher
        self._progress = progress
        self._buffers = Buffers(_CHUNK)
        self._writing = Lock()
        self._closed = False

    def close(self) -> None:
        """Write nothing any more: a call that still hangs may come to its end when the descriptor is another file's."""
        with self._writing:
            self._closed = True

    def fetch(self, segment: Segment) -> int:
        """Bring one segment, or what the file lacks of it, as it is.

        Args:
            segment: which.

        Returns:
            Bytes that moved.

        Raises:
            ObjectCorrupt: it is too short on the remote.
            RemoteError: the remote refused or failed.
            StorageError: the disk is full, read-only or failing.
        """
        item = ItemProgress(self._progress, segment.size)
        begun = written(self._descriptor, segment.offset, segment.size)
        try:
            self._bring(segment, begun, item)
        except ObjectCorrupt:
            return segment.size - begun + self._insist(lambda: self._bring(segment, 0, item), segment)
        return segment.size - begun

    def mend(self, segment: Segment) -> int:
        """Look at what came of one segment, and bring it again if those are other bytes.

        Args:
            segment: which, all of it in the file.

        Returns:
            Bytes that moved.

        Raises:
            ObjectCorrupt: it is damaged on the remote.
            RemoteError: the remote refused or failed.
            StorageError: the disk is full, read-only or failing.
        """
        if self._is_good(segment):
            return 0

        def bring() -> int:
            self._bring(segment, 0, ItemProgress(self._progress, 0))  # its bytes were told when they came first
            if not self._is_good(segment):
                raise ObjectCorrupt(str(segment.digest), where="the remote", actual="other bytes")
            return segment.size

        return self._insist(bring, segment)

    def _insist(self, bring: Callable[[], int], segment: Segment) -> int:
        return objects.insist(bring, self._remote, objects.object_key(segment.digest))

    def _bring(self, segment: Segment, done: int, item: ItemProgress) -> int:
        """Take from the remote what comes behind the first *done* bytes; the segment's bytes."""
        item.restart()
        item.advance(done)
        if done == segment.size:
            return done
        key, length = objects.object_key(segment.digest), segment.size - done
        with self._remote.open(key, start=done, length=length) as reader:
            while piece := self._buffers.next(reader, segment.size - done):
                self._write(piece, segment.offset + done)
                done += len(piece)
                item.advance(len(piece))
        if done < segment.size:
            raise ObjectCorrupt(str(segment.digest), where="the remote", actual=f"{done} bytes of {segment.size}")
        return segment.size

    def _is_good(self, segment: Segment) -> bool:
        return Whole(self._descriptor, self._hasher).digest((segment,), segment.offset) == segment.digest

    def _write(self, piece: bytes | memoryview, offset: int) -> None:
        with self._writing, storage_errors():  # file systems let one at a time write to a file anyway
            if self._closed:
                raise Stopped
            write_all_at(self._descriptor, piece, offset)
