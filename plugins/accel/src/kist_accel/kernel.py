"""The kernel ``accel``: the loops are in C, this puts them into the shapes of the contract."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence

from kist.abc import Hasher, Ingested, Kernel, Listing, RunningHash
from kist_accel.native import blake3_many, list_directories, list_directory, read_small, write_small

_SMALL = 16 << 10
"""Buffers that are larger on average fill the lanes of a vector each by itself, in the library that hashes them."""

_SAMPLE = [memoryview(bytes(range(256)) * 16)[:size] for size in range(0, 4096, 311)]
"""Buffers of many lengths, which take all lanes."""


class AccelKernel(Kernel):
    """The inner loops over files in C; system calls run without the interpreter's lock."""

    name = "accel"

    def __init__(self) -> None:
        self._hashers: dict[Hasher, Hasher] = {}

    def list_directory(self, directory: int) -> Listing:
        """List and stat one open directory; see :class:`kist.abc.Kernel`.

        Args:
            directory: its descriptor.

        Returns:
            What it holds, sorted by name, a folder as its name + ``/``.

        Raises:
            OSError: the directory cannot be read.
        """
        names, kinds, stats = list_directory(directory)
        return Listing(names, kinds, array("q", stats))

    def list_directories(self, directories: Sequence[int]) -> list[Listing | OSError]:
        """List and stat several open directories in threads; see :class:`kist.abc.Kernel`.

        Args:
            directories: their descriptors.

        Returns:
            What each holds, or why it cannot be read.
        """
        found = list_directories(directories)
        if None in found:
            return super().list_directories(directories)  # one by one, which tells why
        return [Listing(one[0], one[1], array("q", one[2])) for one in found if one is not None]

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        """Read, hash and stat regular files; see :class:`kist.abc.Kernel`.

        Args:
            directory: descriptor of their folder.
            names: plain names.
            hasher: names the contents.

        Returns:
            Digests, contents and stats; what failed is among ``failed``.
        """
        buffers, stats, failed = read_small(directory, names)
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
        return array("q", write_small(directory, names, buffers, executable))

    def hasher(self, hasher: Hasher) -> Hasher:
        """One that hashes many small buffers at once, for BLAKE3; see :class:`kist.abc.Kernel`.

        Args:
            hasher: of any algorithm.

        Returns:
            One with the same names, or *hasher* itself.
        """
        if hasher.name != "blake3":
            return hasher
        if hasher not in self._hashers:
            self._hashers[hasher] = many_at_once(hasher)
        return self._hashers[hasher]


def many_at_once(hasher: Hasher) -> Hasher:
    """The hasher of BLAKE3 to use here: one that hashes many small buffers at once, if it agrees with *hasher*."""
    # A compiler or a processor that makes something else of it is found here, not in the names of data.
    return ManyAtOnce(hasher) if blake3_many(_SAMPLE) == hasher.raw_many(_SAMPLE) else hasher


class ManyAtOnce(Hasher):
    """BLAKE3 of many small buffers by the compiled part, of others by the hasher that is installed.

    Args:
        hasher: that one.
    """

    def __init__(self, hasher: Hasher) -> None:
        self.name = hasher.name
        self.digest_size = hasher.digest_size
        self._hasher = hasher

    def __reduce__(self) -> tuple[Callable[[Hasher], Hasher], tuple[Hasher]]:
        return many_at_once, (self._hasher,)  # another process may be on another machine: there it is compared again

    def new(self) -> RunningHash:
        """A running hash with nothing in it yet."""
        return self._hasher.new()

    def raw(self, data: bytes | bytearray | memoryview) -> bytes:
        """The raw digest of *data*."""
        return self._hasher.raw(data)

    def raw_many(self, buffers: Iterable[bytes | bytearray | memoryview]) -> bytes:
        """The raw digests of many buffers, joined."""
        together = list(buffers)
        if sum(map(len, together)) > _SMALL * len(together):
            return self._hasher.raw_many(together)
        return blake3_many(together)
