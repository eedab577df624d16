"""Fingerprints of folders that a checkout has just made."""

from __future__ import annotations

import os
from array import array
from typing import Any

from kist.abc.kernel import STAT_FIELDS, SUBDIRECTORY, Listing
from kist.engine.checkout.tools import CheckoutTools
from kist.engine.workspace.folders import name_of, parent_of
from kist.errors import PathConflict
from kist.model.columns import Columns
from kist.model.entry import SYMLINK
from kist.util.atomic import temp_name
from kist.util.paths import display

_PENDING = 50_000


class RowCollector:
    """Collects what is known about new folders and hands it to the fingerprints in large batches.

    Args:
        tools: the fingerprints and the kernel.
        wanted: all entries that are written, paths relative to *output*.
        output: the directory, relative to the repository.
        token: for temporary names.
    """

    def __init__(self, tools: CheckoutTools, wanted: Columns, output: bytes, token: str) -> None:
        self._token = token
        self._sink = tools.fingerprints
        self._kernel = tools.kernel
        self._wanted = wanted
        self._output = output
        self._rows: list[tuple[bytes, Listing, bytes, list[bytes]]] = []
        self._names = 0

    def folder(self, path: bytes, descriptor: int, written: list[tuple[list[int], array[int]]] | None) -> None:
        """Take in one new folder, complete but for its subfolders, which are added from the plan.

        Args:
            path: relative to the output.
            descriptor: the open folder.
            written: positions and stats in sorted order, None where they must be read from the disk.
        """
        if self._sink is None:
            return
        if written is None:
            listing = _files_only(self._kernel.list_directory(descriptor))
            prefix = path + b"/" if path else b""
            positions = [self._position(prefix + name) for name in listing.names]
        else:
            listing = Listing()
            positions = []
            for part, stats in written:
                positions += part
                listing.stats += stats
            listing.names = [name_of(self._wanted.paths[at]) for at in positions]
            listing.kinds = bytes([self._wanted.kinds[at] for at in positions])
        digests = b"".join([self._wanted.raw(at) for at in positions])
        links = [at for at in positions if self._wanted.kinds[at] == SYMLINK]
        targets = [self._wanted.entry(at).target or b"" for at in links]
        self._rows.append((path, listing, digests, targets))
        self._names += len(listing.names)

    def take(self) -> list[Any]:
        """Hand out what is collected, to be given to another collector."""
        rows = self._rows
        self.clear()
        return rows

    def give(self, rows: list[Any]) -> None:
        """Take in what another collector handed out."""
        self._rows += rows
        self._names += sum(len(listing.names) for _, listing, _, _ in rows)

    def clear(self) -> None:
        """Forget what is collected."""
        self._rows, self._names = [], 0

    def _position(self, path: bytes) -> int:
        position = self._wanted.find(path)
        if position is None:
            raise PathConflict(f"{display(path)} appeared while its folder was made", path=display(path))
        return position

    def flush(self, root: int, children: dict[bytes, list[bytes]], *, last: bool = False) -> None:
        """Hand over what is complete.

        Args:
            root: descriptor of the repository, to tell the time of its file system.
            children: the plain names of the subfolders of each folder, relative to the output.
            last: whether to hand over few of them too.
        """
        if self._sink is None or not self._rows or not (last or self._names >= _PENDING):
            return
        from kist.engine.workspace.rows import Row, with_keys

        clock = file_system_clock(root, self._token)
        rows = []
        for path, listing, digests, targets in self._rows:
            keys = [name + b"/" for name in children.get(path, ())]
            if keys:
                listing, digests = with_keys(listing, digests, self._wanted.width, keys)
            directory = os.path.join(self._output, path) if path else self._output
            row = Row(directory, self._wanted.algorithm, listing, digests, targets)
            row.smudge(clock)
            rows.append(row)
        self.clear()
        self._sink.put_many(rows)


def _files_only(listing: Listing) -> Listing:
    if SUBDIRECTORY not in listing.kinds:
        return listing
    kept = [at for at, kind in enumerate(listing.kinds) if kind != SUBDIRECTORY]
    stats = array("q")
    for at in kept:
        stats += listing.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS]
    return Listing([listing.names[at] for at in kept], bytes([listing.kinds[at] for at in kept]), stats)


def child_folders(folders: set[bytes]) -> dict[bytes, list[bytes]]:
    """The plain names of the subfolders of each folder of a set that has all ancestors in it."""
    children: dict[bytes, list[bytes]] = {}
    for folder in folders:
        if folder:
            children.setdefault(parent_of(folder), []).append(name_of(folder))
    return children


def file_system_clock(folder: int, token: str) -> int:
    """The time, in ns, that the file system would give a file now: that of an empty one made for it."""
    name = temp_name("clock", token).encode()
    descriptor = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
    )
    try:
        os.write(descriptor, b"\n")  # on some file systems only a write takes the server's time
        return os.fstat(descriptor).st_mtime_ns
    finally:
        os.close(descriptor)
        os.unlink(name, dir_fd=folder)
