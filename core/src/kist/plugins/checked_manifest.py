"""CheckedManifestCodec: the border between the core and a plugin's manifest codec; whole columns are looked at."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from kist.abc.hasher import Hasher
from kist.abc.metafile import GetNodes, ManifestCodec, ManifestView, PutNode
from kist.errors import ContractViolation
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.delta import Delta
from kist.model.digest import Digest
from kist.model.entry import KIND_BYTES, SYMLINK, Entry
from kist.model.path_list import PathList
from kist.plugins.blame import wrong_answer
from kist.util.paths import check_paths

_KINDS = bytes(KIND_BYTES.values())
_WIDTHS = range(8, 65)


class CheckedManifestCodec(ManifestCodec):
    """Stores and reads as the plugin's codec does; what it gives is looked at before anybody counts on it.

    Args:
        inner: the plugin's codec.
        distribution: who brings it.

    Raises:
        ContractViolation: its attributes are none; later, from each method and from the manifests that it opens, an
            answer is of the wrong kind.
    """

    def __init__(self, inner: ManifestCodec, distribution: str) -> None:
        self._inner = inner
        self._distribution = distribution
        self.name = getattr(inner, "name", "")
        kinds: Any = inner.kinds
        if not isinstance(kinds, AbstractSet) or not kinds <= KIND_BYTES.keys():
            raise self._fault("kinds", kinds, f"a frozenset of {', '.join(KIND_BYTES)}")
        self.kinds = frozenset(kinds)

    def write(
        self, parts: Iterable[Columns], put: PutNode, hasher: Hasher, get: GetNodes | None = None
    ) -> ManifestView:
        """What the plugin stores."""
        return self._view("write", self._inner.write(parts, put, hasher, get), hasher)

    def edit(
        self,
        view: ManifestView,
        changes: Iterable[Change],
        put: PutNode,
        hasher: Hasher,
        get: GetNodes | None = None,
    ) -> ManifestView:
        """What the plugin makes of its own manifest."""
        return self._view("edit", self._inner.edit(_bare(view), changes, put, hasher, get), hasher)

    def open(self, root: Digest, get: GetNodes) -> ManifestView:
        """The plugin's manifest of that name."""
        view = _CheckedView("open", self._inner.open(root, get), self._fault)
        if view.root != root:
            raise self._fault("open", view.root, f"the manifest {root}")
        return view

    def children(self, node: bytes, algorithm: str) -> tuple[list[bytes], Columns | None]:
        """What the plugin reads out of a node."""
        found: Any = self._inner.children(node, algorithm)
        if not isinstance(found, tuple) or len(found) != 2:
            raise self._fault("children", found, "a pair of raw digests and Columns or None")
        raws, columns = found
        if not isinstance(raws, list) or not _are_raws(raws):
            raise self._fault("children", raws, "a list of raw digests")
        if columns is not None and (fault := _columns_fault(columns, algorithm)):
            raise self._fault("children", columns, fault)
        return raws, columns

    def _view(self, method: str, given: Any, hasher: Hasher) -> ManifestView:
        view = _CheckedView(method, given, self._fault)
        if view.root.algorithm != hasher.name or len(view.root.raw) != hasher.digest_size:
            raise self._fault(method, view.root, f"a manifest that is named by {hasher.name}")
        return view

    def _fault(self, method: str, given: object, wanted: str) -> ContractViolation:
        return wrong_answer(self._distribution, self._inner, method, given, wanted)


