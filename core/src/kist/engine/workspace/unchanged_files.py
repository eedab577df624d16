"""unchanged_files: which single-file outputs certainly are as recorded.

A scan of each would open its folder, ask for the time of the file system and keep a new row; with thousands of outputs
in few folders one row and one stat for each are enough.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from kist.engine.workspace.listings import list_one
from kist.engine.workspace.rows import Row
from kist.engine.workspace.scan import Scanner
from kist.engine.workspace.walk import enter
from kist.errors import KistError
from kist.model.digest import Digest
from kist.model.entry import EXECUTABLE, FILE

_TOGETHER = 4096

Recorded = tuple[bytes, Digest, bool]
"""A path relative to the repository, the digest of its recorded content, and whether that is executable."""


def unchanged_files(scanner: Scanner, files: Iterable[Recorded]) -> set[Recorded]:
    """Compare files with their fingerprints; nothing is read.

    Args:
        scanner: its repository, fingerprints and ignore rules count.
        files: what was recorded.

    Returns:
        Those that certainly are as recorded. The others are to be scanned.
    """
    folders: dict[bytes, list[Recorded]] = {}
    for one in files:
        folders.setdefault(one[0].rpartition(b"/")[0], []).append(one)
    found: set[Recorded] = set()
    for folder, group in folders.items():
        for start in range(0, len(group), _TOGETHER):
            some = group[start : start + _TOGETHER]
            rows = scanner.fingerprints.get_files([path for path, _, _ in some])
            if rows:
                found |= _unchanged(scanner, folder, some, rows)
    return found


def _unchanged(scanner: Scanner, folder: bytes, files: Sequence[Recorded], rows: Mapping[bytes, Row]) -> set[Recorded]:
    found: set[Recorded] = set()
    try:
        descriptor, above = enter(scanner.root, folder, scanner.ignore)
    except (KistError, OSError):  # the scan says what is wrong
        return found
    try:
        rules = above.for_directory(folder, descriptor)
        for path, digest, executable in files:
            row = rows.get(path)
            kinds = bytes([EXECUTABLE if executable else FILE])
            if row is None or row.algorithm != digest.algorithm or row.digests != digest.raw:
                continue
            name = path.rpartition(b"/")[2]
            listing = rules.apply(folder, list_one(descriptor, name))
            if (listing.names, listing.kinds, listing.stats) == ([name], kinds, row.listing.stats):
                found.add((path, digest, executable))
    except KistError:
        return found
    finally:
        os.close(descriptor)
    return found
