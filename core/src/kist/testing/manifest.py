"""ManifestCodecContract: what every manifest codec must keep."""

from __future__ import annotations

import hashlib
import random
from abc import abstractmethod
from array import array
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.abc import ManifestCodec
from kist.errors import MetafileError, ObjectMissing
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.testing.base import ContractBase, difference
from kist.testing.manifest_tools import (
    LARGE,
    NodeStore,
    assert_refused,
    changed,
    depth_of,
    entries_of,
    many_files,
    named_files,
    only_kinds,
    some_changes,
    write,
)
from kist.testing.strategies import columns

_FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


class ManifestCodecContract(ContractBase):
    """Subclass it as ``Test…`` and provide the fixture ``codec``; kinds that ``codec.kinds`` lacks are left out."""

    __test__ = False

    @pytest.fixture
    @abstractmethod
    def codec(self) -> ManifestCodec:
        """The codec under test."""

    @pytest.fixture
    def store(self) -> NodeStore:
        """An empty place for nodes."""
        return NodeStore()

    def test_has_a_name(self, codec: ManifestCodec) -> None:
        """A codec has a name and says which kinds of entries it can keep, files at least."""
        assert codec.name
        assert "file" in codec.kinds

    @_FEW
    @given(part=columns())
    def test_round_trip(self, codec: ManifestCodec, part: Columns) -> None:
        """What was written comes back entry for entry, from the root's digest alone."""
        store, part = NodeStore(), only_kinds(part, codec)
        view = codec.open(write(codec, store, part).root, store.get)
        assert not difference(entries_of(view), list(part.entries()))
        assert (view.files, view.size) == (len(part), sum(part.sizes))

    def test_view_of_write_reads_by_itself(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Without ``get`` the view that `write` returns can be read all the same."""
        view = codec.write([many_files(300)], store.put, store.hasher)
        store.nodes.clear()
        assert not difference(entries_of(view), list(many_files(300).entries()))

    def test_every_kind(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Files, executables, symbolic links and empty directories keep all that they have."""
        digest = Digest.from_raw("sha256", bytes(range(32)))
        entries = [
            Entry(b"a/empty", "directory"),
            Entry(b"a/file", "file", 5, digest),
            Entry(b"b", "executable", 7, digest),
            Entry(b"c", "symlink", target=b"../a/file"),
            Entry(b"d", "symlink", target=b"\xff\xfe"),
        ]
        kept = [entry for entry in entries if entry.kind in codec.kinds]
        view = write(codec, store, Columns.from_entries("sha256", 32, kept))
        assert not difference(entries_of(view), kept)
        assert [view.find(entry.path) for entry in kept] == kept

    def test_any_name(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Any bytes but NUL and the separator make a name, in the order of the bytes."""
        names = sorted(
            [b"\x01", b"\n", b" ", b"a\tb", b"\xff\xfe", "é".encode(), b"a" * 255, b"-", b"a!", b"a/b", b"a0"]
        )
        part = named_files(names)
        assert not difference(entries_of(write(codec, store, part)), list(part.entries()))

    def test_empty_directory(self, codec: ManifestCodec, store: NodeStore) -> None:
        """A directory without entries has a manifest like any other, always the same."""
        view = codec.open(write(codec, store).root, store.get)
        assert (view.files, view.size, entries_of(view), view.find(b"a")) == (0, 0, [], None)
        assert write(codec, store, Columns("sha256", 32)).root == view.root

    @_FEW
    @given(part=columns(), cuts=st.lists(st.integers(0, 40), max_size=4))
    def test_portions_do_not_matter(self, codec: ManifestCodec, part: Columns, cuts: list[int]) -> None:
        """The root depends on the entries, not on the portions in which they come."""
        store, part = NodeStore(), only_kinds(part, codec)
        edges = [0, *sorted(min(cut, len(part)) for cut in cuts), len(part)]
        portions = [part.slice(start, stop) for start, stop in pairwise(edges)]
        assert write(codec, store, *portions).root == write(codec, store, part).root

    @_FEW
    @given(part=columns(), change=st.sampled_from(["size", "digest", "path", "less"]))
    def test_other_entries_other_root(self, codec: ManifestCodec, part: Columns, change: str) -> None:
        """A different set of entries has a different root."""
        store = NodeStore()
        files = [Entry(b"known", "file", 3, Digest.from_raw("sha256", bytes(32)))]
        files += [entry for entry in only_kinds(part, codec).entries() if not (entry.path + b"/").startswith(b"known/")]
        other = {
            "size": [Entry(b"known", "file", 4, files[0].digest)],
            "digest": [Entry(b"known", "file", 3, Digest.from_raw("sha256", b"\1" * 32))],
            "path": [Entry(b"known.", "file", 3, files[0].digest)],
            "less": [],
        }[change]
        first = Columns.from_entries("sha256", 32, files)
        second = Columns.from_entries(
            "sha256", 32, [*other, *[entry for entry in files[1:] if not entry.path.startswith(b"known.")]]
        )
        assert write(codec, store, first).root != write(codec, store, second).root

    @_FEW
    @given(part=columns(), data=st.data())
    def test_edit_is_write_from_nothing(self, codec: ManifestCodec, part: Columns, data: st.DataObject) -> None:
        """An edited manifest has the root of one that is written from nothing, whatever the order of the changes."""
        store, part = NodeStore(), only_kinds(part, codec)
        before = {entry.path: entry for entry in part.entries()}
        after, changes = some_changes(data, before, codec)
        view = write(codec, store, part)
        edited = codec.edit(view, data.draw(st.permutations(changes)), store.put, store.hasher)
        fresh = write(codec, NodeStore(), Columns.from_entries("sha256", 32, after.values()))
        assert edited.root == fresh.root
        assert (edited.files, edited.size) == (fresh.files, fresh.size)
        assert {entry.path: entry for entry in entries_of(edited)} == after
        assert {entry.path: entry for entry in entries_of(view)} == before

    def test_edit_one_after_another(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Many small edits in any order come to the same root as one."""
        part = many_files(900)
        changes = [Change(path, "deleted") for path in part.paths[::7]]
        changes += [changed(part.paths[1]), changed(b"zz/new"), changed(b"a first one")]
        once = codec.edit(write(codec, store, part), changes, store.put, store.hasher, store.get)
        random.Random(1).shuffle(changes)  # noqa: S311 - test data
        view = write(codec, store, part)
        for change in changes:
            view = codec.edit(view, [change], store.put, store.hasher, store.get)
        assert view.root == once.root

    def test_edit_of_nothing(self, codec: ManifestCodec, store: NodeStore) -> None:
        """No change, or one that changes nothing, stores nothing and keeps the root."""
        part = many_files(500)
        view = write(codec, store, part)
        store.reset()
        same = Change(part.paths[7], "modified", None, part.entry(7))
        for changes in ([], [Change(b"not/there", "deleted")], [same]):
            assert codec.edit(view, changes, store.put, store.hasher, store.get).root == view.root
        assert not store.stored

    def test_edit_to_empty_and_back(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Removing every entry leaves the manifest of an empty directory; adding them again gives the first root."""
        part = many_files(600)
        view = write(codec, store, part)
        nothing = codec.edit(view, [Change(path, "deleted") for path in part.paths], store.put, store.hasher, store.get)
        assert nothing.root == write(codec, store).root
        again = [Change(entry.path, "added", None, entry) for entry in part.entries()]
        assert codec.edit(nothing, again, store.put, store.hasher, store.get).root == view.root

    def test_rename(self, codec: ManifestCodec, store: NodeStore) -> None:
        """A change with ``old_path`` removes that path as well."""
        part = named_files([b"a", b"b"])
        moved = Entry(b"c", "file", part.sizes[0], Digest.from_raw("sha256", part.raw(0)))
        change = Change(b"c", "renamed", part.entry(0), moved, old_path=b"a")
        view = codec.edit(write(codec, store, part), [change], store.put, store.hasher)
        assert entries_of(view) == [part.entry(1), moved]

    @pytest.mark.parametrize(
        "names",
        [
            [b"b", b"a"],
            [b"a", b"a"],
            [b"a", b"a/b"],
            [b"a", b"a-", b"a/b"],
            [b"a", b"a!b", b"a-/c", b"a/b"],
            [b"d/a", b"d/a.x", b"d/a/b/c"],
        ],
    )
    @pytest.mark.parametrize("cut", [0, 1, 2])
    def test_refuses_disorder(self, codec: ManifestCodec, store: NodeStore, names: list[bytes], cut: int) -> None:
        """Entries out of order, doubled, or both an entry and a folder are refused, also over portions."""
        part = named_files(names, ordered=False)
        with pytest.raises(MetafileError):
            write(codec, store, part.slice(0, cut), part.slice(cut, len(part)))

    @pytest.mark.parametrize(
        "name", [b"", b"/a", b"a//b", b"a/", b"..", b"../a", b"a/../b", b"./a", b".git/x", b"a\0b"]
    )
    def test_refuses_bad_paths(self, codec: ManifestCodec, store: NodeStore, name: bytes) -> None:
        """A path that could lead outside, or means nothing, is refused."""
        with pytest.raises(MetafileError):
            write(codec, store, named_files([name]))

    @pytest.mark.parametrize(("there", "new"), [(b"a", b"a/b"), (b"a/b", b"a"), (b"a/b/c", b"a"), (b"a", b"a/b/c")])
    def test_edit_refuses_clash(self, codec: ManifestCodec, store: NodeStore, there: bytes, new: bytes) -> None:
        """An edit cannot make a path both an entry and a folder, unless it removes the other."""
        view = write(codec, store, named_files(sorted([there, b"a-", b"a.", b"b"])))
        with pytest.raises(MetafileError):
            codec.edit(view, [changed(new)], store.put, store.hasher)
        replaced = codec.edit(view, [changed(new), Change(there, "deleted")], store.put, store.hasher)
        assert sorted([new, b"a-", b"a.", b"b"]) == [entry.path for entry in entries_of(replaced)]

    def test_refuses_other_algorithm(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Digests of another algorithm or width do not enter a manifest."""
        other = Columns("md5", 16, [b"a"], b"f", array("Q", [1]), bytes(16))
        with pytest.raises(MetafileError):
            write(codec, store, other)
        entry = Entry(b"a", "file", 1, Digest.from_raw("md5", bytes(16)))
        with pytest.raises(MetafileError):
            codec.edit(write(codec, store), [Change(b"a", "added", None, entry)], store.put, store.hasher)

    def test_find(self, codec: ManifestCodec, store: NodeStore) -> None:
        """`find` knows exactly the entries: no folder, no neighbour, nothing before the first or after the last."""
        part = many_files(1000)
        view = codec.open(write(codec, store, part).root, store.get)
        for position in (0, 1, 499, 998, 999):
            assert view.find(part.paths[position]) == part.entry(position)
        for path in (b"", b"a", b"folder-0001", b"folder-0001/", b"folder-0001/file-000100.bi", b"zz", b"\xff"):
            assert view.find(path) is None

    @pytest.mark.parametrize("prefix", [b"", b"a", b"a-", b"a/b", b"b", b"c", b"a/b/c", b"zz", b"0"])
    def test_leaves_below_a_prefix(self, codec: ManifestCodec, store: NodeStore, prefix: bytes) -> None:
        """`leaves` gives what lies strictly below a directory, not what merely begins alike."""
        names = sorted([b"a-/x", b"a.", b"a/b/c", b"a/b/d", b"a/bc", b"a/c", b"a0", b"b", b"c/c/c"])
        view = write(codec, store, named_files(names))
        below = [name for name in names if not prefix or name.startswith(prefix + b"/")]
        assert not difference([path for part in view.leaves(prefix) for path in part.paths], below)

    @_FEW
    @given(part=columns(), data=st.data())
    def test_diff_is_that_of_dictionaries(self, codec: ManifestCodec, part: Columns, data: st.DataObject) -> None:
        """`diff` tells what a comparison path by path would, in path order."""
        store, part = NodeStore(), only_kinds(part, codec)
        before = {entry.path: entry for entry in part.entries()}
        after, _changes = some_changes(data, before, codec)
        old, new = write(codec, store, part), write(codec, store, Columns.from_entries("sha256", 32, after.values()))
        expected = [
            (path, before.get(path), after.get(path))
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        ]
        found = list(old.diff(new))
        assert [(change.path, change.old, change.new) for change in found] == expected
        kinds = [("added" if old is None else "deleted" if new is None else "modified") for _, old, new in expected]
        assert [change.change for change in found] == kinds
        assert [path for old, new in old.deltas(new) for path in sorted({*old.paths, *new.paths})] == [
            path for path, _old, _new in expected
        ]

    def test_diff_sees_more_than_content(self, codec: ManifestCodec, store: NodeStore) -> None:
        """A file that became executable, and a link that leads elsewhere, are changes though no content is."""
        digest = Digest.from_raw("sha256", hashlib.sha256(b"same").digest())
        pairs = [
            (Entry(b"mode", "file", 4, digest), Entry(b"mode", "executable", 4, digest)),
            (Entry(b"way", "symlink", target=b"here"), Entry(b"way", "symlink", target=b"there")),
        ]
        kept = [pair for pair in pairs if {entry.kind for entry in pair} <= codec.kinds]
        old, new = (write(codec, store, Columns.from_entries("sha256", 32, side)) for side in zip(*kept, strict=True))
        assert [(change.old, change.new) for change in old.diff(new)] == kept

    def test_children_lead_everywhere(self, codec: ManifestCodec, store: NodeStore) -> None:
        """`children` of a node names the nodes below it or gives its entries, so a closure needs no view."""
        part = many_files(5000)
        root = write(codec, store, part).root
        waiting, found = [root.raw], 0
        while waiting:
            below, leaf = codec.children(store.nodes[waiting.pop()], "sha256")
            waiting += below
            found += len(leaf.content_raws()) if leaf is not None else 0
        assert found == len(part)

    def test_children_of_another_algorithm(self, codec: ManifestCodec, store: NodeStore) -> None:
        """A node of another algorithm than it was asked as is refused."""
        root = write(codec, store, many_files(3)).root
        with pytest.raises(MetafileError):
            codec.children(store.nodes[root.raw], "md5")

    def test_nodes_are_all_that_is_needed(self, codec: ManifestCodec, store: NodeStore) -> None:
        """`nodes` gives every node once, parents first, and what it gives is enough to read the manifest."""
        part = many_files(5000)
        view = codec.open(write(codec, store, part).root, store.get)
        copied = list(view.nodes())
        assert len({raw for raw, _data in copied}) == len(copied)
        assert all(store.hasher.raw(data) == raw for raw, data in copied)
        seen = {view.root.raw}
        for raw, data in copied:
            assert raw in seen
            seen.update(codec.children(data, "sha256")[0])
        other = NodeStore()
        other.nodes = dict(copied)
        assert not difference(entries_of(codec.open(view.root, other.get)), list(part.entries()))

    def test_nodes_skip_what_is_known(self, codec: ManifestCodec, store: NodeStore) -> None:
        """`nodes` leaves out what is known with all below it, and opens none of it."""
        old = write(codec, store, many_files(LARGE))
        new = codec.edit(old, [changed(b"folder-0100/new")], store.put, store.hasher, store.get)
        known = {raw for raw, _data in old.nodes()}
        view = codec.open(new.root, store.get)
        store.reset()
        fresh = [raw for raw, _data in view.nodes(lambda raws: [raw in known for raw in raws])]
        assert known.isdisjoint(fresh)
        assert known | set(fresh) >= {raw for raw, _data in view.nodes()}
        assert list(view.nodes(lambda raws: [True for _raw in raws])) == []
        assert len(fresh) <= depth_of(codec, store, new) + 2

    def test_find_opens_few_nodes(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Finding one path among 20,000 opens at most one node a level."""
        part = many_files(LARGE)
        root = write(codec, store, part).root
        depth = depth_of(codec, store, codec.open(root, store.get))
        for position in (0, 7777, LARGE - 1):
            store.reset()
            assert codec.open(root, store.get).find(part.paths[position]) == part.entry(position)
            assert store.opened <= depth

    def test_edit_stores_few_nodes(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Changing one path among 20,000 stores at most two nodes more than the manifest is deep."""
        part = many_files(LARGE)
        view = write(codec, store, part)
        depth = depth_of(codec, store, view)
        for path in (part.paths[0], part.paths[9999], part.paths[-1], b"folder-0050/new", b"zz"):
            store.reset()
            edited = codec.edit(view, [changed(path)], store.put, store.hasher, store.get)
            assert edited.find(path) == changed(path).new
            assert len(store.stored) <= depth + 2

    def test_diff_opens_few_nodes(self, codec: ManifestCodec, store: NodeStore) -> None:
        """Comparing two manifests that differ in one path opens only the way to it; equal ones open nothing more."""
        view = write(codec, store, many_files(LARGE))
        edited = codec.edit(view, [changed(b"folder-0100/new")], store.put, store.hasher, store.get)
        old, new = codec.open(view.root, store.get), codec.open(edited.root, store.get)
        store.reset()
        assert [change.path for change in old.diff(new)] == [b"folder-0100/new"]
        assert store.opened <= 2 * (depth_of(codec, store, new) + 2)
        store.reset()
        assert list(old.diff(codec.open(view.root, store.get))) == []
        assert store.opened <= 1

    @pytest.mark.parametrize("count", [0, 1, 3, 5000])
    def test_truncated_root(self, codec: ManifestCodec, store: NodeStore, count: int) -> None:
        """A root that is cut short or longer than it should be gives a MetafileError."""
        data = store.nodes[write(codec, store, many_files(count)).root.raw]
        for length in {*range(min(len(data), 200)), *range(0, len(data), 997), len(data) - 1}:
            assert_refused(codec, data[:length])
        assert_refused(codec, data + b"\0")

    @_FEW
    @given(data=st.binary(max_size=300))
    def test_random_bytes(self, codec: ManifestCodec, data: bytes) -> None:
        """Random bytes are no manifest: a MetafileError, nothing else."""
        assert_refused(codec, data)

    @_FEW
    @given(part=columns(), place=st.integers(0, 1 << 20), value=st.integers(1, 255))
    def test_damaged_byte(self, codec: ManifestCodec, part: Columns, place: int, value: int) -> None:
        """A node with a damaged byte is refused with a MetafileError or read as another valid one, never worse."""
        store = NodeStore()
        data = bytearray(store.nodes[write(codec, store, only_kinds(part, codec)).root.raw])
        data[place % len(data)] ^= value
        store.put(bytes(data))
        root = Digest.from_raw("sha256", store.stored[-1])
        try:
            view = codec.open(root, store.get)
            found = Columns.concat("sha256", 32, view.leaves())
        except (MetafileError, ObjectMissing):
            return
        assert found.paths == sorted(set(found.paths))
        assert len(found) == view.files

    def test_missing_node(self, codec: ManifestCodec, store: NodeStore) -> None:
        """A node that is nowhere gives ObjectMissing, as ``get`` raised it."""
        with pytest.raises(ObjectMissing):
            codec.open(Digest.from_raw("sha256", bytes(32)), store.get)
