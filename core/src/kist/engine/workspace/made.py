"""Made: what a checkout changes in folders that are there stands in their rows too, before it is done."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.folders import name_of, parent_of
from kist.engine.workspace.rows import Row, folder_key, with_keys, without
from kist.model.columns import Columns
from kist.model.entry import DIRECTORY
from kist.util.slotted import field, slotted

MOST = 1 << 16
"""Entries that are noted one by one; a full look at the workspace costs as much as more of them."""


@slotted()
class _Folder:
    """What changes in one folder: plain names.

    Attributes:
        gone: what goes.
        files: what comes, also in the place of something else or with another mode.
        subfolders: the folders that something comes to, and those that come empty.
        stays: whether it is recorded as an empty folder.
    """

    gone: set[bytes] = field(default_factory=set)
    files: set[bytes] = field(default_factory=set)
    subfolders: set[bytes] = field(default_factory=set)
    stays: bool = False


def note_made(
    fingerprints: Fingerprints, output: bytes, made: Sequence[Columns], gone: Columns, algorithm: str
) -> bool:
    """Note in the rows of the folders that are there what they will hold; of the files that come nobody knows more.

    A row that still told of what was there before would take it for the version's where somebody brings it back.

    Args:
        fingerprints: the rows, which are as the directory is; those of new folders are somebody else's.
        output: the directory, relative to the repository.
        made: what is made, also in the place of something else or with another mode, paths relative to *output*.
        gone: what is taken away.
        algorithm: of the rows that count.

    Returns:
        Whether all of it is noted; else the rows must not count as equal to the version.
    """
    if sum(map(len, made)) + len(gone) > MOST:
        return False
    folders = _by_folder(made, gone)
    rows, vanished = [], []
    for path in sorted(folders, reverse=True):  # those below others first
        here = folders[path]
        place = os.path.join(output, path) if path else output
        row = fingerprints.get(place)
        if row is not None:
            if row.algorithm != algorithm:
                return False
            edited = _edited(row, here, gone.width)
            rows += [edited] if edited is not row else []
            row = edited
        elif here.gone:  # nobody can tell what is left
            return False
        left = bool(row.listing.names if row is not None else here.files or here.subfolders)
        if path and not left and not here.stays:
            vanished.append(folder_key(place))
            folders[parent_of(path)].gone.add(name_of(path))
    fingerprints.put_many(rows)
    fingerprints.forget_rows(vanished)
    return True


def _by_folder(made: Sequence[Columns], gone: Columns) -> Mapping[bytes, _Folder]:
    """What changes, by folder, with all folders above."""
    folders: defaultdict[bytes, _Folder] = defaultdict(_Folder)
    for path, kind in zip(gone.paths, gone.kinds, strict=True):
        if kind == DIRECTORY:
            folders[path].stays = False  # it goes where nothing comes to it
        else:
            folders[parent_of(path)].gone.add(name_of(path))
    for part in made:
        for path, kind in zip(part.paths, part.kinds, strict=True):
            here = folders[parent_of(path)]
            if kind == DIRECTORY:
                folders[path].stays = True
                here.subfolders.add(name_of(path))
            else:
                here.files.add(name_of(path))
            path = parent_of(path)
            while path and name_of(path) not in folders[parent_of(path)].subfolders:
                folders[parent_of(path)].subfolders.add(name_of(path))
                path = parent_of(path)
    for path in list(folders):
        while path and (path := parent_of(path)) not in folders:
            folders[path] = _Folder()
    return folders


def _edited(row: Row, here: _Folder, width: int) -> Row:
    """The row as it shall be, the same one where nothing differs."""
    left = without(row, here.gone | here.files)
    new = [*here.files, *(name + b"/" for name in here.subfolders.difference(left.listing.names))]
    if not new:
        return left
    listing, digests = with_keys(left.listing, left.digests, width, new)
    return Row(row.directory, row.algorithm, listing, digests, left.targets)
