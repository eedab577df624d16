from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine.checkout.plan import plan_checkout
from kist.model.columns import Columns

WIDTH = 8


def raw(text):
    return text.encode().ljust(WIDTH, b"\1")[:WIDTH]


def columns(tree):
    """Columns of {path: (kind, content or target)}."""
    paths = sorted(tree)
    return Columns(
        "test",
        WIDTH,
        paths,
        b"".join(tree[path][0].encode() for path in paths),
        array("Q", [len(tree[path][1]) for path in paths]),
        b"".join(raw(tree[path][1]) if tree[path][0] in "fx" else bytes(WIDTH) for path in paths),
        [tree[path][1].encode() for path in paths if tree[path][0] == "l"],
    )


def parts(tree, size=2):
    whole = columns(tree)
    return [whole.slice(at, at + size) for at in range(0, len(whole), size)]


def plan(current, target, base=None, saved=("one", "two", "three"), size=2):
    known = {raw(text) for text in saved}
    return plan_checkout(
        iter(parts(current, size)),
        iter(parts(target, size)),
        None if base is None else iter(parts(base, size)),
        lambda raws: [one in known for one in raws],
    )


def f(text):
    return ("f", text)


def test_equal_is_nothing_to_do():
    tree = {b"%03d" % at: f("one") for at in range(500)} | {b"link": ("l", "there"), b"none": ("d", "")}
    made = plan(tree, tree, size=64)
    assert not made
    assert made.equal == len(tree)


def test_a_missing_directory_is_created_whole():
    tree = {b"a/b": f("one"), b"c": ("x", "two")}
    assert plan({}, tree).create == columns(tree)


def test_a_change_in_a_long_equal_run():
    old = {b"%04d" % at: f("one") for at in range(5000)}
    new = {**old, b"2500": f("two"), b"4999": ("x", "one"), b"0100": ("l", "one")}
    made = plan(old, new, size=1200)
    assert made.replace.paths == [b"0100", b"2500"]
    assert made.modes.paths == [b"4999"]
    assert made.equal == 4997
    assert not made.unsaved


def test_unsaved_content_is_named():
    made = plan({b"a": f("mine"), b"b": f("one")}, {b"a": f("two"), b"b": f("two")})
    assert made.unsaved == [b"a"]


@pytest.mark.parametrize(
    ("base", "delete", "kept", "unsaved"),
    [
        ({b"x": f("one")}, [b"x"], [], []),
        ({b"x": f("two")}, [b"x"], [], []),
        ({}, [], [b"x"], []),
        (None, [b"x"], [], []),
    ],
)
def test_an_extra_with_saved_content(base, delete, kept, unsaved):
    made = plan({b"x": f("one")}, {}, base)
    assert (made.delete.paths, made.kept, made.unsaved) == (delete, kept, unsaved)


@pytest.mark.parametrize(
    ("base", "delete", "kept", "unsaved"),
    [
        ({b"x": f("two")}, [b"x"], [], [b"x"]),
        ({b"x": f("mine")}, [b"x"], [], [b"x"]),
        ({}, [], [b"x"], []),
        (None, [], [b"x"], []),
    ],
)
def test_an_extra_whose_content_is_saved_nowhere(base, delete, kept, unsaved):
    made = plan({b"x": f("mine")}, {}, base)
    assert (made.delete.paths, made.kept, made.unsaved) == (delete, kept, unsaved)


def test_symlinks_are_saved_by_the_base_only():
    link = {b"x": ("l", "there")}
    assert plan(link, {}, link).unsaved == []
    assert plan(link, {}, {b"x": ("l", "elsewhere")}).unsaved == [b"x"]
    assert plan(link, {b"x": f("one")}, link).unsaved == []
    assert plan(link, {b"x": f("one")}).unsaved == [b"x"]
    assert plan(link, {}).kept == [b"x"]


def test_an_untracked_file_where_a_folder_is_needed():
    made = plan({b"a": f("mine")}, {b"a/b": f("one")}, {})
    assert (made.unsaved, made.blocking, made.kept) == ([b"a"], {b"a"}, [])
    made = plan({b"a": f("one")}, {b"a/b": f("one")}, {})
    assert (made.unsaved, made.blocking, made.delete.paths) == ([], {b"a"}, [b"a"])


