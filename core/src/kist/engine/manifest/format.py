"""The bytes of one manifest node: columns in, columns out, and nothing inconsistent in between.

docs/reference/formats.md, section "Manifest nodes", describes every byte. A node comes from a cache or a remote that is
not trusted, so decoding checks all that can be checked on a node alone; what two nodes say about each other is checked
where both are at hand (kist.engine.manifest.nodes).
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from functools import lru_cache
from typing import NamedTuple

from kist.engine.manifest.order import check_order
from kist.errors import MetafileError, MetafileVersionError
from kist.model.columns import Columns
from kist.model.entry import EXECUTABLE, FILE, SYMLINK
from kist.util.paths import check_paths
from kist.util.slotted import slotted

MAGIC = b"KISTNODE"
VERSION = 1
MAX_LEVEL = 16
"""Far more than any set of files needs; a limit on recursion for hostile nodes."""

LEAF_MIN, LEAF_MAX, LEAF_BYTES, LEAF_MASK = 256, 4096, 256 << 10, 1023
INNER_MIN, INNER_MAX, INNER_MASK = 16, 1024, 127

MAX_TOTAL = (1 << 63) - 1
MAX_TARGET = 4096

_HEAD = struct.Struct("<8sBBBB")
_COUNTS = struct.Struct("<III")
_ALGORITHM = re.compile(rb"[a-z0-9][a-z0-9_-]{0,31}")


class Ref(NamedTuple):
    """What an inner node says about one child: its last path, raw digest, number of entries, bytes of content."""

    path: bytes
    raw: bytes
    files: int
    size: int


@slotted()
class Inner:
    """A decoded inner node: its children in path order; ``paths`` are their last paths."""

    level: int
    algorithm: str
    width: int
    refs: list[Ref]
    paths: list[bytes]


Node = Inner | Columns

_REMEMBERED = 64


class SamePaths:
    """Lists of paths that have passed all checks, for leaves of another version, most of which have the same paths."""

    def __init__(self) -> None:
        self._lists: dict[bytes, list[bytes]] = {}

    def take(self, joined: bytes) -> list[bytes] | None:
        """The paths that were joined so, None if they are not known; whoever takes them must not change them."""
        return self._lists.pop(joined, None)

    def keep(self, joined: bytes, paths: list[bytes]) -> None:
        """Remember paths, and forget the oldest of many."""
        self._lists[joined] = paths
        if len(self._lists) > _REMEMBERED:
            del self._lists[next(iter(self._lists))]


def totals(node: Node) -> tuple[int, int]:
    """Number of entries and bytes of content at and below *node*."""
    if isinstance(node, Inner):
        return sum(ref.files for ref in node.refs), sum(ref.size for ref in node.refs)
    return len(node.paths), sum(node.sizes)


def encode_leaf(columns: Columns, joined_paths: bytes) -> bytes:
    """The bytes of a leaf.

    Args:
        columns: the entries, already checked.
        joined_paths: ``columns.paths`` joined by NUL; whoever cut the leaf has it anyway.
    """
    targets = b"\0".join(columns.targets)
    return b"".join(
        (
            _head(0, columns.width, columns.algorithm),
            _COUNTS.pack(len(columns.paths), len(joined_paths), len(targets)),
            columns.kinds,
            _little(columns.sizes),
            columns.digests,
            joined_paths,
            targets,
        )
    )


def encode_inner(level: int, algorithm: str, width: int, refs: list[Ref]) -> bytes:
    """The bytes of an inner node with the children *refs*.

    Raises:
        MetafileError: more bytes of content than the format can count, or more levels than it allows.
    """
    paths = b"\0".join([ref.path for ref in refs])
    if level > MAX_LEVEL or sum(ref.size for ref in refs) > MAX_TOTAL:
        raise MetafileError("the manifest is larger than the format allows")
    return b"".join(
        (
            _head(level, width, algorithm),
            _COUNTS.pack(len(refs), len(paths), 0),
            *[ref.raw for ref in refs],
            _little(array("Q", [ref.files for ref in refs])),
            _little(array("Q", [ref.size for ref in refs])),
            paths,
        )
    )


def dense_part(data: bytes) -> tuple[int, int]:
    """Where the digests of a node begin and end, (0, 0) in what is none."""
    try:
        level, width, _, start = _decode_head(data)
        count = _COUNTS.unpack_from(data, start)[0]
    except (MetafileError, struct.error):
        return 0, 0
    begin = start + _COUNTS.size + (0 if level else 9 * count)
    end = begin + width * count
    return (begin, end) if end <= len(data) else (0, 0)


def decode(data: bytes, same: SamePaths | None = None) -> Node:
    """Read one node.

    Args:
        data: the plain bytes.
        same: paths of leaves of another version, which the leaf's are looked up in or added to.

    Returns:
        Columns for a leaf, Inner otherwise.

    Raises:
        MetafileError: these bytes are not a well-formed node.
        MetafileVersionError: a newer version wrote them.
    """
    level, width, algorithm, start = _decode_head(data)
    try:
        count, path_bytes, target_bytes = _COUNTS.unpack_from(data, start)
    except struct.error:
        raise _bad("it ends within its header") from None
    start += _COUNTS.size
    if level:
        return _decode_inner(data, (level, width, algorithm), (start, count, path_bytes, target_bytes))
    return _decode_leaf(data, (width, algorithm), (start, count, path_bytes, target_bytes), same)


def check_columns(columns: Columns, algorithm: str, width: int) -> None:
    """Refuse columns that do not fit together, or paths that may not be; their order is `check_order`'s matter.

    Args:
        columns: entries from anywhere.
        algorithm: the hash algorithm that the manifest uses.
        width: bytes of one raw digest of it.

    Raises:
        MetafileError: a column is too short or too long, or holds what the format cannot say.
    """
    _check_columns(columns, algorithm, width)
    check_paths(columns.paths)


def _check_columns(columns: Columns, algorithm: str, width: int) -> None:
    count = len(columns.paths)
    if columns.algorithm != algorithm or columns.width != width:
        raise MetafileError(f"entries with {columns.algorithm} digests in a manifest of {algorithm} digests")
    if len(columns.kinds) != count or len(columns.sizes) != count or len(columns.digests) != count * width:
        raise _bad("its columns differ in length")
    if columns.kinds.translate(None, b"fxld"):
        raise _bad("it has an entry of an unknown kind")
    sizes = _little(columns.sizes)
    # Sizes below 2**48 cannot add up to too much; looking at their upper bytes costs less than adding.
    if (sizes[6::8] + sizes[7::8]).strip(b"\0") and sum(columns.sizes) > MAX_TOTAL:
        raise _bad("it counts more bytes of content than can be")
    _check_targets(columns)
    if columns.kinds.count(FILE) + columns.kinds.count(EXECUTABLE) != count:
        _check_contentless(columns)


@lru_cache(maxsize=64)
def _head(level: int, width: int, algorithm: str) -> bytes:
    name = algorithm.encode("ascii", "replace")
    if not _ALGORITHM.fullmatch(name) or not 8 <= width <= 64:
        raise MetafileError(f"not a hash algorithm that a manifest can name: {algorithm!r:.50} of {width} bytes")
    return _HEAD.pack(MAGIC, VERSION, level, width, len(name)) + name


def _decode_head(data: bytes) -> tuple[int, int, str, int]:
    try:
        magic, version, level, width, length = _HEAD.unpack_from(data)
    except struct.error:
        raise _bad("it is too short") from None
    if magic != MAGIC:
        raise _bad("it does not begin like one")
    if version != VERSION:
        raise MetafileVersionError(f"a manifest node of version {version}; this kist reads version {VERSION}")
    name = data[_HEAD.size : _HEAD.size + length]
    if len(name) != length or not _ALGORITHM.fullmatch(name) or not 8 <= width <= 64 or level > MAX_LEVEL:
        raise _bad("its header is not valid")
    return level, width, name.decode("ascii"), _HEAD.size + length


def _decode_leaf(
    data: bytes, head: tuple[int, str], counts: tuple[int, int, int, int], same: SamePaths | None
) -> Columns:
    width, algorithm = head
    kinds_at, count, path_bytes, target_bytes = counts
    sizes_at = kinds_at + count
    digests_at = sizes_at + 8 * count
    paths_at = digests_at + width * count
    targets_at = paths_at + path_bytes
    if count > LEAF_MAX or len(data) != targets_at + target_bytes:
        raise _bad("its length is wrong")
    joined = data[paths_at:targets_at]
    known = None if same is None else same.take(joined)
    paths = _split(joined, count) if known is None or len(known) != count else known
    columns = Columns(
        algorithm,
        width,
        paths,
        data[kinds_at:sizes_at],
        _numbers(data[sizes_at:digests_at]),
        data[digests_at:paths_at],
    )
    columns.targets = _split(data[targets_at:], columns.kinds.count(SYMLINK))
    if count and path_bytes - (count - 1) - len(paths[-1]) >= LEAF_BYTES:
        raise _bad("its paths are longer than a leaf may hold")
    _check_columns(columns, algorithm, width)
    if paths is not known:
        between = b"\0%b\0" % joined
        check_paths(paths, between)
        check_order(paths, between)
        if same is not None:
            same.keep(joined, paths)
    return columns


def _decode_inner(data: bytes, head: tuple[int, int, str], counts: tuple[int, int, int, int]) -> Inner:
    level, width, algorithm = head
    digests_at, count, path_bytes, target_bytes = counts
    files_at = digests_at + width * count
    sizes_at = files_at + 8 * count
    paths_at = sizes_at + 8 * count
    if not 1 <= count <= INNER_MAX or target_bytes or len(data) != paths_at + path_bytes:
        raise _bad("its length is wrong")
    paths = _split(data[paths_at:], count)
    files, sizes = _numbers(data[files_at:sizes_at]), _numbers(data[sizes_at:paths_at])
    if min(files) < 1 or sum(files) > MAX_TOTAL or sum(sizes) > MAX_TOTAL:
        raise _bad("its totals cannot be")
    check_order(paths)
    raws = [data[start : start + width] for start in range(digests_at, files_at, width)]
    return Inner(level, algorithm, width, list(map(Ref, paths, raws, files, sizes)), paths)


def _check_targets(columns: Columns) -> None:
    targets = columns.targets
    if len(targets) != columns.kinds.count(SYMLINK):
        raise _bad("it has not one target a symbolic link")
    for target in targets:
        if not 0 < len(target) <= MAX_TARGET or b"\0" in target:
            raise _bad("a symbolic link has an empty, overlong or broken target")


def _check_contentless(columns: Columns) -> None:
    width, nothing = columns.width, bytes(columns.width)
    for position, kind in enumerate(columns.kinds):
        if kind in (FILE, EXECUTABLE):
            continue
        if columns.sizes[position] or columns.digests[position * width : (position + 1) * width] != nothing:
            raise _bad("a symbolic link or directory claims to have content")


def _split(joined: bytes, count: int) -> list[bytes]:
    parts = joined.split(b"\0") if joined or count else []
    if len(parts) != count:
        raise _bad("it has not as many names as entries")
    return parts


def _numbers(data: bytes) -> array[int]:
    numbers = array("Q", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _little(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _bad(what: str) -> MetafileError:
    return MetafileError(f"not a valid manifest node: {what}")
