"""A manifest's tree of nodes, read on demand: an answer opens only the nodes that it needs.

Bytes are checked against their digest by whoever brings them (`GetNodes`). Here each node is checked on its own and
against what its parent says of it, so that a wrong tree cannot pass for a right one wherever it is entered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, takewhile

from kist.abc.metafile import GetNodes
from kist.engine.manifest.format import Inner, Node, Ref, SamePaths, decode, totals
from kist.engine.manifest.order import OrderCheck
from kist.errors import MetafileError
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry

Place = tuple[Ref, bytes | None]
"""Where a node stands: what its parent says of it, and the last path before it (None for the first of its level)."""

Known = Callable[[Sequence[bytes]], Sequence[bool]]

_BATCH = 32
"""Nodes asked for at once: enough to join requests, few enough to hold in memory."""

_KEPT = 64


class NodeTree:
    """The nodes below one root.

    Args:
        root: the root's digest.
        get: brings nodes.

    Attributes:
        algorithm: the hash algorithm of every digest in it.
        width: bytes of one raw digest.
        top: the root node.
        root: what a parent would say of the root.

    Raises:
        MetafileError: the root is not a manifest.
    """

    def __init__(self, root: Digest, get: GetNodes) -> None:
        raw = root.raw
        self.get = get
        self.algorithm, self.width = root.algorithm, len(raw)
        [self.top_bytes] = get([raw])
        self.top: Node = self._decode(self.top_bytes)
        if isinstance(self.top, Inner) and len(self.top.refs) < 2:
            raise MetafileError(f"not a valid manifest: its root {root} has a single child")
        last = self.top.paths[-1] if self.top.paths else b""
        self.root = Ref(last, raw, *totals(self.top))
        self._kept: OrderedDict[bytes, Node] = OrderedDict()

    @property
    def level(self) -> int:
        """The root's level: 0 for a manifest that is one leaf."""
        return self.top.level if isinstance(self.top, Inner) else 0

    def refs(self, level: int, path: bytes = b"") -> Iterator[Place]:
        """All nodes of one level in order, from the one where *path* belongs.

        Args:
            level: 0 for the leaves.
            path: where to start; a path behind the last entry belongs to the last node.

        Yields:
            The places of the nodes.
        """
        if level >= self.level:
            yield self.root, None
            return
        assert isinstance(self.top, Inner)
        yield from self._below(self.top, None, level, path)

    def _below(self, node: Inner, bound: bytes | None, level: int, path: bytes) -> Iterator[Place]:
        start = min(bisect_left(node.paths, path), len(node.refs) - 1)
        for position in range(start, len(node.refs)):
            place = node.refs[position], node.paths[position - 1] if position else bound
            if node.level == level + 1:
                yield place
            else:
                child = self.node(place, node.level - 1)
                assert isinstance(child, Inner)
                yield from self._below(child, place[1], level, path if position == start else b"")

    def node(self, place: Place, level: int) -> Node:
        """The node at *place*; recently used ones are kept.

        Args:
            place: as `refs` yields it.
            level: the node's level.

        Returns:
            The node: Columns for level 0, Inner otherwise.

        Raises:
            MetafileError: the node is not valid, or not what its parent says.
        """
        ref = place[0]
        node = self._kept.get(ref.raw)
        if node is None:
            [node] = self.open([place], level)
            self._kept[ref.raw] = node
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(ref.raw)
        return node

    def open(self, places: Sequence[Place], level: int, same: SamePaths | None = None) -> list[Node]:
        """Several nodes of one level, brought together and kept by nobody.

        Args:
            places: as `refs` yields them.
            level: their level.
            same: paths of leaves of another tree that is read beside this one.

        Returns:
            The nodes, checked against what their parents say.

        Raises:
            MetafileError: a node is not valid, or not what its parent says.
        """
        if len(places) == 1 and places[0][0] is self.root:
            return [self.top]
        found = self.get([ref.raw for ref, _bound in places])
        return [self._checked(data, place, level, same) for data, place in zip(found, places, strict=True)]

    def leaves(self, prefix: bytes = b"") -> Iterator[Columns]:
        """The entries, or those strictly below the directory *prefix*, in path order, a leaf at a time.

        Args:
            prefix: a directory, b"" for all.

        Yields:
            Columns with at least one entry.

        Raises:
            MetafileError: a node is not valid.
        """
        order = OrderCheck()
        start, stop = (prefix + b"/", prefix + b"0") if prefix else (b"", None)
        places = self.refs(0, start)
        if stop is not None:
            places = takewhile(lambda place: place[1] is None or place[1] < stop, places)
        for leaf in self.open_all(places, 0):
            assert isinstance(leaf, Columns)
            order.follows(leaf.paths)
            first, last = leaf.span(prefix)
            if first < last:
                yield leaf if last - first == len(leaf.paths) else leaf.slice(first, last)

    def open_all(self, places: Iterable[Place], level: int, same: SamePaths | None = None) -> Iterator[Node]:
        """The nodes at *places*, brought in batches; like `open`."""
        walk = iter(places)
        while batch := list(islice(walk, _BATCH)):
            yield from self.open(batch, level, same)

    def below(self, places: Iterable[Place], level: int) -> list[Place]:
        """The places of all children of the inner nodes at *places*, which are of *level*."""
        held = list(places)
        nodes = self.open_all(held, level)
        return _places([(node, place[1]) for node, place in zip(nodes, held, strict=True) if isinstance(node, Inner)])

    def find(self, path: bytes) -> Entry | None:
        """The entry at exactly *path*, or None."""
        leaf = self.node(next(self.refs(0, path)), 0)
        assert isinstance(leaf, Columns)
        position = leaf.find(path)
        return None if position is None else leaf.entry(position)

    def nodes(self, known: Known | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Every node as (raw digest, plain bytes), a level at a time from the root down.

        Args:
            known: told raw digests, answers which need not be opened; those are skipped with all below them.

        Yields:
            Raw digest and plain bytes.
        """
        if known is not None and known([self.root.raw])[0]:
            return
        yield self.root.raw, self.top_bytes
        parents: list[tuple[Inner, bytes | None]] = [(self.top, None)] if isinstance(self.top, Inner) else []
        while parents:
            level = parents[0][0].level - 1
            places = _places(parents)
            if known is not None:
                flags = known([ref.raw for ref, _bound in places])
                places = [place for place, flag in zip(places, flags, strict=True) if not flag]
            parents = []
            for start in range(0, len(places), _BATCH):
                batch = places[start : start + _BATCH]
                for place, data in zip(batch, self.get([ref.raw for ref, _bound in batch]), strict=True):
                    if level:
                        node = self._checked(data, place, level)
                        assert isinstance(node, Inner)
                        parents.append((node, place[1]))
                    yield place[0].raw, data

    def _checked(self, data: bytes, place: Place, level: int, same: SamePaths | None = None) -> Node:
        node = self._decode(data, same)
        ref, bound = place
        if (
            (node.level if isinstance(node, Inner) else 0) != level
            or totals(node) != (ref.files, ref.size)
            or node.paths[-1] != ref.path
            or (bound is not None and node.paths[0] <= bound)
        ):
            name = f"{self.algorithm}:{ref.raw.hex()}"
            raise MetafileError(f"not a valid manifest: its node {name} is not what the node above it says")
        return node

    def _decode(self, data: bytes, same: SamePaths | None = None) -> Node:
        node = decode(data, same)
        if (node.algorithm, node.width) != (self.algorithm, self.width):
            raise MetafileError(f"not a valid manifest: a {self.algorithm} node with {node.algorithm} digests")
        return node


def _places(parents: list[tuple[Inner, bytes | None]]) -> list[Place]:
    """The places of all children."""
    return [place for node, bound in parents for place in zip(node.refs, [bound, *node.paths[:-1]], strict=True)]
