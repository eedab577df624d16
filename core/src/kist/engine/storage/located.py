"""Located: where very many objects lie, as columns for each pack: some tens of bytes an object, no Python object."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import pairwise

from kist.engine.storage.indexes import LOOSE, SEGMENTED, Index, Place
from kist.engine.storage.members import Members
from kist.engine.storage.rows import Rows
from kist.util.gathering import gather
from kist.util.slotted import slotted

BLOCK = 1 << 15
"""Objects that are looked up at a time: only of so many there are single digests in memory."""


Believe = Callable[[Sequence[bytes], Rows, Mapping[int, str]], Sequence[int]]
"""Chooses among entries of an index, given their digests, their columns and the packs' names: the positions of some."""


@slotted()
class Group:
    """Objects that lie in one pack, or those that lie in none, each once.

    Attributes:
        members: their columns, in the order in which they lie in the pack, else in the order of their ranks.
        ranks: which one of all that were asked for each is.
    """

    members: Members
    ranks: array[int]

    def __len__(self) -> int:
        return len(self.members)

    @property
    def plain(self) -> int:
        """Plain bytes of all of them."""
        return sum(self.members.plains)

    @property
    def stored(self) -> int:
        """Stored bytes of all of them."""
        return sum(self.members.stored)

    def pick(self, positions: Sequence[int]) -> Group:
        """Some of them, in the order of the positions given."""
        return Group(self.members.pick(positions), array("Q", gather(self.ranks, positions)))


