"""Cache: the object store on this machine, perhaps shared by several repositories and users.

    kist-cache      marker with the format's version
    objects/        loose objects: <algorithm>/<2 hex>/<rest>, the plain bytes, so that they can be linked
    packs/<id>      files of many small objects and of manifest nodes (kist.engine.storage.packs)
    index/<id>      where objects lie in packs (kist.engine.storage.indexes); made anew from the packs when lost
    verified/       which loose objects were hashed, and how they looked then (kist.engine.cache.verified)
    quarantine/     damaged objects and packs; records of damaged pack members
    trash/ refs/    what gc took away; what other repositories need
    tmp/            work that is not finished, one folder a process
    gc.lock         held shared by whoever changes something, from before it looks at what is here, exclusively by gc

Reading is in ``read``, storing in ``session``, checking in ``check``, mending in ``mend``, all beside this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kist.abc.hasher import Hasher
from kist.abc.progress import NullProgress, Progress
from kist.engine.cache.copies import Copies
from kist.engine.cache.folder import CacheFolder
from kist.engine.cache.read import CacheReader, OnError
from kist.engine.cache.verified import VerifiedRecord, look_of
from kist.engine.process.locks import Waiting
from kist.engine.storage.packs import PackReader
from kist.errors import InvalidOption
from kist.model.digest import Digest

if TYPE_CHECKING:
    from kist.abc.executor import Executor
    from kist.engine.cache.check import LooseObject
    from kist.engine.cache.session import CacheSession

PACK_THRESHOLD = 1 << 20

Write = Callable[[Sequence[bytes], OnError], None]
"""Writes objects."""

Divide = Callable[[Sequence[bytes], Write], None]
"""Is given objects, and what writes some of them in this process or in one that is forked from it; sees to all."""

_MODES = ("batch", "each", "off")
"""Values of ``core.fsync``: in the background with one wait at the end; at once for each file; not at all."""


class Cache(CacheReader):
    """The object store on this machine.

    Args:
        root: its folder; nothing is made before the first object is stored.
        hashers: gives the hasher of an algorithm.
        pack_threshold: objects of at least this many bytes are loose; 0: all are.
        sync: ``core.fsync``: ``batch``, ``each`` or ``off``.
        shared: whether several users write here.
        waiting: how to wait for its locks.

    Attributes:
        root: its folder.
        verified: which loose objects are as they were when they were last hashed.
        copies: of large objects, for a checkout that follows in this process.

    Raises:
        InvalidOption: *sync* is none of these.
    """

    def __init__(
        self,
        root: Path,
        hashers: Callable[[str], Hasher],
        *,
        pack_threshold: int = PACK_THRESHOLD,
        sync: str = "batch",
        shared: bool = False,
        waiting: Waiting = Waiting(),
    ) -> None:
        if sync not in _MODES:
            raise InvalidOption(f"core.fsync must be one of {', '.join(_MODES)}, not {sync!r}")
        super().__init__(CacheFolder(root, hashers, shared=shared, waiting=waiting))
        self.verified = VerifiedRecord(self.folder)
        self.pack_threshold = pack_threshold
        self.sync = sync
        self.copies = Copies()

    @property
    def root(self) -> Path:
        """The cache's folder."""
        return self.folder.root

    @property
    def objects_folder(self) -> Path:
        """The folder that ``loose_name`` is relative to; it may not be there yet."""
        return self.folder.objects

    def ensure(self) -> None:
        """Make the cache's folders if they are not there.

        Raises:
            RepoFormatError: something else lies there, or a newer cache.
            StorageError: the disk is full, read-only or failing.
        """
        self.folder.ensure()

    def session(self, algorithm: str) -> CacheSession:
        """Begin to store objects; for a ``with`` statement.

        Args:
            algorithm: the hash algorithm of small objects and nodes.

        Raises:
            RepoLocked: (on entering) a gc did not end in time.
            RepoFormatError: (on entering) something else lies there, or a newer cache.
            StorageError: (on entering) the cache cannot be written.
        """
        from kist.engine.cache.session import CacheSession  # who only reads does without

        return CacheSession(self, self.verified, algorithm, pack_threshold=self.pack_threshold, sync=self.sync)

    def in_use(self) -> AbstractContextManager[object]:
        """Keep gc out, so that what is found here stays; for a ``with`` statement.

        A cache that cannot be written is not ours to collect either, so nobody needs to be kept out.

        Raises:
            RepoLocked: (on entering) a gc did not end in time.
            StorageError: the cache cannot be made.
        """
        if self.root.exists() and not os.access(self.root, os.W_OK):
            return nullcontext()
        self.folder.ensure()
        return self.folder.lock("gc.lock", what="the cache", shared=True)

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep all sessions out, as gc does; for a ``with`` statement.

        Raises:
            RepoLocked: (on entering) somebody uses the cache and did not end in time.
        """
        self.folder.ensure()
        return self.folder.lock("gc.lock", what="the cache")

    def unpack(
        self, algorithm: str, raws: Iterable[bytes], on_error: OnError | None = None, divide: Divide | None = None
    ) -> int:
        """Make packed objects loose too, so that they can be linked; durable and read-only.

        They were hashed on the way; the caller records it once they are linked (``mark_verified``).

        Args:
            algorithm: the hash algorithm.
            raws: raw digests, best in the order of the paths.
            on_error: told of each object that is missing or damaged; None: the first one is raised.
            divide: shares out the writing, and sees to those that fail.

        Returns:
            how many were not loose.

        Raises:
            ObjectMissing: one of them is not here.
            ObjectCorrupt: one of them is damaged.
            StorageError: the disk is full, read-only or failing.
        """
        wanted = list(dict.fromkeys(raws))
        absent = [raw for raw, here in zip(wanted, self.has_loose_many(algorithm, wanted), strict=True) if not here]
        if absent:
            with self.session(algorithm) as session:
                writer = session.loose()

                def write(part: Sequence[bytes], on_error: OnError | None = on_error) -> None:
                    writer.write(self.read_iter(algorithm, part, on_error))

                if divide is None:
                    write(absent)
                else:
                    divide(absent, write)
                session.commit(record=False)
        return len(absent)

    def is_verified_many(self, algorithm: str, raws: Sequence[bytes]) -> list[bool]:
        """Whether each loose object is as it was when it was last hashed, so that it may be linked as it is."""
        return self.verified.check_many(algorithm, raws)

    def open_known(self, algorithm: str, raw: bytes) -> int:
        """Open a loose object that this process hashed as it stored it and that looks as it did then.

        It serves one use: whoever reads the object again later has it checked again.

        Args:
            algorithm: the hash algorithm.
            raw: its raw digest.

        Returns:
            A descriptor, the caller's to close; -1 for any other object.

        Raises:
            StorageError: the cache cannot be read.
        """
        look = self.verified.take(algorithm, raw)
        descriptor = self.open_loose(algorithm, raw) if look else -1
        if descriptor >= 0 and look_of(os.fstat(descriptor)) != look:
            os.close(descriptor)
            return -1
        return descriptor

    def mark_verified(self, algorithm: str, raws: Sequence[bytes]) -> None:
        """Record loose objects that were just hashed and found good."""
        self.verified.mark(algorithm, raws)

    def objects(self) -> Iterator[LooseObject]:
        """Every loose object, by algorithm and digest."""
        from kist.engine.cache.check import loose_objects

        return loose_objects(self)

    def packs(self) -> Iterator[PackReader]:
        """Every pack whose header can be read, open until the next one is asked for."""
        from kist.engine.cache.check import open_packs

        return open_packs(self)

    def quarantine(self, digest: Digest) -> list[str]:
        """Set the damaged copies of an object aside, so that it counts as absent; good copies stay.

        Returns:
            where each damaged copy is now, or is recorded.

        Raises:
            StorageError: the cache cannot be written.
        """
        from kist.engine.cache.check import quarantine
        from kist.engine.process.syncing import Syncer

        return quarantine(self, digest, Syncer(self.sync))

    def stored_bytes(self) -> int:
        """Bytes of all objects and packs, as they lie here."""
        from kist.engine.cache.check import stored_bytes

        return stored_bytes(self)

    def verify(
        self, progress: Progress = NullProgress(), sample: float = 100.0, executor: Executor | None = None
    ) -> Iterator[tuple[Digest, bool]]:
        """Hash everything, or *sample* percent of it, in bounded memory; see ``check.verify``."""
        from kist.engine.cache.check import verify

        return verify(self, progress, sample, executor)

    def rebuild_indexes(self) -> int:
        """Make the indexes anew, and packs whose footer is lost from their members; returns the number of packs.

        Raises:
            StorageError: the cache cannot be read or written.
        """
        from kist.engine.cache.mend import rebuild_indexes
        from kist.engine.process.syncing import Syncer

        return rebuild_indexes(self, Syncer(self.sync))

    def close(self) -> None:
        """Let go of open files; using the cache opens them again."""
        self.catalog.close()
