"""What a checkout works with: one bundle of the engine's parts, and what it expects of the object store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kist.abc.hasher import Hasher
from kist.abc.kernel import Kernel
from kist.abc.progress import NullProgress, Progress
from kist.engine.checkout.linking import LinkChoice
from kist.engine.process.journal import Journal
from kist.model.digest import Digest
from kist.util.slotted import field, slotted

if TYPE_CHECKING:
    from io import BufferedIOBase

    from kist.engine.cache.cache import Divide
    from kist.engine.cache.copies import Copies
    from kist.engine.cache.read import OnError
    from kist.engine.workspace.rows import Row

SMALL = 1 << 20
"""Bytes below which a file is written from memory, with many others in one batch."""


class ObjectSource(Protocol):
    """The side of the cache that a checkout reads."""

    @property
    def root(self) -> Path:
        """The cache's folder: a symlink to somewhere in it is one of our links."""

    @property
    def copies(self) -> Copies:
        """Copies of large objects that were made as they arrived."""

    @property
    def objects_folder(self) -> Path:
        """The folder that :meth:`loose_name` is relative to."""

    def missing(self, algorithm: str, raws: Sequence[bytes]) -> list[bytes]:
        """Those of *raws* that are not there."""

    def expect(self, algorithm: str, raws: Sequence[bytes]) -> None:
        """Look up at once what :meth:`read_iter` and :meth:`unpack` will be asked for in small groups."""

    def read_iter(self, algorithm: str, raws: Sequence[bytes], on_error: OnError) -> Iterator[tuple[bytes, bytes]]:
        """Raw digest and verified bytes of each object, in the order in which they are cheapest to read."""

    def open(self, digest: Digest) -> BufferedIOBase:
        """Read one object as a stream, which raises ObjectCorrupt at its end if the bytes are others."""

    def open_known(self, algorithm: str, raw: bytes) -> int:
        """A descriptor of a loose object that this process hashed as it stored it, -1 if it is none; once for each."""

    def unpack(
        self,
        algorithm: str,
        raws: Sequence[bytes],
        on_error: OnError,
        divide: Divide,
    ) -> object:
        """Make loose objects of packed ones; *divide* is given all of them, and what writes some in any process."""

    def loose_name(self, algorithm: str, raw: bytes) -> bytes:
        """The path of a loose object."""

    def has_loose_many(self, algorithm: str, raws: Sequence[bytes]) -> list[bool]:
        """Whether each is there as a loose object."""

    def is_verified_many(self, algorithm: str, raws: Sequence[bytes]) -> list[bool]:
        """Whether each loose object is unchanged since it was last hashed."""

    def mark_verified(self, algorithm: str, raws: Sequence[bytes]) -> object:
        """Record that these loose objects were hashed just now."""


class RowSink(Protocol):
    """The side of the fingerprints that a checkout writes."""

    def put_many(self, rows: Iterable[Row]) -> object:
        """Remember what folders hold."""


@slotted()
class CheckoutTools:
    """What a checkout works with.

    Attributes:
        objects: where contents come from.
        kernel: the inner loops over files.
        hasher: of the algorithm of the outputs.
        links: the chosen link types.
        journal: where the intent is recorded.
        trash: a folder for what is displaced by force; made on demand, best on the workspace's file system.
        fingerprints: learns what was written, if there is one.
        progress: is told the bytes and names done.
        small: bytes below which a file is written from memory.
        token: goes into the names of temporary files; the journal record's own by default.
    """

    objects: ObjectSource
    kernel: Kernel
    hasher: Hasher
    links: LinkChoice
    journal: Journal
    trash: Path
    fingerprints: RowSink | None = None
    progress: Progress = field(default_factory=NullProgress)
    small: int = SMALL
    token: str = ""
