"""What a scan works with, and what it adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from kist.abc.hasher import Hasher
from kist.abc.kernel import Kernel
from kist.abc.progress import NullProgress, Progress
from kist.engine.workspace.folder_state import FolderState
from kist.engine.workspace.walk import Problems
from kist.util.slotted import field, slotted

SymlinkPolicy = Literal["keep", "follow", "refuse"]


class Sink(Protocol):
    """Where contents go as they are read."""

    def missing(self, raws: Sequence[bytes], /) -> list[bytes]:
        """Those of these objects that the sink does not have."""

    def put_small(self, raws: bytes, buffers: Sequence[bytes], /) -> object:
        """Store objects: raw digests joined, and their contents."""

    def put_stream(self, reader: int, size: int, /, *, progress: Progress) -> bytes:
        """Store what an open file holds, *size* bytes, and return its raw digest.

        Raises:
            WorkspaceError: there were more or fewer bytes.
        """


class Links(Protocol):
    """Tells which workspace files are links to objects of the cache, and whether these still are what they were."""

    def is_hard_link(self, raw: bytes, stats: tuple[int, ...], /) -> bool:
        """Whether a file that differs from what is known in ctime alone is a hard link to the unchanged object *raw*.

        Args:
            raw: the digest that is known.
            stats: what the file has now: size, mtime, ctime, inode.
        """

    def resolve(self, target: bytes, path: bytes, /) -> tuple[bytes, int] | None:
        """What the target of a symlink holds, if it is an object of the cache.

        Args:
            target: what the link says.
            path: where it stands, relative to the repository.

        Returns:
            Raw digest and size; None if it leads elsewhere.

        Raises:
            ObjectCorrupt: the object was edited through the link, or is damaged otherwise.
            ObjectMissing: it is not there any more.
        """

    def look(self, state: FolderState, /) -> None:
        """Look for files that share their inode with an object, but not its digest: an edit damaged that object."""


@slotted()
class Tools:
    """What a scan works with.

    Attributes:
        kernel: lists and reads files.
        hasher: names contents.
        small: size up to which files are read whole, many in a batch.
        symlinks: what becomes of symlinks: kept as such, read as the file that they lead to, or refused.
        links: knows the links to the cache, None where there are none.
        progress: is told the bytes read.
    """

    kernel: Kernel
    hasher: Hasher
    small: int = 1 << 20
    symlinks: SymlinkPolicy = "keep"
    links: Links | None = None
    progress: Progress = field(default_factory=NullProgress)


@slotted()
class Totals:
    """What a scan came to so far.

    Attributes:
        bytes_read: content read from the workspace.
        problems: paths relative to the repository, and what is wrong with them.
        special: FIFOs, sockets and devices likewise: no part of any version, and no hindrance to reading the rest.
        outside: symlinks that point outside of the output.
        private: folders and files that no version can hold, such as a Git repository's own folder.
    """

    bytes_read: int = 0
    problems: Problems = field(default_factory=list)
    special: Problems = field(default_factory=list)
    outside: list[bytes] = field(default_factory=list)
    private: list[bytes] = field(default_factory=list)
