"""The link type ``reflink``: a file of its own that shares the object's blocks until one of them is edited."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from kist import hookimpl
from kist.abc import LinkType
from kist.engine.checkout.linking import probe_with_files
from kist.errors import LinkUnsupported
from kist.util.atomic import storage_error
from kist.util.copying import share_blocks

_UNSUPPORTED = frozenset(
    {
        errno.EOPNOTSUPP,
        errno.ENOTSUP,
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOTTY,
        errno.ENOSYS,
        errno.EPERM,
        errno.ETXTBSY,
        errno.EBADF,
    }
)


class RefLink(LinkType):
    """Takes no space and no time, and edits stay apart; needs a file system that can (btrfs, XFS, bcachefs)."""

    name = "reflink"
    isolated = True
    keeps_mode = False
    verified = False

    def probe(self, cache: Path, workspace: Path) -> str | None:
        """Try it with a small file; see :class:`kist.abc.LinkType`."""
        return probe_with_files(self, cache, workspace)

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        """Clone each object to its new file; see :class:`kist.abc.LinkType`."""
        for done, (source, target) in enumerate(zip(sources, targets, strict=True)):
            try:
                _clone(source_dir, source, target_dir, target)
            except LinkUnsupported as exc:
                exc.done = done
                raise
            except OSError as exc:
                raise storage_error(exc) from exc

    def is_linked(self, source_dir: int, source: bytes, target_dir: int, target: bytes) -> bool:
        """Shared blocks are not to be seen from outside."""
        del source_dir, source, target_dir, target
        return False


def _clone(source_dir: int, source: bytes, target_dir: int, target: bytes) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_dir)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        writer = os.open(target, flags, 0o666, dir_fd=target_dir)
        try:
            share_blocks(reader, writer)
        except BaseException as exc:
            os.unlink(target, dir_fd=target_dir)
            if isinstance(exc, OSError) and exc.errno in _UNSUPPORTED:
                raise LinkUnsupported(f"no reflink can be made: {exc.strerror}") from exc
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)


@hookimpl
def kist_make_link_type(name: str) -> LinkType | None:
    """Make the link type ``reflink``."""
    return RefLink() if name == "reflink" else None
