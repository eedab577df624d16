"""Broken manifest codecs: those that write, edit or open wrongly."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

from kist.abc import Hasher, ManifestView
from kist.abc.metafile import GetNodes, PutNode
from kist.builtin.node_manifest import NodeManifest, NodeManifestCodec
from kist.errors import MetafileError, ObjectMissing
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.testing.manifest_tools import NodeStore
from kist.testing.mutants.manifest import MANIFEST
from kist.util.slotted import replace


class Writing(NodeManifestCodec):
    """Base of codecs that write something else than they were given."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        """What is written instead.

        Args:
            parts: what was given.
            hasher: its hasher.

        Returns:
            Other parts.
        """
        raise MetafileError("nothing to write")

    def write(
        self, parts: Iterable[Columns], put: PutNode, hasher: Hasher, get: GetNodes | None = None
    ) -> NodeManifest:
        """As the reference, but for the change."""
        return super().write(self.change(parts, hasher), put, hasher, get)


class Editing(NodeManifestCodec):
    """Base of codecs that edit something else than they were asked to."""

    def change(self, view: ManifestView, changes: list[Change]) -> list[Change]:
        """What is changed instead.

        Args:
            view: the manifest.
            changes: what was asked.

        Returns:
            Other changes.
        """
        return changes

    def edit(
        self,
        view: ManifestView,
        changes: Iterable[Change],
        put: PutNode,
        hasher: Hasher,
        get: GetNodes | None = None,
    ) -> NodeManifest:
        """As the reference, but for the change."""
        return super().edit(view, self.change(view, list(changes)), put, hasher, get)


@MANIFEST.mutant
class NeedsSomething(Writing):
    """Has no manifest for nothing at all."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        listed = list(parts)
        return listed or super().change(listed, hasher)


@MANIFEST.mutant
class StopsAtEmptyPart(Writing):
    """Takes an empty portion for the end."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        for part in parts:
            if not len(part):
                return
            yield part


@MANIFEST.mutant
class SizesInBlocks(Writing):
    """Keeps sizes as disks count them."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        for part in parts:
            if len(part) < 1000:
                part = part.slice(0, len(part))
                part.sizes = array("Q", [size & ~7 if size < 8 else size for size in part.sizes])
            yield part


@MANIFEST.mutant
class TargetsAsText(Writing):
    """Refuses what is not UTF-8 as the target of a link."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        for part in parts:
            for entry in part.entries() if b"l" in part.kinds else ():
                _text(entry.target or b"")
            yield part


@MANIFEST.mutant
class NamesAsText(Writing):
    """Refuses names that are not UTF-8."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        for part in parts:
            _text(b"\0".join(part.paths))
            yield part


@MANIFEST.mutant
class SortsItself(Writing):
    """Brings entries into order instead of refusing them."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        listed = list(parts)
        paths = [path for part in listed for path in part.paths]
        if len(listed) != 2 or paths == sorted(paths):
            return listed
        entries = {entry.path: entry for part in listed for entry in part.entries()}
        ordered = [entries[path] for path in sorted(entries)]
        return [Columns.from_entries(hasher.name, hasher.digest_size, ordered)]


@MANIFEST.mutant
class LeavesOutBadPaths(Writing):
    """Leaves out what it must refuse."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        for part in parts:
            if len(part) == 1 and (b".." in part.paths[0] or part.paths[0][:1] == b"/"):
                continue
            yield part


@MANIFEST.mutant
class AnyAlgorithm(Writing):
    """Leaves out digests of another algorithm."""

    def change(self, parts: Iterable[Columns], hasher: Hasher) -> Iterable[Columns]:
        return (part for part in parts if part.algorithm == hasher.name)


@MANIFEST.mutant
class NeedsGet(NodeManifestCodec):
    """Gives a view that cannot be read without being told how."""

    def write(
        self, parts: Iterable[Columns], put: PutNode, hasher: Hasher, get: GetNodes | None = None
    ) -> NodeManifest:
        return super().write(parts, put, hasher, get or _nowhere)


@MANIFEST.mutant
class EditsBackwards(Editing):
    """Takes the first of many changes only."""

    def change(self, view: ManifestView, changes: list[Change]) -> list[Change]:
        return changes[:1] if 100 < len(changes) < 200 else changes


