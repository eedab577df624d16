"""Segments on their way in: each into its place in a partial file, hashed as it comes, and the whole behind them."""

from __future__ import annotations

import os
from collections.abc import Callable
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
        self._name = hasher.name
        self._running = hasher.new()
        self._ends: dict[int, int] = {}
        self._reached = 0
        self._buffer = memoryview(bytearray(_CHUNK))

    def add(self, segment: Segment) -> None:
        """A segment is in its place: hash what is complete now."""
        self._ends[segment.offset] = segment.offset + segment.size
        while (end := self._ends.pop(self._reached, None)) is not None:
            self._follow(end)
            self._tell(self._descriptor, end)

    def digest(self) -> Digest:
        """What was hashed so far: all of it once every segment was added."""
        return Digest.from_raw(self._name, self._running.digest())

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
        """Bring one segment, or what the file lacks of it; one that came damaged is asked for again.

        Args:
            segment: which.

        Returns:
            Bytes that moved.

        Raises:
            ObjectCorrupt: it is damaged on the remote.
            RemoteError: the remote refused or failed.
            StorageError: the disk is full, read-only or failing.
        """
        item = ItemProgress(self._progress, segment.size)
        begun = written(self._descriptor, segment.offset, segment.size)
        try:
            return self._bring(segment, begun, item)
        except ObjectCorrupt:
            key = objects.object_key(segment.digest)
            again = objects.insist(lambda: self._bring(segment, 0, item), self._remote, key)
            return segment.size - begun + again

    def _bring(self, segment: Segment, begun: int, item: ItemProgress) -> int:
        """Take the first *begun* bytes from the file, and the others from the remote."""
        item.restart()
        running, done = self._hasher.new(), 0
        while done < begun and (data := os.pread(self._descriptor, min(_CHUNK, begun - done), segment.offset + done)):
            running.update(data)
            done += len(data)
        item.advance(done)
        if done < segment.size:
            length = segment.size - done
            with self._remote.open(objects.object_key(segment.digest), start=done, length=length) as reader:
                while piece := self._buffers.next(reader, segment.size - done):
                    running.update(piece)
                    self._write(piece, segment.offset + done)
                    done += len(piece)
                    item.advance(len(piece))
        if running.digest() != segment.digest.raw:
            raise ObjectCorrupt(str(segment.digest), where="the remote", actual=f"other bytes, {done} of them")
        return segment.size - begun

    def _write(self, piece: bytes | memoryview, offset: int) -> None:
        with self._writing, storage_errors():  # file systems let one at a time write to a file anyway
            if self._closed:
                raise Stopped
            write_all_at(self._descriptor, piece, offset)
