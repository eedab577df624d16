"""Manifest nodes: cuts, reading on demand, edits, differences."""

import hashlib
import random
from array import array
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.builtin.node_manifest import NodeManifestCodec
from kist.engine.manifest import cut as node_cut
from kist.engine.manifest.cut import build, regroup
from kist.engine.manifest.format import Inner, Ref, decode, encode_inner, encode_leaf
from kist.engine.manifest.nodes import NodeTree
from kist.errors import MetafileError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.testing.manifest_tools import NodeStore, many_files

CODEC = NodeManifestCodec()
SMALL = {
    "LEAF_MIN": 2,
    "LEAF_MAX": 9,
    "LEAF_MASK": 3,
    "LEAF_BYTES": 60,
    "INNER_MIN": 2,
    "INNER_MAX": 5,
    "INNER_MASK": 1,
}


@pytest.fixture
def small(monkeypatch):
    """Nodes so small that a hundred entries make a deep tree."""
    for name, value in SMALL.items():
        monkeypatch.setattr(node_cut, name, value)


def part_of(names):
    ordered = sorted(names)
    raws = b"".join(hashlib.sha256(name).digest() for name in ordered)
    return Columns("sha256", 32, ordered, b"f" * len(ordered), array("Q", map(len, ordered)), raws)


def leaf_bytes(part):
    return encode_leaf(part, b"\0".join(part.paths))


def root_of(raw):
    return Digest.from_raw("sha256", raw)


# ── where nodes are cut ──────────────────────────────────────────────────────────────────────────────────────────────


def reference_leaves(paths):
    """The rule of docs/reference/formats.md, one entry at a time."""
    leaves, held = [], []
    for path in paths:
        held.append(path)
        marked = len(held) >= 256 and crc32(path) & 1023 == 0
        if marked or len(held) == 4096 or sum(map(len, held)) >= 262_144:
            leaves.append(held)
            held = []
    return [*leaves, held] if held else leaves


def reference_inner(level, lasts):
    nodes, held = [], []
    for last in lasts:
        held.append(last)
        mark = int.from_bytes(hashlib.blake2b(bytes([level]) + last, digest_size=8).digest(), "little")
        if (len(held) >= 16 and mark & 127 == 0) or len(held) == 1024:
            nodes.append(held)
            held = []
    return [*nodes, held] if held else nodes


@pytest.mark.parametrize(
    "names",
    [
        [],
        [b"one"],
        [b"%07d" % number for number in range(60_000)],
        [b"%s-%06d" % (b"x" * 240, number) for number in range(5_000)],
        [b"/".join([b"d" * 250] * 15 + [b"%05d" % number]) for number in range(400)],
    ],
    ids=["none", "one", "many", "long", "longest"],
)
def test_leaves_are_cut_by_the_written_rule(names):
    store = NodeStore()
    root = build([part_of(names)], "sha256", 32, store.put)
    tree = NodeTree(root_of(root.raw), store.get)
    assert [part.paths for part in tree.leaves()] == reference_leaves(names)


def test_a_leaf_without_a_mark_ends_at_4096():
    names = [name for name in (b"%07d" % number for number in range(20_000)) if crc32(name) & 1023]
    store = NodeStore()
    tree = NodeTree(root_of(build([part_of(names)], "sha256", 32, store.put).raw), store.get)
    assert [len(part) for part in tree.leaves()] == [4096, 4096, 4096, 4096, len(names) - 4 * 4096]


def test_inner_nodes_are_cut_by_the_written_rule():
    refs = [Ref(b"%07d" % number, hashlib.sha256(b"%d" % number).digest(), 1, 1) for number in range(30_000)]
    store = NodeStore()
    root = node_cut.raise_levels(refs, 1, "sha256", 32, store.put)
    lasts, level, nodes = [ref.path for ref in refs], 1, {}
    for data in store.nodes.values():
        node = decode(data)
        nodes.setdefault(node.level, []).append(node.paths)
    while len(lasts) > 1:
        expected = reference_inner(level, lasts)
        assert sorted(nodes[level]) == expected
        lasts, level = [node[-1] for node in expected], level + 1
    assert root.files == root.size == 30_000
    assert max(nodes) == level - 1


def test_the_hash_of_inner_cuts_is_not_the_leaves_crc():
    """Every last path of a leaf passes the CRC's rule, so that rule would close every node at its minimum."""
    store = NodeStore()
    tree = NodeTree(root_of(build([many_files(300_000)], "sha256", 32, store.put).raw), store.get)
    counts = [len(node.refs) for node in map(decode, store.nodes.values()) if isinstance(node, Inner)]
    assert tree.level >= 1
    assert max(counts) > 32


