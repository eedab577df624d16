"""The files of Git's trees whose names fit a pattern; a tree that several commits have is read once."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from kist.errors import RepoError
from kist.repo.git_files import fits
from kist.repo.git_objects import GitObjects

_ENTRY = rb"(?s)([0-7]+) ([^\0]+)\0(.{%d})"
_KEPT = 1 << 16


class _Tree(NamedTuple):
    """What counts of one folder: (name, id) pairs.

    Attributes:
        folders: the folders in it.
        files: the regular files in it whose names fit.
        marked: whether a marker in it makes it a repository of its own.
    """

    folders: list[tuple[bytes, str]]
    files: list[tuple[bytes, str]]
    marked: bool


class GitTrees:
    """Trees that were read.

    Args:
        objects: reads them.
        markers: names whose presence makes a folder a repository of its own.
    """

    def __init__(self, objects: GitObjects, markers: Collection[str]) -> None:
        self._objects = objects
        self._markers = frozenset(marker.encode("utf-8", "surrogateescape") for marker in markers)
        self._patterns: tuple[str, ...] = ()
        self._known: dict[str, _Tree] = {}

    def files(self, tree: str, folder: bytes, patterns: Sequence[str]) -> dict[bytes, str]:
        """Regular files in a folder whose names fit one of the patterns; not those of repositories inside it.

        Args:
            tree: id of the tree in which the folder is.
            folder: its path with a ``/`` at its end, b"" for the tree itself.
            patterns: shell patterns of file names.

        Returns:
            Path relative to the folder -> id of the content, in the order of the paths.

        Raises:
            RepoError: Git cannot be asked, or lacks a tree.
        """
        if self._patterns != tuple(patterns) or len(self._known) > _KEPT:
            self._patterns, self._known = tuple(patterns), {}
        for part in folder.split(b"/")[:-1]:
            self._load([tree])
            below = dict(self._known[tree].folders)
            if part not in below:
                return {}
            tree = below[part]
        self._load_below(tree)
        found: dict[bytes, str] = {}
        waiting = [(b"", tree)]
        while waiting:
            here, name = waiting.pop()
            one = self._known[name]
            if one.marked and here:
                continue
            found.update((here + file, content) for file, content in one.files)
            waiting += [(here + below + b"/", inner) for below, inner in one.folders]
        return dict(sorted(found.items()))

    def _load_below(self, top: str) -> None:
        """Read a tree and all below it, a level at a time, but those of inner repositories."""
        level = [top]
        seen = {top}
        while level:
            self._load(level)
            entered = (self._known[name] for name in level if name == top or not self._known[name].marked)
            below = dict.fromkeys(inner for one in entered for _, inner in one.folders)
            level = [name for name in below if name not in seen]
            seen.update(level)

    def _load(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self._known]
        for name, found in zip(unknown, self._objects.read(unknown), strict=True):
            if found is None or found.kind != "tree":
                raise RepoError(f"Git lacks the tree {name}", hint="'git fsck' tells more, 'git fetch' may bring it")
            self._known[name] = self._parse(found.data, len(name) // 2)

    def _parse(self, data: bytes, width: int) -> _Tree:
        entries = re.findall(_ENTRY % width, data)
        return _Tree(
            [(name, raw.hex()) for mode, name, raw in entries if mode == b"40000"],
            [(name, raw.hex()) for mode, name, raw in entries if mode[:3] == b"100" and fits(name, self._patterns)],
            not self._markers.isdisjoint(name for _, name, _ in entries),
        )
