"""Entry: one line of a manifest, made only when somebody asks for one."""

from __future__ import annotations

from typing import Literal

from kist.model.digest import Digest
from kist.util.slotted import slotted

Kind = Literal["file", "executable", "symlink", "directory"]

FILE, EXECUTABLE, SYMLINK, DIRECTORY = b"fxld"
"""The byte that stands for each kind in the ``kinds`` column; DIRECTORY is an empty directory."""

KIND_NAMES: dict[int, Kind] = {FILE: "file", EXECUTABLE: "executable", SYMLINK: "symlink", DIRECTORY: "directory"}
KIND_BYTES: dict[str, int] = {name: byte for byte, name in KIND_NAMES.items()}


@slotted(frozen=True)
class Entry:
    """One entry of a tracked directory.

    Args:
        path: relative to the directory, ``/``-separated bytes.
        kind: file, executable, symlink or (empty) directory.
        size: bytes of content; 0 for symlinks and directories.
        digest: the content's name, None for symlinks and directories.
        target: where a symlink points, else None.
    """

    path: bytes
    kind: Kind
    size: int = 0
    digest: Digest | None = None
    target: bytes | None = None
