"""What the contract of manifest codecs works with: nodes in memory, made-up directories, and random changes."""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import strategies as st

from kist.abc import Hasher, ManifestCodec, ManifestView, RunningHash
from kist.errors import MetafileError, ObjectMissing
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.testing.strategies import entries, paths

LARGE = 20_000


class _Sha256(Hasher):
    name = "sha256"
    digest_size = 32

    def new(self) -> RunningHash:
        return hashlib.sha256()


class NodeStore:
    """Nodes in memory, named by SHA-256; counts what is read and stored.

    Attributes:
        nodes: plain bytes by raw digest.
        opened: nodes read so far.
        stored: raw digests given to `put` so far.
    """

    hasher: Hasher = _Sha256()

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.opened = 0
        self.stored: list[bytes] = []

    def put(self, data: bytes) -> bytes:
        """Store one node."""
        raw = self.hasher.raw(data)
        self.nodes[raw] = bytes(data)
        self.stored.append(raw)
        return raw

    def get(self, raws: Sequence[bytes]) -> list[bytes]:
        """Bring nodes."""
        self.opened += len(raws)
        try:
            return [self.nodes[raw] for raw in raws]
        except KeyError as exc:
            raise ObjectMissing(f"sha256:{exc.args[0].hex()}") from None

    def reset(self) -> None:
        """Count from zero again."""
        self.opened, self.stored = 0, []


def many_files(count: int) -> Columns:
    """A directory of *count* files in folders of a hundred, the same each time."""
    chance = random.Random(count)  # noqa: S311 - test data
    names = [b"folder-%04d/file-%06d.bin" % (number // 100, number) for number in range(count)]
    sizes = array("Q", [chance.randrange(1 << 20) for _ in range(count)])
    return Columns("sha256", 32, names, b"f" * count, sizes, chance.randbytes(32 * count))


def write(codec: ManifestCodec, store: NodeStore, *parts: Columns) -> ManifestView:
    """Store *parts* by *codec*; the view reads from *store*."""
    return codec.write(iter(parts), store.put, store.hasher, store.get)


def entries_of(view: ManifestView) -> list[Entry]:
    """All entries of a manifest."""
    return [entry for part in view.leaves() for entry in part.entries()]


def only_kinds(part: Columns, codec: ManifestCodec) -> Columns:
    """The entries of *part* that *codec* can keep."""
    return Columns.from_entries("sha256", 32, [entry for entry in part.entries() if entry.kind in codec.kinds])


def named_files(names: Iterable[bytes], *, ordered: bool = True) -> Columns:
    """Files of these names with made-up content."""
    listed = list(names)
    assert not ordered or listed == sorted(listed)
    raws = b"".join(hashlib.sha256(name).digest() for name in listed)
    return Columns("sha256", 32, listed, b"f" * len(listed), array("Q", map(len, listed)), raws)


def changed(path: bytes) -> Change:
    """A change that puts a new file at *path*."""
    digest = Digest.from_raw("sha256", hashlib.sha256(b"changed " + path).digest())
    return Change(path, "modified", None, Entry(path, "file", 12, digest))


def depth_of(codec: ManifestCodec, store: NodeStore, view: ManifestView) -> int:
    """Levels of nodes from the root to a leaf."""
    depth, raw = 1, view.root.raw
    while below := codec.children(store.nodes[raw], "sha256")[0]:
        depth, raw = depth + 1, below[0]
    return depth


def some_changes(
    data: st.DataObject, before: dict[bytes, Entry], codec: ManifestCodec
) -> tuple[dict[bytes, Entry], list[Change]]:
    """A set of changes that leaves a directory that can exist, and what it leaves."""
    after = dict(before)
    changes = []
    known = st.sampled_from(sorted(before)) if before else paths()
    for path in data.draw(st.lists(st.one_of(known, paths()), unique=True, max_size=15)):
        old = after.get(path)
        entry = data.draw(st.one_of(st.none(), entries(path=path).filter(lambda entry: entry.kind in codec.kinds)))
        clash = any(other != path and (other + b"/").startswith(path + b"/") for other in after)
        clash |= any(path[:at] in after for at in range(len(path)) if path[at : at + 1] == b"/")
        if entry is None:
            after.pop(path, None)
            changes.append(Change(path, "deleted", old))
        elif not clash:
            after[path] = entry
            changes.append(Change(path, "modified" if old else "added", old, entry))
    return after, changes


def assert_refused(codec: ManifestCodec, data: bytes) -> None:
    """Check that *data* is neither opened as a manifest nor taken for a node."""
    store = NodeStore()
    root = Digest.from_raw("sha256", store.put(data))
    with pytest.raises(MetafileError):
        list(codec.open(root, store.get).leaves())
    with pytest.raises(MetafileError):
        codec.children(data, "sha256")
