"""Broken manifest codecs: the reference, and those whose views read wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kist.abc import Hasher, ManifestView
from kist.abc.metafile import GetNodes, PutNode
from kist.builtin.node_manifest import NodeManifest, NodeManifestCodec
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.delta import Delta
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.testing.manifest import ManifestCodecContract
from kist.testing.mutants.running import Kind


def _fixtures(subject: type, _folder: Path) -> Mapping[str, object]:
    return {"codec": subject()}


MANIFEST = Kind("manifest", ManifestCodecContract, NodeManifestCodec, _fixtures)


class Viewing(NodeManifestCodec):
    """Base of codecs that differ from the reference in their views."""

    view: type[NodeManifest] = NodeManifest

    def write(
        self, parts: Iterable[Columns], put: PutNode, hasher: Hasher, get: GetNodes | None = None
    ) -> NodeManifest:
        """As the reference, with the view of this class."""
        return self.view(super().write(parts, put, hasher, get).tree)

    def edit(
        self,
        view: ManifestView,
        changes: Iterable[Change],
        put: PutNode,
        hasher: Hasher,
        get: GetNodes | None = None,
    ) -> NodeManifest:
        """As the reference, with the view of this class."""
        return self.view(super().edit(view, changes, put, hasher, get).tree)

    def open(self, root: Digest, get: GetNodes) -> NodeManifest:
        """As the reference, with the view of this class."""
        return self.view(super().open(root, get).tree)


@MANIFEST.mutant
class Nameless(NodeManifestCodec):
    """Has no name."""

    name = ""


@MANIFEST.mutant
class WrongTotals(Viewing):
    """Counts the bytes of a manifest that it opens as if there were none."""

    def open(self, root: Digest, get: GetNodes) -> NodeManifest:
        view = super().open(root, get)
        view.size = 0
        return view


class _FindsFolders(NodeManifest):
    def find(self, path: bytes) -> Entry | None:
        if found := super().find(path):
            return found
        first = next(iter(self.leaves(path)), None) if path else None
        return first.entry(0) if first else None


@MANIFEST.mutant
class FindsFolders(Viewing):
    """Finds an entry for a folder that has entries."""

    view = _FindsFolders


class _PrefixAsText(NodeManifest):
    def leaves(self, prefix: bytes = b"") -> Iterator[Columns]:
        for part in super().leaves():
            kept = [at for at, path in enumerate(part.paths) if path.startswith(prefix)]
            yield from (part.slice(at, at + 1) for at in kept)


@MANIFEST.mutant
class PrefixAsText(Viewing):
    """Takes a directory for the beginning of a text."""

    view = _PrefixAsText


class _DiffOpensAll(NodeManifest):
    def deltas(self, other: ManifestView) -> Iterator[Delta]:
        return ManifestView.deltas(self, other)


@MANIFEST.mutant
class DiffOpensAll(Viewing):
    """Compares entry by entry."""

    view = _DiffOpensAll


class _DiffByDigest(NodeManifest):
    def diff(self, other: ManifestView) -> Iterator[Change]:
        for change in super().diff(other):
            if change.old is None or change.new is None or change.old.digest != change.new.digest:
                yield change


@MANIFEST.mutant
class DiffByDigest(Viewing):
    """Sees no difference where the content is the same, though kind or target is not."""

    view = _DiffByDigest


class _RootLast(NodeManifest):
    def nodes(self, known: Callable[[Sequence[bytes]], Sequence[bool]] | None = None) -> Iterator[tuple[bytes, bytes]]:
        return iter(list(super().nodes(known))[::-1])


@MANIFEST.mutant
class RootLast(Viewing):
    """Gives nodes before their parents."""

    view = _RootLast


class _ForgetsKnown(NodeManifest):
    def nodes(self, known: Callable[[Sequence[bytes]], Sequence[bool]] | None = None) -> Iterator[tuple[bytes, bytes]]:
        return super().nodes()


@MANIFEST.mutant
class ForgetsKnown(Viewing):
    """Gives what is known too."""

    view = _ForgetsKnown


class _FindScans(NodeManifest):
    def find(self, path: bytes) -> Entry | None:
        for part in self.leaves():
            if path in part.paths:
                return part.entry(part.paths.index(path))
        return None


@MANIFEST.mutant
class FindScans(Viewing):
    """Reads all to find one."""

    view = _FindScans