class Located:
    """Where objects of one algorithm lie. Those that are looked up together have ranks in the order they are wanted in.

    Args:
        width: bytes of one raw digest.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._ranked = 0
        self._fresh: dict[str, list[Group]] = {}
        self._groups: dict[str, Group] = {}

    def rank(self, raws: Iterable[bytes]) -> dict[bytes, int]:
        """The next ranks for some objects, each once, in the order in which they are wanted."""
        unique = list(dict.fromkeys(raws))
        first, self._ranked = self._ranked, self._ranked + len(unique)
        return dict(zip(unique, range(first, self._ranked), strict=True))

    def look_in(
        self, index: Index, raws: list[bytes], ranks: Mapping[bytes, int], believe: Believe | None = None
    ) -> list[bytes]:
        """Look for objects in an index and note where those lie that are there.

        Args:
            index: of the objects' algorithm.
            raws: their raw digests, sorted.
            ranks: as :meth:`rank` gave them.
            believe: chooses what is taken at its word; None: all is.

        Returns:
            Those that were not found, sorted.

        Raises:
            ObjectCorrupt: the index is damaged.
        """
        positions: Sequence[int] = index.find(raws)
        found = raws
        if not raws or min(positions) < 0:
            found = [raw for raw, position in zip(raws, positions, strict=True) if position >= 0]
            positions = [position for position in positions if position >= 0]
        rows, names = index.pick(positions), index.names
        if believe is not None and len(good := believe(found, rows, names)) < len(found):
            rows, found = rows.pick(good), [found[position] for position in good]
        self.add(found, rows, names, ranks)
        if len(found) == len(raws):
            return []
        known = set(found)
        return [raw for raw in raws if raw not in known]

    def add(self, raws: Sequence[bytes], rows: Rows, names: Mapping[int, str], ranks: Mapping[bytes, int]) -> None:
        """Note where objects lie.

        Args:
            raws: their raw digests.
            rows: where each of them lies.
            names: the pack with each number.
            ranks: as :meth:`rank` gave them.
        """
        packs = rows.packs
        order = sorted(range(len(raws)), key=packs.__getitem__)
        start = 0
        while start < len(order):
            number = packs[order[start]]
            stop = bisect_right(order, number, start, key=packs.__getitem__)
            pack = names[number]
            chosen = order[start:stop]
            if pack not in (LOOSE, SEGMENTED):
                chosen.sort(key=rows.offsets.__getitem__)
            part = rows.pick(chosen, raws)
            members = Members(self.width, part.digests, part.offsets, part.stored, part.plains, part.codecs)
            numbers = array("Q", map(ranks.__getitem__, gather(raws, chosen)))
            self._fresh.setdefault(pack, []).append(Group(members, numbers))
            start = stop

    def add_group(self, pack: str, group: Group) -> None:
        """Note objects that lie in one pack, in the order in which they lie there, with their ranks."""
        self._fresh.setdefault(pack, []).append(group)

    def add_alone(self, raws: Sequence[bytes], sizes: Sequence[int], ranks: Mapping[bytes, int]) -> None:
        """Note objects that lie by themselves, with their sizes."""
        if raws:
            lengths, count = array("Q", sizes), len(raws)
            members = Members(self.width, b"".join(raws), array("Q", bytes(8 * count)), lengths, lengths, bytes(count))
            self._fresh.setdefault(LOOSE, []).append(Group(members, array("Q", map(ranks.__getitem__, raws))))

    @property
    def groups(self) -> dict[str, Group]:
        """All objects by the pack that they lie in, ``LOOSE`` or ``SEGMENTED``; what is wanted first comes first."""
        if self._fresh:
            for pack in list(self._fresh):
                parts = self._fresh.pop(pack)
                earlier = self._groups.get(pack)
                self._groups[pack] = _joined([earlier, *parts] if earlier else parts, pack)
            order = sorted(self._groups, key=lambda pack: min(self._groups[pack].ranks))
            self._groups = {pack: self._groups[pack] for pack in order}
        return self._groups

    def places(self) -> dict[bytes, Place]:
        """The same one by one, for few."""
        return {
            raw: Place(pack, *columns) for pack, group in self.groups.items() for raw, *columns in group.members.rows()
        }

    def take(self) -> dict[str, Group]:
        """Hand the groups over to who lets go of each when it is done; nothing is noted here any more."""
        groups, self._groups = self.groups, {}
        return groups

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    @property
    def plain(self) -> int:
        """Plain bytes of all objects."""
        return sum(group.plain for group in self.groups.values())

    def only(self, raws: Container[bytes]) -> dict[str, Group]:
        """The groups with nothing but some objects."""
        chosen = {
            pack: [position for position, raw in enumerate(group.members.raws()) if raw in raws]
            for pack, group in self.groups.items()
        }
        return {pack: self._groups[pack].pick(positions) for pack, positions in chosen.items() if positions}

    def among(self, raws: Iterable[bytes]) -> set[bytes]:
        """Those of some objects that are noted here."""
        asked = set(raws)
        groups = self.groups.values() if asked else ()
        return {raw for group in groups for raw in asked.intersection(group.members.raws())}


def split_by_size(groups: Mapping[str, Group], limit: int) -> tuple[dict[str, Group], dict[bytes, int]]:
    """Divide objects into small ones and others.

    Args:
        groups: all of them.
        limit: size from which an object is not small.

    Returns:
        The small ones, and the others with their sizes, raw digest -> plain bytes.
    """
    small: dict[str, Group] = {}
    large: dict[bytes, int] = {}
    for pack, group in groups.items():
        plains = group.members.plains
        if max(plains) < limit:
            small[pack] = group
            continue
        large |= {raw: size for raw, size in zip(group.members.raws(), plains, strict=True) if size >= limit}
        if rest := [position for position, size in enumerate(plains) if size < limit]:
            small[pack] = group.pick(rest)
    return small, large


def in_order(groups: Iterable[Group]) -> list[bytes]:
    """The objects of some groups in the order of their ranks."""
    raws: list[bytes] = []
    ranks = array("Q")
    for group in groups:
        raws += group.members.raws()
        ranks += group.ranks
    return list(gather(raws, sorted(range(len(raws)), key=ranks.__getitem__)))


def _joined(parts: list[Group], pack: str) -> Group:
    """One group of what was found in several turns; what is wanted twice counts once, with its first rank."""
    alone = pack in (LOOSE, SEGMENTED)
    if not alone:
        parts.sort(key=lambda part: part.members.offsets[0])
    ranks = array("Q")
    for part in parts:
        ranks += part.ranks
    whole = Group(Members.join([part.members for part in parts]), ranks)
    apart = (before.members.offsets[-1] < after.members.offsets[0] for before, after in pairwise(parts))
    if not alone and all(apart):  # as a rule: what is wanted together was packed together
        return whole
    chosen: dict[bytes, int] = {}
    by_rank = sorted(range(len(whole)), key=ranks.__getitem__)
    raws = whole.members.raws()
    for position in by_rank:
        chosen.setdefault(raws[position], position)
    key = ranks if alone else whole.members.offsets
    return whole.pick(sorted(chosen.values(), key=key.__getitem__))