def test_regroup_keeps_entries_and_joins_portions():
    part = many_files(40_000)
    pieces = [part.slice(start, start + 7) for start in range(0, 40_000, 7)]
    joined = list(regroup(pieces, "sha256", 32))
    assert Columns.concat("sha256", 32, joined) == part
    assert len(joined) == 3


# ── edits, with hypothesis ───────────────────────────────────────────────────────────────────────────────────────────

names = st.lists(st.sampled_from([b"a", b"b", b"-", b"c", b"1"]), min_size=1, max_size=4).map(b"".join)
some_paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
values = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["file", "executable"]), st.integers(0, 3)),
    st.just(("symlink", 0)),
    st.just(("directory", 0)),
)
states = st.dictionaries(some_paths, values, max_size=120)


def make(path, value):
    kind, number = value
    if kind == "symlink":
        return Entry(path, kind, target=b"to " + path)
    if kind == "directory":
        return Entry(path, kind)
    return Entry(path, kind, number, Digest.from_raw("sha256", bytes([number]) * 32))


def possible(entries):
    return not any(path[:at] in entries for path in entries for at in range(len(path)) if path[at : at + 1] == b"/")


def valid(chosen):
    kept = {}
    for path, value in chosen.items():
        if value is not None:
            kept[path] = make(path, value)
            if not possible(kept):
                del kept[path]
    return kept


def write(entries, store):
    return CODEC.write([Columns.from_entries("sha256", 32, entries.values())], store.put, store.hasher, store.get)


thorough = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@thorough
@given(before=states, edits=states, seed=st.integers(0, 99))
def test_an_edit_gives_the_bytes_of_a_build_from_nothing(small, before, edits, seed):
    old = valid(before)
    after = {path: entry for path, entry in old.items() if path not in edits}
    after.update({path: make(path, value) for path, value in edits.items() if value is not None})
    changes = [Change(path, "modified", None, after.get(path)) for path in edits]
    random.Random(seed).shuffle(changes)
    store, fresh = NodeStore(), NodeStore()
    view = write(old, store)
    store.reset()
    if not possible(after):
        with pytest.raises(MetafileError, match="folder"):
            CODEC.edit(view, changes, store.put, store.hasher, store.get)
        return
    edited = CODEC.edit(view, changes, store.put, store.hasher, store.get)
    expected = write(after, fresh)
    assert edited.root == expected.root
    assert dict(edited.nodes()) == fresh.nodes
    assert set(store.stored) <= fresh.nodes.keys()
    assert len(set(store.stored)) == len(store.stored)
    assert {change.path: change.new for change in view.diff(edited)} == {
        path: after.get(path) for path in old.keys() | after.keys() if old.get(path) != after.get(path)
    }


@thorough
@given(before=states, edits=states, seed=st.integers(0, 99))
def test_shuffled_single_edits_give_the_same_root(small, before, edits, seed):
    old = valid(before)
    after = valid({**before, **edits})
    gone = [Change(path, "deleted") for path in old.keys() - after.keys()]
    there = [Change(path, "added", None, entry) for path, entry in after.items() if old.get(path) != entry]
    random.Random(seed).shuffle(gone)
    random.Random(seed).shuffle(there)
    store = NodeStore()
    view = write(old, store)
    for change in gone + there:
        view = CODEC.edit(view, [change], store.put, store.hasher, store.get)
    assert view.root == write(after, store).root


@thorough
@given(state=states, prefix=some_paths)
def test_reading_below_a_folder(small, state, prefix):
    entries = valid(state)
    view = write(entries, NodeStore())
    below = [entry for part in view.leaves(prefix) for entry in part.entries()]
    assert below == [entries[path] for path in sorted(entries) if path.startswith(prefix + b"/")]


def test_edit_refuses_what_cannot_be(small):
    store = NodeStore()
    view = write({}, store)
    digest = Digest.from_raw("sha256", bytes(32))
    for change in (
        Change(b"a", "added", None, Entry(b"b", "file", 1, digest)),
        Change(b"a", "added", None, Entry(b"a", "file", 1)),
        Change(b"a", "added", None, Entry(b"a", "file", -1, digest)),
        Change(b"a", "added", None, Entry(b"a", "file", 1 << 63, digest)),
        Change(b"a", "added", None, Entry(b"a", "symlink", target=b"")),
        Change(b"../a", "added", None, Entry(b"../a", "file", 1, digest)),
    ):
        with pytest.raises(MetafileError):
            CODEC.edit(view, [change], store.put, store.hasher)


