"""The kernel ``accel``: the loops are in C, this puts them into the shapes of the contract."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from kist.abc import Hasher, Ingested, Kernel, Listing
from kist_accel import native


class AccelKernel(Kernel):
    """The inner loops over files in C; system calls run without the interpreter's lock."""

    name = "accel"

    def list_directory(self, directory: int) -> Listing:
        """List and stat one open directory; see :class:`kist.abc.Kernel`.

        Args:
            directory: its descriptor.

        Returns:
            What it holds, sorted by name, a folder as its name + ``/``.

        Raises:
            OSError: the directory cannot be read.
        """
        names, kinds, stats = native.list_directory(directory)
        return Listing(names, kinds, array("q", stats))

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        """Read, hash and stat regular files; see :class:`kist.abc.Kernel`.

        Args:
            directory: descriptor of their folder.
            names: plain names.
            hasher: names the contents.

        Returns:
            Digests, contents and stats; what failed is among ``failed``.
        """
        buffers, stats, failed = native.read_small(directory, names)
        if not failed:
            return Ingested(hasher.raw_many(buffers), buffers, array("q", stats))  # type: ignore[arg-type]
        nothing = bytes(hasher.digest_size)
        digests = b"".join([nothing if buffer is None else hasher.raw(buffer) for buffer in buffers])
        return Ingested(digests, buffers, array("q", stats), failed)

    def write_small(
        self, directory: int, names: Sequence[bytes], buffers: Sequence[bytes], executable: bytes
    ) -> array[int]:
        """Create new files with these contents; see :class:`kist.abc.Kernel`.

        Args:
            directory: descriptor of the folder.
            names: plain names, absent so far.
            buffers: their contents.
            executable: one byte a file, non-zero for executable; modes follow the umask.

        Returns:
            stats as in Listing.

        Raises:
            OSError: with ``filename`` set; files before it were made, it and those after were not.
        """
        return array("q", native.write_small(directory, names, buffers, executable))
