"""Scan: what a tracked output holds in the workspace now, as a stream of Columns in manifest order."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kist.abc.hasher import Hasher
from kist.abc.kernel import SUBDIRECTORY, Kernel, Listing
from kist.abc.progress import NullProgress, Progress
from kist.engine.process.clock import FileClock
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.folder_state import Entries, FolderState
from kist.engine.workspace.ignore import IgnoreRules
from kist.engine.workspace.known_rows import KnownRows
from kist.engine.workspace.listings import child_path, interleave, list_one
from kist.engine.workspace.rows import Row, folder_key, only, pack_states, with_entry
from kist.engine.workspace.scan_tools import Links, Sink, SymlinkPolicy, Tools, Totals
from kist.engine.workspace.walk import Problems, Visit, changed, enter, open_below, visit
from kist.errors import KistError, MetafileError, ObjectError, PathConflict
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import DIRECTORY, SYMLINK, Entry
from kist.util.paths import check_path, display
from kist.util.slotted import field, slotted

if TYPE_CHECKING:
    from kist.engine.workspace.ingest import FolderReader

PART = 16_384
"""Entries in one part of the stream at most."""


@slotted()
class Scanner:
    """Scans outputs of one worktree by one algorithm.

    Args:
        root: the repository.
        kernel: lists and reads files.
        hasher: names contents.
        fingerprints: what is known; learns.
        ignore: the rules above the repository.
        small: size up to which files are read whole, many in a batch.
        symlinks: what becomes of symlinks.
        links: knows the links to the cache, see ``Tools``.
        progress: is told the bytes read.

    Attributes:
        last: the scan made last.
    """

    root: Path
    kernel: Kernel = field(kw_only=True)
    hasher: Hasher = field(kw_only=True)
    fingerprints: Fingerprints = field(kw_only=True)
    ignore: IgnoreRules = field(kw_only=True)
    small: int = field(default=1 << 20, kw_only=True)
    symlinks: SymlinkPolicy = field(default="keep", kw_only=True)
    links: Links | None = field(default=None, kw_only=True)
    progress: Progress = field(default_factory=NullProgress, kw_only=True)
    last: Scan | None = field(default=None, init=False)

    @property
    def tools(self) -> Tools:
        """What its scans work with."""
        return Tools(self.kernel, self.hasher, self.small, self.symlinks, self.links, self.progress)

    def is_clean(self, output: bytes, root: Digest) -> bool:
        """Whether a directory certainly is what *root* says; opens no manifest and reads no file.

        Args:
            output: its path, relative to the repository.
            root: the version that it should be.

        Returns:
            True if the rows are equal to *root* and every folder looks as its row says. False means: scan it.

        Raises:
            ConfigError: an ignore file is not valid.
        """
        if self.fingerprints.base(output) != root:
            return False
        known = self.fingerprints.get_below(output, content=False)
        problems: Problems = []
        folders = 0
        try:
            for found in visit(self.root, output, self.kernel, self.ignore, problems, reading=False):
                row = next(known, None)
                if row is None or row.key != folder_key(found.path) or row.states != pack_states(found.listing):
                    return False
                if SYMLINK in found.listing.kinds and not self._links_hold(found):
                    return False
                folders += 1
                self.progress.advance(0)  # a sign of life: nothing is read
        except PathConflict:
            return False
        return folders > 0 and not problems and next(known, None) is None

    def _links_hold(self, found: Visit) -> bool:
        """Whether symlinks to the cache lead to what they did: their own stats do not change with the object."""
        if self.links is None:
            return True
        for name, kind in zip(found.listing.names, found.listing.kinds, strict=True):
            if kind == SYMLINK:
                try:
                    self.links.resolve(os.readlink(name, dir_fd=found.descriptor), child_path(found.path, name))
                except (OSError, ObjectError):
                    return False
        return True

    def scan(self, output: bytes, sink: Sink | None = None, below: bytes = b"") -> Scan:
        """What a directory holds now.

        Args:
            output: its path, relative to the repository.
            sink: receives the content of every file that is read, and of those that it does not have.
            below: only this part of it, relative to *output*; may be a folder or a single file.

        Returns:
            Columns to iterate over once; nothing is read before.
        """
        self.last = Scan(self, output, sink, below)
        return self.last

    def scan_file(self, path: bytes, sink: Sink | None = None) -> Entry:
        """What a single-file output is now; ``last`` has the totals and the fingerprint to commit.

        Args:
            path: relative to the repository.
            sink: receives its content, unless it has it.

        Returns:
            Its entry; the path is its plain name.

        Raises:
            PathConflict: nothing is there, it is no file, or it changed twice while it was read.
            StorageError: it cannot be read.
        """
        self.last = Scan(self, path, sink, b"", is_file=True)
        entries = [entry for part in self.last for entry in part.entries()]
        for _, error in (*self.last.problems, *self.last.special):
            raise error
        if not entries:
            raise PathConflict(f"{display(path)} is no file", path=display(path))
        return entries[0]


class Scan:
    """One scan of one output: iterate once, then look at the attributes.

    Attributes:
        output: path of the output, relative to the repository.
        files: entries so far.
        size: bytes of content of them.
    """

    def __init__(
        self, scanner: Scanner, output: bytes, sink: Sink | None, below: bytes = b"", *, is_file: bool = False
    ) -> None:
        self.output = output
        self.files = 0
        self.size = 0
        self._scanner = scanner
        self._below = below
        self._is_file = is_file
        self._totals = Totals()
        self._sink_of_all = sink
        self._algorithm = scanner.hasher.name
        self._width = scanner.hasher.digest_size
        folder = scanner.fingerprints.path.parent if scanner.fingerprints.path is not None else None
        self._clock = FileClock(folder)
        self._equal_before: Digest | None = None
        self._complete = False
        self._unrecorded = False

    @cached_property
    def _reader(self) -> FolderReader:
        return self._reader_to(self._sink_of_all)

    def _reader_to(self, sink: Sink | None) -> FolderReader:
        from kist.engine.workspace.ingest import FolderReader  # what is clean is never read

        return FolderReader(self._scanner.tools, self._totals, sink, self.output)

    @property
    def bytes_read(self) -> int:
        """Content read from the workspace."""
        return self._totals.bytes_read

    @property
    def problems(self) -> Problems:
        """What could not be read: paths relative to the repository, and why."""
        return self._totals.problems

    @property
    def special(self) -> Problems:
        """FIFOs, sockets and devices, no part of any version: paths relative to the repository, and errors."""
        return self._totals.special

    @property
    def outside(self) -> list[bytes]:
        """Symlinks that point outside of the output, relative to the repository."""
        return self._totals.outside

    @property
    def private(self) -> list[bytes]:
        """What no version can hold, such as a Git repository's own folder, relative to the repository."""
        return self._totals.private

    def __iter__(self) -> Iterator[Columns]:
        fingerprints = self._scanner.fingerprints
        self._equal_before = fingerprints.base(self.output)
        start = child_path(self.output, self._below) if self._below else self.output
        for part in self._file(start) if self._is_file else self._part(start) if self._below else self._tree(start):
            self.files += len(part)
            self.size += sum(part.sizes)
            yield part
        self._complete = True

    def commit_fingerprints(self, base: Digest | None, old: Digest | None = None, *, alone: bool = True) -> None:
        """Say which version the output is equal to; the rows were put on the way. ``Fingerprints.save`` keeps all.

        Args:
            base: the root (or a file's digest) made of this scan, or found equal to it. None: there is none.
            old: for a scan of a part, the whole version that *base* is an edit of.
            alone: whether the edit is this part alone.
        """
        sound = self._complete and not self._totals.problems and not self._totals.special
        whole = not self._below or (alone and old and self._equal_before == old and not self._unrecorded)
        self._scanner.fingerprints.set_base(self.output, base if sound and whole else None)
        if sound and not whole and base and old:
            self._scanner.fingerprints.follow(self.output, old, base)

    def _part(self, start: bytes) -> Iterator[Columns]:
        """A folder or file inside of a directory; the row of the folder that holds it is kept right too."""
        above, _, name = start.rpartition(b"/")
        try:
            descriptor = open_below(self._scanner.root, above)
        except FileNotFoundError:
            found = Listing()
        else:
            found = list_one(descriptor, name)
            os.close(descriptor)
        if found.names and found.kinds[0] != SUBDIRECTORY:
            yield from self._file(start)
            return
        yield from self._tree(start)
        self._patch(start, Row(above, self._algorithm, found, bytes(self._width * len(found.names))))

    # ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _tree(self, start: bytes) -> Iterator[Columns]:
        known = KnownRows(self._scanner.fingerprints, start)
        base = len(self.output) + 1 if self.output else 0
        latest = b""
        for path, entries, first, last in interleave(self._folders(start, known)):
            if last == 0:
                if path[base:] > latest:
                    yield self._empty_folder(path[base:])
                else:  # it had entries when its place came, and a sibling went ahead
                    self._totals.problems.append((path, changed(path)))
                continue
            inner = path[base:]
            for begin in range(first, last, PART):
                part = self._columns(inner + b"/" if inner else b"", entries, begin, min(begin + PART, last))
                latest = part.paths[-1]
                yield part
        if stale := known.stale():
            self._scanner.fingerprints.set_base(self.output, None)
            self._scanner.fingerprints.forget_rows(stale)

    def _is_allowed(self, path: bytes) -> bool:
        """Whether a manifest may have the path of an empty folder; the folder above has told the problem else."""
        try:
            check_path(path[len(self.output) + 1 :] if self.output else path)
        except MetafileError:
            return False
        return True

    def _empty_folder(self, path: bytes) -> Columns:
        kinds, sizes = bytes([DIRECTORY]), array("Q", [0])
        return Columns(self._algorithm, self._width, [path], kinds, sizes, bytes(self._width))

    def _folders(self, start: bytes, known: KnownRows) -> Iterator[tuple[bytes, list[bytes] | None, Entries]]:
        scanner = self._scanner
        self._start_clock(start)
        early: set[bytes] = set()
        for found in visit(scanner.root, start, scanner.kernel, scanner.ignore, self._totals.problems):
            scanner.progress.advance(0)  # a sign of life where nothing need be read
            if found.private:
                self._totals.private += [child_path(found.path, name) for name in found.private]
            stored = known.take(folder_key(found.path))
            same = stored is not None and stored.states == pack_states(found.listing)
            row = stored.row() if stored is not None and stored.algorithm == self._algorithm else None
            self._clock.at(found.descriptor)  # it may lie on another file system
            state = self._reader.read(found.path, found.descriptor, found.listing, row)
            if row is None or not same or state.recent:
                self._learn(state)
            if found.empty:
                early.update(child_path(found.path, name) for name in found.empty)
            entries = state.entries(found.empty)
            if found.listing.names and found.path in early:
                self._totals.problems.append((found.path, changed(found.path)))
            elif found.listing.names or found.path == self.output:
                yield found.path, entries.names, entries
            elif found.path not in early and self._is_allowed(found.path):
                yield found.path, None, entries

    def _start_clock(self, start: bytes) -> None:
        """Ask the time before anything is read."""
        try:
            descriptor = open_below(self._scanner.root, start)
        except (OSError, KistError):
            return  # the walk will say what is wrong
        try:
            self._clock.at(descriptor)
        finally:
            os.close(descriptor)

    def _learn(self, state: FolderState) -> None:
        row = state.row(self._algorithm)
        row.smudge(self._clock.at(state.descriptor))
        self._put(row)

    # ── single files ─────────────────────────────────────────────────────────────────────────────────────────────

    def _file(self, path: bytes) -> Iterator[Columns]:
        """One file: an output of its own, or a part of a directory."""
        scanner = self._scanner
        folder, _, name = path.rpartition(b"/")
        try:
            descriptor, rules = enter(scanner.root, folder, scanner.ignore)
        except FileNotFoundError:
            return
        try:
            self._clock.at(descriptor)
            listing = rules.for_directory(folder, descriptor).apply(folder, list_one(descriptor, name))
            known = scanner.fingerprints.get(path if self._is_file else folder, is_file=self._is_file)
            usable = only(known, name) if known is not None and known.algorithm == self._algorithm else None
            state = self._reader.read(folder, descriptor, listing, usable)
            row = state.row(self._algorithm)
            row.smudge(self._clock.at(descriptor))
            if self._is_file:
                row.directory, row.is_file = path, True
                self._put(row)
            else:
                self._patch(path, row)
            entries = state.entries(())
        finally:
            os.close(descriptor)
        if entries.names:
            inside = b"" if self._is_file else folder[len(self.output) + 1 :] if self.output else folder
            yield self._columns(inside + b"/" if inside else b"", entries, 0, 1)

    def _patch(self, path: bytes, entry: Row) -> None:
        """Put what one name is now into the row of its folder, if there is one: one entry alone is no row."""
        folder, _, name = path.rpartition(b"/")
        known = self._scanner.fingerprints.get(folder)
        if known is None or known.algorithm != self._algorithm:
            self._unrecorded = True
            return
        row = with_entry(known, name, entry)
        if row != known:
            self._put(row)

    def _put(self, row: Row) -> None:
        # Until somebody commits, these rows are equal to no version that is known.
        self._scanner.fingerprints.set_base(self.output, None)
        self._scanner.fingerprints.put_many([row])

    def _columns(self, prefix: bytes, entries: Entries, first: int, last: int) -> Columns:
        before = entries.kinds.count(SYMLINK, 0, first)
        names = entries.names[first:last]
        return Columns(
            self._algorithm,
            self._width,
            [prefix + name for name in names] if prefix else names,
            entries.kinds[first:last],
            entries.sizes[first:last],
            entries.digests[first * self._width : last * self._width],
            entries.targets[before : before + entries.kinds.count(SYMLINK, first, last)],
        )
