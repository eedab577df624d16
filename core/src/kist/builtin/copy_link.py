"""The link type ``copy``: a file of its own with the same bytes; works everywhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from kist import hookimpl
from kist.abc import LinkType
from kist.util.atomic import storage_error, write_all

_BLOCK = 1 << 20
_COPY_IN_KERNEL = getattr(os, "copy_file_range", None)
_NOT_IN_KERNEL = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EIO})


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
            _copy_bytes(reader, writer)
        except BaseException:
            os.unlink(target, dir_fd=target_dir)
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_bytes(reader: int, writer: int) -> None:
    left = os.fstat(reader).st_size
    while left and _COPY_IN_KERNEL:
        try:
            done = _COPY_IN_KERNEL(reader, writer, left)
        except OSError as exc:
            if exc.errno not in _NOT_IN_KERNEL:
                raise
            break
        if not done:
            break
        left -= done
    # Whatever the kernel could not do itself is read and written here, from where it stopped.
    while block := os.read(reader, _BLOCK):
        write_all(writer, block)


@hookimpl
def kist_make_link_type(name: str) -> LinkType | None:
    """Make the link type ``copy``."""
    return CopyLink() if name == "copy" else None
