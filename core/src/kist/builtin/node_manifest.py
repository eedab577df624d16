"""The default manifest codec: a tree of nodes, cut as a function of the set of entries alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from kist.abc.hasher import Hasher
from kist.abc.metafile import GetNodes, ManifestCodec, ManifestView, PutNode
from kist.engine.manifest.diff import tree_deltas
from kist.engine.manifest.format import Inner, decode
from kist.engine.manifest.nodes import NodeTree
from kist.errors import MetafileError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.delta import Delta
from kist.model.digest import Digest
from kist.model.entry import Entry


class NodeManifest(ManifestView):
    """A manifest of nodes.

    Args:
        tree: its nodes.
    """

    def __init__(self, tree: NodeTree) -> None:
        self.tree = tree
        self.root = Digest.from_raw(tree.algorithm, tree.root.raw)
        self.files, self.size = tree.root.files, tree.root.size

    def leaves(self, prefix: bytes = b"") -> Iterator[Columns]:
        """The entries, or those strictly below the directory *prefix*, as Columns in path order."""
        return self.tree.leaves(prefix)

    def find(self, path: bytes) -> Entry | None:
        """The entry at exactly *path*, or None; opens one node a level."""
        return self.tree.find(path)

    def deltas(self, other: ManifestView) -> Iterator[Delta]:
        """The entries that differ from *self* to *other*; nodes that both have stay closed."""
        if isinstance(other, NodeManifest):
            return tree_deltas(self.tree, other.tree)
        return super().deltas(other)

    def nodes(self, known: Callable[[Sequence[bytes]], Sequence[bool]] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Every node as (raw digest, plain bytes), parents first; what is *known* is skipped with all below it."""
        return self.tree.nodes(known)


class NodeManifestCodec(ManifestCodec):
    """Manifests as prolly trees of columnar nodes: docs/reference/formats.md, "Manifest nodes"."""

    name = "kist-nodes"

    def write(
        self, parts: Iterable[Columns], put: PutNode, hasher: Hasher, get: GetNodes | None = None
    ) -> NodeManifest:
        """Store the entries of *parts* from nothing."""
        from kist.engine.manifest.cut import build  # who only reads does without

        held: dict[bytes, bytes] = {}

        def keep(data: bytes) -> bytes:
            raw = put(data)
            held[raw] = data
            return raw

        root = build(parts, hasher.name, hasher.digest_size, keep if get is None else put)
        reader = get or (lambda raws: [held[raw] for raw in raws])
        return NodeManifest(NodeTree(Digest.from_raw(hasher.name, root.raw), reader))

    def edit(
        self,
        view: ManifestView,
        changes: Iterable[Change],
        put: PutNode,
        hasher: Hasher,
        get: GetNodes | None = None,
    ) -> NodeManifest:
        """The manifest of *view* with *changes*; reads and stores only the nodes that they touch."""
        if not isinstance(view, NodeManifest):
            raise TypeError(f"not a manifest of {self.name}: {type(view).__name__}")
        from kist.engine.manifest.edit import edit_tree

        return NodeManifest(edit_tree(view.tree, changes, put, hasher, get))

    def open(self, root: Digest, get: GetNodes) -> NodeManifest:
        """The manifest named *root*; reads the root node only."""
        return NodeManifest(NodeTree(root, get))

    def children(self, node: bytes, algorithm: str) -> tuple[list[bytes], Columns | None]:
        """Raw digests of the child nodes, and the entries if *node* is a leaf."""
        decoded = decode(node)
        if decoded.algorithm != algorithm:
            raise MetafileError(f"not a valid manifest: a {algorithm} node with {decoded.algorithm} digests")
        if isinstance(decoded, Inner):
            return [ref.raw for ref in decoded.refs], None
        return [], decoded