@MANIFEST.mutant
class IgnoresDeletions(Editing):
    """Does not remove what a change removes, if nothing else changes."""

    def change(self, view: ManifestView, changes: list[Change]) -> list[Change]:
        return changes if any(one.new for one in changes) else []


@MANIFEST.mutant
class ForgetsOldPath(Editing):
    """Leaves the old path of a renamed entry."""

    def change(self, view: ManifestView, changes: list[Change]) -> list[Change]:
        return [replace(one, old_path=None) for one in changes]


@MANIFEST.mutant
class ClashIsIgnored(NodeManifestCodec):
    """Leaves the manifest as it is when an edit cannot be."""

    def edit(
        self,
        view: ManifestView,
        changes: Iterable[Change],
        put: PutNode,
        hasher: Hasher,
        get: GetNodes | None = None,
    ) -> NodeManifest:
        try:
            return super().edit(view, changes, put, hasher, get)
        except MetafileError:
            assert isinstance(view, NodeManifest)
            return view


@MANIFEST.mutant
class StoresRootAgain(NodeManifestCodec):
    """Stores the root after every edit."""

    def edit(
        self,
        view: ManifestView,
        changes: Iterable[Change],
        put: PutNode,
        hasher: Hasher,
        get: GetNodes | None = None,
    ) -> NodeManifest:
        edited = super().edit(view, changes, put, hasher, get)
        put(next(edited.nodes())[1])
        return edited


@MANIFEST.mutant
class WritesAllAgain(NodeManifestCodec):
    """Writes the whole manifest for an edit."""

    def edit(
        self,
        view: ManifestView,
        changes: Iterable[Change],
        put: PutNode,
        hasher: Hasher,
        get: GetNodes | None = None,
    ) -> NodeManifest:
        edited = super().edit(view, changes, put, hasher, get)
        for _, data in edited.nodes() if edited.root != view.root else ():
            put(data)
        return edited


@MANIFEST.mutant
class ChildrenOfAny(NodeManifestCodec):
    """Does not look at the algorithm of a node."""

    def children(self, node: bytes, algorithm: str) -> tuple[list[bytes], Columns | None]:
        return super().children(node, "sha256")


@MANIFEST.mutant
class LosesLastChild(NodeManifestCodec):
    """Forgets the last node below a node."""

    def children(self, node: bytes, algorithm: str) -> tuple[list[bytes], Columns | None]:
        below, leaf = super().children(node, algorithm)
        return below[:-1] or below, leaf


@MANIFEST.mutant
class ReadsLongNodes(NodeManifestCodec):
    """Reads over what follows a node."""

    def children(self, node: bytes, algorithm: str) -> tuple[list[bytes], Columns | None]:
        try:
            return super().children(node, algorithm)
        except MetafileError:
            return super().children(node[:-1], algorithm)


@MANIFEST.mutant
class ParserShowsThrough(NodeManifestCodec):
    """Lets an error of its parser through."""

    def children(self, node: bytes, algorithm: str) -> tuple[list[bytes], Columns | None]:
        if not node.startswith(b"KIST"):
            raise ValueError("bad magic")
        return super().children(node, algorithm)


@MANIFEST.mutant
class DamageIsEmpty(NodeManifestCodec):
    """Takes a damaged manifest for an empty one."""

    def open(self, root: Digest, get: GetNodes) -> NodeManifest:
        try:
            return super().open(root, get)
        except MetafileError:
            view = _empty()
            view.files = 1
            return view


@MANIFEST.mutant
class MissingIsEmpty(NodeManifestCodec):
    """Takes a missing manifest for an empty one."""

    def open(self, root: Digest, get: GetNodes) -> NodeManifest:
        try:
            return super().open(root, get)
        except ObjectMissing:
            return _empty()


def _nowhere(raws: Sequence[bytes]) -> list[bytes]:
    raise ObjectMissing(f"sha256:{raws[0].hex()}")


def _empty() -> NodeManifest:
    store = NodeStore()
    nothing: Iterator[Columns] = iter(())
    return NodeManifestCodec().write(nothing, store.put, store.hasher, store.get)


def _text(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        raise MetafileError(f"not UTF-8: {data[:40]!r}") from exc
