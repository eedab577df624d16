"""Storing: the sessions of one command on the cache, one an algorithm, and how manifests are read through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from kist.abc.hasher import Hasher
from kist.abc.metafile import ManifestCodec, ManifestView
from kist.abc.progress import Progress
from kist.engine.cache.cache import Cache
from kist.engine.cache.session import CacheSession
from kist.model.digest import Digest


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


class Storing:
    """What a command stores, for a ``with`` statement; nothing of it is visible before :meth:`commit`.

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def bytes_stored(self) -> int:
        """Bytes of content newly stored so far."""
        return sum(session.bytes_stored for session in self._sessions.values())

    def sink(self, algorithm: str) -> Sink | None:
        """Where a scan's contents go; None where nothing is stored."""
        return None if self._dry_run else Sink(self._cache, self._session(algorithm), algorithm)

    def put_node(self, algorithm: str) -> Callable[[bytes], bytes]:
        """What stores manifest nodes of an algorithm; on a dry run it only names them."""
        return self._hashers(algorithm).raw if self._dry_run else self._session(algorithm).put_node

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
            StorageError: the disk is full, read-only or failing; nothing became visible.
        """
        for session in self._sessions.values():
            session.commit()

    def _session(self, algorithm: str) -> CacheSession:
        if algorithm not in self._sessions:
            session = self._cache.session(algorithm)
            self._sessions[algorithm] = self._stack.enter_context(session)
        return self._sessions[algorithm]
