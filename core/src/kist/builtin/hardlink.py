"""The link type ``hardlink``: the workspace file is the cache object under a second name."""

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

# ENOTSUP and EOPNOTSUPP are one number on Linux only. EPERM: the file system has no hard links, or the kernel refuses
# to link another user's file (fs.protected_hardlinks).
_UNSUPPORTED = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class HardLink(LinkType):
    """Takes no space; an edit in place would change the cache object, so objects are read-only."""

    name = "hardlink"
    isolated = False
    keeps_mode = True
    verified = False

    def probe(self, cache: Path, workspace: Path) -> str | None:
        """Try it with a small file; see :class:`kist.abc.LinkType`."""
        return probe_with_files(self, cache, workspace)

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        """Link each object to its new name; see :class:`kist.abc.LinkType`."""
        for done, (source, target) in enumerate(zip(sources, targets, strict=True)):
            try:
                os.link(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir, follow_symlinks=False)
            except OSError as exc:
                if exc.errno in _UNSUPPORTED:
                    raise LinkUnsupported(f"no hard link can be made: {exc.strerror}", done=done) from exc
                raise storage_error(exc) from exc

    def is_linked(self, source_dir: int, source: bytes, target_dir: int, target: bytes) -> bool:
        """Whether both names are one file."""
        try:
            one = os.stat(source, dir_fd=source_dir, follow_symlinks=False)
            other = os.stat(target, dir_fd=target_dir, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(one, other)


@hookimpl
def kist_make_link_type(name: str) -> LinkType | None:
    """Make the link type ``hardlink``."""
    return HardLink() if name == "hardlink" else None
