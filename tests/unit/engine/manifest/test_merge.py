"""Three-way merge of manifests."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from kist.builtin.node_manifest import NodeManifestCodec
from kist.engine.manifest.merge import Merge, merge
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.testing.manifest_tools import NodeStore, many_files

CODEC = NodeManifestCodec()


def entry(path, content):
    if content is None:
        return Entry(path, "directory")
    return Entry(path, "file", len(content), Digest.from_raw("sha256", hashlib.sha256(content).digest()))


def view(files):
    store = NodeStore()
    entries = [entry(path, content) for path, content in files.items()]
    return CODEC.write([Columns.from_entries("sha256", 32, entries)], store.put, store.hasher)


def merged(base, ours, theirs):
    """The merge, and the paths on our side after it."""
    mine = view(ours)
    result = merge(view(base), mine, view(theirs))
    after = CODEC.edit(mine, result.changes, NodeStore().put, NodeStore.hasher)
    return result, {found.path: found for part in after.leaves() for found in part.entries()}


def test_changes_of_both_sides_come_together():
    result, after = merged(
        {b"a": b"1", b"b": b"1", b"c": b"1"},
        {b"a": b"2", b"b": b"1", b"new": b"ours"},
        {b"a": b"1", b"b": b"3", b"c": b"1", b"fresh": b"theirs"},
    )
    assert not result.conflicts
    assert sorted(after) == [b"a", b"b", b"fresh", b"new"]
    assert (after[b"a"], after[b"b"]) == (entry(b"a", b"2"), entry(b"b", b"3"))


def test_equal_changes_are_no_conflict():
    result, after = merged({b"a": b"1", b"b": b"1"}, {b"a": b"2"}, {b"a": b"2"})
    assert result == Merge((), ())
    assert sorted(after) == [b"a"]


def test_different_changes_conflict_and_ours_stays():
    result, after = merged({b"a": b"1", b"b": b"1"}, {b"a": b"2"}, {b"a": b"3", b"b": b"4"})
    assert [(found.path, found.base, found.ours, found.theirs) for found in result.conflicts] == [
        (b"a", entry(b"a", b"1"), entry(b"a", b"2"), entry(b"a", b"3")),
        (b"b", entry(b"b", b"1"), None, entry(b"b", b"4")),
    ]
    assert after == {b"a": entry(b"a", b"2")}


def test_a_file_on_one_side_and_a_folder_on_the_other():
    for ours, theirs in (({b"x": b"1"}, {b"x/y": b"1"}), ({b"x/y": b"1"}, {b"x": b"1"})):
        result, after = merged({}, ours, theirs)
        assert [found.path for found in result.conflicts] == [b"x", b"x/y"]
        assert sorted(after) == sorted(ours)


def test_an_empty_directory_gives_way_to_files():
    for ours, theirs in (({b"x": None}, {b"x/y": b"1"}), ({b"x/y": b"1"}, {b"x": None})):
        result, after = merged({}, ours, theirs)
        assert not result.conflicts
        assert sorted(after) == [b"x/y"]


def test_both_turn_a_file_into_a_directory():
    result, after = merged({b"x": b"1"}, {b"x": None}, {b"x/y": b"1"})
    assert not result.conflicts
    assert sorted(after) == [b"x/y"]


def test_fast_forward_and_nothing_to_do():
    base, new = {b"a": b"1"}, {b"a": b"2", b"b": b"1"}
    assert merged(base, base, new)[1] == {path: entry(path, content) for path, content in new.items()}
    assert merged(base, new, base)[0] == merged(base, new, new)[0] == Merge((), ())


states = st.dictionaries(
    st.sampled_from([b"a", b"a-", b"a/b", b"a/b/c", b"b", b"b/c", b"c"]), st.sampled_from([b"1", b"2", None])
)


def valid(files):
    kept = {}
    for path, content in files.items():
        if not any((path + b"/").startswith(other + b"/") or other.startswith(path + b"/") for other in kept):
            kept[path] = content
    return kept


@given(base=states, ours=states, theirs=states)
def test_any_merge(base, ours, theirs):
    base, ours, theirs = valid(base), valid(ours), valid(theirs)
    result, after = merged(base, ours, theirs)
    conflicts = {found.path for found in result.conflicts}
    assert [change.path for change in result.changes] == sorted(change.path for change in result.changes)
    assert conflicts.isdisjoint(change.path for change in result.changes)
    for path in ours.keys() | theirs.keys():
        here, there, before = (entry(path, s[path]) if path in s else None for s in (ours, theirs, base))
        folder = any(other.startswith(path + b"/") for other in after)
        if path in conflicts or there in (here, before):
            assert after.get(path) == here or (folder and here is not None and here.kind == "directory")
        elif here == before:
            assert after.get(path) == there or (folder and there is not None and there.kind == "directory")


def test_a_merge_opens_only_what_differs():
    store = NodeStore()
    base = CODEC.write([many_files(100_000)], store.put, store.hasher, store.get)
    sides = [
        CODEC.edit(base, [Change(path, "added", None, entry(path, b"x"))], store.put, store.hasher, store.get)
        for path in (b"folder-0100/new", b"folder-0900/new")
    ]
    views = [CODEC.open(side.root, store.get) for side in (base, *sides)]
    store.reset()
    result = merge(*views)
    assert [change.path for change in result.changes] == [b"folder-0900/new"]
    assert not result.conflicts
    assert store.opened <= 12
