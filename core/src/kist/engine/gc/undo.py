"""gc of a cache undone: what the last one took away comes back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kist.engine.cache.cache import Cache
from kist.engine.cache.hashing import digest_of
from kist.engine.gc.collect import REASON
from kist.engine.storage.packs import PackReader
from kist.engine.storage.trash import Trash
from kist.engine.storage.trash_records import TrashEntry
from kist.errors import ObjectCorrupt, PluginError, RepoFormatError, StorageError


def last_cache_gc(cache: Cache, trash: Trash) -> TrashEntry | None:
    """What the last gc of a cache took away and is still in the trash, None where there is nothing to undo.

    An entry whose record cannot be read counts too: only gc puts something into the trash of a cache.

    Args:
        cache: the cache.
        trash: where it went.

    Raises:
        StorageError: the trash cannot be read.
    """
    entries = [one for one in trash.list() if not one.known or (one.reason == REASON and _is_of(cache, one))]
    return entries[-1] if entries else None


def undo_cache_gc(cache: Cache, trash: Trash) -> tuple[int, int]:
    """Bring back what the last gc took away, as far as nothing has taken its place.

    Args:
        cache: the cache.
        trash: where it went.

    Returns:
        How many files are back, and their bytes; none where there was nothing to undo.

    Raises:
        StorageError: the disk is full, read-only or failing.
    """
    last = last_cache_gc(cache, trash)
    if last is None:
        return 0, 0
    places = {item.name: Path(item.original) for item in last.items} if last.known else _by_content(cache, trash, last)
    back = trash.bring_back(last, places)
    cache.catalog.refresh(force=True)
    return len(back), sum(item.size for item in back)


def _is_of(cache: Cache, entry: TrashEntry) -> bool:
    return all(Path(item.original).is_relative_to(cache.root) for item in entry.items)


def _by_content(cache: Cache, trash: Trash, entry: TrashEntry) -> dict[str, Path]:
    """Where files belong of which no record tells: what is in them says what they are."""
    places: dict[str, Path] = {}
    for item in entry.items:
        path = trash.folder / entry.id / item.name
        found = _pack_place(cache, path) or next(_loose_places(cache, path), None)
        if found is not None:
            places[item.name] = found
    return places


def _pack_place(cache: Cache, path: Path) -> Path | None:
    """Where a pack belongs, None if the file is none, or one without its footer."""
    with suppress(ObjectCorrupt, RepoFormatError, StorageError, OSError), PackReader.open(path) as reader:
        return cache.folder.packs / reader.id
    return None


def _loose_places(cache: Cache, path: Path) -> Iterator[Path]:
    """Where a loose object may belong, one for each algorithm by which the cache names such objects."""
    for algorithm in cache.folder.algorithms():
        with suppress(PluginError, OSError):
            hasher = cache.folder.hasher(algorithm)
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                raw = digest_of(descriptor, hasher)
            finally:
                os.close(descriptor)
            if raw is not None:
                yield cache.folder.loose_path(algorithm, raw)
