"""Which indexes and packs of a remote the next push merges, so that their number stays small."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from kist.engine.storage.indexes import Index, PackEntry, plan_merge
from kist.engine.transfer.remote_index import RemoteIndexes
from kist.engine.transfer.remote_store import MAX_INDEXES
from kist.util.gathering import cut
from kist.util.slotted import field, slotted

SMALL_PACK = 1 << 20
"""Packs below this many bytes may be written again together with the new objects when their index is merged."""

GROWTH = 8
"""An object that is sent again lies in a pack at least so many times as large as before."""


@slotted()
class Merge:
    """What the next index of one algorithm takes in.

    Attributes:
        kept: index files that stay as they are, the largest first.
        merged: index files that go into the new one.
        packs: small packs of the merged ones, which may be written again.
        members: pack id -> raw digest -> plain size of what lies in those packs.
    """

    kept: list[str] = field(default_factory=list)
    merged: list[Index] = field(default_factory=list)
    packs: dict[str, PackEntry] = field(default_factory=dict)
    members: dict[str, dict[bytes, int]] = field(default_factory=dict)


def plan_index_merge(indexes: RemoteIndexes, fresh: int) -> Merge:
    """Decide what to merge with *fresh* new entries.

    Args:
        indexes: what the markers of base versions name, opened.
        fresh: how many entries the new index has by itself.

    Returns:
        the plan; at most ``MAX_INDEXES`` - 1 indexes are kept, each at least twice as large as what follows.
    """
    names = sorted(indexes.names, key=lambda name: (-indexes.count(name), name))
    sizes = [indexes.count(name) for name in names]
    taken = max(0, plan_merge([*sizes, max(1, fresh)]) - 1)
    taken = max(taken, len(names) + 1 - MAX_INDEXES)
    split = len(names) - taken
    merge = Merge(kept=names[:split], merged=[indexes.whole(name) for name in names[split:]])
    for index in merge.merged:
        _note_small_packs(merge, index)
    return merge


def worth_joining(sizes: Sequence[int]) -> int:
    """How many of the smallest packs to write again as one.

    Who pushes small changes one by one sends each byte of them again for every joining that it goes through: with
    packs that grow by the factor :data:`GROWTH` that is seldom, and yet their number grows with the logarithm of the
    history only.

    Args:
        sizes: bytes of the packs, in rising order.

    Returns:
        0, or at least 2: as many of the first ones as make up :data:`GROWTH` times the last of them.
    """
    sums = accumulate(sizes)
    fitting = [count for count, (size, total) in enumerate(zip(sizes, sums, strict=True), 1) if total >= GROWTH * size]
    return max(fitting, default=0)


def _note_small_packs(merge: Merge, index: Index) -> None:
    small = {number: entry for number, entry in enumerate(index.packs) if entry.size < SMALL_PACK}
    if not small:
        return
    rows = index.rows()
    raws: Sequence[bytes] = cut(rows.digests, index.width)
    for raw, number, plain in zip(raws, rows.packs, rows.plains, strict=True):
        entry = small.get(number)
        if entry is not None:
            merge.packs[entry.id] = entry
            merge.members.setdefault(entry.id, {})[raw] = plain
