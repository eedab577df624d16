"""Which leaves of two manifests can differ, found without opening any node that both have."""

from __future__ import annotations

from collections.abc import Iterator

from kist.engine.manifest.format import SamePaths
from kist.engine.manifest.nodes import NodeTree, Place
from kist.model.columns import Columns
from kist.model.delta import Delta, deltas


def tree_deltas(old: NodeTree, new: NodeTree) -> Iterator[Delta]:
    """The entries that differ between two manifests.

    Args:
        old: the manifest to start from.
        new: the manifest to compare it with.

    Yields:
        Pairs of Columns as `kist.model.delta.deltas` does.

    Raises:
        MetafileError: a node is not valid.
    """
    left, right = _differing(old, new)
    same = SamePaths()
    yield from deltas(_leaves(old, left, same), _leaves(new, right, same))


def _differing(old: NodeTree, new: NodeTree) -> tuple[list[Place], list[Place]]:
    """The leaves that only one of the two has: level by level, what both have is dropped unopened."""
    left: list[Place] = [(old.root, None)]
    right: list[Place] = [(new.root, None)]
    comparable = old.algorithm == new.algorithm
    for level in range(max(old.level, new.level), -1, -1):
        if comparable and level <= min(old.level, new.level):
            left, right = _without_common(left, right)
        if level and level <= old.level:
            left = old.below(left, level)
        if level and level <= new.level:
            right = new.below(right, level)
    return left, right


def _without_common(left: list[Place], right: list[Place]) -> tuple[list[Place], list[Place]]:
    common = {ref.raw for ref, _bound in left} & {ref.raw for ref, _bound in right}
    if not common:
        return left, right
    return [place for place in left if place[0].raw not in common], [
        place for place in right if place[0].raw not in common
    ]


def _leaves(tree: NodeTree, places: list[Place], same: SamePaths) -> Iterator[Columns]:
    return (node for node in tree.open_all(places, 0, same) if isinstance(node, Columns))
