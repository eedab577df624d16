"""Choose among the files that Git lists: by name, and without those of repositories inside this one."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Iterable, Sequence


def fits(path: bytes, patterns: Sequence[str]) -> bool:
    """Whether the name of a file fits one of some shell patterns."""
    name = os.fsdecode(path.rpartition(b"/")[2])
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def inner_folders(paths: Iterable[bytes], markers: Collection[str]) -> frozenset[bytes]:
    """The repositories inside a folder.

    Args:
        paths: files, relative to the folder; what lies in its own markers may be among them.
        markers: names whose presence makes a folder a repository of its own, each with a dot at its start.

    Returns:
        The folders of the others.
    """
    names = frozenset(map(os.fsencode, markers))
    found: set[bytes] = set()
    for path in paths:
        if b"/." not in path:
            continue
        parts = path.split(b"/")
        place = next((at for at, name in enumerate(parts) if name in names), 0)
        if place:
            found.add(b"/".join(parts[:place]))
    return frozenset(found)


def globs_of(patterns: Sequence[str]) -> list[str]:
    """What stands for the files of these patterns in all folders, where Git is given paths."""
    return [f":(glob)**/{pattern}" for pattern in patterns]


def globs_of_markers(markers: Iterable[str]) -> list[str]:
    """What stands for markers in all folders and for all that lies in them, where Git is given paths."""
    return globs_of([pattern for marker in markers for pattern in (marker, f"{marker}/**")])


def without(folders: Iterable[bytes]) -> list[str]:
    """What keeps folders out, where Git is given paths."""
    return [f":(exclude,literal){os.fsdecode(folder)}" for folder in sorted(folders)]