def test_an_edit_without_get_reads_its_own_nodes():
    store = NodeStore()
    view = CODEC.write([many_files(5000)], store.put, store.hasher, store.get)
    entry = Entry(b"new", "symlink", target=b"x")
    edited = CODEC.edit(view, [Change(b"new", "added", None, entry)], store.hasher.raw, store.hasher)
    assert edited.find(b"new") == entry
    assert edited.files == 5001


# ── trees that lie ───────────────────────────────────────────────────────────────────────────────────────────────────


def lying_tree(store, **lies):
    """A root over two leaves, with one thing wrong."""
    left, right = part_of([b"a", b"b"]), part_of([b"c", b"d"])
    refs = [Ref(b"b", store.put(leaf_bytes(left)), 2, 2), Ref(b"d", store.put(leaf_bytes(right)), 2, 2)]
    if "ref" in lies:
        refs[1] = refs[1]._replace(**lies["ref"])
    if lies.get("same"):
        refs[1] = refs[1]._replace(raw=refs[0].raw)
    return root_of(store.put(encode_inner(lies.get("level", 1), "sha256", 32, refs)))


@pytest.mark.parametrize(
    "lies",
    [
        {"ref": {"files": 3}},
        {"ref": {"size": 3}},
        {"ref": {"path": b"e"}},
        {"ref": {"path": b"cc"}},
        {"level": 2},
        {"same": True},
    ],
    ids=str,
)
def test_children_must_be_what_their_parent_says(lies):
    store = NodeStore()
    assert CODEC.open(lying_tree(store), store.get).files == 4
    view = CODEC.open(lying_tree(store, **lies), store.get)
    with pytest.raises(MetafileError):
        list(view.leaves())
    with pytest.raises(MetafileError):
        view.find(b"d")
    if "level" in lies:
        with pytest.raises(MetafileError):
            list(view.nodes())


def test_a_clash_over_two_leaves_is_refused():
    store = NodeStore()
    left, right = part_of([b"a", b"a-"]), part_of([b"a/b"])
    refs = [Ref(b"a-", store.put(leaf_bytes(left)), 2, 3), Ref(b"a/b", store.put(leaf_bytes(right)), 1, 3)]
    view = CODEC.open(root_of(store.put(encode_inner(1, "sha256", 32, refs))), store.get)
    with pytest.raises(MetafileError, match="folder"):
        list(view.leaves())


def test_a_root_with_one_child_is_refused():
    store = NodeStore()
    refs = [Ref(b"b", store.put(leaf_bytes(part_of([b"a", b"b"]))), 2, 2)]
    with pytest.raises(MetafileError, match="single child"):
        CODEC.open(root_of(store.put(encode_inner(1, "sha256", 32, refs))), store.get)


def test_digests_must_be_of_the_roots_algorithm():
    store = NodeStore()
    raw = store.put(leaf_bytes(Columns("md5", 16, [b"a"], b"f", array("Q", [1]), bytes(16))))
    with pytest.raises(MetafileError, match="md5"):
        CODEC.open(root_of(raw), store.get)


def test_edit_of_a_foreign_view_or_algorithm():
    store = NodeStore()
    view = write({}, store)

    class Other(type(store.hasher)):
        name = "other"

    with pytest.raises(MetafileError, match="other"):
        CODEC.edit(view, [Change(b"a", "deleted")], store.put, Other())
    with pytest.raises(TypeError):
        CODEC.edit(object(), [], store.put, store.hasher)


# ── counted work ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_work_follows_the_change():
    store = NodeStore()
    part = many_files(100_000)
    view = CODEC.write([part], store.put, store.hasher, store.get)
    view = CODEC.open(view.root, store.get)
    store.reset()
    changes = [Change(path, "deleted") for path in part.paths[50_000:50_010]]
    edited = CODEC.edit(view, changes, store.put, store.hasher, store.get)
    assert len(store.stored) <= 5
    assert store.opened <= 8
    assert sum(len(store.nodes[raw]) for raw in store.stored) < 400_000
    store.reset()
    assert len(list(view.diff(edited))) == 10
    assert store.opened <= 8


def test_leaves_are_brought_in_batches():
    store = NodeStore()
    view = CODEC.write([many_files(100_000)], store.put, store.hasher, store.get)
    calls = []

    def get(raws):
        calls.append(len(raws))
        return store.get(raws)

    assert sum(map(len, CODEC.open(view.root, get).leaves())) == 100_000
    assert len(calls) <= 2 + len(store.nodes) / 32
