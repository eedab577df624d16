"""MetafileFormat and ManifestCodec: how tracked outputs and their entries are written down.

What you write: a module with a ``kist_make_metafile_format`` hook that returns your format for its name, and an entry
point ``<name> = "<module>"`` in the group ``kist.metafiles``. Check it with ``kist.testing.MetafileContract`` and
``kist.testing.ManifestCodecContract``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence

from kist.abc.hasher import Hasher
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.delta import Delta, changes, deltas
from kist.model.digest import Digest
from kist.model.entry import KIND_BYTES, Entry
from kist.model.tracked import Metafile

GetNodes = Callable[[Sequence[bytes]], list[bytes]]
"""Bring nodes: raw digests in, plain verified bytes out, same order. Raises ObjectMissing, ObjectCorrupt."""

PutNode = Callable[[bytes], bytes]
"""Store one plain node; returns its raw digest."""


class ManifestView(ABC):
    """A manifest that is read on demand: only the nodes that an answer needs are opened.

    Attributes:
        root: its digest.
        files: number of entries.
        size: bytes of content in all.
    """

    root: Digest
    files: int
    size: int

    @abstractmethod
    def leaves(self, prefix: bytes = b"") -> Iterator[Columns]:
        """The entries, or those strictly below the directory *prefix*, as Columns in path order."""

    @abstractmethod
    def find(self, path: bytes) -> Entry | None:
        """The entry at exactly *path*, or None; a directory that has entries is no entry."""

    def deltas(self, other: ManifestView) -> Iterator[Delta]:
        """The entries that differ from *self* to *other*, as pairs of Columns (old, new), range by range in path order.

        A modified path is in both. Codecs with nodes override this, so that equal nodes stay closed.
        """
        return deltas(self.leaves(), other.leaves())

    def diff(self, other: ManifestView) -> Iterator[Change]:
        """Changes (added, modified, deleted) from *self* to *other* in path order: `deltas` as objects."""
        return changes(self.deltas(other))

    @abstractmethod
    def nodes(self, known: Callable[[Sequence[bytes]], Sequence[bool]] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Every node as (raw digest, plain bytes), parents first.

        Args:
            known: told raw digests, answers which need not be opened; what is known is skipped with all below it.
        """


class ManifestCodec(ABC):
    """How the entries of one directory are stored: as nodes whose root's digest names the whole.

    The root is a function of the set of entries and the hasher alone, whatever the order of edits.

    Attributes:
        name: as in the metafile format that brings it.
        kinds: the kinds of entries that it can say.
    """

    name: str
    kinds: frozenset[str] = frozenset(KIND_BYTES)

    @abstractmethod
    def write(
        self, parts: Iterable[Columns], put: PutNode, hasher: Hasher, get: GetNodes | None = None
    ) -> ManifestView:
        """Store the entries of *parts*, which follow one another in path order; the root is stored last.

        Args:
            parts: the entries.
            put: stores one node.
            hasher: of the algorithm of every digest in *parts*; names the nodes too.
            get: how the returned view reads what was put; without it the view keeps all nodes in memory.

        Raises:
            MetafileError: entries that are not valid, out of order, doubled, or both an entry and a folder.
        """

    @abstractmethod
    def edit(
        self,
        view: ManifestView,
        changes: Iterable[Change],
        put: PutNode,
        hasher: Hasher,
        get: GetNodes | None = None,
    ) -> ManifestView:
        """The manifest of *view* with *changes*.

        Gives the same root as writing the result from nothing, and stores only nodes that are new.

        Args:
            view: the manifest to start from, of this codec.
            changes: ``new`` replaces or adds, ``new=None`` removes (if it is there), ``old_path`` is removed too; the
                last change of a path counts.
            put: stores one node.
            hasher: of the manifest's algorithm.
            get: reads the nodes of *view* and what was put; without it the view keeps the new nodes in memory.

        Raises:
            MetafileError: the result would not be a valid manifest.
        """

    @abstractmethod
    def open(self, root: Digest, get: GetNodes) -> ManifestView:
        """The manifest named *root*; reads the root node only.

        Raises:
            MetafileError: the root is not a manifest, or damaged in a way that its digest does not show.
        """

    @abstractmethod
    def children(self, node: bytes, algorithm: str) -> tuple[list[bytes], Columns | None]:
        """What one node refers to: raw digests of child nodes, and its entries if it is a leaf.

        Args:
            node: the plain bytes.
            algorithm: the hash algorithm that the node is named by.

        Raises:
            MetafileError: these bytes are not a node of this codec and algorithm.
        """


class MetafileFormat(ABC):
    """How a metafile is read and written.

    Attributes:
        name: the format's name in the dialect.
        patterns: shell patterns of the file names that it reads, such as ``*.kist``.
        codec: the manifest codec of its directories, None for the core's own.
        max_size: bytes of the largest metafile that is read.
    """

    name: str
    patterns: tuple[str, ...]
    codec: ManifestCodec | None = None
    max_size: int = 4 << 20

    @abstractmethod
    def loads(self, data: bytes, path: str) -> Metafile:
        """Parse a metafile; *path* is for messages.

        Raises:
            MetafileSyntaxError: with line and column.
            MetafileVersionError: written by a newer version.
            MetafileError: a value that is not allowed, such as a path outside.
        """

    @abstractmethod
    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        """Write a metafile. With *previous*, its bytes are edited in place: comments, order, unknown keys stay,
        and equal meaning gives equal bytes.
        """
