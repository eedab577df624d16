"""What lies in the packs of a cache: index files, and the footers of packs that no index covers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from kist.engine.cache.folder import CacheFolder
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import Index, PackEntry, Place
from kist.engine.storage.located import Located
from kist.engine.storage.members import descriptor_reader
from kist.engine.storage.near import Near
from kist.engine.storage.packs import PackReader
from kist.engine.storage.rows import Rows
from kist.errors import KistError, ObjectCorrupt, RepoFormatError
from kist.util.atomic import storage_error
from kist.util.slotted import field, slotted

_TICK_NS = 50_000_000
"""A folder that changed less than this before it was listed may have changed again within the clock's tick."""

LARGE = 1 << 18
"""Entries of indexes that are not read again for each of many small look-ups."""

_ATTEMPTS = 20
"""How often a cache is listed at most until nothing has changed meanwhile."""


@slotted()
class OpenIndex:
    """An index file in use.

    Attributes:
        id: its name.
        index: its reader.
        live: whether all of its packs are here and none of their members is set aside.
        descriptor: the open file, -1 for one that is only in memory.
    """

    id: str
    index: Index
    live: bool = True
    descriptor: int = field(default=-1)

    def __del__(self) -> None:
        # Readers in other threads may still use an index that a refresh dropped; the last one closes it.
        if self.descriptor >= 0:
            os.close(self.descriptor)