def test_untracked_files_where_a_file_is_needed():
    made = plan({b"a/x": f("mine"), b"a/y": f("one"), b"a.txt": f("mine")}, {b"a": f("one")}, {})
    assert (made.unsaved, made.blocking, made.kept) == ([b"a/x"], {b"a/x", b"a/y"}, [b"a.txt"])


def test_a_folder_that_shall_be_empty_keeps_untracked_files():
    made = plan({b"a/x": f("mine")}, {b"a": ("d", "")}, {})
    assert (made.kept, made.blocking, made.unsaved) == ([b"a/x"], frozenset(), [])


def test_special_files_stay_unless_in_the_way():
    assert plan({b"pipe": ("o", "")}, {}, {}).kept == [b"pipe"]
    assert plan({b"pipe": ("o", "")}, {b"pipe": f("one")}, {}).unsaved == [b"pipe"]


NAMES = st.sampled_from([b"a", b"b", b"a.b", b"a0", b"c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
VALUES = st.tuples(st.sampled_from("ffxld"), st.sampled_from(["one", "two", "mine", "own"])).map(
    lambda value: ("d", "") if value[0] == "d" else value
)


def possible(tree):
    """Without entries below others: no file system holds those."""
    return {path: value for path, value in tree.items() if not any(path.startswith(other + b"/") for other in tree)}


TREES = st.dictionaries(PATHS, VALUES, max_size=9).map(possible)
SAVED = {"one", "two"}


def content(value):
    return ("f" if value[0] == "x" else value[0], value[1])


@given(TREES, TREES, st.none() | TREES, st.integers(1, 5))
def test_against_a_dictionary(current, target, base, size):
    made = plan(current, target, base, SAVED, size)
    deleted, kept = set(made.delete.paths), set(made.kept)
    # Every path is in exactly one class, and the classes say what dictionaries say.
    assert set(made.create.paths) == target.keys() - current.keys()
    both = {path for path in target.keys() & current.keys() if target[path] != current[path]}
    modes = {path for path in both if content(target[path]) == content(current[path])}
    assert set(made.modes.paths) == modes
    assert set(made.replace.paths) == set(made.replaced.paths) == both - modes
    assert made.equal == len(target.keys() & current.keys()) - len(both)
    assert deleted | kept == current.keys() - target.keys()
    assert not deleted & kept
    in_base = {path for path in current if base and path in base and content(base[path]) == content(current[path])}
    safe = {
        path
        for path, value in current.items()
        if (value[0] in "fx" and value[1] in SAVED) or (value[0] == "l" and path in in_base) or value[0] == "d"
    }
    assert set(made.unsaved) == (deleted | set(made.replaced.paths)) - safe
    # Where the plan comes true, the result is possible, and what is kept is what nobody asked to go.
    result = {**target, **{path: current[path] for path in kept if target.get(path, ("d",))[0] == "d"}}
    solid = {path for path, value in result.items() if value[0] != "d"}
    assert not any(path.startswith(other + b"/") for path in result for other in solid)
    in_the_way = {
        path
        for path in current.keys() - target.keys()
        if any(path.startswith(other + b"/") and target[other][0] != "d" for other in target)
        or (current[path][0] != "d" and any(other.startswith(path + b"/") for other in target))
    }
    assert in_the_way <= deleted
    assert in_the_way == made.blocking
    for path in current.keys() - target.keys() - in_the_way:
        if base is not None:
            # An empty folder that the base has entries in is what a killed checkout left of it.
            left = current[path][0] == "d" and any(other.startswith(path + b"/") for other in base)
            assert (path in deleted) == (path in base or left)
        else:
            assert (path in deleted) == (current[path][0] in "fx" and current[path][1] in SAVED)
    for part in (made.create, made.replace, made.modes):
        assert all(columns({path: target[path]}) == part.slice(at, at + 1) for at, path in enumerate(part.paths))
    assert all(
        columns({path: current[path]}) == made.delete.slice(at, at + 1) for at, path in enumerate(made.delete.paths)
    )
