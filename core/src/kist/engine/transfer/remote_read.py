"""Read objects out of packs on a remote: adjacent ones in one range, each checked against its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from kist.engine.process.workers import Workers
from kist.engine.storage.indexes import LOOSE, SEGMENTED, PackEntry, Place
from kist.engine.storage.members import RANGE_GAP, REQUEST_LIMIT, decode
from kist.engine.transfer import objects
from kist.engine.transfer.remote_index import RemoteIndexes
from kist.engine.transfer.remote_store import RemoteStore
from kist.errors import KistError, ObjectCorrupt, ObjectError, ObjectMissing, RemoteObjectNotFound
from kist.model.digest import Digest

MOST_RANGES = 16
"""Ranges that are asked of one pack, beyond those that its size makes necessary."""

SMALL_PACK = 1 << 20
"""A node pack of at most this many bytes is brought whole: other levels of the tree will want more of it."""

MEMBER_LIMIT = 64 << 20
"""No member of a pack is larger, stored or plain; an index that says so is not believed."""

STREAM = 2 << 20
"""Bytes that a stream from a remote into a file holds in memory."""

_KEPT = 32 << 20

Placed = tuple[bytes, Place]


@dataclass(frozen=True, slots=True)
class Span:
    """One range of one pack, and the members that are wanted of it.

    Args:
        key: the pack's key.
        start: first byte.
        length: number of bytes.
        members: raw digest and place of each, by offset.
    """

    key: str
    start: int
    length: int
    members: tuple[Placed, ...]

    @property
    def plain(self) -> int:
        """Plain bytes of the members."""
        return sum(place.plain for _, place in self.members)


@dataclass(slots=True)
class Brought:
    """What one range or file gave: good members, what is wrong with the others, bytes that moved."""

    raws: list[bytes] = field(default_factory=list)
    buffers: list[bytes] = field(default_factory=list)
    bad: dict[bytes, KistError] = field(default_factory=dict)
    moved: int = 0


def plan_spans(pack: str, placed: Iterable[Placed]) -> list[Span]:
    """The ranges to ask of one pack: few, and not much longer than what is wanted.

    Args:
        pack: its id.
        placed: what is wanted of it.
    """
    members = sorted(placed, key=lambda item: item[1].offset)
    gaps = sorted(after[1].offset - _end(before[1]) for before, after in pairwise(members))
    gap = RANGE_GAP
    if len(gaps) >= MOST_RANGES:
        gap = max(gap, gaps[-MOST_RANGES])
    spans: list[Span] = []
    first = 0
    for position in range(1, len(members) + 1):
        if position < len(members):
            place = members[position][1]
            near = place.offset - _end(members[position - 1][1]) <= gap
            if near and _end(place) - members[first][1].offset <= REQUEST_LIMIT:
                continue
        start = members[first][1].offset
        length = _end(members[position - 1][1]) - start
        spans.append(Span(f"packs/{pack}", start, length, tuple(members[first:position])))
        first = position
    return spans


def _end(place: Place) -> int:
    return place.offset + place.stored


def weight_of(job: object) -> int:
    """Bytes that reading a range, or streaming something else, holds in memory until its result is taken."""
    return job.length + job.plain if isinstance(job, Span) else STREAM


def sensible(place: Place) -> bool:
    """Whether a place in a pack is one that a member can have."""
    return place.pack in (LOOSE, SEGMENTED) or max(place.stored, place.plain) <= MEMBER_LIMIT


class RemoteReader:
    """Reads objects of one algorithm from a remote.

    Args:
        store: the remote.
        indexes: tell where objects lie.
        workers: run the calls.
        algorithm: the hash algorithm.
    """

    def __init__(self, store: RemoteStore, indexes: RemoteIndexes, workers: Workers, algorithm: str) -> None:
        self._store = store
        self._indexes = indexes
        self._workers = workers
        self._algorithm = algorithm
        self._hasher = store.hashers(algorithm)
        self._packs: dict[str, PackEntry] | None = None
        self._kept: dict[str, bytes] = {}

    @property
    def packs(self) -> Mapping[str, PackEntry]:
        """The packs that the indexes mention."""
        if self._packs is None:
            self._packs = self._indexes.pack_entries()
        return self._packs

    def locate(self, raws: Iterable[bytes]) -> dict[bytes, Place]:
        """Where objects lie; those that are nowhere, or at a place that makes no sense, are left out."""
        return {raw: place for raw, place in self._indexes.lookup(raws).items() if sensible(place)}

    def missing(self, raw: bytes) -> ObjectMissing:
        """The error for an object that is not on the remote."""
        digest = str(Digest.from_raw(self._algorithm, raw))
        hint = "run 'kist push --repair' where it was added"
        return ObjectMissing(digest, where=f"the remote {self._store.name}", hint=hint)

    def read_nodes(self, raws: Sequence[bytes]) -> dict[bytes, bytes | KistError]:
        """Bring manifest nodes: plain bytes, or what is wrong."""
        places = self.locate(raws)
        result: dict[bytes, bytes | KistError] = {raw: self.missing(raw) for raw in raws if raw not in places}
        groups: dict[str, list[Placed]] = {}
        for raw, place in places.items():
            groups.setdefault(place.pack, []).append((raw, place))
        spans = [span for name, placed in groups.items() for span in self._node_spans(name, placed)]
        for span, brought in self._workers.run(self.bring, spans, weigh=weight_of):
            if isinstance(brought, RemoteObjectNotFound | ObjectError):
                result |= {raw: self.missing(raw) for raw, _ in span.members}
            elif isinstance(brought, KistError):
                raise brought
            else:
                result |= zip(brought.raws, brought.buffers, strict=True)
                result |= brought.bad
        return result

    def _node_spans(self, name: str, placed: list[Placed]) -> Iterator[Span]:
        entry = self.packs.get(name)
        if name in (LOOSE, SEGMENTED):
            for raw, place in placed:
                key = objects.object_key(Digest.from_raw(self._algorithm, raw))
                yield Span(key, 0, place.stored, ((raw, place),))
        elif entry is not None and entry.size <= SMALL_PACK:
            yield Span(f"packs/{name}", 0, entry.size, tuple(placed))
        else:
            yield from plan_spans(name, placed)

    def bring(self, span: Span) -> Brought:
        """Read one range and check its members, again if that finds damage; called in worker threads.

        Raises:
            RemoteObjectNotFound: the pack is not there.
            ObjectCorrupt: the pack ends before the range does.
            RemoteError: the remote refused or failed.
        """
        remote, brought, seen, moved = self._store.remote, Brought(), None, 0
        for _ in objects.tries(remote, span.key):
            data = objects.insist(lambda: self._data_of(span), remote, span.key)
            moved += span.length
            if data == seen:  # what comes the same twice is so on the remote, and need not be unfolded again
                break
            brought, seen = self._checked(span, data), data
            if not brought.bad:
                break
            self._kept.pop(span.key, None)
        brought.moved = moved
        return brought

    def _data_of(self, span: Span) -> bytes:
        kept = self._kept.get(span.key)
        data = kept if kept is not None else objects.get_range(self._store.remote, span.key, span.start, span.length)
        whole = span.start == 0 and span.key.startswith("packs/") and span.length <= SMALL_PACK
        if whole and kept is None and sum(map(len, self._kept.values())) < _KEPT:
            self._kept[span.key] = data
        return data

    def _checked(self, span: Span, data: bytes) -> Brought:
        brought = Brought()
        for raw, place in span.members:
            at = place.offset - span.start
            plain = decode(place.codec, data[at : at + place.stored], place.plain)
            if plain is not None and self._hasher.raw(plain) == raw:
                brought.raws.append(raw)
                brought.buffers.append(plain)
            else:
                brought.bad[raw] = self.damaged(raw)
        return brought

    def damaged(self, raw: bytes) -> ObjectCorrupt:
        """The error for an object that is damaged on the remote."""
        digest = str(Digest.from_raw(self._algorithm, raw))
        hint = "run 'kist push --repair' where it was added"
        return ObjectCorrupt(digest, where=f"the remote {self._store.name}", hint=hint)
