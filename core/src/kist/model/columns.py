"""Columns: sorted entries as parallel columns, so that nothing handles single entries twice."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

from kist.model.digest import Digest
from kist.model.entry import EXECUTABLE, FILE, KIND_BYTES, KIND_NAMES, SYMLINK, Entry
from kist.model.path_list import MANY, PathList, place_of
from kist.util.gathering import cut
from kist.util.slotted import field, slotted


@slotted()
class Columns:
    """Entries of (part of) a directory, sorted by the bytes of the whole path, one value a column.

    Attributes:
        algorithm: the hash algorithm of every digest.
        width: bytes of one raw digest.
        paths: one relative path an entry: a list, or a :class:`~kist.model.path_list.PathList` of very many.
        kinds: one byte an entry (``kist.model.entry``: f, x, l, d).
        sizes: one unsigned 64-bit size an entry, ``array("Q")``.
        digests: ``width`` bytes an entry, zeros where there is no content.
        targets: the link targets, one a **symlink**, in the order of the entries.
    """

    algorithm: str
    width: int
    paths: Sequence[bytes] = field(default_factory=list)
    kinds: bytes = b""
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    digests: bytes = b""
    targets: list[bytes] = field(default_factory=list)

    @classmethod
    def from_entries(cls, algorithm: str, width: int, entries: Iterable[Entry]) -> Columns:
        """Columns of *entries*, which need not be sorted."""
        ordered = sorted(entries, key=lambda entry: entry.path)
        return cls(
            algorithm,
            width,
            [entry.path for entry in ordered],
            bytes(KIND_BYTES[entry.kind] for entry in ordered),
            array("Q", [entry.size for entry in ordered]),
            b"".join(entry.digest.raw if entry.digest else bytes(width) for entry in ordered),
            [entry.target or b"" for entry in ordered if entry.kind == "symlink"],
        )

    @classmethod
    def concat(cls, algorithm: str, width: int, parts: Iterable[Columns]) -> Columns:
        """One Columns of many that follow one another in path order."""
        whole = cls(algorithm, width)
        kinds, digests = [], []
        many = PathList()
        paths: list[bytes] = []
        for part in parts:
            paths += part.paths
            if len(paths) >= MANY:
                many.extend(paths)
                paths = []
            whole.sizes += part.sizes
            whole.targets += part.targets
            kinds.append(part.kinds)
            digests.append(part.digests)
        if many:
            many.extend(paths)
        whole.paths = many or paths
        whole.kinds = b"".join(kinds)
        whole.digests = b"".join(digests)
        return whole

    def __len__(self) -> int:
        return len(self.paths)

    def slice(self, start: int, stop: int) -> Columns:
        """The entries from *start* up to, not including, *stop*."""
        first = self.kinds.count(SYMLINK, 0, start)
        last = first + self.kinds.count(SYMLINK, start, stop)
        return Columns(
            self.algorithm,
            self.width,
            self.paths[start:stop],
            self.kinds[start:stop],
            self.sizes[start:stop],
            self.digests[start * self.width : stop * self.width],
            self.targets[first:last],
        )

    def find(self, path: bytes) -> int | None:
        """The position of *path*, or None."""
        position = place_of(self.paths, path)
        return position if position < len(self.paths) and self.paths[position] == path else None

    def span(self, prefix: bytes) -> tuple[int, int]:
        """Start and stop of the entries strictly below the directory *prefix* (b"" for all)."""
        if not prefix:
            return 0, len(self.paths)
        return place_of(self.paths, prefix + b"/"), place_of(self.paths, prefix + b"0")

    def raw(self, position: int) -> bytes:
        """The raw digest at *position*."""
        return self.digests[position * self.width : (position + 1) * self.width]

    def raws(self) -> list[bytes]:
        """All raw digests, one an entry."""
        return cut(self.digests, self.width)

    def content_raws(self) -> list[bytes]:
        """The raw digests of the entries that have content, in order, doubles included."""
        files = (FILE, EXECUTABLE)
        if not self.kinds.translate(None, bytes(files)):
            return self.raws()
        return [raw for raw, kind in zip(self.raws(), self.kinds, strict=True) if kind in files]

    def entry(self, position: int) -> Entry:
        """The entry at *position* as an object."""
        kind = self.kinds[position]
        target = self.targets[self.kinds.count(SYMLINK, 0, position)] if kind == SYMLINK else None
        digest = Digest.from_raw(self.algorithm, self.raw(position)) if kind in (FILE, EXECUTABLE) else None
        return Entry(self.paths[position], KIND_NAMES[kind], self.sizes[position], digest, target)

    def entries(self) -> Iterator[Entry]:
        """Every entry as an object: for people and tests, not for inner loops."""
        return (self.entry(position) for position in range(len(self.paths)))


class Gathered:
    """Columns that follow one another in path order, put together now and then so that very many take little."""

    def __init__(self) -> None:
        self._parts: list[Columns] = []
        self._fresh: list[Columns] = []
        self._count = 0

    def add(self, part: Columns) -> None:
        """Take in what comes next."""
        self._fresh.append(part)
        self._count += len(part)
        if self._count >= MANY:
            self._parts.append(Columns.concat(part.algorithm, part.width, _used_up(self._fresh)))
            self._count = 0

    def take(self, algorithm: str, width: int) -> Columns:
        """Hand everything out as one; nothing is held here any more."""
        return Columns.concat(algorithm, width, _used_up([*_used_up(self._parts), *_used_up(self._fresh)]))


def _used_up(parts: list[Columns]) -> Iterator[Columns]:
    """The parts one by one; each is let go of when the next is asked for."""
    parts.reverse()
    while parts:
        yield parts.pop()
