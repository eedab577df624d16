"""Made: what a checkout makes in folders that are there stands in their rows too, before it is made."""

from __future__ import annotations

import os
from array import array

from kist.abc.kernel import STAT_FIELDS, SUBDIRECTORY, Listing
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.folders import name_of, parent_of
from kist.engine.workspace.rows import SMUDGED, Row
from kist.model.columns import Columns
from kist.model.entry import DIRECTORY, FILE

MOST = 4096
"""Entries that are noted one by one; a full look at the workspace costs as much as more of them."""

_FOLDER = array("q", [0] * STAT_FIELDS)


def note_made(fingerprints: Fingerprints, output: bytes, made: Columns, algorithm: str) -> bool:
    """Note new names in the rows of the folders that get them, as of files whose stats nobody knows.

    Without that a folder out of which somebody takes a new file again would look as its row says.

    Args:
        fingerprints: the rows; those of new folders are not there yet and are somebody else's.
        output: the directory, relative to the repository.
        made: what is made, paths relative to *output*.
        algorithm: of the rows that count.

    Returns:
        Whether all of it is noted; else the rows must not count as equal to the version.
    """
    if len(made) > MOST:
        return False
    folders: dict[bytes, dict[bytes, bytes]] = {}
    for path, kind in zip(made.paths, made.kinds, strict=True):
        key = path + b"/" if kind == DIRECTORY else path
        while path:
            names = folders.setdefault(parent_of(path), {})
            if key in names:
                break
            names[key] = name_of(path)
            path = parent_of(path)
            key = path + b"/"
    rows = []
    for folder, names in folders.items():
        row = fingerprints.get(os.path.join(output, folder) if folder else output)
        if row is not None and row.algorithm != algorithm:
            return False
        if row is not None:
            rows.append(_with_names(row, names, made.width))
    fingerprints.put_many(rows)
    return True


def _with_names(row: Row, names: dict[bytes, bytes], width: int) -> Row:
    """A row that has some names more: key (a folder's with ``/`` at its end, as they sort) -> name."""
    listing = row.listing
    have = set(listing.names)
    old = {
        name + b"/" if kind == SUBDIRECTORY else name: at
        for at, (name, kind) in enumerate(zip(listing.names, listing.kinds, strict=True))
    }
    whole, kinds, digests = Listing(), bytearray(), []
    for key in sorted([*old, *(key for key, name in names.items() if name not in have)]):
        at = old.get(key)
        if at is not None:
            whole.names.append(listing.names[at])
            kinds.append(listing.kinds[at])
            whole.stats += listing.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS]
            digests.append(row.digests[at * width : (at + 1) * width])
            continue
        is_folder = key.endswith(b"/")
        whole.names.append(names[key])
        kinds.append(SUBDIRECTORY if is_folder else FILE)
        whole.stats += _FOLDER if is_folder else SMUDGED
        digests.append(bytes(width))
    whole.kinds = bytes(kinds)
    return Row(row.directory, row.algorithm, whole, b"".join(digests), row.targets)