class PackCatalog:
    """Finds packed objects. It follows what other processes do to the cache; thread-safe.

    Args:
        folder: the cache's folder.

    Attributes:
        broken: packs whose footer cannot be read and that no index covers, with the reason.
        damaged_indexes: index files that cannot be used, with the reason.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self.folder = folder
        self.broken: dict[str, KistError] = {}
        self.damaged_indexes: dict[str, KistError] = {}
        self._lock = threading.Lock()
        self._state: tuple[int, ...] = ()
        self._until = 0
        self._looked = 0.0
        self._packs: frozenset[str] = frozenset()
        self._aside: frozenset[tuple[str, bytes]] = frozenset()
        self._files: dict[str, OpenIndex] = {}
        self._uncovered: dict[str, tuple[PackEntry, IndexBuilder]] = {}
        self._sources: list[OpenIndex] = []
        self._near: dict[str, Near] = {}

    @property
    def packs(self) -> frozenset[str]:
        """Ids of the packs that are here, as of the last refresh."""
        return self._packs

    def refresh(self, *, force: bool = False, within: float = 0.0) -> None:
        """Look whether packs or indexes came or went.

        Args:
            force: look even if the folders' times did not change.
            within: seconds since the last look in which none is needed.

        Raises:
            StorageError: the cache cannot be read.
            RepoFormatError: it is of a newer format.
        """
        with self._lock:
            now = time.monotonic()
            if not force and self._looked + within > now:
                return
            self._looked = now
            state = self._times()
            if not force and state == self._state and time.time_ns() < self._until:
                return
            if not self.folder.check():
                self._packs, self._sources, self._files, self._near = frozenset(), [], {}, {}
                return
            started = time.time_ns()
            self._look()
            self._state = state
            # Times that were fresh when we listed prove nothing; look again next time.
            fresh = not state or started - max(state) < _TICK_NS
            self._until = 0 if fresh else 1 << 63

    def close(self) -> None:
        """Let go of open index files; the next refresh opens them again."""
        with self._lock:
            self._files, self._sources, self._near, self._state, self._until, self._looked = {}, [], {}, (), 0, 0.0

    def sources(self, algorithm: str) -> list[OpenIndex]:
        """Indexes in use for an algorithm, those in memory for uncovered packs last."""
        return [source for source in self._sources if source.index.algorithm == algorithm]

    def files(self) -> list[OpenIndex]:
        """Index files in use."""
        return list(self._files.values())

    def locate(self, algorithm: str, ranks: Mapping[bytes, int], located: Located) -> list[bytes]:
        """Note where packed objects lie; call ``refresh`` before.

        Args:
            algorithm: the hash algorithm.
            ranks: raw digests, as the ``rank`` of *located* numbered them.
            located: takes what is found.

        Returns:
            Those that are in no pack, sorted.
        """
        left = sorted(ranks)
        if (near := self._near.get(algorithm)) is not None:
            left = near.pick_into(located, left, ranks)
        for source in self.sources(algorithm):
            if left:
                left = located.look_in(source.index, left, ranks, None if source.live else self._whole_ones)
        return left

    def bring_near(self, algorithm: str, raws: Iterable[bytes]) -> None:
        """Hold in memory where some packed objects lie, until anything changes; call ``refresh`` before.

        Where the indexes are small nothing is held: looking again costs less.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests; they take the place of those held before.
        """
        self._near.pop(algorithm, None)
        if sum(source.index.count for source in self.sources(algorithm)) < LARGE:
            return
        located = Located(self.folder.hasher(algorithm).digest_size)
        ranks = located.rank(raws)
        self.locate(algorithm, ranks, located)
        self._near[algorithm] = Near(ranks, located.take())

    def missing(self, algorithm: str, raws: Sequence[bytes]) -> list[bytes]:
        """Those of some sorted raw digests that are in no pack; call ``refresh`` before."""
        left = list(raws)
        for source in self.sources(algorithm):
            if not left:
                break
            if source.live:
                left = source.index.missing(left)
            else:
                scratch = Located(source.index.width)
                left = scratch.look_in(source.index, left, scratch.rank(left), self._whole_ones)
        return left

    def all_places(self, algorithm: str, raw: bytes) -> list[Place]:
        """Every place of one object, also in packs where it is set aside."""
        places = (source.index.lookup_many([raw])[0] for source in self.sources(algorithm))
        return [place for place in dict.fromkeys(places) if place is not None and place.pack in self._packs]

    def is_aside(self, pack: str, raw: bytes) -> bool:
        """Whether the copy of an object in this pack is known to be damaged."""
        return (pack, raw) in self._aside

    def packs_with_damage(self) -> set[str]:
        """Packs that have a member which is set aside."""
        return {pack for pack, _ in self._aside}

    def _whole_ones(self, raws: Sequence[bytes], rows: Rows, names: Mapping[int, str]) -> Sequence[int]:
        """Positions of those whose packs are here and that are not set aside there."""
        packs, aside = self._packs, self._aside
        placed = zip(raws, map(names.__getitem__, rows.packs), strict=True)
        return [at for at, (raw, pack) in enumerate(placed) if pack in packs and (pack, raw) not in aside]

    def _times(self) -> tuple[int, ...]:
        times = []
        for path in (self.folder.packs, self.folder.index, self.folder.quarantine):
            try:
                times.append(os.stat(path).st_mtime_ns)
            except (FileNotFoundError, NotADirectoryError):
                return ()
            except OSError as exc:
                raise storage_error(exc, path) from exc
        return tuple(times)

    def _look(self) -> None:
        """List packs and read indexes, again if somebody merged some meanwhile.

        Else the packs would be those from before a merge and the indexes those from after it, and what was merged would
        be in neither.
        """
        before = self._packs, self._aside
        for _ in range(_ATTEMPTS):
            names = self.folder.pack_ids(), self.folder.index_ids()
            self._packs = frozenset(names[0])
            self._aside = frozenset(self._read_aside())
            if before != (self._packs, self._aside):
                self._near = {}
            self._open_indexes(names[1])
            self._cover()
            if names == (self.folder.pack_ids(), self.folder.index_ids()):
                return

    def _open_indexes(self, names: Iterable[str]) -> None:
        self.damaged_indexes = {}
        files = {}
        for name in names:
            opened = self._files.get(name) or self._open_index(name)
            if opened is not None:
                files[name] = opened
        self._files = files

    def _open_index(self, name: str) -> OpenIndex | None:
        path = self.folder.index / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None  # merged away since it was listed; what it covered is in the new one, or uncovered
        except OSError as exc:
            raise storage_error(exc, path) from exc
        try:
            index = Index(descriptor_reader(descriptor), os.fstat(descriptor).st_size, name, hold=True)
        except ObjectCorrupt as exc:
            os.close(descriptor)
            self.damaged_indexes[name] = exc
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return OpenIndex(name, index, descriptor=descriptor)

    def _cover(self) -> None:
        """Mark indexes that can be taken at their word, and read the footers of packs that none covers."""
        touched = self.packs_with_damage()
        covered: set[str] = set()
        for opened in self._files.values():
            ids = {entry.id for entry in opened.index.packs}
            opened.live = ids <= self._packs and not ids & touched
            covered |= ids
        known = {name: entry for name, entry in self._uncovered.items() if name in self._packs - covered}
        self.broken = {}
        for name in sorted(self._packs - covered - known.keys()):
            self._read_footer(name, known)
        self._uncovered = known
        builders: dict[str, IndexBuilder] = {}
        for _, builder in known.values():
            builders.setdefault(builder.algorithm, IndexBuilder(builder.algorithm, builder.width)).add_builder(builder)
        memory = [
            OpenIndex("", Index.load(builder.build()), not touched & known.keys()) for builder in builders.values()
        ]
        self._sources = sorted(self._files.values(), key=lambda opened: -opened.index.count) + memory

    def _read_footer(self, name: str, known: dict[str, tuple[PackEntry, IndexBuilder]]) -> None:
        try:
            with PackReader.open(self.folder.packs / name) as reader:
                if reader.id != name:
                    raise ObjectCorrupt(f"pack:{name}", actual="another footer", where=reader.where)
                builder = IndexBuilder(reader.algorithm, reader.width)
                entry = PackEntry(name, reader.size, reader.kind)
                builder.add_pack(entry, reader.members)
                known[name] = entry, builder
        except FileNotFoundError:
            return
        except (ObjectCorrupt, RepoFormatError) as exc:
            self.broken[name] = exc

    def _read_aside(self) -> Iterable[tuple[str, bytes]]:
        """Records ``packed-<pack>-<algorithm>-<hex>`` in the quarantine."""
        try:
            names = os.listdir(self.folder.quarantine)
        except FileNotFoundError:
            return
        for name in names:
            parts = name.split("-", 2)
            if len(parts) == 3 and parts[0] == "packed":
                try:
                    yield parts[1], bytes.fromhex(parts[2].rpartition("-")[2])
                except ValueError:
                    continue
