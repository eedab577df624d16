"""The ``pure`` kernel: the inner loops over files in plain Python, as few interpreter steps a file as it takes."""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Sequence
from functools import partial
from itertools import chain
from operator import attrgetter

from kist import hookimpl
from kist.abc.hasher import Hasher
from kist.abc.kernel import OTHER, STAT_FIELDS, SUBDIRECTORY, Ingested, Kernel, Listing
from kist.model.entry import EXECUTABLE, FILE, SYMLINK
from kist.util.atomic import write_all

READ_LIMIT = 64 << 20
"""Bytes that one file may have to be read whole; a larger one fails with EFBIG, the caller streams it."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STATS = attrgetter("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")
_ROW = attrgetter("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_mode")
_NO_STATS = (0, 0, 0, 0)
_MASK = (1 << 64) - 1


@hookimpl
def kist_make_kernel(name: str) -> Kernel | None:
    """Make the kernel ``pure``."""
    return PureKernel() if name == "pure" else None


class PureKernel(Kernel):
    """Plain Python; one ``lstat`` a listed file, one open, read, two ``fstat`` and close a file that is read."""

    name = "pure"

    def __init__(self) -> None:
        self._quiet = getattr(os, "O_NOATIME", 0)  # until a file turns up that is somebody else's

    def list_directory(self, directory: int) -> Listing:
        """List and stat one open directory. A name that vanishes meanwhile is left out.

        Args:
            directory: its descriptor.

        Returns:
            What it holds, sorted by name, a folder as its name + ``/``.

        Raises:
            OSError: the directory cannot be read.
        """
        # Measured: listdir + lstat is a tenth faster than scandir and its entries, because every file needs its stat.
        texts = os.listdir(directory)
        if not texts:
            return Listing()
        names = os.fsencode("\0".join(texts)).split(b"\0")  # one conversion a directory, not one a name
        names.sort()
        try:
            # All in C: no interpreter step a file but the calls themselves.
            rows = list(map(_ROW, map(partial(os.lstat, dir_fd=directory), names)))
        except FileNotFoundError:
            names, rows = _list_present(directory, names)
        flat = _joined(rows)
        modes = flat[STAT_FIELDS :: STAT_FIELDS + 1]
        del flat[STAT_FIELDS :: STAT_FIELDS + 1]
        kinds = bytes(map(_KINDS.__getitem__, modes))
        listing = Listing(names, kinds, flat)
        return _folders_in_place(listing) if SUBDIRECTORY in kinds else listing

    def _open(self, name: bytes, directory: int) -> int:
        """Open a file to read it, where possible without noting the time, which would cost a write of its inode.

        The system grants that to the owner of a file only.
        """
        if self._quiet:
            try:
                return os.open(name, _READ | self._quiet, dir_fd=directory)
            except PermissionError as exc:
                if exc.errno != errno.EPERM:
                    raise
            self._quiet = 0
        return os.open(name, _READ, dir_fd=directory)

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        """Read, hash and stat regular files; see :class:`kist.abc.kernel.Kernel`.

        Args:
            directory: descriptor of their folder.
            names: plain names.
            hasher: names the contents.

        Returns:
            Digests, contents and stats; what failed is among ``failed``.
        """
        buffers: list[bytes | None] = []
        rows: list[tuple[int, ...]] = []
        failed: dict[int, int] = {}
        keep, row = buffers.append, rows.append
        for position, name in enumerate(names):
            try:
                descriptor = self._open(name, directory)
            except OSError as exc:
                # A link, a socket or a device without a driver says so by these; then it is no regular file.
                failed[position] = 0 if exc.errno in _NOT_REGULAR else exc.errno or errno.EIO
                keep(None)
                row(_NO_STATS)
                continue
            try:
                buffer, values = _read_whole(descriptor)
            except OSError as exc:
                failed[position] = exc.errno or errno.EIO
                buffer, values = None, _NO_STATS
            finally:
                os.close(descriptor)
            if buffer is None:
                failed.setdefault(position, 0)
            keep(buffer)
            row(values)
        stats = _joined(rows)
        if not failed:
            return Ingested(hasher.raw_many(buffers), buffers, stats)  # type: ignore[arg-type]
        nothing = bytes(hasher.digest_size)
        digests = b"".join([nothing if buffer is None else hasher.raw(buffer) for buffer in buffers])
        return Ingested(digests, buffers, stats, failed)

    def write_small(
        self, directory: int, names: Sequence[bytes], buffers: Sequence[bytes], executable: bytes
    ) -> array[int]:
        """Create new files with these contents; see :class:`kist.abc.kernel.Kernel`.

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
        rows: list[tuple[int, ...]] = []
        for name, buffer, is_executable in zip(names, buffers, executable, strict=True):
            try:
                descriptor = os.open(name, _CREATE, 0o777 if is_executable else 0o666, dir_fd=directory)
            except OSError as exc:
                exc.filename = name
                raise
            try:
                if os.write(descriptor, buffer) != len(buffer):
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    write_all(descriptor, buffer)
                rows.append(_STATS(os.fstat(descriptor)))
            except OSError as exc:
                os.unlink(name, dir_fd=directory)
                exc.filename = name
                raise
            finally:
                os.close(descriptor)
        return _joined(rows)


