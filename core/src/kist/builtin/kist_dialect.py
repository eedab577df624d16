"""The native dialect: marker folder ``.kist``, metafiles ``*.kist``."""

from __future__ import annotations

from kist import hookimpl
from kist.abc.dialect import Dialect


class KistDialect(Dialect):
    """Repositories that `kist init` makes."""

    marker = ".kist"
    metafile_formats = ("kist",)
    default_hashers = ("blake3", "sha256")
    ignore_file = ".kistignore"

    def always_ignored(self) -> frozenset[bytes]:
        """Git's and kist's own folders."""
        return frozenset({b".git", b".kist"})


@hookimpl
def kist_make_dialect(marker: str) -> Dialect | None:
    """Make the dialect of ``.kist``."""
    return KistDialect() if marker == KistDialect.marker else None
