"""Read objects out of a cache, each one checked against its name."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from kist.abc.hasher import Hasher
from kist.engine.cache.catalog import PackCatalog
from kist.engine.cache.checked_file import CheckedFile
from kist.engine.cache.folder import CacheFolder, open_regular
from kist.engine.cache.hashed_packs import HashedPacks
from kist.engine.storage.indexes import Place
from kist.engine.storage.located import Located
from kist.engine.storage.members import Members, decode, join_ranges, split_unfolding
from kist.errors import ObjectCorrupt, ObjectError, ObjectMissing
from kist.model.digest import Digest
from kist.util.atomic import storage_error

_CHUNK = 65536
"""Objects that bulk reading looks up at a time."""

_TURNS = 12
"""In so many turns at most an index is read for objects that are all in it."""

_LISTING = 16
"""From so many look-ups in one folder on, listing it is cheaper than asking for each name, unless it is large."""

_LISTED = 512
"""Bytes of a folder's own that are listed in the time of one look-up."""

_RETRIES = 5


class Piece(NamedTuple):
    """What one read brought of a pack: where it begins there, the bytes, whether all of the pack was just hashed."""

    pack: str
    start: int
    data: bytes
    checked: bool


OnError = Callable[[bytes, ObjectError], None]
"""Told the raw digest of an object that cannot be read, and why."""


