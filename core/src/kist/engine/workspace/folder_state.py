"""FolderState: what is known of one folder while it is read, and what becomes of it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from kist.abc.kernel import STAT_FIELDS, SUBDIRECTORY, Listing
from kist.engine.workspace.rows import Row
from kist.model.entry import DIRECTORY, SYMLINK
from kist.util.slotted import slotted

_UNKNOWN = array("q", [-1] * STAT_FIELDS)


@slotted()
class Entries:
    """The entries of one folder as they go into a manifest: parallel columns, sorted by name."""

    names: list[bytes]
    kinds: bytes
    sizes: array[int]
    digests: bytes
    targets: list[bytes]


class FolderState:
    """What is known of one folder while it is read.

    Args:
        path: relative to the repository.
        descriptor: the open folder.
        listing: what it holds.
        width: bytes of a raw digest.

    Attributes:
        targets: position -> target of each symlink.
        dropped: positions of what is no entry.
        recent: positions of what must not be trusted next time.
        as_file: position -> kind, raw digest and size of a symlink that stands for a file.
    """

    __slots__ = (
        "as_file", "descriptor", "digests", "dropped", "kinds", "names", "path", "recent", "stats", "targets", "width"
    )  # fmt: skip

    def __init__(self, path: bytes, descriptor: int, listing: Listing, width: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.names = listing.names
        self.kinds = listing.kinds
        self.stats = listing.stats
        self.width = width
        self.digests = bytearray(width * len(listing.names))
        self.targets: dict[int, bytes] = {}
        self.dropped: set[int] = set()
        self.recent: set[int] = set()
        self.as_file: dict[int, tuple[int, bytes, int]] = {}

    def raw(self, at: int) -> bytes:
        """The raw digest at a position."""
        return bytes(self.digests[at * self.width : (at + 1) * self.width])

    def set(self, at: int, raw: bytes, stats: array[int]) -> None:
        """Record the digest and the stats of the content at a position."""
        self.digests[at * self.width : (at + 1) * self.width] = raw
        self.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS] = stats

    def drop(self, at: int) -> None:
        """Leave an entry out."""
        self.dropped.add(at)
        self.recent.add(at)

    def row(self, algorithm: str) -> Row:
        """What to remember; what must not be trusted is smudged."""
        listing = Listing(self.names, self.kinds, self.stats[:])
        for at in self.recent:
            listing.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS] = _UNKNOWN
        targets = [self.targets.get(at, b"") for at, kind in enumerate(self.kinds) if kind == SYMLINK]
        return Row(self.path, algorithm, listing, bytes(self.digests), targets)

    def entries(self, empty: Sequence[bytes]) -> Entries:
        """The folder's entries, without subfolders.

        Args:
            empty: names of subfolders that are entries, because they are empty.

        Returns:
            Columns.
        """
        sizes = array("Q", self.stats[0::STAT_FIELDS].tobytes())
        if not (self.dropped or self.targets or SUBDIRECTORY in self.kinds):
            return Entries(self.names, self.kinds, sizes, bytes(self.digests), [])
        early = set(empty)
        nothing = bytes(self.width)
        rows = []
        for at, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True)):
            if at in self.dropped or (kind == SUBDIRECTORY and name not in early):
                continue
            if at in self.as_file:
                rows.append((name, *self.as_file[at]))
            elif kind == SUBDIRECTORY:
                rows.append((name, DIRECTORY, nothing, 0))
            else:
                rows.append((name, kind, self.raw(at), 0 if kind == SYMLINK else sizes[at]))
        targets = [self.targets[at] for at in sorted(self.targets) if at not in self.dropped and at not in self.as_file]
        if early:
            rows.sort()
        return Entries(
            [row[0] for row in rows],
            bytes(row[1] for row in rows),
            array("Q", [row[3] for row in rows]),
            b"".join([row[2] for row in rows]),
            targets,
        )
