"""Storing: the sessions of one command on the cache, one an algorithm, and how manifests are read through them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from kist.abc.hasher import Hasher
from kist.abc.metafile import ManifestCodec, ManifestView
from kist.abc.progress import Progress
from kist.engine.cache.cache import Cache
from kist.engine.cache.session import CacheSession
from kist.errors import WorkspaceError
from kist.model.digest import Digest
from kist.util.gathering import cut

_BLOCK = 1 << 20


class Sink:
    """What a scan hands the contents to that it reads.

    Args:
        cache: tells what is there already.
        session: stores the rest.
        algorithm: of all digests.
    """

    def __init__(self, cache: Cache, session: CacheSession, algorithm: str) -> None:
        self._cache = cache
        self._session = session
        self._algorithm = algorithm

    def missing(self, raws: Sequence[bytes], /) -> list[bytes]:
        """Those of these objects that the cache does not have."""
        return self._cache.missing(self._algorithm, raws)

    def put_small(self, raws: bytes, buffers: Sequence[bytes], /) -> None:
        """Store small objects."""
        self._session.put_small(raws, buffers)

    def put_stream(self, reader: int, size: int, /, *, progress: Progress) -> bytes:
        """Store what an open file holds."""
        return self._session.put_stream(reader, size, progress=progress)


class DrySink:
    """Takes what a scan reads on a dry run, and only counts what would be new in the cache.

    Args:
        cache: tells what is there already.
        hasher: names contents.

    Attributes:
        bytes_stored: what :class:`CacheSession` would have stored.
    """

    def __init__(self, cache: Cache, hasher: Hasher) -> None:
        self._cache = cache
        self._hasher = hasher
        self._seen: set[bytes] = set()
        self.bytes_stored = 0

    def missing(self, raws: Sequence[bytes], /) -> list[bytes]:
        """Those of these objects that the cache does not have."""
        return self._cache.missing(self._hasher.name, raws)

    def put_small(self, raws: bytes, buffers: Sequence[bytes], /) -> None:
        """Count small objects."""
        self._note(dict(zip(cut(raws, self._hasher.digest_size), map(len, buffers), strict=True)))

    def put_stream(self, reader: int, size: int, /, *, progress: Progress) -> bytes:
        """Count what an open file holds.

        Raises:
            WorkspaceError: there were more or fewer bytes: the file changed while it was read.
        """
        running = self._hasher.new()
        block = bytearray(_BLOCK)
        view = memoryview(block)
        length = 0
        while count := os.readv(reader, [block]):
            length += count
            running.update(view[:count])
            progress.advance(count)
        if length != size:
            raise WorkspaceError("a file changed while it was read", hint="run the command again")
        raw = running.digest()
        self._note({raw: size})
        return raw

    def put_node(self, data: bytes) -> bytes:
        """Count a manifest node; returns its raw digest."""
        raw = self._hasher.raw(data)
        self._note({raw: len(data)})
        return raw

    def _note(self, sizes: Mapping[bytes, int]) -> None:
        fresh = self.missing([raw for raw in sizes if raw not in self._seen])
        self._seen.update(fresh)
        self.bytes_stored += sum(sizes[raw] for raw in fresh)


class Storing:
    """What a command stores, for a ``with`` statement; nothing refers to any of it before :meth:`commit`.

    Args:
        cache: where to.
        hashers: makes the hasher of an algorithm.
        codec: writes and reads manifests.
        dry_run: whether nothing is stored at all.
    """

    def __init__(
        self,
        cache: Cache,
        hashers: Callable[[str], Hasher],
        codec: ManifestCodec,
        *,
        dry_run: bool = False,
    ) -> None:
        self._cache = cache
        self._hashers = hashers
        self._codec = codec
        self._dry_run = dry_run
        self._stack = ExitStack()
        self._sessions: dict[str, CacheSession] = {}
        self._dry: dict[str, DrySink] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def bytes_stored(self) -> int:
        """Bytes newly stored so far; on a dry run, those that would be."""
        stored = sum(session.bytes_stored for session in self._sessions.values())
        return stored + sum(sink.bytes_stored for sink in self._dry.values())

    def sink(self, algorithm: str) -> Sink | DrySink:
        """Where a scan's contents go."""
        if self._dry_run:
            return self._dry_sink(algorithm)
        return Sink(self._cache, self._session(algorithm), algorithm)

    def put_node(self, algorithm: str) -> Callable[[bytes], bytes]:
        """What stores manifest nodes of an algorithm; on a dry run it only names and counts them."""
        return self._dry_sink(algorithm).put_node if self._dry_run else self._session(algorithm).put_node

    def read_nodes(self, algorithm: str) -> Callable[[Sequence[bytes]], list[bytes]] | None:
        """What reads the nodes that were put, None where they are not kept here."""
        return None if self._dry_run else self._session(algorithm).read_nodes

    def view(self, root: Digest) -> ManifestView:
        """A manifest, whether stored before or just now."""
        if self._dry_run:
            return self._codec.open(root, lambda raws: self._cache.read_many(root.algorithm, raws))
        return self._codec.open(root, self._session(root.algorithm).read_nodes)

    def commit(self) -> None:
        """Make everything durable and visible.

        Raises:
            StorageError: the disk is full, read-only or failing; objects are then in place whole or not at all.
        """
        for session in self._sessions.values():
            session.commit()

    def _dry_sink(self, algorithm: str) -> DrySink:
        return self._dry.setdefault(algorithm, DrySink(self._cache, self._hashers(algorithm)))

    def _session(self, algorithm: str) -> CacheSession:
        if algorithm not in self._sessions:
            session = self._cache.session(algorithm)
            self._sessions[algorithm] = self._stack.enter_context(session)
        return self._sessions[algorithm]
