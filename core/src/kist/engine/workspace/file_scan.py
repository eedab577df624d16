"""FileScan: what many single-file outputs are now, read folder by folder.

A scan of each opens its folder, asks for the time of the file system and reads one file; here each folder is opened
once, and its files go through the kernel and the sink together.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from typing import Literal

from kist.abc.kernel import STAT_FIELDS, Listing
from kist.engine.process.clock import FileClock
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.folder_state import FolderState
from kist.engine.workspace.ignore import IgnoreRules
from kist.engine.workspace.ingest import FolderReader
from kist.engine.workspace.listings import child_path, list_one
from kist.engine.workspace.rows import Row, single_rows
from kist.engine.workspace.scan import Scanner
from kist.engine.workspace.scan_tools import Sink, Totals
from kist.engine.workspace.walk import enter
from kist.errors import KistError
from kist.model.digest import Digest
from kist.model.entry import EXECUTABLE, FILE, Entry
from kist.util.slotted import slotted

_PLAIN = (FILE, EXECUTABLE)
_MOST = 4096
"""Files of one folder that are read together: their rows and stats are all that is kept of them."""


@slotted(frozen=True)
class ScannedFile:
    """One single-file output as it is now.

    Args:
        entry: what it is; the path is its plain name.
        path: relative to the repository.
        fingerprints: what learnt of it; None where nothing was new.
    """

    entry: Entry
    path: bytes
    fingerprints: Fingerprints | None

    @property
    def outside(self) -> list[bytes]:
        """Symlinks that point outside of it: it is none."""
        return []

    @property
    def private(self) -> list[bytes]:
        """What no version can hold: there is nothing below it."""
        return []

    def commit_fingerprints(self, base: Digest | None) -> None:
        """Say what it is equal to, as a scan does.

        Args:
            base: the digest of its content.
        """
        if self.fingerprints is not None:
            self.fingerprints.set_base(self.path, base)


class FileScan:
    """Reads many single-file outputs of one repository by one algorithm.

    Args:
        scanner: what single scans would be made with.
        sink: receives every content that is read, and those that it does not have; None: they are only hashed.

    Attributes:
        bytes_read: content read so far.
    """

    def __init__(self, scanner: Scanner, sink: Sink | None = None) -> None:
        self.bytes_read = 0
        self._scanner = scanner
        self._sink = sink
        known = scanner.fingerprints.path
        self._clock = FileClock(known.parent if known is not None else None)

    def scan(self, paths: Iterable[bytes]) -> Iterator[ScannedFile]:
        """Read files.

        Args:
            paths: relative to the repository, each once.

        Yields:
            What plain files are. One that is absent, hidden, no plain file or not readable is left out: a scan of it
            alone says what is wrong.
        """
        folders: dict[bytes, list[bytes]] = {}
        for path in paths:
            folder, _, name = path.rpartition(b"/")
            folders.setdefault(folder, []).append(name)
        for folder, names in folders.items():
            try:
                descriptor, above = enter(self._scanner.root, folder, self._scanner.ignore)
            except (KistError, OSError):
                continue
            try:
                rules = above.for_directory(folder, descriptor)
                self._clock.at(descriptor)  # asked before anything is read
                ordered = sorted(names)
                for start in range(0, len(ordered), _MOST):
                    yield from self._read(folder, descriptor, rules, ordered[start : start + _MOST])
            except KistError:
                continue
            finally:
                os.close(descriptor)

    def _read(self, folder: bytes, descriptor: int, rules: IgnoreRules, names: list[bytes]) -> Iterator[ScannedFile]:
        scanner = self._scanner
        scanner.progress.advance(0)  # a sign of life where nothing need be read
        listing = _plain_only(rules.apply(folder, _list(descriptor, names)))
        if not listing.names:
            return
        paths = [child_path(folder, name) for name in listing.names]
        known = scanner.fingerprints.get_files(paths)
        before = _joined([row for path in paths if (row := known.get(path)) and row.algorithm == scanner.hasher.name])
        totals = Totals()
        state = FolderReader(scanner.tools, totals, self._sink, folder).read(folder, descriptor, listing, before)
        refused = {path for path, _ in (*totals.problems, *totals.special)}
        self.bytes_read += totals.bytes_read
        row = state.row(scanner.hasher.name)
        row.smudge(self._clock.at(descriptor))
        for at, (path, one) in enumerate(zip(paths, single_rows(row), strict=True)):
            if path in refused or at in state.dropped or at in state.as_file or state.kinds[at] not in _PLAIN:
                continue
            yield self._found(state, at, one, known.get(path))

    def _found(self, state: FolderState, at: int, row: Row, known: Row | None) -> ScannedFile:
        fingerprints = self._scanner.fingerprints
        size = state.stats[at * STAT_FIELDS] & (1 << 64) - 1
        kind: Literal["file", "executable"] = "executable" if state.kinds[at] == EXECUTABLE else "file"
        entry = Entry(state.names[at], kind, size, Digest.from_raw(row.algorithm, row.digests))
        if row == known:
            return ScannedFile(entry, row.directory, None)
        fingerprints.set_base(row.directory, None)
        fingerprints.put_many([row])
        return ScannedFile(entry, row.directory, fingerprints)


def _list(descriptor: int, names: list[bytes]) -> Listing:
    whole, kinds = Listing(), bytearray()
    for name in names:
        try:
            one = list_one(descriptor, name)
        except KistError:
            continue
        whole.names += one.names
        kinds += one.kinds
        whole.stats += one.stats
    whole.kinds = bytes(kinds)
    return whole


def _plain_only(listing: Listing) -> Listing:
    kept = [at for at, kind in enumerate(listing.kinds) if kind in _PLAIN]
    if len(kept) == len(listing.names):
        return listing
    stats = array("q")
    for at in kept:
        stats += listing.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS]
    return Listing([listing.names[at] for at in kept], bytes(listing.kinds[at] for at in kept), stats)


def _joined(rows: list[Row]) -> Row | None:
    """Rows of single files as one of their folder, None if there are none."""
    if not rows:
        return None
    listing, kinds = Listing(), bytearray()
    for row in rows:
        listing.names += row.listing.names
        kinds += row.listing.kinds
        listing.stats += row.listing.stats
    listing.kinds = bytes(kinds)
    return Row(b"", rows[0].algorithm, listing, b"".join(row.digests for row in rows))
