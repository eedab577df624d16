"""Any directory turns into any other: checkout takes away, makes and exchanges whatever lies between two versions."""

import os
import shutil
from itertools import chain, combinations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kist.api import Repo
from walking import walk

PARTS = st.sampled_from(["a", "b", "b.", "c"])
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
ENTRIES = st.one_of(
    st.just(("directory", b"")),
    st.tuples(st.sampled_from(["file", "file", "executable"]), st.sampled_from([b"", b"1", b"22", b"333"])),
    st.tuples(st.just("symlink"), st.sampled_from([b"a", b"..", b"nowhere"])),
)
TREES = st.dictionaries(PATHS, ENTRIES, max_size=14)


def build(folder, tree):
    """Make the entries of a tree, as far as none lies below one that is no folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, (kind, content) in sorted(tree.items()):
        place = folder / path
        above = [one for one in place.parents if one.is_relative_to(folder)]
        if any(os.path.lexists(one) and (one.is_symlink() or not one.is_dir()) for one in above):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "symlink":
            place.symlink_to(os.fsdecode(content))
        elif kind == "directory":
            place.mkdir()
        else:
            place.write_bytes(content)
            place.chmod(0o755 if kind == "executable" else 0o644)


@settings(max_examples=40)
@given(trees=st.lists(TREES, min_size=2, max_size=3))
@example(trees=[{"x": ("file", b""), "a/b/c/one": ("file", b"1"), "a/b/two": ("file", b"2")}, {"x": ("file", b"")}])
@example(trees=[{"a/b/c/d/e": ("file", b"1"), "a/b/c/f": ("file", b"2"), "a/b/g": ("file", b"3")}, {}])
def test_each_version_comes_back_from_each(tmp_path_factory, trees):
    root = tmp_path_factory.mktemp("switch")
    Repo.init(root)
    versions = []
    with Repo(root) as repo:
        for tree in trees:
            build(root / "data", tree)
            repo.add([str(root / "data")])
            versions.append(((root / "data.kist").read_bytes(), walk(root / "data")))
        pairs = combinations(range(len(versions)), 2)
        for number in [*chain.from_iterable(pairs), 0]:  # from each to each
            metafile, wanted = versions[number]
            (root / "data.kist").write_bytes(metafile)
            report = repo.checkout()
            assert (walk(root / "data"), report.missing, report.kept) == (wanted, (), ())
            assert repo.status().clean
    shutil.rmtree(root)
