"""Rows: entries of an index as columns, so that no entry is an object of its own."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
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
            b"".join(map(raws.__getitem__, chosen)) if raws else b"",
            array("I", map(self.packs.__getitem__, chosen)),
            array("Q", map(self.offsets.__getitem__, chosen)),
            array("Q", map(self.stored.__getitem__, chosen)),
            array("Q", map(self.plains.__getitem__, chosen)),
            bytes(map(self.codecs.__getitem__, chosen)),
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
