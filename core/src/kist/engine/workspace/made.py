"""Made: what a checkout makes in folders that are there stands in their rows too, before it is made."""

from __future__ import annotations

import os

from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.folders import name_of, parent_of
from kist.engine.workspace.rows import Row, with_keys
from kist.model.columns import Columns
from kist.model.entry import DIRECTORY

MOST = 4096
"""Entries that are noted one by one; a full look at the workspace costs as much as more of them."""


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
    folders: dict[bytes, set[bytes]] = {}
    for path, kind in zip(made.paths, made.kinds, strict=True):
        end = b"/" if kind == DIRECTORY else b""
        while path:
            keys = folders.setdefault(parent_of(path), set())
            key = name_of(path) + end
            if key in keys:
                break
            keys.add(key)
            path, end = parent_of(path), b"/"
    rows = []
    for folder, keys in folders.items():
        row = fingerprints.get(os.path.join(output, folder) if folder else output)
        if row is not None and row.algorithm != algorithm:
            return False
        if row is not None:
            have = set(row.listing.names)
            new = [key for key in keys if key.removesuffix(b"/") not in have]
            listing, digests = with_keys(row.listing, row.digests, made.width, new)
            rows.append(Row(row.directory, row.algorithm, listing, digests, row.targets))
    fingerprints.put_many(rows)
    return True
