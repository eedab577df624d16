"""The link type ``symlink``: the workspace file points to the absolute path of the cache object."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from kist import hookimpl
from kist.abc import LinkType
from kist.engine.checkout.linking import probe_with_files
from kist.engine.workspace.folders import descriptor_path
from kist.errors import LinkUnsupported
from kist.util.atomic import storage_error

_UNSUPPORTED = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENAMETOOLONG})


class SymLink(LinkType):
    """Takes no space and crosses file systems; the object must stay where it is."""

    name = "symlink"
    isolated = False
    keeps_mode = True
    verified = False

    def probe(self, cache: Path, workspace: Path) -> str | None:
        """Try it with a small file; see :class:`kist.abc.LinkType`."""
        return probe_with_files(self, cache, workspace)

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        """Point each new name to its object; see :class:`kist.abc.LinkType`."""
        try:
            folder = descriptor_path(source_dir)
        except OSError as exc:
            raise LinkUnsupported(f"the path of the cache cannot be told: {exc.strerror}") from exc
        for done, (source, target) in enumerate(zip(sources, targets, strict=True)):
            try:
                os.stat(source, dir_fd=source_dir, follow_symlinks=False)
                os.symlink(os.path.join(folder, source), target, dir_fd=target_dir)
            except OSError as exc:
                if exc.errno in _UNSUPPORTED:
                    raise LinkUnsupported(f"no symbolic link can be made: {exc.strerror}", done=done) from exc
                raise storage_error(exc) from exc

    def is_linked(self, source_dir: int, source: bytes, target_dir: int, target: bytes) -> bool:
        """Whether *target* is a symbolic link to the path of *source*."""
        try:
            return os.readlink(target, dir_fd=target_dir) == os.path.join(descriptor_path(source_dir), source)
        except OSError:
            return False


@hookimpl
def kist_make_link_type(name: str) -> LinkType | None:
    """Make the link type ``symlink``."""
    return SymLink() if name == "symlink" else None
