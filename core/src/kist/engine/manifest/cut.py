"""Where a manifest is cut into nodes: a function of the entries alone, never of the edits that led to them.

Both cutters take their input in any portions and hand each node out as soon as its last entry is known; what a cutter
still holds begins at a cut. So an edit may start a cutter at any old cut and stop it as soon as it is empty at another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from zlib import crc32

from kist.engine.manifest.format import (
    INNER_MASK,
    INNER_MAX,
    INNER_MIN,
    LEAF_BYTES,
    LEAF_MASK,
    LEAF_MAX,
    LEAF_MIN,
    Ref,
    check_columns,
    encode_inner,
    encode_leaf,
)
from kist.engine.manifest.order import OrderCheck, check_order
from kist.model.columns import Columns
from kist.model.entry import SYMLINK

Store = Callable[[bytes], bytes]
"""Takes the plain bytes of a node, returns its raw digest."""

_PORTION = 16_384


class LeafCutter:
    """Cuts entries into leaves.

    Args:
        algorithm: the hash algorithm of every digest.
        width: bytes of one raw digest.
        store: called with each leaf.
    """

    def __init__(self, algorithm: str, width: int, store: Store) -> None:
        self._store = store
        self._held = Columns(algorithm, width)

    @property
    def empty(self) -> bool:
        """Whether all entries so far are in leaves: the next one starts a leaf."""
        return not self._held.paths

    def feed(self, part: Columns) -> list[Ref]:
        """Take in the next entries; returns the leaves that are complete now."""
        before = len(self._held.paths)
        marks = [place for place, crc in enumerate(map(crc32, part.paths), before) if not crc & LEAF_MASK]
        if before:
            part = Columns.concat(part.algorithm, part.width, (self._held, part))
        return self._cut(part, marks)

    def flush(self) -> list[Ref]:
        """The last leaf, of what is left."""
        return self._cut(self._held, [], last=True)

    def _cut(self, part: Columns, marks: list[int], *, last: bool = False) -> list[Ref]:
        refs = []
        start = target = 0
        while start < len(part.paths):
            stop, joined = _leaf_stop(part.paths, start, marks, last=last)
            if stop is None:
                break
            links = target + part.kinds.count(SYMLINK, start, stop)
            leaf = _piece(part, (start, stop), (target, links))
            raw = self._store(encode_leaf(leaf, joined))
            refs.append(Ref(leaf.paths[-1], raw, stop - start, sum(leaf.sizes)))
            start, target = stop, links
        self._held = _piece(part, (start, len(part.paths)), (target, len(part.targets))) if start else part
        return refs


class InnerCutter:
    """Cuts children into inner nodes of one level; like `LeafCutter`."""

    def __init__(self, level: int, algorithm: str, width: int, store: Store) -> None:
        from hashlib import blake2b

        self._level, self._algorithm, self._width, self._store = level, algorithm, width, store
        self._hash = blake2b(bytes([level]), digest_size=8)
        self.held: list[Ref] = []

    @property
    def empty(self) -> bool:
        """Whether all children so far are in nodes."""
        return not self.held

    def feed(self, children: Iterable[Ref]) -> list[Ref]:
        """Take in the next children; returns the nodes that are complete now."""
        refs = []
        for child in children:
            self.held.append(child)
            count = len(self.held)
            if count >= INNER_MIN and (count == INNER_MAX or self._marked(child.path)):
                refs += self.flush()
        return refs

    def flush(self) -> list[Ref]:
        """The last node, of what is left."""
        held, self.held = self.held, []
        if not held:
            return []
        raw = self._store(encode_inner(self._level, self._algorithm, self._width, held))
        return [Ref(held[-1].path, raw, sum(ref.files for ref in held), sum(ref.size for ref in held))]

    def _marked(self, path: bytes) -> bool:
        # The leaves' CRC would not do: every last path of a leaf has passed it already.
        running = self._hash.copy()
        running.update(path)
        return not running.digest()[0] & INNER_MASK


def build(parts: Iterable[Columns], algorithm: str, width: int, store: Store) -> Ref:
    """Write a manifest from nothing, one leaf after another, the root last.

    Args:
        parts: the entries, in path order over all parts.
        algorithm: the hash algorithm of every digest.
        width: bytes of one raw digest.
        store: called with each node.

    Returns:
        The root.

    Raises:
        MetafileError: entries that are not valid, out of order, doubled, or both a file and a folder.
    """
    cutter = LeafCutter(algorithm, width, store)
    order = OrderCheck()
    refs: list[Ref] = []
    for part in regroup(parts, algorithm, width):
        check_columns(part, algorithm, width)
        check_order(part.paths)
        order.follows(part.paths)
        refs += cutter.feed(part)
    refs += cutter.flush()
    return raise_levels(refs, 1, algorithm, width, store)


def raise_levels(refs: list[Ref], level: int, algorithm: str, width: int, store: Store) -> Ref:
    """Write all levels above a complete one.

    Args:
        refs: all nodes of the level below *level*.
        level: the first level to write.
        algorithm: the hash algorithm of every digest.
        width: bytes of one raw digest.
        store: called with each node.

    Returns:
        The root: the node of the first level that has just one.
    """
    if not refs:
        return Ref(b"", store(encode_leaf(Columns(algorithm, width), b"")), 0, 0)
    while len(refs) > 1:
        cutter = InnerCutter(level, algorithm, width, store)
        refs = cutter.feed(refs) + cutter.flush()
        level += 1
    return refs[0]


def regroup(parts: Iterable[Columns], algorithm: str, width: int) -> Iterator[Columns]:
    """Join small parts, so that what is done once a part is done once in thousands of entries.

    Args:
        parts: in path order.
        algorithm: the hash algorithm of every digest.
        width: bytes of one raw digest.

    Yields:
        The same entries in larger parts.
    """
    held: list[Columns] = []
    count = 0
    for part in parts:
        if (part.algorithm, part.width) != (algorithm, width):
            check_columns(part, algorithm, width)
        held.append(part)
        count += len(part.paths)
        if count >= _PORTION:
            yield held[0] if len(held) == 1 else Columns.concat(algorithm, width, held)
            held, count = [], 0
    if count:
        yield Columns.concat(algorithm, width, held)


def _leaf_stop(paths: Sequence[bytes], start: int, marks: list[int], *, last: bool) -> tuple[int | None, bytes]:
    """Where the leaf that begins at *start* ends (None: later than what is here), and its paths joined by NUL."""
    limit = min(start + LEAF_MAX, len(paths))
    at = bisect_left(marks, start + LEAF_MIN - 1)
    marked = at < len(marks) and marks[at] < limit
    stop = marks[at] + 1 if marked else limit
    closed = last or marked or stop == start + LEAF_MAX
    joined = b"\0".join(paths[start:stop])
    if len(joined) - (stop - start - 1) >= LEAF_BYTES:
        sums = accumulate(map(len, paths[start:stop]))
        stop = next(place for place, total in enumerate(sums, start + 1) if total >= LEAF_BYTES)
        return stop, b"\0".join(paths[start:stop])
    return (stop if closed else None), joined


def _piece(part: Columns, span: tuple[int, int], links: tuple[int, int]) -> Columns:
    """``part.slice(*span)`` for one who knows which link targets belong to it."""
    start, stop = span
    return Columns(
        part.algorithm,
        part.width,
        part.paths[start:stop],
        part.kinds[start:stop],
        part.sizes[start:stop],
        part.digests[start * part.width : stop * part.width],
        part.targets[links[0] : links[1]],
    )
