"""Kernel: the inner loops over files, on columns.

What you write: a module with a ``kist_make_kernel`` hook that returns your Kernel for its name, and an entry point
``<name> = "<module>"`` in the group ``kist.kernels``. It must give the same results as the builtin ``pure`` kernel.
Check it with ``kist.testing.KernelContract``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence

from kist.abc.hasher import Hasher
from kist.util.slotted import field, slotted

STAT_FIELDS = 4
"""Signed 64-bit values an entry in a stats column: size, mtime in ns, ctime in ns, inode."""

SUBDIRECTORY = ord("s")
"""Kind byte of a folder inside a listing (its own listing tells whether it is empty)."""

OTHER = ord("o")
"""Kind byte of what is neither file, symlink nor folder: FIFO, socket, device."""


@slotted()
class Listing:
    """One workspace directory: parallel columns, sorted by name, a folder as its name + ``/``.

    Attributes:
        names: plain names.
        kinds: one byte a name: f, x, l (``kist.model.entry``), s subdirectory, o other.
        stats: ``STAT_FIELDS`` values a name, ``array("q")``; zeros for subdirectories.
    """

    names: list[bytes] = field(default_factory=list)
    kinds: bytes = b""
    stats: array[int] = field(default_factory=lambda: array("q"))


@slotted()
class Ingested:
    """What reading many small files gave; one value a name that was asked for.

    Attributes:
        digests: raw digests joined, zeros where the file failed.
        buffers: the contents, None where the file failed.
        stats: the file's stat after it was read, as in Listing.
        failed: position -> errno, or 0 where the file changed while it was read or is no regular file.
    """

    digests: bytes
    buffers: list[bytes | None]
    stats: array[int]
    failed: dict[int, int] = field(default_factory=dict)


class Kernel(ABC):
    """The inner loops. Thread-safe; only directory descriptors and plain names, symlinks are never followed.

    Attributes:
        name: its key.
    """

    name: str

    @abstractmethod
    def list_directory(self, directory: int) -> Listing:
        """List and stat one open directory. A name that vanishes meanwhile is left out.

        Raises:
            OSError: the directory cannot be read.
        """

    def list_directories(self, directories: Sequence[int]) -> list[Listing | OSError]:
        """The same of several open directories, which a kernel may list at the same time; by default one by one.

        Args:
            directories: their descriptors, each opened by itself: duplicates share the place where they are read.

        Returns:
            What each holds, or why it cannot be read.
        """
        found: list[Listing | OSError] = []
        for directory in directories:
            try:
                found.append(self.list_directory(directory))
            except OSError as exc:
                found.append(exc)
        return found

    @abstractmethod
    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        """Open each regular file (never following a link, never blocking on a FIFO), read it whole, hash it, and stat
        it before and after: a file whose size, mtime, ctime or inode changed meanwhile is among ``failed``.
        """

    @abstractmethod
    def write_small(
        self, directory: int, names: Sequence[bytes], buffers: Sequence[bytes], executable: bytes
    ) -> array[int]:
        """Create new files (exclusively) with these contents.

        Args:
            directory: descriptor of the folder.
            names: plain names, absent so far.
            buffers: their contents.
            executable: one byte a file, non-zero for executable; modes follow the umask.

        Returns:
            stats as in Listing, ``STAT_FIELDS`` values a file.

        Raises:
            OSError: with ``filename`` set; files before it were made, it and those after were not.
        """

    def hasher(self, hasher: Hasher) -> Hasher:
        """A hasher to use in place of *hasher*: the same names, in less time where many small buffers come together.

        Args:
            hasher: of any algorithm.

        Returns:
            One with the same attributes and results; *hasher* itself where there is nothing to gain, as by default.
        """
        return hasher
