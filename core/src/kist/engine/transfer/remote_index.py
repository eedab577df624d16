"""RemoteIndexes: where objects lie on a remote, according to the index files that markers name."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Sequence

from kist.engine.process.workers import Workers
from kist.engine.storage.indexes import LOOSE, SEGMENTED, WHOLE_LIMIT, Index, PackEntry, Place
from kist.engine.transfer import objects
from kist.engine.transfer.remote_store import RemoteStore, named_by_content
from kist.errors import KistError, ObjectCorrupt, ObjectError, RemoteObjectNotFound, RepoFormatError
from kist.model.digest import Digest

RANGE_COST = 1536 << 10
"""Bytes that are worth reading to save the handful of requests that one look-up by ranges takes."""

PART = 4 << 20
"""Bytes of one range when a large index is read whole."""


def place_key(place: Place, digest: Digest) -> str:
    """The key under which an object's bytes lie."""
    if place.pack == LOOSE:
        return objects.object_key(digest)
    return objects.segments_key(digest) if place.pack == SEGMENTED else f"packs/{place.pack}"


class RemoteIndexes:
    """The index files of one algorithm that some markers name.

    Small ones are read whole and kept in the local memory; of large ones only ranges are read unless many digests are
    asked for.

    Args:
        store: the remote.
        algorithm: the hash algorithm of all of them.
        names: the index files, the largest first.
        exclude: keys that count as absent.

    Attributes:
        damaged: index files that could not be used, with the reason; they cover nothing.
    """

    def __init__(
        self, store: RemoteStore, algorithm: str, names: Iterable[str], exclude: Container[str] = frozenset()
    ) -> None:
        self._store = store
        self._algorithm = algorithm
        self._exclude = exclude
        self.names = list(dict.fromkeys(names))
        self.damaged: dict[str, KistError] = {}
        self._opened: dict[str, Index] = {}
        self._large: dict[str, _LargeIndex] = {}

    def open(self, workers: Workers) -> None:
        """Open all of them, several at once.

        Raises:
            RemoteError: the remote failed.
            RepoFormatError: one was written by a newer version.
        """
        todo = [name for name in self.names if name not in self._opened and name not in self.damaged]
        for name, result in workers.run(self._insist, todo):
            if isinstance(result, RemoteObjectNotFound | ObjectError):
                self.damaged[name] = result
            elif isinstance(result, KistError):
                raise result
            else:
                self._opened[name] = result
        self.names = [name for name in self.names if name not in self.damaged]

    def _insist(self, name: str) -> Index:
        return objects.insist(lambda: self._open(name), self._store.remote, f"index/{name}")

    def _open(self, name: str) -> Index:
        kept = self._store.hints.recall(f"index/{name}")
        if kept is not None:
            try:
                return self._checked(Index.load(named_by_content(f"index/{name}", kept, self._store.name), name))
            except (ObjectError, RepoFormatError):
                self._store.hints.forget(f"index/{name}")
        key = f"index/{name}"
        with self._store.remote.open(key, start=0, length=WHOLE_LIMIT + 1) as reader:
            head = objects.read_exactly(reader, WHOLE_LIMIT + 1)
        if len(head) <= WHOLE_LIMIT:
            index = self._checked(Index.load(named_by_content(key, head, self._store.name), name))
            self._store.hints.remember(key, head)
            return index
        large = _LargeIndex(self._store, name, head)
        self._large[name] = large
        return self._checked(Index(large.read, large.size, name))

    def _checked(self, index: Index) -> Index:
        if index.algorithm != self._algorithm:
            raise ObjectCorrupt("index", actual=f"one for {index.algorithm}", where=self._store.name)
        return index

    def count(self, name: str) -> int:
        """How many digests an opened index has."""
        count: int = self._opened[name].count
        return count

    def whole(self, name: str) -> Index:
        """An opened index with all its bytes at hand.

        Raises:
            ObjectCorrupt: its bytes are not the ones that its name promises.
        """
        large = self._large.pop(name, None)
        if large is not None:
            data = named_by_content(f"index/{name}", large.all(), self._store.name)
            self._store.hints.remember(f"index/{name}", data)
            self._opened[name] = self._checked(Index.load(data, name))
        return self._opened[name]

    def pack_entries(self) -> dict[str, PackEntry]:
        """Every pack that an opened index mentions, by its id."""
        return {entry.id: entry for index in self._opened.values() for entry in index.packs}

    def lookup(self, raws: Iterable[bytes]) -> dict[bytes, Place]:
        """Where objects lie; those that no index has are left out. The smallest, newest index is asked first."""
        left, found = sorted(set(raws)), dict[bytes, Place]()
        for name in reversed(self.names):
            if not left:
                break
            for raw, place in zip(left, self._ask(name, left), strict=True):
                if place is not None and not self._is_excluded(place, raw):
                    found[raw] = place
            if found:
                left = [raw for raw in left if raw not in found]
        return found

    def _ask(self, name: str, raws: Sequence[bytes]) -> Sequence[Place | None]:
        if name in self.damaged:
            return [None] * len(raws)
        try:
            large = self._large.get(name)
            if large is not None and len(raws) * RANGE_COST >= large.size:
                return self.whole(name).lookup_many(raws)
            return self._opened[name].lookup_many(raws)
        except ObjectError as exc:
            self.damaged[name] = exc
            return [None] * len(raws)

    def _is_excluded(self, place: Place, raw: bytes) -> bool:
        return bool(self._exclude) and place_key(place, Digest.from_raw(self._algorithm, raw)) in self._exclude

    def covered(self, raws: Sequence[bytes]) -> list[bool]:
        """Whether each object is on the remote."""
        if not self.names:
            return [False] * len(raws)
        found = self.lookup(raws)
        return [raw in found for raw in raws]


class _LargeIndex:
    """Ranges of an index file that is too large to read without need."""

    def __init__(self, store: RemoteStore, name: str, head: bytes) -> None:
        self._store = store
        self._key = f"index/{name}"
        self._head = head
        self._lock = threading.Lock()
        self.size = store.remote.stat(self._key).size

    def read(self, offset: int, length: int) -> bytes:
        """One range; what was read when the index was opened costs nothing."""
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        with self._store.remote.open(self._key, start=offset, length=length) as reader:
            return objects.read_exactly(reader, length)

    def all(self) -> bytes:
        """Everything."""
        starts = range(len(self._head), self.size, PART)
        return b"".join([self._head, *(self.read(start, min(PART, self.size - start)) for start in starts)])
