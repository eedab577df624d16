"""Choose among the files that Git lists: by name, and without those of repositories inside this one."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Sequence

from kist.repo.layout import CONFIG, MARKER
from kist.util.paths import parents

INNER = f"{MARKER}/{CONFIG}"
"""Fits the configuration of every repository below a folder, its own among them."""
_CONFIG = f"/{MARKER}/{CONFIG}".encode()


def fits(path: bytes, patterns: Sequence[str]) -> bool:
    """Whether the name of a file fits one of some shell patterns."""
    name = os.fsdecode(path.rpartition(b"/")[2])
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def inner_folders(paths: Iterable[bytes]) -> frozenset[bytes]:
    """The repositories inside a folder.

    Args:
        paths: files, relative to the folder; its own configuration may be among them.

    Returns:
        The folders of the others.
    """
    return frozenset(path[: -len(_CONFIG)] for path in paths if path.endswith(_CONFIG))


def belongs_to(path: bytes, inner: frozenset[bytes]) -> bool:
    """Whether a file lies in one of some folders."""
    return bool(inner) and not inner.isdisjoint(parents(path))


def globs_of(patterns: Sequence[str]) -> list[str]:
    """What stands for the files of these patterns in all folders, where Git is given paths."""
    return [f":(glob)**/{pattern}" for pattern in patterns]
