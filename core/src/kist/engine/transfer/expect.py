"""How many requests a planned transfer will make, for who wants to know before: an estimate, exact in plain cases.

What cannot be planned is left out: calls that are repeated after a failure, and what is mended on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from kist.engine.storage.indexes import LOOSE, SEGMENTED
from kist.engine.storage.located import Group, Located, split_by_size
from kist.engine.storage.packs import DATA, NODES, PACK_LIMIT
from kist.engine.transfer.fetch_data import alone, packed_jobs
from kist.engine.transfer.local_side import LocalSide
from kist.engine.transfer.packing import is_sent_as_a_pack
from kist.engine.transfer.push_plan import PushPlan, Side
from kist.engine.transfer.push_side import ASK_FROM
from kist.engine.transfer.remote_read import RemoteReader
from kist.engine.transfer.segments import SEGMENTED_FROM, segment_size


def push_requests(plan: PushPlan, local: LocalSide, *, pack_threshold: int, new: bool, owner: str) -> int:
    """Requests that sending and publishing will take, beside those that planning took.

    Args:
        plan: what is to be done.
        local: the cache.
        pack_threshold: of the remote.
        new: whether the remote has nothing yet.
        owner: the repository's id.
    """
    count = sum(_side_requests(side, local, pack_threshold, new=new) for side in plan.sides)
    marked = len(plan.pending) + sum(owner not in one.repositories for one in plan.published.values())
    count += 2 * marked  # a ref and a marker each
    if len(plan.versions) > 1 and (marked or not plan.set_written):
        count += 1
    return count + 1 if new else count  # "kist-remote"


def _side_requests(side: Side, local: LocalSide, pack_threshold: int, *, new: bool) -> int:
    small, large = split_by_size(side.closure.contents.groups, pack_threshold)
    nodes = Located(side.closure.contents.width)
    local.locate(side.algorithm, side.closure.nodes, nodes)
    count = _pack_requests(DATA, small, local, new=new) + _pack_requests(NODES, nodes.groups, local, new=new)
    for size in large.values():
        count += _file_requests(size, new=new) if size <= SEGMENTED_FROM else 1 + _segments(size) * (1 if new else 2)
    return count + 1  # and the index


def _pack_requests(kind: int, groups: Mapping[str, Group], local: LocalSide, *, new: bool) -> int:
    """Packs of the cache that go as they are, and new ones for the rest."""
    count = 0
    left = sum(group.stored for group in groups.values())
    for reader, group in local.packs_of(groups):
        if is_sent_as_a_pack(reader, kind, len(group)):
            count += _file_requests(group.stored, new=new)
            left -= group.stored
    return count + sum(_file_requests(min(PACK_LIMIT, left - at), new=new) for at in range(0, left, PACK_LIMIT))


def _file_requests(size: int, *, new: bool) -> int:
    """A large file is asked for before it is sent: a killed push may have sent it."""
    return 1 if new or size < ASK_FROM else 2


def _segments(size: int) -> int:
    return ceil(size / segment_size(size))


def fetch_requests(located: Located, reader: RemoteReader, small: int) -> int:
    """Requests that bringing contents will take, beside those that planning took.

    Args:
        located: where they lie.
        reader: knows the remote's packs.
        small: size from which the cache keeps an object by itself.
    """
    groups = dict(located.groups)
    count = sum(1 for _ in alone(groups.pop(LOOSE, None)))
    count += sum(1 + _segments(size) for _, size in alone(groups.pop(SEGMENTED, None)))
    return count + sum(1 for _ in packed_jobs(groups, reader, small))