class _CheckedView(ManifestView):
    """Reads as a plugin's manifest does.

    Args:
        method: of the codec, that gave it.
        inner: the plugin's manifest.
        fault: makes the error for what the codec's method gave.
    """

    def __init__(self, method: str, inner: Any, fault: Callable[[str, object, str], ContractViolation]) -> None:
        if not isinstance(inner, ManifestView):
            raise fault(method, inner, "a kist.abc.ManifestView")
        root, files, size = (getattr(inner, name, None) for name in ("root", "files", "size"))
        if not isinstance(root, Digest):
            raise fault(method, root, "a manifest whose root is a kist.Digest")
        if not _is_count(files) or not _is_count(size):
            raise fault(method, (files, size), "a manifest with its numbers of files and of bytes")
        self.inner = inner
        self.root, self.files, self.size = root, inner.files, inner.size
        self._method, self._tell = method, fault
        self._width = len(root.raw)

    def leaves(self, prefix: bytes = b"") -> Iterator[Columns]:
        """The plugin's entries."""
        for columns in self._each("leaves", self.inner.leaves(prefix), "an iterator of Columns"):
            yield self._expect_columns("leaves", columns)

    def find(self, path: bytes) -> Entry | None:
        """The plugin's entry."""
        found: Any = self.inner.find(path)
        if found is not None and (not isinstance(found, Entry) or found.path != path):
            raise self._fault("find", found, "the Entry of that path or None")
        return found

    def deltas(self, other: ManifestView) -> Iterator[Delta]:
        """What differs, as the plugin finds it."""
        for pair in self._each("deltas", self.inner.deltas(_bare(other)), "an iterator of pairs of Columns"):
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise self._fault("deltas", pair, "a pair of Columns")
            yield self._expect_columns("deltas", pair[0]), self._expect_columns("deltas", pair[1])

    def nodes(self, known: Callable[[Sequence[bytes]], Sequence[bool]] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """The plugin's nodes."""
        for pair in self._each("nodes", self.inner.nodes(known), "an iterator of nodes"):
            good = isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(one, bytes) for one in pair)
            if not good or len(pair[0]) != self._width:
                raise self._fault("nodes", pair, "a raw digest and the bytes of a node")
            yield pair

    def _fault(self, method: str, given: object, wanted: str) -> ContractViolation:
        return self._tell(f"{self._method}().{method}", given, wanted)

    def _each(self, method: str, given: Any, wanted: str) -> Iterable[Any]:
        if not isinstance(given, Iterable):
            raise self._fault(method, given, wanted)
        return given

    def _expect_columns(self, method: str, given: Any) -> Columns:
        fault = _columns_fault(given, self.root.algorithm, self._width)
        if fault:
            raise self._fault(method, given, fault)
        columns: Columns = given
        return columns


def _bare(view: ManifestView) -> ManifestView:
    """The plugin's own manifest, which its code knows."""
    return view.inner if isinstance(view, _CheckedView) else view


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _are_raws(raws: list[Any]) -> bool:
    """Whether these are raw digests of one algorithm."""
    return not raws or (
        {*map(type, raws)} == {bytes} and len(lengths := {*map(len, raws)}) == 1 and lengths <= {*_WIDTHS}
    )


def _columns_fault(given: Any, algorithm: str, width: int | None = None) -> str:
    """What a plugin's columns should have been, "" if nothing is wrong with them.

    Args:
        given: they, perhaps.
        algorithm: of their digests.
        width: bytes of one raw digest, None if that is not known.

    Raises:
        MetafileError: a path that leads elsewhere, which the plugin let pass.
    """
    if not isinstance(given, Columns):
        return "Columns"
    if given.algorithm != algorithm or given.width not in (_WIDTHS if width is None else (width,)):
        return f"Columns with {algorithm} digests"
    if not _are_typed(given):
        return "Columns of lists of bytes, of bytes of known kinds, and of an array of sizes"
    count = len(given.paths)
    wanted = (count, count, count * given.width, given.kinds.count(SYMLINK))
    if (len(given.kinds), len(given.sizes), len(given.digests), len(given.targets)) != wanted:
        return "Columns of one length"
    check_paths(given.paths)
    return ""


def _are_typed(given: Columns) -> bool:
    """Whether each column is of its type."""
    paths, blocks, sizes = given.paths, (given.kinds, given.digests), given.sizes
    lists = (given.targets,) if isinstance(paths, PathList) else (paths, given.targets)
    if not all(isinstance(one, list) and {*map(type, one)} <= {bytes} for one in lists):
        return False
    if not all(isinstance(one, bytes) for one in blocks) or given.kinds.translate(None, _KINDS):
        return False
    return isinstance(sizes, array) and sizes.typecode == "Q"
