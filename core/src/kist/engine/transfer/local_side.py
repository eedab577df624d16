"""LocalSide: a cache as transfers see it: an object that cannot be read is a result, not the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kist.engine.cache.cache import Cache
from kist.engine.storage.indexes import LOOSE
from kist.engine.storage.located import Group, Located
from kist.engine.storage.packs import PackReader
from kist.errors import KistError, ObjectError, RepoFormatError, StorageError
from kist.model.digest import Digest
from kist.util.atomic import storage_errors

UNREADABLE = (ObjectError, RepoFormatError, StorageError)
"""What is raised for a pack that is damaged, or that the disk does not give."""

_BATCH = 4096


class LocalSide:
    """Reads from a cache, tolerantly.

    Args:
        cache: the cache.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def nodes_of(self, algorithm: str) -> Callable[[Sequence[bytes]], list[bytes | KistError]]:
        """A reader of nodes for :class:`kist.engine.transfer.parts.Walker`."""

        def read(raws: Sequence[bytes]) -> list[bytes | KistError]:
            found = dict(self.contents(algorithm, raws))
            return [found[raw] for raw in raws]

        return read

    def contents(self, algorithm: str, raws: Iterable[bytes]) -> Iterator[tuple[bytes, bytes | KistError]]:
        """Read small objects: pairs of raw digest and bytes, or what is wrong with them; each once."""
        ordered = list(dict.fromkeys(raws))
        for start in range(0, len(ordered), _BATCH):
            bad: dict[bytes, KistError] = {}
            yield from self.cache.read_iter(algorithm, ordered[start : start + _BATCH], bad.__setitem__)
            yield from bad.items()

    def locate(self, algorithm: str, raws: Iterable[bytes], located: Located) -> list[bytes]:
        """Note where objects lie; returns those that are not here."""
        return self.cache.locate(algorithm, raws, located)

    def packs_of(self, groups: Mapping[str, Group]) -> Iterator[tuple[PackReader, Group]]:
        """Packs of the cache that hold some objects, open until the next one is asked for, each with what it holds.

        A pack that cannot be opened is left out: reading its members one by one says what is wrong with which.
        """
        for name in sorted(groups):
            if name == LOOSE:
                continue
            group = groups[name]
            with suppress(FileNotFoundError, *UNREADABLE):
                reader = PackReader.open(self.cache.folder.packs / name)
                try:
                    if reader.id == name and len(reader.members) >= len(group):
                        yield reader, group
                finally:
                    reader.close()

    @contextmanager
    def file_of(self, digest: Digest, scratch: Path) -> Iterator[Path]:
        """An object as a file whose bytes were just hashed.

        Args:
            digest: the object.
            scratch: a file name that may be used for a copy.

        Raises:
            ObjectMissing: it is not here.
            ObjectCorrupt: it is damaged.
        """
        path = self.cache.folder.loose_path(digest.algorithm, digest.raw)
        loose = path.is_file() and not path.is_symlink()
        with self.cache.open(digest) as reader:
            if loose:
                while reader.read(1 << 20):
                    pass
            else:
                with storage_errors(scratch), scratch.open("wb") as writer:
                    while data := reader.read(1 << 20):
                        writer.write(data)
        try:
            yield path if loose else scratch
        finally:
            if not loose:
                scratch.unlink(missing_ok=True)

    def loose_file(self, digest: Digest) -> Path | None:
        """The file of a loose object, not checked; None if it is not here as one."""
        path = self.cache.folder.loose_path(digest.algorithm, digest.raw)
        return path if os.path.isfile(path) else None
