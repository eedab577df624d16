"""RemoteIndexes: where objects lie on a remote, according to the index files that markers name."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from kist.engine.process.workers import Workers
from kist.engine.storage.indexes import LOOSE, SEGMENTED, SEGMENTED_NUMBER, WHOLE_LIMIT, Index, PackEntry, Place
from kist.engine.storage.located import Group, Located
from kist.engine.storage.members import HeldFile, nameless
from kist.engine.storage.rows import Rows
from kist.engine.transfer import objects
from kist.engine.transfer.remote_store import RemoteStore, named_by_content
from kist.errors import (
    KistError,
    ObjectCorrupt,
    ObjectError,
    RemoteObjectNotFound,
    RepoFormatError,
    StorageError,
)
from kist.model.digest import Digest

RANGE_COST = 1536 << 10
"""Bytes that are worth reading to save the handful of requests that one look-up by ranges takes."""

PART = 4 << 20
"""Bytes of one range when a large index is read whole."""


MEMBER_LIMIT = 64 << 20
"""No member of a pack is larger, stored or plain; an index that says so is not believed."""


def place_key(pack: str, digest: Digest) -> str:
    """The key under which an object's bytes lie.

    Args:
        pack: the id of the pack that it lies in, ``LOOSE`` or ``SEGMENTED``.
        digest: the object.
    """
    if pack == LOOSE:
        return objects.object_key(digest)
    return objects.segments_key(digest) if pack == SEGMENTED else f"packs/{pack}"


def keys_of(pack: str, algorithm: str, group: Group) -> Iterable[str]:
    """The keys under which the bytes of some objects lie: one for all that lie in a pack."""
    if pack not in (LOOSE, SEGMENTED):
        return (f"packs/{pack}",)
    return (place_key(pack, Digest.from_raw(algorithm, raw)) for raw in group.members.raws())


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
        lost: keys that turned out not to be there, and count as absent too.
        bad: pack and raw digest of copies that turned out to be damaged; likewise.
    """

    def __init__(
        self, store: RemoteStore, algorithm: str, names: Iterable[str], exclude: Container[str] = frozenset()
    ) -> None:
        self._store = store
        self._algorithm = algorithm
        self._exclude = exclude
        self.names = list(dict.fromkeys(names))
        self.damaged: dict[str, KistError] = {}
        self.lost: set[str] = set()
        self.bad: set[tuple[str, bytes]] = set()
        self._forgotten: list[str] = []
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
        kept = self._store.hints.open(f"index/{name}")
        if kept >= 0:
            try:
                return self._held(name, HeldFile(kept))
            except (ObjectError, RepoFormatError, StorageError):
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

    def _brought(self, name: str, large: _LargeIndex) -> Index:
        """A large index in a file that is remembered; where there is no room for one, in memory."""
        path = self._store.hints.new_file(f"index/{name}")
        try:
            file = nameless() if path is None else HeldFile.new(path)
            for piece in large.pieces():
                file.append(piece)
            index = self._held(name, file)
        except StorageError:
            return self._checked(Index.load(b"".join(large.pieces()), name))
        else:
            if path is not None:
                self._store.hints.adopt(f"index/{name}", path)
            return index
        finally:
            if path is not None:
                path.unlink(missing_ok=True)

    def _held(self, name: str, file: HeldFile) -> Index:
        """An index with all its bytes in a file of ours."""
        if file.sha256() != name:
            raise ObjectCorrupt(f"index/{name}", where=f"the remote {self._store.name}")
        return self._checked(Index(file.read, file.size, name, hold=True))

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
            self._opened[name] = self._brought(name, large)
        return self._opened[name]

    def pack_entries(self) -> dict[str, PackEntry]:
        """Every pack that an opened index mentions, by its id."""
        return {entry.id: entry for index in self._opened.values() for entry in index.packs}

    def forget(self) -> None:
        """Let go of all that was opened, until :meth:`reopen`."""
        self._forgotten = self._forgotten or self.names
        self.names, self._opened, self._large = [], {}, {}

    def reopen(self, workers: Workers, more: Iterable[str] = ()) -> None:
        """Open again what was let go of, and others; raises what :meth:`open` does.

        Args:
            workers: run the calls.
            more: further index files; they are asked first.
        """
        self.names = list(dict.fromkeys([*self._forgotten, *self.names, *more]))
        self._forgotten = []
        self.open(workers)

    def locate(self, raws: Iterable[bytes], located: Located) -> list[bytes]:
        """Note where objects lie; the smallest, newest index is asked first.

        Args:
            raws: raw digests, in the order in which they are wanted.
            located: takes what is found.

        Returns:
            Those that are nowhere, or at a place that makes no sense, in the same order.
        """
        ranks = located.rank(raws)
        left = sorted(ranks)
        for name in reversed(self.names):
            if left and name not in self.damaged:
                try:
                    left = located.look_in(self._index_for(name, len(left)), left, ranks, self._believed)
                except ObjectError as exc:
                    self.damaged[name] = exc
        return sorted(left, key=ranks.__getitem__)

    def place_of(self, raw: bytes) -> Place | None:
        """Where one object lies, None where it is not there."""
        located = self._nowhere()
        self.locate([raw], located)
        return located.places().get(raw)

    def _nowhere(self) -> Located:
        return Located(self._store.hashers(self._algorithm).digest_size)

    def _index_for(self, name: str, count: int) -> Index:
        """An index that so many digests are asked of."""
        large = self._large.get(name)
        return self.whole(name) if large is not None and count * RANGE_COST >= large.size else self._opened[name]

    def _believed(self, raws: Sequence[bytes], rows: Rows, names: Mapping[int, str]) -> Sequence[int]:
        """Positions of those that lie at a place which makes sense and does not count as absent."""
        chosen: Sequence[int] = range(len(rows))
        if max(chain(rows.stored, rows.plains), default=0) > MEMBER_LIMIT:
            sizes = list(map(max, rows.stored, rows.plains))
            chosen = [at for at in chosen if rows.packs[at] >= SEGMENTED_NUMBER or sizes[at] <= MEMBER_LIMIT]
        for absent in filter(None, (self._exclude, self.lost)):
            chosen = [at for at in chosen if self._key(names[rows.packs[at]], raws[at]) not in absent]
        if self.bad:
            chosen = [at for at in chosen if (names[rows.packs[at]], raws[at]) not in self.bad]
        return chosen

    def bad_keys(self) -> set[str]:
        """The keys under which something turned out to be missing or damaged."""
        return self.lost | {self._key(*one) for one in self.bad} | {f"index/{name}" for name in self.damaged}

    def _key(self, pack: str, raw: bytes) -> str:
        return place_key(pack, Digest.from_raw(self._algorithm, raw))

    def covered(self, raws: Sequence[bytes]) -> list[bool]:
        """Whether each object is on the remote."""
        if not self.names:
            return [False] * len(raws)
        absent = set(self.locate(raws, self._nowhere()))
        return [raw not in absent for raw in raws]


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

    def pieces(self) -> Iterator[bytes]:
        """Everything, part by part."""
        yield self._head
        for start in range(len(self._head), self.size, PART):
            yield self.read(start, min(PART, self.size - start))
