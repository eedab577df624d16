"""Segments: how a large object lies on a remote, so that any remote can resume it and move it in parallel."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from kist.abc.hasher import Hasher
from kist.abc.progress import NullProgress, Progress
from kist.abc.remote import Remote
from kist.engine.process.workers import Workers
from kist.engine.transfer import objects
from kist.engine.transfer.partial import partial_file
from kist.engine.transfer.parts import ItemProgress
from kist.engine.transfer.segment_stream import Segment, SegmentStream, Whole
from kist.errors import KistError, ObjectCorrupt, RemoteObjectNotFound
from kist.model.digest import Digest
from kist.util.atomic import storage_errors
from kist.util.slotted import field, slotted

SMALLEST_SEGMENT = 2 << 20
LARGEST_SEGMENT = 16 << 20
MOST_SEGMENTS = 512
"""A large object has no more segments than this, unless they would be larger than the largest."""

SEGMENTED_FROM = 64 << 20
"""An object of more bytes than this is stored as segments."""

FLYING_LEAST = 4 << 20
FLYING_PART = 256
FLYING_SHARE = 10
"""What is in flight is lost when a process is killed or a line is cut, so it is at most these bytes, or this part of
the object, or this part of what has moved since the process began or a call failed: twenty kills or cuts in 1 GiB then
cost less than an eighth of it."""

_CHUNK = 1 << 20


def segment_size(size: int) -> int:
    """Bytes of every segment but the last of an object.

    A power of two, so that versions of a growing file have their segments in common.

    Args:
        size: the object's bytes.
    """
    length = SMALLEST_SEGMENT
    while length < LARGEST_SEGMENT and length * MOST_SEGMENTS < size:
        length *= 2
    return length


class Flying:
    """How many segments of an object may be in flight: more the longer it goes well.

    Args:
        size: the object's bytes.
        length: bytes of a segment.
        refusals: tells how often a call failed, also those that were repeated.

    Attributes:
        moved: bytes that have moved since the process began.
    """

    def __init__(self, size: int, length: int, refusals: Callable[[], int] = int) -> None:
        self._least = max(FLYING_LEAST, size // FLYING_PART)
        self._length = max(1, length)
        self._refusals, self._seen = refusals, refusals()
        self._since = 0
        self.moved = 0

    def most(self) -> int:
        """Segments in flight, at least one."""
        if (refusals := self._refusals()) != self._seen:
            self._seen, self._since = refusals, self.moved
        return max(1, max(self._least, (self.moved - self._since) // FLYING_SHARE) // self._length)


@slotted(frozen=True)
class SegmentList:
    """The segments of one object, in order.

    Args:
        digest: the object.
        size: its bytes.
        segments: digest and bytes of each segment.
    """

    digest: Digest
    size: int
    segments: tuple[tuple[Digest, int], ...]

    def dump(self) -> bytes:
        """As stored under the object's key + ``.segments``."""
        parts = [[str(digest), size] for digest, size in self.segments]
        return objects.dump_text("segments", {"digest": str(self.digest), "size": self.size, "segments": parts})

    @classmethod
    def load(cls, data: bytes, digest: Digest) -> SegmentList:
        """Read a segment list.

        Raises:
            ObjectCorrupt: it is not one of this object, or its parts do not add up.
            MetafileVersionError: it was written by a newer version.
        """
        key = objects.segments_key(digest)
        return cls.of(objects.load_text("segments", data, where=key), digest)

    @classmethod
    def of(cls, value: Mapping[str, object], digest: Digest) -> SegmentList:
        """The segment list that a text holds.

        Raises:
            ObjectCorrupt: it is not one of this object, or its parts do not add up.
        """
        key = objects.segments_key(digest)
        listed = value.get("segments")
        if value.get("digest") != str(digest) or not isinstance(listed, list):
            raise ObjectCorrupt(key, actual="a segment list of another form", where="the remote")
        if not all(isinstance(one, list) and len(one) == 2 for one in listed):
            raise ObjectCorrupt(key, actual="a segment list of another form", where="the remote")
        names = objects.digest_list([one[0] for one in listed], key)
        sizes = [objects.whole_number(one[1], key) for one in listed]
        size = objects.whole_number(value.get("size"), key)
        if sum(sizes) != size:
            raise ObjectCorrupt(key, actual="a segment list that does not add up", where="the remote")
        return cls(digest, size, tuple(zip(names, sizes, strict=True)))


