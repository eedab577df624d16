"""What push and fetch share: versions, settings, the walk over a version's nodes, how far a transfer is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Required, TypedDict

from kist.abc.metafile import ManifestCodec
from kist.abc.progress import NullProgress, Progress
from kist.engine.storage.located import BLOCK, Located
from kist.errors import (
    KistError,
    MetafileError,
    MetafileVersionError,
    ObjectCorrupt,
    PluginError,
    RemoteAuthError,
    RemotePermissionError,
    RemoteQuotaExceeded,
    RemoteUnavailable,
    StorageError,
)
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import EXECUTABLE, FILE
from kist.model.plan import TransferPlan
from kist.util.slotted import field, slotted

FATAL = (PluginError, RemoteAuthError, RemotePermissionError, RemoteQuotaExceeded, RemoteUnavailable, StorageError)
"""Failures after which nothing else of a transfer would work either."""

Before = Callable[[TransferPlan], object]

NODE_BATCH = 64
"""Nodes that are held in memory at a time."""


@slotted(frozen=True)
class Version:
    """One version of an output, to be sent.

    Args:
        root: the manifest's root, or the content of a single file.
        is_directory: whether *root* is a manifest.
        size: bytes of content in all, 0 where unknown.
        files: entries in all, 0 where unknown.
        path: where it belongs in the workspace, for messages.
    """

    root: Digest
    is_directory: bool
    size: int = 0
    files: int = 0
    path: str = ""


@slotted(frozen=True)
class Want:
    """One version of an output, to be fetched, or part of it.

    Args:
        root: the manifest's root, or the content of a single file.
        is_directory: whether *root* is a manifest.
        inside: folders or files inside it that are wanted, None for all.
        size: bytes of content of the whole output, 0 where unknown.
        path: where it belongs in the workspace, for messages.
    """

    root: Digest
    is_directory: bool
    inside: tuple[bytes, ...] | None = None
    size: int = 0
    path: str = ""


class TransferArguments(TypedDict, total=False):
    """Keyword arguments of push and fetch: see :class:`TransferSettings`."""

    codec: Required[ManifestCodec]
    jobs: int
    progress: Progress
    dry_run: bool
    before: Before


@slotted(frozen=True)
class TransferSettings:
    """How to transfer.

    Args:
        codec: reads manifests.
        jobs: most calls to the remote at once; the remote may bear fewer.
        progress: is told of bytes; the total is known before the first one moves.
        dry_run: only plan.
        before: called with the plan before the first object moves; what it raises ends the transfer.
    """

    codec: ManifestCodec
    jobs: int = 8
    progress: Progress = field(default_factory=NullProgress)
    dry_run: bool = False
    before: Before | None = None

    def announce(self, plan: TransferPlan) -> None:
        """Show the plan to whoever asked for it."""
        if self.before is not None and not self.dry_run:
            self.before(plan)


Known = Callable[[Sequence[bytes]], Sequence[bool]]
ReadNodes = Callable[[Sequence[bytes]], Sequence[bytes | KistError]]


@slotted()
class Closure:
    """What some versions of one algorithm consist of, as far as it is not known on the other side.

    Attributes:
        contents: where files' contents lie here, ranked in path order.
        absent: contents that are not here, raw digest -> size.
        nodes: manifest nodes, raw digest -> plain bytes, parents first.
        failed: nodes that could not be read, and why.
    """

    contents: Located
    absent: dict[bytes, int] = field(default_factory=dict)
    nodes: dict[bytes, int] = field(default_factory=dict)
    failed: dict[bytes, KistError] = field(default_factory=dict)

    @property
    def files(self) -> int:
        """How many contents there are."""
        return len(self.contents) + len(self.absent)

    @property
    def size(self) -> int:
        """Plain bytes in all."""
        return sum(self.nodes.values()) + self.contents.plain + sum(self.absent.values())


class Walker:
    """Walks over the nodes of versions of one algorithm, each node once however many versions share it.

    Args:
        codec: reads nodes.
        algorithm: the hash algorithm.
        read: brings nodes, or says why not.
        known: which nodes need not be opened, since all below them is known too.

    Attributes:
        sizes: bytes of each node that was opened.
        failed: nodes that could not be opened, and why.
        malformed: those of them whose bytes are what their name says and yet no node.
    """

    def __init__(self, codec: ManifestCodec, algorithm: str, read: ReadNodes, known: Known | None = None) -> None:
        self._codec = codec
        self._algorithm = algorithm
        self._read = read
        self._known = known
        self._seen: set[bytes] = set()
        self.sizes: dict[bytes, int] = {}
        self.failed: dict[bytes, KistError] = {}
        self.malformed: set[bytes] = set()

    def leaves(self, roots: Iterable[bytes]) -> Iterator[Columns]:
        """The entries below some roots, a leaf at a time, level by level, so in path order within a version."""
        level = self._fresh(roots)
        while level:
            below: list[bytes] = []
            for start in range(0, len(level), NODE_BATCH):
                batch = level[start : start + NODE_BATCH]
                for raw, data in zip(batch, self._read(batch), strict=True):
                    children, columns = self._open(raw, data)
                    below += children
                    if columns is not None:
                        yield columns
            level = self._fresh(below)

    def _open(self, raw: bytes, data: bytes | KistError) -> tuple[list[bytes], Columns | None]:
        if isinstance(data, KistError):
            self.failed[raw] = data
            return [], None
        try:
            children = self._codec.children(data, self._algorithm)
        except MetafileError as exc:
            self.failed[raw] = ObjectCorrupt(f"{self._algorithm}:{raw.hex()}", actual=exc.message)
            if not isinstance(exc, MetafileVersionError):
                self.malformed.add(raw)
            return [], None
        self.sizes[raw] = len(data)
        return children

    def _fresh(self, raws: Iterable[bytes]) -> list[bytes]:
        fresh = [raw for raw in dict.fromkeys(raws) if raw not in self._seen]
        self._seen.update(fresh)
        if self._known is None or not fresh:
            return fresh
        return [raw for raw, known in zip(fresh, self._known(fresh), strict=True) if not known]


def content_sizes(columns: Columns) -> dict[bytes, int]:
    """The contents that a leaf names, each once, in path order: raw digest -> size."""
    files = (FILE, EXECUTABLE)
    if not columns.kinds.translate(None, bytes(files)):
        return dict(zip(columns.raws(), columns.sizes, strict=True))
    rows = zip(columns.raws(), columns.sizes, columns.kinds, strict=True)
    return {raw: size for raw, size, kind in rows if kind in files}


def in_blocks(parts: Iterable[Mapping[bytes, int]], least: int = 0) -> Iterator[dict[bytes, int]]:
    """Contents in blocks, each once in its block: so many that one look-up serves many, and no more in memory.

    Args:
        parts: raw digest -> size.
        least: how many a block has at least, where that is more than usual.
    """
    block: dict[bytes, int] = {}
    for part in parts:
        block |= part
        if len(block) >= max(BLOCK, least):
            yield block
            block = {}
    if block:
        yield block


def named_paths(columns: Columns, wanted: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of raw digest and path of the entries of a leaf whose content is among *wanted*."""
    files = (FILE, EXECUTABLE)
    if wanted.isdisjoint(columns.raws()):
        return
    for raw, path, kind in zip(columns.raws(), columns.paths, columns.kinds, strict=True):
        if kind in files and raw in wanted:
            yield raw, path


class ItemProgress(Progress):
    """Passes on the bytes of one item exactly once, however often the item is tried again.

    Args:
        outer: who wants to know.
        size: the item's bytes, as they count in the total.
    """

    def __init__(self, outer: Progress, size: int) -> None:
        self._outer = outer
        self._size = size
        self._told = 0
        self._now = 0
        self._lock = threading.Lock()

    def restart(self) -> None:
        """The item is tried from its beginning."""
        self._now = 0

    def advance(self, amount: int) -> None:
        """Pass on what is new."""
        with self._lock:
            self._now += amount
            fresh = min(self._now, self._size) - self._told
            self._told += max(0, fresh)
        self._outer.advance(max(0, fresh))

    def complete(self) -> None:
        """The item is done: pass on the rest."""
        with self._lock:
            rest, self._told = self._size - self._told, self._size
        if rest:
            self._outer.advance(rest)


def by_algorithm(digests: Iterable[Digest]) -> dict[str, list[Digest]]:
    """Digests grouped by their algorithm."""
    groups: dict[str, list[Digest]] = {}
    for digest in digests:
        groups.setdefault(digest.algorithm, []).append(digest)
    return groups
