"""Edit a manifest at a cost that follows the change.

Level by level from the leaves up, a run of old nodes is replaced by new ones. A run starts at the old cut before a
change, where a cutter that came from the first entry would have been empty too, and ends at the first old cut where
the cutter is empty again: from there on old and new agree. What a level replaces is the change of the level above.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kist.abc.hasher import Hasher
from kist.abc.metafile import GetNodes, PutNode
from kist.engine.manifest.cut import InnerCutter, LeafCutter, raise_levels
from kist.engine.manifest.format import MAX_TOTAL, Inner, Ref, check_columns, decode
from kist.engine.manifest.nodes import NodeTree, Place
from kist.engine.manifest.order import OrderCheck, check_order
from kist.errors import MetafileError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.util.paths import display
from kist.util.slotted import slotted


@slotted()
class _Splice:
    """A run of old nodes of one level, from the one that ends at *first* to the one that ends at *last*, and what
    stands in its place; *whole* if the run is the whole level.
    """

    first: bytes
    last: bytes
    whole: bool
    refs: list[Ref]


class _Edits(NamedTuple):
    """The changes in path order, one a path; None removes."""

    paths: list[bytes]
    entries: list[Entry | None]


def edit_tree(
    tree: NodeTree, changes: Iterable[Change], put: PutNode, hasher: Hasher, get: GetNodes | None = None
) -> NodeTree:
    """The manifest of *tree* with *changes*, the same as if written from nothing.

    Args:
        tree: the manifest to start from.
        changes: ``new`` replaces or adds, ``new=None`` removes; the last one for a path counts.
        put: stores a node; called for new nodes only.
        hasher: of the tree's algorithm.
        get: reads old nodes and what was put; without it the new nodes are also kept in memory.

    Returns:
        The new manifest.

    Raises:
        MetafileError: the result would not be a valid manifest.
    """
    if (hasher.name, hasher.digest_size) != (tree.algorithm, tree.width):
        raise MetafileError(f"a manifest of {tree.algorithm} digests cannot take {hasher.name} digests")
    editor = _Editor(tree, put, hasher, keep=get is None)
    splices = editor.leaves(_sorted(changes))
    level = 0
    while splices and not splices[0].whole:
        level += 1
        splices = editor.inner(level, splices)
    if not splices:
        return tree
    root = editor.root(splices[0].refs, level + 1)
    edited = NodeTree(Digest.from_raw(tree.algorithm, root.raw), get or overlay(editor.new, tree.get))
    editor.check_edges(edited)
    return edited


def overlay(new: dict[bytes, bytes], get: GetNodes) -> GetNodes:
    """A reader that takes nodes out of *new* before it asks *get*.

    Args:
        new: plain nodes by their raw digests.
        get: brings all others.

    Returns:
        The reader.
    """

    def read(raws: Iterable[bytes]) -> list[bytes]:
        wanted = list(raws)
        others = [raw for raw in wanted if raw not in new]
        brought = dict(zip(others, get(others), strict=True)) if others else {}
        return [brought[raw] if raw in brought else new[raw] for raw in wanted]

    return read


def _sorted(changes: Iterable[Change]) -> _Edits:
    latest: dict[bytes, Entry | None] = {}
    for change in changes:
        if change.old_path is not None:
            latest[change.old_path] = None
        if change.new is not None and change.new.path != change.path:
            raise MetafileError(f"a change of {display(change.path)} brings an entry with another path")
        latest[change.path] = change.new
    paths = sorted(latest)
    return _Edits(paths, [latest[path] for path in paths])


class _Run:
    """Old nodes that are being replaced, with a look at the one that follows."""

    def __init__(self, places: Iterator[Place]) -> None:
        self._places = places
        self._next: Place | None = next(places)
        self.from_start = self._next[1] is None
        self._old: list[Ref] = []
        self.refs: list[Ref] = []

    def __iter__(self) -> Iterator[Place]:
        while self._next is not None:
            place = self._next
            self._next = next(self._places, None)
            self._old.append(place[0])
            yield place

    @property
    def at_end(self) -> bool:
        """Whether the last old node of the level has been taken."""
        return self._next is None

    def goes_on(self, upcoming: bytes | None) -> bool:
        """Whether the change at *upcoming* lies in the node that follows."""
        return upcoming is not None and self._next is not None and upcoming <= self._next[0].path

    def splices(self) -> list[_Splice]:
        """What this run replaces; nothing if all is as it was."""
        if self.refs == self._old:
            return []
        whole = self.from_start and self.at_end
        return [_Splice(self._old[0].path, self._old[-1].path, whole, self.refs)]


class _Editor:
    def __init__(self, tree: NodeTree, put: PutNode, hasher: Hasher, *, keep: bool) -> None:
        self._tree, self._put, self._hasher, self._keep = tree, put, hasher, keep
        self._old: set[bytes] = {tree.root.raw}
        self._stored: set[bytes] = set()
        self.new: dict[bytes, bytes] = {}
        self._folders: list[bytes] = []
        self._entries: list[bytes] = []

    def leaves(self, edits: _Edits) -> list[_Splice]:
        """Replace the leaves in which something changes."""
        tree = self._tree
        splices: list[_Splice] = []
        done = 0
        while done < len(edits.paths):
            cutter = LeafCutter(tree.algorithm, tree.width, self._store)
            edges = _Edges()
            run = _Run(tree.refs(0, edits.paths[done]))
            for place in run:
                leaf = tree.node(place, 0)
                assert isinstance(leaf, Columns)
                self._old.add(place[0].raw)
                stop = len(edits.paths) if run.at_end else bisect_right(edits.paths, place[0].path, done)
                part = edges.part(*_edited(leaf, edits, done, stop))
                done = stop
                run.refs += cutter.feed(part)
                if run.at_end:
                    run.refs += cutter.flush()
                elif cutter.empty and not run.goes_on(edits.paths[done] if done < len(edits.paths) else None):
                    break
            splices += run.splices()
            self._folders += edges.possible_folders()
            self._entries += edges.possible_entries()
        return splices

    def inner(self, level: int, below: list[_Splice]) -> list[_Splice]:
        """Replace the inner nodes of one level in which children changed."""
        tree = self._tree
        splices: list[_Splice] = []
        waiting = deque(below)
        while waiting:
            cutter = InnerCutter(level, tree.algorithm, tree.width, self._store)
            run = _Run(tree.refs(level, waiting[0].first))
            for place in run:
                node = tree.node(place, level)
                assert isinstance(node, Inner)
                self._old.add(place[0].raw)
                run.refs += cutter.feed(_spliced(node, waiting))
                if run.at_end:
                    if run.from_start and not run.refs and len(cutter.held) == 1:
                        # The level below has one node: that is the root, and this level does not exist.
                        return [_Splice(b"", b"", whole=True, refs=cutter.held)]
                    run.refs += cutter.flush()
                elif cutter.empty and not run.goes_on(waiting[0].first if waiting else None):
                    break
            splices += run.splices()
        return splices

    def root(self, refs: list[Ref], level: int) -> Ref:
        """The root above *refs*, which are all nodes of the level below *level*."""
        tree = self._tree
        root = raise_levels(refs, level, tree.algorithm, tree.width, self._store)
        while root.raw not in self._stored:
            node = decode(tree.get([root.raw])[0])
            if isinstance(node, Columns) or len(node.refs) > 1:
                break
            [root] = node.refs
        return root

    def check_edges(self, edited: NodeTree) -> None:
        """Ask the new manifest what the changed leaves alone could not tell: is an entry also a folder?"""
        for path in self._folders:
            if next(edited.leaves(path), None) is not None:
                raise MetafileError(f"{display(path)} is both an entry and a folder")
        for path in self._entries:
            if edited.find(path) is not None:
                raise MetafileError(f"{display(path)} is both an entry and a folder")

    def _store(self, data: bytes) -> bytes:
        raw = self._hasher.raw(data)
        if raw not in self._old and raw not in self._stored:
            self._put(data)
            self._stored.add(raw)
            if self._keep:
                self.new[raw] = data
        return raw


class _Edges:
    """The new entries of one run of leaves: checked among themselves, and what to ask about those outside.

    Old entries do not clash with one another, so only a path that was added can, and only with one that shares its
    beginning with the first or last path of the run, because all that sorts between two such paths shares it.
    """

    def __init__(self) -> None:
        self._order = OrderCheck()
        self._added: list[bytes] = []
        self._first: bytes | None = None
        self._last = b""

    def part(self, columns: Columns, added: list[bytes]) -> Columns:
        """Take in the next entries, of which *added* are new; returns them."""
        if columns.paths:
            if added:
                check_order(columns.paths)
            self._order.follows(columns.paths)
            self._first = columns.paths[0] if self._first is None else self._first
            self._last = columns.paths[-1]
            self._added += added
        return columns

    def possible_folders(self) -> list[bytes]:
        """Added entries that would be folders if certain paths came after the run."""
        last = self._last
        return [path for path in self._added if last.startswith(path) and last < path + b"/"]

    def possible_entries(self) -> list[bytes]:
        """Folders of added entries that could be entries before the run."""
        first = self._first or b""
        return [path for path in {first[:end] for end in range(1, len(first))} if path < first and self._adds(path)]

    def _adds(self, folder: bytes) -> bool:
        position = bisect_left(self._added, folder + b"/")
        return position < len(self._added) and self._added[position].startswith(folder + b"/")


def _edited(leaf: Columns, edits: _Edits, start: int, stop: int) -> tuple[Columns, list[bytes]]:
    """A leaf's entries with some changes, and the paths that were not there before."""
    pieces: list[Columns] = []
    added: list[bytes] = []
    at = 0
    for path, entry in zip(edits.paths[start:stop], edits.entries[start:stop], strict=True):
        position = bisect_left(leaf.paths, path, at)
        if position > at:
            pieces.append(leaf.slice(at, position))
        exists = position < len(leaf.paths) and leaf.paths[position] == path
        at = position + exists
        if entry is not None:
            pieces.append(_single(entry, leaf.algorithm, leaf.width))
            if not exists:
                added.append(path)
    pieces.append(leaf.slice(at, len(leaf.paths)))
    return Columns.concat(leaf.algorithm, leaf.width, pieces), added


def _single(entry: Entry, algorithm: str, width: int) -> Columns:
    has_content = entry.kind in ("file", "executable")
    digest = entry.digest
    if has_content != (digest is not None) or (digest and (digest.algorithm, len(digest.raw)) != (algorithm, width)):
        raise MetafileError(f"the entry {display(entry.path)} needs a digest of the manifest's algorithm {algorithm}")
    if not 0 <= entry.size <= MAX_TOTAL:
        raise MetafileError(f"the entry {display(entry.path)} has a size that cannot be")
    single = Columns.from_entries(algorithm, width, [entry])
    check_columns(single, algorithm, width)
    return single


def _spliced(node: Inner, waiting: deque[_Splice]) -> list[Ref]:
    """The children of *node* after the splices that touch it; those that end in it are taken out of *waiting*."""
    children: list[Ref] = []
    position = 0
    while waiting and waiting[0].first <= node.paths[-1]:
        splice = waiting.popleft()
        children += node.refs[position : bisect_left(node.paths, splice.first)]
        children += splice.refs
        position = bisect_left(node.paths, splice.last) + 1
        if position > len(node.paths):
            waiting.appendleft(_Splice(b"", splice.last, whole=False, refs=[]))
            return children
    return children + node.refs[position:]