class CacheReader:
    """The reading half of a cache; works without the right to write there.

    Args:
        folder: the cache's folder.

    Attributes:
        catalog: what lies in its packs.
        hashed: packs that this process has just hashed whole.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self.folder = folder
        self.catalog = PackCatalog(folder)
        self.hashed = HashedPacks()

    def has(self, digest: Digest) -> bool:
        """Whether an object is here.

        Raises:
            MetafileError: not a digest of that algorithm.
            StorageError: the cache cannot be read.
        """
        return not self.missing(digest.algorithm, (self.folder.raw(digest),))

    def missing(self, algorithm: str, raws: Iterable[bytes], *, within: float = 0.0) -> list[bytes]:
        """Those of some objects that are not here.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests, in any order.
            within: seconds for which an earlier look at what packs there are is good enough.

        Returns:
            each once, sorted.

        Raises:
            StorageError: the cache cannot be read.
        """
        self.catalog.refresh(within=within)
        left = self.catalog.missing(algorithm, sorted(set(raws)))
        loose = self._loose_present(algorithm, left)
        return [raw for raw in left if raw not in loose] if loose else left

    def has_loose_many(self, algorithm: str, raws: Sequence[bytes]) -> list[bool]:
        """Whether each of some objects is here as a loose one, which can be linked."""
        present = self._loose_present(algorithm, sorted(set(raws)))
        return [raw in present for raw in raws]

    def loose_name(self, algorithm: str, raw: bytes) -> bytes:
        """The path of a loose object, relative to the folder ``objects``."""
        return self.folder.loose_name(algorithm, raw)

    def locate(self, algorithm: str, raws: Iterable[bytes], located: Located) -> list[bytes]:
        """Note where objects lie.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests, in the order in which they are wanted.
            located: takes what is found.

        Returns:
            Those that are not here, sorted.

        Raises:
            StorageError: the cache cannot be read.
        """
        self.catalog.refresh()
        ranks = located.rank(raws)
        left = self.catalog.locate(algorithm, ranks, located)
        sizes = {raw: self._loose_size(algorithm, raw) for raw in self._loose_present(algorithm, left)}
        loose = [raw for raw in left if sizes.get(raw) is not None]
        located.add_alone(loose, [sizes[raw] or 0 for raw in loose], ranks)
        known = set(loose)
        return [raw for raw in left if raw not in known]

    def at_once(self, algorithm: str) -> int:
        """How many objects to look up at a time, so that a large index is read a few times only, however large it is.

        Args:
            algorithm: the hash algorithm.

        Raises:
            StorageError: the cache cannot be read.
        """
        self.catalog.refresh()
        return max((source.index.count for source in self.catalog.sources(algorithm)), default=0) // _TURNS

    def expect(self, algorithm: str, raws: Iterable[bytes]) -> None:
        """Look up objects that will be read in small groups: each look-up in a large index reads much of it.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests, in the order in which they are wanted; they take the place of those before.

        Raises:
            StorageError: the cache cannot be read.
        """
        self.catalog.refresh()
        self.catalog.bring_near(algorithm, raws)

    def places(self, algorithm: str, raws: Iterable[bytes]) -> dict[bytes, Place]:
        """Where few objects lie; those that are not here are left out.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests, in any order.

        Raises:
            StorageError: the cache cannot be read.
        """
        located = Located(self.folder.hasher(algorithm).digest_size)
        self.locate(algorithm, raws, located)
        return located.places()

    def size(self, digest: Digest) -> int:
        """An object's size in bytes.

        Raises:
            ObjectMissing: it is not here.
        """
        place = self.places(digest.algorithm, (raw := self.folder.raw(digest),)).get(raw)
        if place is None:
            raise ObjectMissing(str(digest), where="the cache")
        return place.plain

    def read_many(self, algorithm: str, raws: Sequence[bytes]) -> list[bytes]:
        """Read small objects or nodes.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests, in any order, also repeated.

        Returns:
            the contents in the order asked for, each checked against its name.

        Raises:
            ObjectMissing: one of them is not here.
            ObjectCorrupt: one of them is damaged, and there is no good copy here.
            StorageError: the cache cannot be read.
        """
        found = dict(self._read(algorithm, list(dict.fromkeys(raws)), None))
        return [found[raw] for raw in raws]

    def read_iter(
        self, algorithm: str, raws: Iterable[bytes], on_error: OnError | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Read many small objects in the order of the packs, with bounded memory.

        Args:
            algorithm: the hash algorithm.
            raws: raw digests; best in the order of the paths, in which packs were written.
            on_error: told of each object that is missing or damaged, so that the others are still read; None: the
                first one is raised.

        Yields:
            (raw digest, content), each object once, checked against its name.

        Raises:
            ObjectMissing: one of them is not here.
            ObjectCorrupt: one of them is damaged, and there is no good copy here.
            StorageError: the cache cannot be read.
        """
        ordered = list(dict.fromkeys(raws))
        for first in range(0, len(ordered), _CHUNK):
            yield from self._read(algorithm, ordered[first : first + _CHUNK], on_error)

    def open(self, digest: Digest) -> io.BufferedIOBase:
        """Read one object as a stream, of any size.

        Returns:
            a readable file; when its end is reached and the bytes are not what the name says, reading raises
            ObjectCorrupt.

        Raises:
            ObjectMissing: it is not here.
            ObjectCorrupt: it is packed and damaged.
            StorageError: the cache cannot be read.
        """
        raw = self.folder.raw(digest)
        descriptor = self.open_loose(digest.algorithm, raw)
        if descriptor < 0:
            return io.BytesIO(self.read_many(digest.algorithm, (raw,))[0])
        reader = CheckedFile(descriptor, digest, self.folder.hasher(digest.algorithm))
        return io.BufferedReader(reader, 1 << 18)

    def open_loose(self, algorithm: str, raw: bytes) -> int:
        """A descriptor of a loose object, the caller's to close; -1 if it is not here as one."""
        return open_regular(self.folder.loose_path(algorithm, raw))

    # How bulk reading works: look up, group by pack, read joined ranges, check a whole group with one call.

    def _read(self, algorithm: str, wanted: list[bytes], on_error: OnError | None) -> Iterator[tuple[bytes, bytes]]:
        for attempt in range(_RETRIES):
            self.catalog.refresh(force=attempt > 0)
            located = Located(self.folder.hasher(algorithm).digest_size)
            left = self.catalog.locate(algorithm, located.rank(wanted), located)
            wanted = []
            for raw in left:
                try:
                    data = self._read_loose(algorithm, raw)
                except ObjectCorrupt as exc:
                    _report(on_error, raw, exc)
                    continue
                if data is None:
                    wanted.append(raw)
                else:
                    yield raw, data
            for pack, group in located.groups.items():
                try:
                    yield from self._read_pack(algorithm, pack, group.members, on_error)
                except FileNotFoundError:
                    # Merged into another pack since we looked; nothing of it was handed out yet.
                    wanted += group.members.raws()
            if not wanted:
                return
        for raw in wanted:
            _report(on_error, raw, ObjectMissing(f"{algorithm}:{raw.hex()}", where="the cache"))

    def _read_pack(
        self, algorithm: str, pack: str, members: Members, on_error: OnError | None
    ) -> Iterator[tuple[bytes, bytes]]:
        path = self.folder.packs / pack
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise storage_error(exc, path) from exc
        hasher = self.folder.hasher(algorithm)
        try:
            checked = self.hashed.holds(pack, descriptor)
            offsets, lengths = members.offsets, members.stored
            for first, stop in join_ranges(offsets, lengths):
                start = offsets[first]
                try:
                    data = os.pread(descriptor, offsets[stop - 1] + lengths[stop - 1] - start, start)
                except OSError as exc:
                    raise storage_error(exc, path) from exc
                for begin, end in split_unfolding(members.plains[first:stop]):
                    part = members.slice(first + begin, first + end)
                    yield from self._check(hasher, part, Piece(pack, start, data, checked), on_error)
        finally:
            os.close(descriptor)

    def _check(
        self, hasher: Hasher, members: Members, piece: Piece, on_error: OnError | None
    ) -> Iterator[tuple[bytes, bytes]]:
        data, start = piece.data, piece.start
        raws, codecs, plains = members.raws(), members.codecs, members.plains
        begins = zip(members.offsets, members.stored, strict=True)
        contents = [data[offset - start : offset - start + length] for offset, length in begins]
        if any(codecs):
            each = zip(codecs, contents, plains, strict=True)
            contents = [part if not codec else decode(codec, part, plain) or b"" for codec, part, plain in each]
        if piece.checked and list(map(len, contents)) == list(plains):
            yield from zip(raws, contents, strict=True)
            return
        actual = hasher.raw_many(contents)
        if actual == members.digests:
            yield from zip(raws, contents, strict=True)
            return
        width = hasher.digest_size
        for position, ((raw, *place), content) in enumerate(zip(members.rows(), contents, strict=True)):
            found = actual[position * width : position * width + width]
            if found != raw:
                try:
                    content = self._other_copy(hasher, raw, Place(piece.pack, *place), found)
                except ObjectCorrupt as exc:
                    _report(on_error, raw, exc)
                    continue
            yield raw, content

    def _other_copy(self, hasher: Hasher, raw: bytes, bad: Place, found: bytes) -> bytes:
        """The content from any other place in this cache; damaged everywhere: ObjectCorrupt."""
        for place in self.catalog.all_places(hasher.name, raw):
            if place != bad and (data := self._read_place(hasher, raw, place)) is not None:
                return data
        if (data := self._read_loose(hasher.name, raw)) is not None:
            return data
        where = str(self.folder.packs / bad.pack)
        raise ObjectCorrupt(f"{hasher.name}:{raw.hex()}", actual=f"{hasher.name}:{found.hex()}", where=where)

    def _read_place(self, hasher: Hasher, raw: bytes, place: Place) -> bytes | None:
        try:
            with (self.folder.packs / place.pack).open("rb") as file:
                data = decode(place.codec, os.pread(file.fileno(), place.stored, place.offset), place.plain)
        except OSError:
            return None
        return data if data is not None and hasher.raw(data) == raw else None

    def _read_loose(self, algorithm: str, raw: bytes) -> bytes | None:
        descriptor = self.open_loose(algorithm, raw)
        if descriptor < 0:
            return None
        path = self.folder.loose_path(algorithm, raw)
        try:
            with open(descriptor, "rb", buffering=0) as file:
                data = file.read()
        except OSError as exc:
            raise storage_error(exc, path) from exc
        actual = self.folder.hasher(algorithm).raw(data)
        if actual != raw:
            raise ObjectCorrupt(
                f"{algorithm}:{raw.hex()}", actual=f"{algorithm}:{actual.hex()}", where=os.fsdecode(path)
            )
        return data

    def _loose_size(self, algorithm: str, raw: bytes) -> int | None:
        try:
            return os.lstat(self.folder.loose_path(algorithm, raw)).st_size
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise storage_error(exc) from exc

    def _loose_present(self, algorithm: str, raws: Sequence[bytes]) -> set[bytes]:
        """Those of some sorted raw digests that are here as loose objects."""
        if not raws or not self.folder.check():
            return set()
        size = self.folder.hasher(algorithm).digest_size
        present: set[bytes] = set()
        shards = self.folder.shards(algorithm)
        if not shards:
            return set()
        groups: dict[str, list[bytes]] = {shard: [] for shard in shards}
        for raw in raws:
            if len(raw) == size and (group := groups.get(f"{raw[0]:02x}")) is not None:
                group.append(raw)
        for shard, group in groups.items():
            if group:
                present |= self._shard_present(f"{self.folder.objects}/{algorithm}/{shard}/", group)
        return present

    @staticmethod
    def _shard_present(prefix: str, raws: list[bytes]) -> set[bytes]:
        try:
            if len(raws) >= _LISTING and os.stat(prefix).st_size <= len(raws) * _LISTED:
                names = set(os.listdir(prefix))
                return {raw for raw in raws if raw.hex()[2:] in names}
            return {raw for raw in raws if os.path.isfile(prefix + raw.hex()[2:])}
        except FileNotFoundError:
            return set()
        except OSError as exc:
            raise storage_error(exc, prefix) from exc


def _report(on_error: OnError | None, raw: bytes, error: ObjectError) -> None:
    if on_error is None:
        raise error
    on_error(raw, error.with_traceback(None))  # else who keeps it would keep all that was read with it
