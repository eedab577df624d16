"""Read objects out of packs on a remote: adjacent ones in one range, each checked against its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import add, sub

from kist.engine.process.workers import Workers
from kist.engine.storage.indexes import LOOSE, SEGMENTED, PackEntry
from kist.engine.storage.located import Located
from kist.engine.storage.members import PLAIN, RANGE_GAP, REQUEST_LIMIT, Members, decode, join_ranges
from kist.engine.transfer import objects
from kist.engine.transfer.remote_index import RemoteIndexes, place_key
from kist.engine.transfer.remote_store import RemoteStore
from kist.errors import KistError, ObjectCorrupt, ObjectError, ObjectMissing, RemoteObjectNotFound
from kist.model.digest import Digest
from kist.util.slotted import field, slotted

MOST_RANGES = 16
"""Ranges that are asked of one pack, beyond those that its size makes necessary."""

SMALL_PACK = 1 << 20
"""A node pack of at most this many bytes is brought whole: other levels of the tree will want more of it."""

STREAM = 2 << 20
"""Bytes that a stream from a remote into a file holds in memory."""

_KEPT = 32 << 20


@slotted(frozen=True)
class Span:
    """One range of one pack, and the members that are wanted of it.

    Args:
        key: the pack's key.
        start: first byte.
        length: number of bytes.
        members: what is wanted, by offset.
    """

    key: str
    start: int
    length: int
    members: Members

    @property
    def plain(self) -> int:
        """Plain bytes of the members."""
        return sum(self.members.plains)


@slotted()
class Brought:
    """What one range or file gave: good members, what is wrong with the others, bytes that moved."""

    raws: list[bytes] = field(default_factory=list)
    buffers: list[bytes] = field(default_factory=list)
    bad: dict[bytes, KistError] = field(default_factory=dict)
    moved: int = 0


def plan_spans(pack: str, members: Members) -> Iterator[Span]:
    """The ranges to ask of one pack: few, and not much longer than what is wanted.

    Args:
        pack: its id.
        members: what is wanted of it, by offset.
    """
    offsets, stored = members.offsets, members.stored
    gaps = sorted(map(sub, islice(offsets, 1, None), map(add, offsets, stored)))
    gap = max(RANGE_GAP, gaps[-MOST_RANGES]) if len(gaps) >= MOST_RANGES else RANGE_GAP
    for first, stop in join_ranges(offsets, stored, REQUEST_LIMIT, gap):
        start = offsets[first]
        length = offsets[stop - 1] + stored[stop - 1] - start
        yield Span(f"packs/{pack}", start, length, members.slice(first, stop))


def weight_of(job: object) -> int:
    """Bytes that reading a range, or streaming something else, holds in memory until its result is taken."""
    return job.length + job.plain if isinstance(job, Span) else STREAM


class RemoteReader:
    """Reads objects of one algorithm from a remote.

    Args:
        store: the remote.
        indexes: tell where objects lie.
        workers: run the calls.
        algorithm: the hash algorithm.
        more: names further indexes, asked for once if something is not where it should be.
    """

    def __init__(
        self,
        store: RemoteStore,
        indexes: RemoteIndexes,
        workers: Workers,
        algorithm: str,
        more: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._store = store
        self._indexes = indexes
        self._workers = workers
        self._algorithm = algorithm
        self._more = more
        self._hasher = store.hashers(algorithm)
        self._packs: dict[str, PackEntry] | None = None
        self._kept: dict[str, bytes] = {}

    @property
    def packs(self) -> Mapping[str, PackEntry]:
        """The packs that the indexes mention."""
        if self._packs is None:
            self._packs = self._indexes.pack_entries()
        return self._packs

    def forget_indexes(self) -> None:
        """Nothing else will be looked for: the indexes need not stay in memory."""
        self._packs = dict(self.packs)
        self._indexes.forget()

    def locate(self, raws: Sequence[bytes], located: Located) -> dict[bytes, KistError]:
        """Note where objects lie.

        Args:
            raws: raw digests, in the order in which they are wanted.
            located: takes what is found.

        Returns:
            What is wrong with the others.
        """
        return {raw: self.missing(raw) for raw in self._indexes.locate(raws, located)}

    def elsewhere(self, failed: dict[bytes, KistError]) -> Located | None:
        """Find other places of objects whose own is gone or damaged: a bad pack, of which some index still speaks.

        Args:
            failed: objects, and what is wrong with them; those that may lie elsewhere are taken out.

        Returns:
            Where to look now, None if there is nothing left to try.
        """
        wrong = [raw for raw, error in failed.items() if isinstance(error, ObjectMissing | ObjectCorrupt)]
        if not wrong:
            return None
        indexes, seen, located = self._indexes, *(Located(self._hasher.digest_size) for _ in range(2))
        indexes.reopen(self._workers)
        indexes.locate(wrong, seen)
        for pack, group in seen.groups.items():
            for raw in group.members.raws():
                if isinstance(failed[raw], ObjectMissing):
                    indexes.lost.add(place_key(pack, Digest.from_raw(self._algorithm, raw)))
                else:
                    indexes.bad.add((pack, raw))
        more, self._more = self._more, tuple
        indexes.reopen(self._workers, more())
        self._packs = None
        for raw in set(wrong).difference(indexes.locate(wrong, located)):
            del failed[raw]
        return located if len(located) else None

    def missing(self, raw: bytes) -> ObjectMissing:
        """The error for an object that is not on the remote."""
        digest = str(Digest.from_raw(self._algorithm, raw))
        hint = "run 'kist push --repair' where it was added"
        return ObjectMissing(digest, where=f"the remote {self._store.name}", hint=hint)

    def read_nodes(self, raws: Sequence[bytes]) -> dict[bytes, bytes | KistError]:
        """Bring manifest nodes: plain bytes, or what is wrong."""
        places = Located(self._hasher.digest_size)
        failed = self.locate(raws, places)
        found: dict[bytes, bytes] = {}
        located: Located | None = places
        while located is not None:
            self._read_located(located, found, failed)
            located = self.elsewhere(failed)
        return {**found, **failed}

    def _read_located(self, located: Located, found: dict[bytes, bytes], failed: dict[bytes, KistError]) -> None:
        spans = [span for name, group in located.groups.items() for span in self._node_spans(name, group.members)]
        for span, brought in self._workers.run(self.bring, spans, weigh=weight_of):
            if isinstance(brought, RemoteObjectNotFound | ObjectError):
                wrong = self.missing if isinstance(brought, RemoteObjectNotFound) else self.damaged
                failed |= {raw: wrong(raw) for raw in span.members.raws()}
            elif isinstance(brought, KistError):
                raise brought
            else:
                found |= zip(brought.raws, brought.buffers, strict=True)
                failed |= brought.bad

    def _node_spans(self, name: str, members: Members) -> Iterator[Span]:
        entry = self.packs.get(name)
        if name in (LOOSE, SEGMENTED):
            for position, raw in enumerate(members.raws()):
                key = objects.object_key(Digest.from_raw(self._algorithm, raw))
                yield Span(key, 0, members.stored[position], members.slice(position, position + 1))
        elif entry is not None and entry.size <= SMALL_PACK:
            yield Span(f"packs/{name}", 0, entry.size, members)
        else:
            yield from plan_spans(name, members)

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
            brought, seen = self.check(span.members, data, span.start), data
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

    def check(self, members: Members, data: bytes, start: int) -> Brought:
        """Take what is good out of bytes of a pack.

        Args:
            members: what is wanted.
            data: the bytes.
            start: where they begin in the pack; members lie behind that.
        """
        begins = [offset - start for offset in members.offsets]
        stored = [data[begin : begin + length] for begin, length in zip(begins, members.stored, strict=True)]
        raws = members.raws()
        # Many hashed at once cost much less than each by itself; what may unfold to more is not held together.
        plain = members.codecs.count(PLAIN) == len(raws) and list(map(len, stored)) == list(members.plains)
        if plain and self._hasher.raw_many(stored) == members.digests:
            return Brought(raws, stored)
        brought = Brought()
        for raw, codec, part, size in zip(raws, members.codecs, stored, members.plains, strict=True):
            content = decode(codec, part, size)
            if content is not None and self._hasher.raw(content) == raw:
                brought.raws.append(raw)
                brought.buffers.append(content)
            else:
                brought.bad[raw] = self.damaged(raw)
        return brought

    def damaged(self, raw: bytes) -> ObjectCorrupt:
        """The error for an object that is damaged on the remote."""
        digest = str(Digest.from_raw(self._algorithm, raw))
        hint = "run 'kist push --repair' where it was added"
        return ObjectCorrupt(digest, where=f"the remote {self._store.name}", hint=hint)