class _Kinds(dict[int, int]):
    """Mode -> kind byte; the few modes that occur are worked out once."""

    def __missing__(self, mode: int) -> int:
        if stat.S_ISREG(mode):
            kind = EXECUTABLE if mode & stat.S_IXUSR else FILE
        elif stat.S_ISDIR(mode):
            kind = SUBDIRECTORY
        else:
            kind = SYMLINK if stat.S_ISLNK(mode) else OTHER
        self[mode] = kind
        return kind


_KINDS = _Kinds()
_NOT_REGULAR = frozenset((errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV, errno.EISDIR))


def _joined(rows: Sequence[tuple[int, ...]]) -> array[int]:
    """All values, one after the other, as signed 64-bit ones."""
    try:
        return array("q", chain.from_iterable(rows))
    except OverflowError:  # some file systems number inodes from 2**63 on, and some files come from the year 3000
        return array("q", array("Q", [value & _MASK for row in rows for value in row]).tobytes())


def _list_present(directory: int, names: Sequence[bytes]) -> tuple[list[bytes], list[tuple[int, ...]]]:
    """Stat name by name: some vanished since the directory was listed."""
    present: list[bytes] = []
    rows: list[tuple[int, ...]] = []
    for name in names:
        try:
            rows.append(_ROW(os.lstat(name, dir_fd=directory)))
        except FileNotFoundError:
            continue
        present.append(name)
    return present, rows


def _folders_in_place(listing: Listing) -> Listing:
    """Sort again with folders as name + ``/``, and clear their stats, which change with every entry inside."""
    names, kinds, stats = listing.names, listing.kinds, listing.stats
    keys = [name + b"/" if kind == SUBDIRECTORY else name for name, kind in zip(names, kinds, strict=True)]
    order = sorted(range(len(names)), key=keys.__getitem__)
    ordered = array("q", bytes(8 * STAT_FIELDS * len(names)))
    for field in range(STAT_FIELDS):
        column = stats[field::STAT_FIELDS]
        values = [0 if kinds[position] == SUBDIRECTORY else column[position] for position in order]
        ordered[field::STAT_FIELDS] = array("q", values)
    return Listing([names[position] for position in order], bytes([kinds[position] for position in order]), ordered)


def _read_whole(descriptor: int) -> tuple[bytes | None, tuple[int, ...]]:
    """The content of an open regular file and its stats, None if it changed meanwhile or is no regular file.

    Raises:
        OSError: it cannot be read, or is too large (EFBIG).
    """
    before = os.fstat(descriptor)
    size = before.st_size
    if not stat.S_ISREG(before.st_mode):
        return None, _NO_STATS
    if size > READ_LIMIT:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    buffer = os.read(descriptor, size + 1)  # one more byte, so that growth shows
    if len(buffer) < size:
        pieces = [buffer]
        while piece := os.read(descriptor, size):  # a short read is allowed, e.g. on network file systems
            pieces.append(piece)
        buffer = b"".join(pieces)
    values: tuple[int, ...] = _STATS(os.fstat(descriptor))
    if len(buffer) != size or values != _STATS(before):
        return None, _NO_STATS
    return buffer, values
