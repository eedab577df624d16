"""Where Git came later: the private folder moves into Git's own."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from kist.repo.layout import CONFIG, ID_FILE, MARKER, Place, in_git, in_private, is_folder
from kist.util.atomic import storage_errors
from kist.util.slotted import replace


def adopt(place: Place) -> Place:
    """Move the private folder from before Git came into Git's folder; call it under the repository's lock.

    Killed in between, the next call goes on where it stopped.

    Args:
        place: what :func:`find_place` gave.

    Returns:
        The place to use from now on.

    Raises:
        StorageError: something cannot be moved.
    """
    if place.waiting is None or place.git is None:
        return place
    named = place.id if place.marker == MARKER else ""
    moved = in_git(place.root, named, place.git, place.marker)
    with storage_errors(place.waiting):
        moved.shared.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = in_private(place.root, named, None, place.waiting, place.marker).own
        # The repository's own folder goes last: as long as it is here, the old place is the one in use.
        for name in sorted(os.listdir(place.waiting), key=lambda name: name == own.name):
            if name == ".gitignore":
                continue
            if name == own.name:
                _move_own(own, moved)
            else:
                _move(place.waiting / name, moved.shared / name)
        (place.waiting / ".gitignore").unlink(missing_ok=True)
        with suppress(OSError):
            place.waiting.rmdir()
    return replace(moved, id=place.id)


def _move_own(source: Path, moved: Place) -> None:
    moved.own.mkdir(mode=0o700, parents=True, exist_ok=True)
    moved.settings.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in os.listdir(source):
        _move(source / name, (moved.settings if name in (CONFIG, ID_FILE) else moved.own) / name)
    source.rmdir()


def _move(source: Path, target: Path) -> None:
    """Move a file or folder; folders that exist are merged, of two files the one that is there stays."""
    import shutil

    if not os.path.lexists(target):
        shutil.move(source, target)
    elif is_folder(source) and is_folder(target):
        for name in os.listdir(source):
            _move(source / name, target / name)
        source.rmdir()
    else:
        source.unlink()
