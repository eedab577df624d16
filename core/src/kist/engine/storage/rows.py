"""Rows: entries of an index as columns, so that no entry is an object of its own; Runs: many on the way to an index."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kist.engine.storage.members import HeldFile, nameless, to_buffer, to_column
from kist.util.gathering import gather
from kist.util.slotted import slotted

HELD = 1 << 17
"""Rows that are kept in memory, where there is a scratch file for more."""

VARIOUS = -1
"""In place of a pack's number: the rows of a run lie in several, and a column says in which."""

NewFile = Callable[[], Path]


@slotted()
class Rows:
    """Entries of an index as columns, sorted by digest; the middle four columns are arrays, the others bytes.

    Attributes:
        digests: raw digests, joined; none where they are known without.
        packs: pack number of each.
        offsets: where the stored bytes begin.
        stored: how many bytes are stored.
        plains: the objects' sizes.
        codecs: one byte each.
    """

    digests: bytes
    packs: array[int]
    offsets: array[int]
    stored: array[int]
    plains: array[int]
    codecs: bytes

    def __len__(self) -> int:
        return len(self.codecs)

    def pick(self, chosen: Sequence[int], raws: Sequence[bytes] = ()) -> Rows:
        """Some of them.

        Args:
            chosen: their positions.
            raws: the raw digests of all, one by one; none to leave digests out.
        """
        return Rows(
            b"".join(gather(raws, chosen)) if raws else b"",
            array("I", gather(self.packs, chosen)),
            array("Q", gather(self.offsets, chosen)),
            array("Q", gather(self.stored, chosen)),
            array("Q", gather(self.plains, chosen)),
            bytes(gather(self.codecs, chosen)),
        )

    def slice(self, width: int, first: int, stop: int) -> Rows:
        """Those from *first* up to, not including, *stop*.

        Args:
            width: bytes of one raw digest.
            first: a position.
            stop: likewise.
        """
        return Rows(
            self.digests[first * width : stop * width],
            self.packs[first:stop],
            self.offsets[first:stop],
            self.stored[first:stop],
            self.plains[first:stop],
            self.codecs[first:stop],
        )

    @classmethod
    def join(cls, parts: Sequence[Rows]) -> Rows:
        """One of many, in their order; a single one is given back as it is."""
        if len(parts) == 1:
            return parts[0]
        whole = cls(
            b"".join([part.digests for part in parts]),
            array("I"),
            array("Q"),
            array("Q"),
            array("Q"),
            b"".join([part.codecs for part in parts]),
        )
        for part in parts:
            whole.packs += part.packs
            whole.offsets += part.offsets
            whole.stored += part.stored
            whole.plains += part.plains
        return whole


class Run:
    """Rows of one source, sorted by digest.

    Args:
        rows: the rows; without their packs if *pack* says where all of them lie.
        width: bytes of one raw digest.
        pack: the number of the pack that all lie in, or ``VARIOUS``.
    """

    def __init__(self, rows: Rows, width: int, pack: int = VARIOUS) -> None:
        self.pack = pack
        self._width = width
        self._rows: Rows | None = rows
        self._count = len(rows)
        self._bounds: array[int] | None = None
        self._file: HeldFile | None = None
        self._offset = 0

    def __len__(self) -> int:
        return self._count

    @property
    def in_memory(self) -> bool:
        """Whether the rows are held here."""
        return self._rows is not None

    def under(self, byte: int) -> Rows | None:
        """The rows whose digests begin with a byte, None if there are none."""
        if self._bounds is None:
            assert self._rows is not None
            self._bounds = _bounds(self._rows.digests, self._width)
        first, stop = self._bounds[byte], self._bounds[byte + 1]
        return self.slice(first, stop) if first < stop else None

    def slice(self, first: int, stop: int) -> Rows:
        """The rows from *first* up to, not including, *stop*, each with the number of its pack."""
        rows = self._rows.slice(self._width, first, stop) if self._rows is not None else self._read(first, stop)
        if self.pack != VARIOUS:
            rows.packs = array("I", [self.pack]) * (stop - first)
        return rows

    def spill(self, file: HeldFile) -> None:
        """Move the rows to a file."""
        rows = self._rows
        assert rows is not None
        self._bounds = _bounds(rows.digests, self._width)
        self._offset = file.size
        for piece in (rows.digests, *map(to_buffer, (rows.offsets, rows.stored, rows.plains, rows.packs)), rows.codecs):
            file.append(piece)
        self._file, self._rows = file, None

    def _read(self, first: int, stop: int) -> Rows:
        assert self._file is not None
        at, parts = self._offset, []
        codes = ("", "Q", "Q", "Q", "I" if self.pack == VARIOUS else "", "B")
        for place, code in enumerate(codes):
            size = self._width if not place else array(code).itemsize if code else 0
            data = self._file.read(at + first * size, (stop - first) * size) if size else b""
            parts.append(to_column(code, data) if code in ("Q", "I") else data)
            at += self._count * size
        digests, offsets, stored, plains, packs, codecs = parts
        return Rows(digests, packs or array("I"), offsets, stored, plains, codecs)  # type: ignore[arg-type]


class Runs:
    """All runs of one index.

    Args:
        width: bytes of one raw digest.
        new_file: gives a name for the scratch file, which has none while it is used; None: all stay in memory.
    """

    def __init__(self, width: int, new_file: NewFile | None = None) -> None:
        self._width = width
        self._new_file = new_file
        self._runs: list[Run] = []
        self._held = 0
        self._file: HeldFile | None = None

    def __len__(self) -> int:
        """Rows in all, those of equal digests counted each time."""
        return sum(map(len, self._runs))

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def add(self, rows: Rows, pack: int = VARIOUS) -> None:
        """Add rows, see :class:`Run`.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        self._runs.append(Run(rows, self._width, pack))
        self._held += len(rows)
        if self._new_file is not None and self._held > HELD:
            if self._file is None:
                self._file = nameless(self._new_file())
            for run in self._runs:
                if run.in_memory:
                    run.spill(self._file)
            self._held = 0

    def drop(self, pack: int) -> None:
        """Forget the rows that lie in one pack, added as such."""
        self._runs = [run for run in self._runs if run.pack != pack]

    def under(self, byte: int) -> list[Rows]:
        """The rows whose digests begin with a byte, a part for each run that has some."""
        return [rows for run in self._runs if (rows := run.under(byte)) is not None]

    def clear(self) -> None:
        """Forget everything."""
        self._runs, self._held, self._file = [], 0, None


def _bounds(digests: bytes, width: int) -> array[int]:
    """Where the digests begin that begin with each byte, and where the last of them end."""
    first = digests[::width]
    return array("Q", [*(bisect_left(first, byte) for byte in range(256)), len(first)])
