"""Near: where the objects lie that are about to be read in many small groups, found with one look at the indexes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from itertools import groupby

from kist.engine.storage.located import Group, Located

_SHIFT = 32


class Near:
    """Hands out places that were found before.

    Args:
        ranks: raw digests and their ranks, as :meth:`Located.rank` gave them; those that were not found too.
        groups: where those lie that were found in packs, see :attr:`Located.groups`.
    """

    def __init__(self, ranks: Mapping[bytes, int], groups: Mapping[str, Group]) -> None:
        self._ranks = ranks
        self._groups = list(groups.items())
        self._where = array("q", [-1]) * (max(ranks.values(), default=-1) + 1)
        for number, (_, group) in enumerate(self._groups):
            for position, rank in enumerate(group.ranks, number << _SHIFT):
                self._where[rank] = position

    def pick_into(self, located: Located, raws: Iterable[bytes], ranks: Mapping[bytes, int]) -> list[bytes]:
        """Note where some objects lie.

        Args:
            located: takes what is known.
            raws: raw digests.
            ranks: as the ``rank`` of *located* numbered them.

        Returns:
            Those that are not known, in their order.
        """
        known, where = self._ranks.get, self._where
        left: list[bytes] = []
        found: list[tuple[int, int]] = []
        for raw in raws:
            rank = known(raw)
            if rank is None or (place := where[rank]) < 0:
                left.append(raw)
            else:
                found.append((place, ranks[raw]))
        found.sort()
        for number, rows in groupby(found, lambda row: row[0] >> _SHIFT):
            pack, group = self._groups[number]
            base = number << _SHIFT
            positions, numbers = zip(*[(place - base, rank) for place, rank in rows], strict=True)
            located.add_group(pack, Group(group.members.pick(positions), array("Q", numbers)))
        return left
