"""The native dialect: marker folder ``.kist``, packs and loose objects, root markers on remotes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kist import hookimpl
from kist.abc.dialect import ConfigSource, Dialect, StoreLayout
from kist.model.digest import Digest

_OBJECT_KEY = re.compile(r"objects/([a-z0-9][a-z0-9_-]{0,31})/([0-9a-f]{2})/([0-9a-f]{14,126})")


class KistStore(StoreLayout):
    """Small objects in packs, large ones alone under ``objects/<algorithm>/<2 hex>/<rest>``."""

    name = "kist"
    packs = True
    root_markers = True

    def object_keys(self, digest: Digest) -> tuple[str, ...]:
        """The key of an object that lies alone."""
        return (f"objects/{digest.algorithm}/{digest.hex[:2]}/{digest.hex[2:]}",)

    def parse_key(self, key: str) -> Digest | None:
        """The object that lies under *key*, None if it is not an object's key."""
        match = _OBJECT_KEY.fullmatch(key)
        if match is None or len(match[3]) % 2:
            return None
        return Digest(match[1], match[2] + match[3])


class KistDialect(Dialect):
    """Repositories that `kist init` makes."""

    marker = ".kist"
    metafile_formats = ("kist",)
    default_hashers = ("blake3", "sha256")
    ignore_file = ".kistignore"
    store = KistStore()

    def config_sources(self) -> Sequence[ConfigSource]:
        """The tracked configuration; the local one lies in the private folder."""
        return (ConfigSource(".kist/config.yaml", tracked=True),)

    def always_ignored(self) -> frozenset[bytes]:
        """Git's and kist's own folders."""
        return frozenset({b".git", b".kist"})


@hookimpl
def kist_make_dialect(marker: str) -> Dialect | None:
    """Make the dialect of ``.kist``."""
    return KistDialect() if marker == KistDialect.marker else None
