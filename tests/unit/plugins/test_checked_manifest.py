"""The border between the core and a plugin's manifest codec."""

from array import array

import pytest

from kist.builtin.node_manifest import NodeManifest, NodeManifestCodec
from kist.errors import ContractViolation, MetafileError
from kist.model import columns as columns_module
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.model.path_list import PathList
from kist.plugins.checked_manifest import CheckedManifestCodec
from kist.testing import ManifestCodecContract
from kist.testing.manifest_tools import NodeStore, many_files
from kist.util.slotted import replace

GOOD = many_files(5)
OTHER = Digest("sha256", "00" * 32)


class TestChecked(ManifestCodecContract):
    """It is in nobody's way."""

    @pytest.fixture
    def codec(self):
        return CheckedManifestCodec(NodeManifestCodec(), "kist-nodes")


class Odd(NodeManifestCodec):
    """A codec some of whose answers are replaced; those of its manifests too."""

    def __init__(self, **answers):
        self.answers = answers

    def _given(self, method, found):
        if method in self.answers:
            return self.answers[method]
        for name, value in self.answers.items():
            if name.startswith("view."):
                what = name.removeprefix("view.")
                setattr(found, what, value if what in ("root", "files", "size") else lambda *_args, _it=value: _it)
        return found

    def write(self, *given):
        return self._given("write", super().write(*given))

    def edit(self, view, *given):
        assert type(view) is NodeManifest
        return self._given("edit", super().edit(view, *given))

    def open(self, *given):
        return self._given("open", super().open(*given))

    def children(self, node, algorithm):
        return self.answers.get("children", super().children(node, algorithm))


def use(codec, method):
    """Call a method of a codec, or one of the manifest that it opens, as the core does."""
    store = NodeStore()
    root = NodeManifestCodec().write([GOOD], store.put, store.hasher, store.get).root
    if method == "write":
        return codec.write([GOOD], store.put, store.hasher, store.get)
    if method == "children":
        return codec.children(store.get([root.raw])[0], "sha256")
    view = codec.open(root, store.get)
    if method == "edit":
        return codec.edit(view, [], store.put, store.hasher, store.get)
    made = {
        "leaves": view.leaves,
        "find": lambda: [view.find(GOOD.paths[0])],
        "deltas": lambda: view.deltas(codec.open(root, store.get)),
        "nodes": view.nodes,
    }
    return list(made.get(method, list)())


def changed(**columns):
    return replace(GOOD, **columns)


COLUMNS = [
    "entries",
    changed(algorithm="md5"),
    changed(width=16),
    changed(paths=[*map(bytes.decode, GOOD.paths)]),
    changed(paths=GOOD.paths[1:]),
    changed(paths=tuple(GOOD.paths)),
    changed(kinds=[*GOOD.kinds]),
    changed(kinds=b"?" * 5),
    changed(kinds=b"l" * 5),
    changed(sizes=[*GOOD.sizes]),
    changed(sizes=array("q", GOOD.sizes)),
    changed(digests=GOOD.digests[1:]),
    changed(digests=None),
    changed(targets=[b"x"]),
]
WRONG = [
    *[
        (method, value)
        for method in ("write", "edit", "open")
        for value in (None, "a manifest", Digest("md5", "0" * 32))
    ],
    *[("open", name, value) for name in ("root", "files", "size") for value in (None, "5", -1)],
    ("open", "root", OTHER),
    ("write", "root", Digest("md5", "0" * 32)),
    *[("children", value) for value in (None, [], (1, 2), ([1], None), ([b"x"], None), ([b"x" * 32, b"x" * 31], None))],
    *[("children", ([], value)) for value in COLUMNS],
    *[("leaves", "leaves", value) for value in (None, 5, *([one] for one in COLUMNS))],
    *[("find", "find", value) for value in (5, GOOD.paths[0], Entry(b"another", "file"))],
    *[("deltas", "deltas", value) for value in (None, [None], [(GOOD,)], *([(GOOD, one)] for one in COLUMNS))],
    *[("nodes", "nodes", value) for value in (None, [None], [b"xx"], [(b"x" * 31, b"")], [(b"x" * 32, "node")])],
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_an_answer_of_another_kind_is_the_plugins_defect(wrong):
    method, *attribute, value = wrong
    odd = Odd(**{f"view.{attribute[0]}" if attribute else method: value})
    checked = CheckedManifestCodec(odd, "kist-odd")
    with pytest.raises(ContractViolation, match=r"^kist-odd: Odd\.") as told:
        use(checked, method)
    assert "tell its authors" in told.value.hint


def test_very_many_entries_put_together_are_columns(monkeypatch):
    monkeypatch.setattr(columns_module, "MANY", 3)
    part = Columns.concat("sha256", 32, [GOOD])
    assert isinstance(part.paths, PathList)
    checked = CheckedManifestCodec(Odd(**{"view.leaves": [part], "children": ([], part)}), "kist-large")
    assert use(checked, "leaves") == [GOOD]
    assert use(checked, "children") == ([], GOOD)


@pytest.mark.parametrize("path", [b"../outside", b"/etc/motd", b".git/config", b"a//b"])
def test_a_path_that_a_codec_lets_pass_leads_nowhere(path):
    part = Columns.from_entries("sha256", 32, [Entry(path, "file", 1, OTHER)])
    odd = Odd(**{"view.leaves": [part], "children": ([], part)})
    for method in ("leaves", "children"):
        with pytest.raises(MetafileError, match="not allowed"):
            use(CheckedManifestCodec(odd, "kist-odd"), method)


@pytest.mark.parametrize("kinds", [None, "file", {"socket"}])
def test_kinds_that_are_none(kinds):
    odd = Odd()
    odd.kinds = kinds
    with pytest.raises(ContractViolation, match=r"Odd\.kinds gave"):
        CheckedManifestCodec(odd, "kist-odd")
