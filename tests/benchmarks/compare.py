"""Whether two folders hold the same, without any code of kist: what a walk, ``open`` and SHA-256 say."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".bin"
"""Of all files of the data."""


@dataclass(frozen=True)
class Content:
    """What a folder holds.

    Args:
        files: how many.
        size: in bytes, together.
        digest: of all paths, executable bits, sizes and bytes, in the order of the paths.
    """

    files: int
    size: int
    digest: str

    def __str__(self) -> str:
        """For messages."""
        return f"{self.files} files of {self.size} bytes together ({self.digest[:12]})"


def content_of(folder: Path) -> Content:
    """What a folder holds, without what tools put beside the data (metafiles, lists of ignored files).

    Links are followed, as a program would that reads the data.
    """
    digest, files, size = hashlib.sha256(), 0, 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(name for name in names if name.endswith(SUFFIX)):
            path = os.path.join(place, name)
            with open(path, "rb", buffering=0) as stream:
                found = os.fstat(stream.fileno())
                head = f"{os.path.relpath(path, folder)}\0{found.st_mode & 0o100}\0{found.st_size}\0"
                digest.update(os.fsencode(head))
                while block := stream.read(1 << 20):
                    digest.update(block)
            files += 1
            size += found.st_size
    return Content(files, size, digest.hexdigest())
