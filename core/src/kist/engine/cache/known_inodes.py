"""KnownInodes: which object of a cache had which inode, for many questions and little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress

from kist.engine.cache.record_file import INODE, RecordFile
from kist.errors import StorageError
from kist.util.gathering import cut

HEAD = 8
"""First bytes of an object's digest that are kept for its inode."""

_SHIFT = 32
_ROW = (1 << _SHIFT) - 1


class KnownInodes:
    """The inodes that objects had when they were hashed: sixteen bytes for each object, whole digests stay on the disk.

    Args:
        records: files of the record of one algorithm, the oldest first: of an inode that several objects had the last
            one counts.
        width: bytes of a raw digest.
    """

    def __init__(self, records: Sequence[RecordFile], width: int) -> None:
        self._width = width
        self._records: list[RecordFile] = []
        inodes, heads = array("Q"), array("Q")
        for record in records:
            with suppress(StorageError):
                for digests, column in record.inodes() if record.whole else ():
                    heads.extend(int.from_bytes(digests[at : at + HEAD]) for at in range(0, len(digests), width))
                    inodes += column
                self._records.append(record)
        keys = sorted([inode << _SHIFT | row for row, inode in enumerate(inodes)])
        self._inodes = array("Q", (key >> _SHIFT for key in keys))
        self._heads = array("Q", (heads[key & _ROW] for key in keys))

    def __len__(self) -> int:
        return len(self._inodes)

    def head(self, inode: int) -> int | None:
        """The first :data:`HEAD` bytes of the object's digest as a number, None if no object had that inode."""
        at = bisect_right(self._inodes, inode) - 1
        return self._heads[at] if at >= 0 and self._inodes[at] == inode else None

    def raw(self, inode: int) -> bytes | None:
        """The raw digest of the object that had an inode, read from the record; None if no object had it."""
        head = self.head(inode)
        if head is None:
            return None
        start = head.to_bytes(HEAD)
        for record in reversed(self._records):
            with suppress(StorageError):
                digests, columns = record.under(start[0])
                for raw, found in zip(cut(digests, self._width), columns[INODE], strict=True):
                    if found == inode and raw.startswith(start):
                        return raw
        return None
