"""Foretell: how much a scan will read, found out by a walk of its own that runs ahead of it.

The scan reads a folder as soon as it has listed it, so that its memory does not grow with the tree, and knows the total
only at its end. Where somebody watches, a thread lists and stats ahead: columns are summed, no file is opened.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import Self

from kist.abc.kernel import STAT_FIELDS, Listing
from kist.abc.progress import Progress
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.known_rows import KnownRows
from kist.engine.workspace.rows import StoredRow, folder_key, pack_states
from kist.engine.workspace.scan import Scanner
from kist.engine.workspace.walk import Problems, visit
from kist.errors import KistError
from kist.model.entry import EXECUTABLE, FILE

_STAT_BYTES = 8 * STAT_FIELDS


class Foretold(AbstractContextManager["Foretold"]):
    """Tells a progress the total of some scans while they run; for a ``with`` statement around them.

    Work that is done before anything is shown costs nothing: the thread waits that long first. It has ended when the
    block ends, so that its look at the fingerprints does not stand in the way of who saves them then.

    Args:
        scanner: as the scans use it.
        paths: the outputs, or parts of them, relative to the repository.
        progress: asks for the total, and is told.
    """

    def __init__(self, scanner: Scanner, paths: Sequence[bytes], progress: Progress) -> None:
        self._scanner = scanner
        self._paths = paths
        self._progress = progress
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._progress.total_after is not None:
            self._thread = threading.Thread(target=self._run, name="kist-foretell", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        if self._stop.wait(self._progress.total_after):
            return
        known = Fingerprints(self._scanner.fingerprints.path)
        try:
            # What is wrong with the workspace is the scan's to tell: then there is no total.
            with suppress(KistError, OSError):
                total = sum(self._unread(path, known) for path in self._paths)
                if not self._stop.is_set():
                    self._progress.expect(total)
        finally:
            known.close()

    def _unread(self, path: bytes, fingerprints: Fingerprints) -> int:
        """Bytes of the files at and below a path that are not as they are known."""
        scanner = self._scanner
        place = os.path.join(os.fsencode(scanner.root), path)
        if not os.path.isdir(place):
            return os.lstat(place).st_size
        problems: Problems = []
        total = 0
        known = KnownRows(fingerprints, path)
        for found in visit(scanner.root, path, scanner.kernel, scanner.ignore, problems, reading=False):
            if self._stop.is_set():
                break
            row = known.take(folder_key(found.path))
            if row is None or row.algorithm != scanner.hasher.name:
                total += _size(found.listing)
            elif row.states != pack_states(found.listing):
                total += _fresh(found.listing, row)
        return total


def _size(listing: Listing) -> int:
    sizes = listing.stats[0::STAT_FIELDS]
    if set(listing.kinds) <= {FILE, EXECUTABLE}:
        return sum(sizes)
    return sum(size for size, kind in zip(sizes, listing.kinds, strict=True) if kind in (FILE, EXECUTABLE))


def _fresh(listing: Listing, stored: StoredRow) -> int:
    """The same of the entries that a row does not know as they are."""
    row = stored.row()
    if row is None:
        return _size(listing)
    before = set(_entries(row.listing))
    return sum(
        size
        for entry, size, kind in zip(_entries(listing), listing.stats[0::STAT_FIELDS], listing.kinds, strict=True)
        if kind in (FILE, EXECUTABLE) and entry not in before
    )


def _entries(listing: Listing) -> list[tuple[bytes, bytes]]:
    data = listing.stats.tobytes()
    return [(name, data[at * _STAT_BYTES : (at + 1) * _STAT_BYTES]) for at, name in enumerate(listing.names)]
