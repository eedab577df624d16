"""What a scan works with, and what it adds up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from kist.abc.hasher import Hasher
from kist.abc.kernel import Kernel
from kist.abc.progress import NullProgress, Progress
from kist.engine.workspace.walk import Problems

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


@dataclass(slots=True)
class Tools:
    """What a scan works with.

    Attributes:
        kernel: lists and reads files.
        hasher: names contents.
        small: size up to which files are read whole, many in a batch.
        symlinks: what becomes of symlinks: kept as such, read as the file that they lead to, or refused.
        linked: told the raw digest and the stats (size, mtime, ctime, inode) of a file that differs from what is known
            in ctime alone: whether it is a hard link to that object in the cache, so that it need not be an edit.
        resolve: told the target of a symlink: raw digest and size if it leads to an object in the cache.
        progress: is told the bytes read.
    """

    kernel: Kernel
    hasher: Hasher
    small: int = 1 << 20
    symlinks: SymlinkPolicy = "keep"
    linked: Callable[[bytes, tuple[int, ...]], bool] | None = None
    resolve: Callable[[bytes], tuple[bytes, int] | None] | None = None
    progress: Progress = field(default_factory=NullProgress)


@dataclass(slots=True)
class Totals:
    """What a scan came to so far.

    Attributes:
        bytes_read: content read from the workspace.
        problems: paths relative to the repository, and what is wrong with them.
        outside: symlinks that point outside of the output.
    """

    bytes_read: int = 0
    problems: Problems = field(default_factory=list)
    outside: list[bytes] = field(default_factory=list)