@slotted()
class _Piece:
    """A segment with its bytes, which are held until they are taken: what is hashed is what is sent."""

    segment: Segment
    data: bytes

    def take(self) -> bytes:
        """The bytes, once."""
        data, self.data = self.data, b""
        return data


@slotted(frozen=True)
class SegmentTransfer:
    """Moves large objects of one algorithm as segments.

    Args:
        remote: where to or from.
        hasher: names objects and segments.
        workers: run the calls.
        progress: is told of every byte, also of those that need not move.
        length: bytes of a segment; None: as :func:`segment_size` says.
        scratch: where copies of segments stand, None: where the system keeps temporary files.
    """

    remote: Remote
    hasher: Hasher
    workers: Workers
    progress: Progress = field(default_factory=NullProgress)
    length: int | None = None
    scratch: Path | None = None

    def put(
        self,
        source: Path,
        digest: Digest,
        *,
        resend: Container[str] | None = (),
        note: Callable[[str], object] = str,
    ) -> int:
        """Send a large object; segments that are there already are not sent again.

        Args:
            source: the object's bytes, hashed while they are read.
            digest: its name.
            resend: keys to send even if they are there; None: nothing can be there, so nobody asks.
            note: told of each key that the object needs there.

        Returns:
            Bytes sent.

        Raises:
            ObjectCorrupt: the bytes are not the ones that the digest names; no list was written.
            RemoteError: the remote refused or failed; what was sent stays for the next attempt.
        """
        running = self.hasher.new()
        found: list[Segment] = []
        progress = self.workers.progress(self.progress)
        with storage_errors(source):
            size = source.stat().st_size
        length = self.length or segment_size(size)
        flying = Flying(size, length, self.workers.refusals)

        def cut() -> Iterator[_Piece]:
            with storage_errors(source), source.open("rb", buffering=0) as reader:
                while data := _read_up_to(reader.fileno(), length):
                    running.update(data)
                    found.append(Segment(self.hasher.digest(data), _end(found), len(data)))
                    yield _Piece(found[-1], data)

        def send(piece: _Piece) -> int:
            segment, data = piece.segment, piece.take()
            item = ItemProgress(progress, segment.size)
            key = objects.object_key(segment.digest)
            there = resend is not None and key not in resend and _is_there(self.remote, key, segment.size)
            if not there:
                self.remote.put_bytes(key, data, progress=item, scratch=self.scratch)
            note(key)
            item.complete()
            return 0 if there else segment.size

        sent = 0
        for _, result in self.workers.run(send, cut(), weigh=_weight_of, most=flying.most):
            if isinstance(result, KistError):
                raise result
            sent = flying.moved = sent + result
        actual = Digest.from_raw(self.hasher.name, running.digest())
        if actual != digest:
            raise ObjectCorrupt(str(digest), actual=str(actual), where=str(source))
        parts, key = tuple((one.digest, one.size) for one in found), objects.segments_key(digest)
        self.remote.put_bytes(key, SegmentList(digest, _end(found), parts).dump(), scratch=self.scratch)
        note(key)
        return sent

    def read_list(self, digest: Digest) -> SegmentList:
        """The segment list of an object; one request.

        Raises:
            RemoteObjectNotFound: the object is not there as segments.
            ObjectCorrupt: the list is damaged.
        """
        return SegmentList.of(objects.get_text(self.remote, "segments", objects.segments_key(digest)), digest)

    def check(self, digest: Digest) -> bool:
        """Read every segment and tell whether all of them, and so the object, are good.

        Raises:
            RemoteObjectNotFound: the list or a segment is not there.
            ObjectCorrupt: the list or a segment is damaged.
        """
        progress = self.workers.progress(self.progress)

        def read(segment: Segment) -> None:
            item = ItemProgress(progress, segment.size)
            objects.insist(lambda: read_once(segment, item), self.remote, objects.object_key(segment.digest))

        def read_once(segment: Segment, item: ItemProgress) -> None:
            item.restart()
            running = self.hasher.new()
            with self.remote.open(objects.object_key(segment.digest), length=segment.size + 1) as reader:
                while data := reader.read(_CHUNK):
                    running.update(data)
                    item.advance(len(data))
            if running.digest() != segment.digest.raw:
                raise ObjectCorrupt(str(segment.digest), where="the remote", actual="other bytes")

        listed = self.read_list(digest)
        for _, result in self.workers.run(read, _placed(listed), weigh=_stream):
            if isinstance(result, KistError):
                raise result
        return True

    @contextmanager
    def get(self, digest: Digest, folder: Path, follow: Callable[[int, int], object] = max) -> Iterator[Path]:
        """Bring a large object to a file that lasts for the block; the block may rename it away.

        A partial file of an earlier attempt is continued: what it has of each segment is not fetched again.

        Args:
            digest: the object.
            folder: where partial files stand, on the file system where the object is to go.
            follow: told the descriptor of that file, and how far from its beginning the object is there; less than
                the time before, where something had come damaged: what is followed begins anew then.

        Raises:
            RemoteObjectNotFound: the object or one of its segments is not there.
            ObjectCorrupt: a segment, or the whole, is damaged.
        """
        listed = self.read_list(digest)
        progress = self.workers.progress(self.progress)
        with (
            partial_file(folder, digest, listed.size) as (path, descriptor),
            closing(SegmentStream(self.remote, descriptor, self.hasher, progress)) as stream,
        ):
            largest = max((size for _, size in listed.segments), default=1)
            flying = Flying(listed.size, largest, self.workers.refusals)

            whole = Whole(descriptor, self.hasher, follow)
            if whole.digest(segment for segment, _ in self._each(stream.fetch, listed, flying)) != digest:
                mended = sum(moved for _, moved in self._each(stream.mend, listed, flying))
                if not mended or whole.digest(_placed(listed)) != digest:
                    path.unlink(missing_ok=True)
                    raise ObjectCorrupt(str(digest), where="the remote", actual="segments that give another object")
            yield path

    def _each(
        self, call: Callable[[Segment], int], listed: SegmentList, flying: Flying
    ) -> Iterator[tuple[Segment, int]]:
        """Each segment, as soon as something was done with it, and the bytes that moved for that."""
        for segment, result in self.workers.run(call, _placed(listed), weigh=_stream, most=flying.most):
            if isinstance(result, KistError):
                raise result
            flying.moved += result
            yield segment, result


def _weight_of(piece: _Piece) -> int:
    """What is held of a segment: its bytes, and what the backend and its client make of them."""
    return 2 * piece.segment.size


def _stream(_: Segment) -> int:
    return 2 * _CHUNK


def _placed(listed: SegmentList) -> Iterator[Segment]:
    offset = 0
    for digest, size in listed.segments:
        yield Segment(digest, offset, size)
        offset += size


def _end(segments: list[Segment]) -> int:
    return segments[-1].offset + segments[-1].size if segments else 0


def _is_there(remote: Remote, key: str, size: int) -> bool:
    try:
        return remote.stat(key).size == size
    except RemoteObjectNotFound:
        return False


def _read_up_to(descriptor: int, length: int) -> bytes:
    parts = []
    while length and (data := os.read(descriptor, length)):  # mostly all at once: one part is joined without a copy
        parts.append(data)
        length -= len(data)
    return b"".join(parts)
