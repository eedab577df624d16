"""Listings: make those of many folders together, take them apart, and put them into manifest order."""

from __future__ import annotations

import errno
import os
import stat
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from kist.abc.kernel import OTHER, STAT_FIELDS, SUBDIRECTORY, Kernel, Listing
from kist.model.entry import DIRECTORY, EXECUTABLE, FILE, SYMLINK
from kist.util.atomic import OPEN_FOLDER, storage_error
from kist.util.slotted import slotted

Part = TypeVar("Part")

TOGETHER = 32
"""Subfolders of one folder that are listed together at most."""

FILES_TOGETHER = 32_768
"""Files of them that are held in memory, as far as the largest folder so far tells."""

BYTES_TOGETHER = 32 * FILES_TOGETHER
"""Size of these folders themselves, which most file systems let grow with the names in them."""


def child_path(folder: bytes, name: bytes) -> bytes:
    """The path of *name* in *folder*, which is b"" at the top."""
    return folder + b"/" + name if folder else name


def interleave(parts: Iterable[tuple[bytes, list[bytes] | None, Part]]) -> Iterator[tuple[bytes, Part, int, int]]:
    """Put the entries of folders, which come parents first, into manifest order.

    Args:
        parts: for each folder its path, the sorted plain names of its entries (without subfolders; None: the folder is
            empty and an entry itself), and anything.

    Returns:
        Runs: a folder's path, what came with it, and the start and stop of a range of its entries, never empty; but
        0 and 0 for a folder that is an entry itself.
    """
    # One item a folder from the first to the current one: path, names, what came with it, next entry.
    chain: list[tuple[bytes, list[bytes], Part, int]] = []
    for path, names, part in parts:
        while chain and chain[-1][0] and not path.startswith(chain[-1][0] + b"/"):
            yield from _rest(*chain.pop())
        if chain:
            above, above_names, above_part, position = chain.pop()
            key = (path[len(above) + 1 :] if above else path) + b"/"
            stop = bisect_left(above_names, key, position)
            if stop > position:
                yield above, above_part, position, stop
            chain.append((above, above_names, above_part, stop))
        if names is None:
            yield path, part, 0, 0
        else:
            chain.append((path, names, part, 0))
    while chain:
        yield from _rest(*chain.pop())


def _rest(path: bytes, names: list[bytes], part: Part, position: int) -> Iterator[tuple[bytes, Part, int, int]]:
    if position < len(names):
        yield path, part, position, len(names)


def entries_of(listing: Listing, empty: Sequence[bytes]) -> Listing:
    """The entries of a folder: its listing without subfolders, but with those that are empty as kind ``d``.

    Args:
        listing: all that the folder holds.
        empty: names of empty subfolders.

    Returns:
        A listing sorted by plain names; *listing* itself if there are no subfolders.
    """
    if SUBDIRECTORY not in listing.kinds:
        return listing
    early = set(empty)
    rows = [
        (name, DIRECTORY if kind == SUBDIRECTORY else kind, at * STAT_FIELDS)
        for at, (name, kind) in enumerate(zip(listing.names, listing.kinds, strict=True))
        if kind != SUBDIRECTORY or name in early
    ]
    rows.sort()
    stats = listing.stats[:0]
    for _, _, start in rows:
        stats.extend(listing.stats[start : start + STAT_FIELDS])
    return Listing([row[0] for row in rows], bytes(row[1] for row in rows), stats)


def cut(listing: Listing, first: int, last: int) -> Listing:
    """The entries from *first* up to, not including, *last*."""
    return Listing(
        listing.names[first:last],
        listing.kinds[first:last],
        listing.stats[first * STAT_FIELDS : last * STAT_FIELDS],
    )


def list_one(directory: int, name: bytes) -> Listing:
    """The listing of a folder as if it held one name only; empty if that does not exist.

    Args:
        directory: the open folder.
        name: a plain name.

    Returns:
        A listing of one name or none.

    Raises:
        StorageError: it cannot be looked at.
    """
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return Listing()
    except OSError as exc:
        raise storage_error(exc, name) from exc
    if stat.S_ISDIR(found.st_mode):
        return Listing([name], bytes([SUBDIRECTORY]), array("q", bytes(8 * STAT_FIELDS)))
    kind = OTHER
    if stat.S_ISREG(found.st_mode):
        kind = EXECUTABLE if found.st_mode & stat.S_IXUSR else FILE
    elif stat.S_ISLNK(found.st_mode):
        kind = SYMLINK
    return Listing([name], bytes([kind]), signed(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino))


def signed(*values: int) -> array[int]:
    """Numbers of 64 bits as signed ones, whatever their highest bit says."""
    return array("q", array("Q", [value & (1 << 64) - 1 for value in values]).tobytes())


@slotted(frozen=True)
class Ahead:
    """A subfolder that is listed already.

    Attributes:
        descriptor: the open folder; whoever takes it closes it.
        found: its stat, which came first.
        listing: what it holds, or why it cannot be read.
    """

    descriptor: int
    found: os.stat_result
    listing: Listing | OSError


def room_ahead(most: int) -> int:
    """How many folders a walk may have open ahead: *most*, or an eighth of what the process may have open."""
    limit = os.sysconf("SC_OPEN_MAX")
    return most if limit < 0 else min(most, limit // 8)


def list_together(kernel: Kernel, folder: int, device: int, names: Sequence[bytes]) -> list[Ahead]:
    """List subfolders up to one that is to be looked at by itself.

    That is one that cannot be opened, or that lies on another file system: what the times of its files are worth is
    asked of the clock there before they are looked at. It is also one that is too large together with those before it,
    and one for which no descriptor was left, since it needs none of those that are closed by then.

    Args:
        kernel: lists them.
        folder: descriptor of the folder.
        device: its file system.
        names: plain names of subfolders.

    Returns:
        As many as could be listed together, in the order of the names.
    """
    opened: list[int] = []
    looks: list[os.stat_result] = []
    size = 0
    try:
        with suppress(OSError):
            for name in names:
                opened.append(os.open(name, OPEN_FOLDER, dir_fd=folder))
                found = os.fstat(opened[-1])
                size += found.st_size
                if found.st_dev != device or size > BYTES_TOGETHER:
                    break
                looks.append(found)
        _close(opened, len(looks))
        listings = kernel.list_directories(opened) if opened else []
        _close(opened, next((at for at, one in enumerate(listings) if _is_short(one)), len(opened)))
    except BaseException:
        _close(opened, 0)
        raise
    last = len(opened)
    return [Ahead(*one) for one in zip(opened, looks[:last], listings[:last], strict=True)]


def _is_short(listing: Listing | OSError) -> bool:
    """Whether a folder could not be listed because too much was open."""
    return isinstance(listing, OSError) and listing.errno in (errno.EMFILE, errno.ENFILE)


def _close(opened: list[int], keep: int) -> None:
    while len(opened) > keep:
        os.close(opened.pop())


def discard(ahead: Iterable[Ahead]) -> None:
    """Close what nobody comes to."""
    for one in ahead:
        os.close(one.descriptor)
