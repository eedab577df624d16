"""The link type ``copy``: a file of its own with the same bytes; works everywhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kist import hookimpl
from kist.abc import LinkType
from kist.util.atomic import storage_error
from kist.util.copying import copy_rest


class CopyLink(LinkType):
    """Copies the object's bytes; the mode follows the umask."""

    name = "copy"
    isolated = True
    keeps_mode = False
    verified = True

    def probe(self, cache: Path, workspace: Path) -> str | None:
        """Copying needs nothing but to read the cache."""
        del workspace
        return None if os.access(cache, os.R_OK | os.X_OK) else "the cache cannot be read"

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        """Copy each object to its new file; see :class:`kist.abc.LinkType`."""
        for source, target in zip(sources, targets, strict=True):
            try:
                _copy(source_dir, source, target_dir, target)
            except OSError as exc:
                raise storage_error(exc) from exc

    def is_linked(self, source_dir: int, source: bytes, target_dir: int, target: bytes) -> bool:
        """A copy knows nothing of its source."""
        del source_dir, source, target_dir, target
        return False


def _copy(source_dir: int, source: bytes, target_dir: int, target: bytes) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_dir)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        writer = os.open(target, flags, 0o666, dir_fd=target_dir)
        try:
            copy_rest(reader, writer)
        except BaseException:
            os.unlink(target, dir_fd=target_dir)
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)


@hookimpl
def kist_make_link_type(name: str) -> LinkType | None:
    """Make the link type ``copy``."""
    return CopyLink() if name == "copy" else None
