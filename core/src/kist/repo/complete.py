"""complete: of which recorded versions everything lies in the cache's packs, so that the next add need not look again.

What is remembered proves itself: index files are named by their bytes, and what a version needs was in those that are
named. As long as they are in use nothing of it has gone. It is a memory only: deleting it costs time, never data.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from kist.engine.cache.cache import Cache
from kist.engine.process.scratch import write_alone
from kist.errors import StorageError
from kist.model.digest import Digest
from kist.util.json_text import load_json

_OUTPUTS = 64
"""Outputs that are remembered at most."""

_LOOSE = 4096
"""With more loose objects nothing is remembered: each is looked at."""


class CompleteVersions:
    """Remembers versions of one worktree that are whole in the cache. Use it while gc is kept out.

    Args:
        path: the file that keeps them.
        cache: the cache.
    """

    def __init__(self, path: Path, cache: Cache) -> None:
        self._path = path
        self._cache = cache

    def holds(self, output: str, root: Digest) -> bool:
        """Whether all objects of a version that are smaller than the pack threshold certainly are in the cache.

        Args:
            output: the output's path.
            root: the version.
        """
        found = self._load().get(output)
        if not isinstance(found, list) or found[:2] != [str(root), self._cache.pack_threshold]:
            return False
        self._cache.catalog.refresh()
        live = {source.id for source in self._cache.catalog.sources(root.algorithm) if source.live}
        return bool(found[2:]) and live.issuperset(found[2:])

    def note(self, versions: Mapping[str, Digest]) -> None:
        """Remember versions of which everything has just been stored, or found.

        Args:
            versions: output -> root.
        """
        if not versions or not self._all_small_ones_packed():
            return
        self._cache.catalog.refresh(force=True)
        kept = self._load()
        for output, root in versions.items():
            sources = self._cache.catalog.sources(root.algorithm)
            kept.pop(output, None)
            if all(source.id and source.live for source in sources):
                kept[output] = [str(root), self._cache.pack_threshold, *(source.id for source in sources)]
        newest = dict(islice(reversed(kept.items()), _OUTPUTS))
        with suppress(OSError, StorageError):  # read-only, full: it was only a memory
            text = json.dumps(dict(reversed(newest.items())))
            data = b"%s\n%08x\n" % (text.encode("ascii"), zlib.crc32(text.encode("ascii")))
            write_alone(self._path, data, mode=0o600, sync=False)

    def _all_small_ones_packed(self) -> bool:
        """Whether no loose object is so small that it would be packed today: of others, indexes tell nothing."""
        threshold = self._cache.pack_threshold
        loose = list(islice(self._cache.objects(), _LOOSE + 1))
        return len(loose) <= _LOOSE and all(one.size >= threshold for one in loose)

    def _load(self) -> dict[str, Any]:
        try:
            text, check, _ = self._path.read_bytes().split(b"\n")
            found = load_json(text) if check == b"%08x" % zlib.crc32(text) else None
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
