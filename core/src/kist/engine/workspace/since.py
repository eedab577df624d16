"""Since: what changed in a directory since the version that its fingerprints are equal to; the rest is not opened.

A scan hands out every entry, so a version that is made of it is made from nothing. Where few folders look otherwise
than their rows say, only these are read, and the version before is edited: the cost follows the change.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from kist.abc.kernel import OTHER, STAT_FIELDS, SUBDIRECTORY, Listing
from kist.abc.metafile import ManifestView
from kist.engine.workspace.folder_state import Entries
from kist.engine.workspace.known_rows import KnownRows
from kist.engine.workspace.listings import child_path
from kist.engine.workspace.rows import Row, changed_places, folder_key, pack_states
from kist.engine.workspace.scan import Scan, Scanner
from kist.engine.workspace.scan_tools import Sink
from kist.engine.workspace.walk import open_below, visit
from kist.errors import KistError, PathConflict
from kist.model.change import Change
from kist.model.digest import Digest
from kist.model.entry import EXECUTABLE, FILE, KIND_NAMES, SYMLINK, Entry
from kist.util.atomic import storage_error
from kist.util.gathering import cut

if TYPE_CHECKING:
    from kist.engine.workspace.ingest import FolderReader

LIMIT = 1 << 16
"""Names in folders that look otherwise; with more a scan of everything is as good, and holds nothing in memory."""

CHEAP = 16 << 20
"""Bytes that are read again rather than to lose sight of the version that all else is equal to."""

_FEW = 1024
_STAT_BYTES = 8 * STAT_FIELDS
_TOGETHER = 1 << 20


class _Folder(NamedTuple):
    """A folder that is to be read.

    Attributes:
        path: relative to the repository.
        listing: what it holds.
        row: what was known about it, None for a new one.
        same: whether it looks as its row says, and is read for what lies in it.
        large: whether it holds a large file.
    """

    path: bytes
    listing: Listing
    row: Row | None
    same: bool
    large: bool


class _Trusting:
    """A sink that has all that the version before names; few files of each of many folders are stored together.

    Args:
        sink: takes the rest.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.put_stream = sink.put_stream
        self._raws: list[bytes] = []
        self._buffers: list[bytes] = []
        self._size = 0

    def put_small(self, raws: bytes, buffers: Sequence[bytes], /) -> None:
        """Store objects, now or with later ones."""
        self._raws.append(raws)
        self._buffers += buffers
        self._size += sum(map(len, buffers))
        if self._size > _TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Store what waits."""
        if self._buffers:
            self._sink.put_small(b"".join(self._raws), self._buffers)
        self._raws, self._buffers, self._size = [], [], 0

    def missing(self, _raws: Sequence[bytes], /) -> list[bytes]:
        """Nothing: what is known is of that version."""
        return []


class Since(Scan):
    """The changes of one output since the version that its fingerprints are equal to.

    Args:
        scanner: of the version's algorithm.
        output: a directory, relative to the repository.
        base: the version's root.
        view: opens it; not called where nothing differs.
        sink: receives the content of every file that is read.

    Attributes:
        unread: bytes of the files that are to be read, once it was looked.
    """

    def __init__(
        self,
        scanner: Scanner,
        output: bytes,
        base: Digest,
        view: Callable[[Digest], ManifestView],
        sink: Sink | None = None,
    ) -> None:
        super().__init__(scanner, output, sink)
        self._root, self._open = base, view
        self._sink = None if sink is None else _Trusting(sink)
        self._folders_to_read: list[_Folder] = []
        self._removed: list[bytes] = []
        self._stale: list[bytes] = []
        self._learnt: list[Row] = []
        self._names = 0
        self.unread = 0

    @cached_property
    def _trusting(self) -> FolderReader:
        return self._reader_to(self._sink)

    @cached_property
    def base(self) -> ManifestView:
        """The version before."""
        return self._open(self._root)

    @property
    def moved(self) -> bool:
        """Whether there is something to remember."""
        return bool(self._stale or self._learnt)

    def look(self, large: int | None = None) -> bool:
        """Find out what is to be read; opens no file.

        Args:
            large: of files of at least this many bytes it is not known whether the sink has them, and folders with one
                are read too; None: it has them all, or there is none.

        Returns:
            False if that cannot be told from the fingerprints, or is not worth it: then everything is to be scanned.

        Raises:
            ConfigError: an ignore file is not valid.
            StorageError: the directory cannot be opened.
        """
        fingerprints = self._scanner.fingerprints
        if self._root.algorithm != self._algorithm or fingerprints.base(self.output) != self._root:
            return False
        self._equal_before = self._root
        generation = fingerprints.generation(self.output)
        try:
            found = self._walk(large)
        except PathConflict:
            return False
        # Who saved rows meanwhile made a mixture of what was read here.
        unmoved = fingerprints.base(self.output) == self._root
        return found and unmoved and fingerprints.generation(self.output) == generation and not self.problems

    def changes(self) -> Iterator[Change]:
        """What is to be done to the version; of several changes of one path the last one counts.

        Changes come without what was there before, and some may say what is so already.
        """
        for path in self._removed:
            yield Change(path, "deleted")
        for folder in self._folders_to_read:
            yield from self._read(folder)
        if self._sink is not None:
            self._sink.flush()
        self._complete = True

    def keep(self) -> None:
        """Remember what was found; until somebody commits it, the fingerprints are equal to no version then."""
        if self._learnt or self._stale:
            self._scanner.fingerprints.set_base(self.output, None)
            self._scanner.fingerprints.put_many(self._learnt)
            self._scanner.fingerprints.forget_rows(self._stale)

    def keep_if_dear(self) -> None:
        """Remember what was found if finding it again takes long; else the fingerprints stay equal to the version."""
        if self.bytes_read > CHEAP:
            self.keep()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _walk(self, large: int | None) -> bool:
        scanner = self._scanner
        known = KnownRows(scanner.fingerprints, self.output, content=False)
        self._start_clock(self.output)
        visited = False
        for found in visit(scanner.root, self.output, scanner.kernel, scanner.ignore, self.problems, reading=False):
            visited = True
            scanner.progress.advance(0)  # a sign of life where nothing need be read
            self.private.extend(child_path(found.path, name) for name in found.private)
            stored = known.take(folder_key(found.path))
            same = (
                stored is not None
                and stored.algorithm == self._algorithm
                and stored.states == pack_states(found.listing)
            )
            is_large = _is_large(found.listing, large)
            if same and not is_large and not _is_special(found.listing):
                continue
            row = scanner.fingerprints.get(found.path) if stored is not None else None
            if (row is None or row.algorithm != self._algorithm) and (stored is not None or self._is_known(found.path)):
                return False  # the row is damaged, or was never kept: nobody can tell what has gone from here
            self._names += len(found.listing.names) + (len(row.listing.names) if row is not None else 0)
            self._folders_to_read.append(_Folder(found.path, found.listing, row, same, is_large))
            if not same:
                self.unread += _unread(found.listing, row)
            if row is not None and not same:
                self._note_removed(found.path, found.listing, row)
            if self._names > LIMIT:
                return False
        self._stale = known.stale()
        return visited

    def _note_removed(self, path: bytes, listing: Listing, row: Row) -> None:
        """Note all that lay in subfolders which are not there any more."""
        here = {name for name, kind in zip(listing.names, listing.kinds, strict=True) if kind == SUBDIRECTORY}
        for name, kind in zip(row.listing.names, row.listing.kinds, strict=True):
            if kind == SUBDIRECTORY and name not in here:
                inner = self._inner(child_path(path, name))
                self._removed.append(inner)
                for leaf in self.base.leaves(inner):
                    self._removed += leaf.paths
                    self._names += len(leaf.paths)
                    if self._names > LIMIT:
                        return

    def _is_known(self, path: bytes) -> bool:
        """Whether the version has a folder, empty or not."""
        inner = self._inner(path)
        entry = self.base.find(inner) if inner else None
        empty = entry is not None and entry.kind == "directory"
        return empty or next(iter(self.base.leaves(inner)), None) is not None

    def _inner(self, path: bytes) -> bytes:
        return path[len(self.output) + 1 :] if self.output else path

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, folder: _Folder) -> Iterator[Change]:
        path, listing, row, same, large = folder
        try:
            descriptor = open_below(self._scanner.root, path)
        except KistError as error:
            self.problems.append((path, error))
            return
        except OSError as exc:  # it was there a moment ago
            self.problems.append((path, storage_error(exc, path)))
            return
        try:
            self._clock.at(descriptor)  # it may lie on another file system
            state = (self._reader if large else self._trusting).read(path, descriptor, listing, row)
            if row is None or not same or state.recent:
                self._learn(state)
        finally:
            os.close(descriptor)
        inner = self._inner(path)
        if inner:
            was, now = row is not None and not row.listing.names, not listing.names
            if now and not was and self._is_allowed(path):
                yield Change(inner, "added", None, Entry(inner, "directory"))
            elif was and not now:
                yield Change(inner, "deleted")
        yield from self._differing(inner + b"/" if inner else b"", row, state.entries(()))

    def _put(self, row: Row) -> None:
        self._learnt.append(row)

    def _differing(self, prefix: bytes, row: Row | None, entries: Entries) -> Iterator[Change]:
        """The entries of one folder that are not what its row says, all its links, and those that have gone."""
        width, names, kinds = self._width, entries.names, entries.kinds
        if row is not None and names == row.listing.names and kinds == row.listing.kinds and SYMLINK not in kinds:
            for at in changed_places(row.digests, entries.digests, width):
                raw = entries.digests[at * width : (at + 1) * width]
                yield self._change(prefix + names[at], kinds[at], entries.sizes[at], raw)
            return
        before = _contents(row, width) if row is not None else {}
        targets = iter(entries.targets)
        for name, kind, size, raw in zip(names, kinds, entries.sizes, cut(entries.digests, width), strict=True):
            target = next(targets) if kind == SYMLINK else None
            if before.pop(name, None) != (kind, raw):
                yield self._change(prefix + name, kind, size, raw, target)
        for name in before:
            yield Change(prefix + name, "deleted")

    def _change(self, path: bytes, kind: int, size: int, raw: bytes, target: bytes | None = None) -> Change:
        digest = Digest.from_raw(self._algorithm, raw) if kind in (FILE, EXECUTABLE) else None
        return Change(path, "modified", None, Entry(path, KIND_NAMES[kind], size, digest, target))


def _is_special(listing: Listing) -> bool:
    """Whether a folder holds what is to be looked at each time: links, and what no version can hold."""
    return SYMLINK in listing.kinds or OTHER in listing.kinds


def _is_large(listing: Listing, large: int | None) -> bool:
    return large is not None and bool(listing.kinds) and max(listing.stats[::STAT_FIELDS]) >= large


def _unread(listing: Listing, row: Row | None) -> int:
    """Bytes of the entries whose stats are not known."""
    states = listing.stats.tobytes()
    each = range(0, len(states), _STAT_BYTES)
    if row is None:
        return sum(listing.stats[::STAT_FIELDS])
    before = row.listing.stats.tobytes()
    if row.listing.names == listing.names:
        return sum(listing.stats[at * STAT_FIELDS] for at in changed_places(before, states, _STAT_BYTES))
    known = dict(
        zip(
            row.listing.names, (before[at : at + _STAT_BYTES] for at in range(0, len(before), _STAT_BYTES)), strict=True
        )
    )
    named = zip(listing.names, listing.stats[::STAT_FIELDS], each, strict=True)
    return sum(size for name, size, at in named if known.get(name) != states[at : at + _STAT_BYTES])


def _contents(row: Row, width: int) -> dict[bytes, tuple[int, bytes | None]]:
    """The entries of a folder as its row knows them, without subfolders: name -> kind and raw digest.

    None for a link: what it stands for may have changed though it leads to the same place.
    """
    found: dict[bytes, tuple[int, bytes | None]] = {}
    for at, (name, kind) in enumerate(zip(row.listing.names, row.listing.kinds, strict=True)):
        if kind not in (SUBDIRECTORY, OTHER):
            found[name] = (kind, None if kind == SYMLINK else row.digests[at * width : (at + 1) * width])
    return found


def with_old(view: ManifestView, found: Iterable[Change]) -> list[Change]:
    """Changes as ``Since`` tells them, with what was there before: sorted, one a path, and only those that are any.

    Args:
        view: the version before.
        found: the changes.
    """
    latest = {change.path: change.new for change in found}
    paths = sorted(latest)
    before = _many(view, paths) if len(paths) > _FEW else {path: view.find(path) for path in paths}
    return [
        Change(path, "deleted" if new is None else "added" if old is None else "modified", old, new)
        for path, old, new in ((path, before.get(path), latest[path]) for path in paths)
        if old != new
    ]


def _many(view: ManifestView, paths: Sequence[bytes]) -> dict[bytes, Entry]:
    """The entries at many sorted paths, from one walk over all."""
    found: dict[bytes, Entry] = {}
    at = 0
    for leaf in view.leaves():
        stop = bisect_right(paths, leaf.paths[-1], at)
        for path in paths[at:stop]:
            if (place := leaf.find(path)) is not None:
                found[path] = leaf.entry(place)
        at = stop
    return found
