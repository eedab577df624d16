"""How many manifest nodes are opened for one path: those on the way to it, however many files there are."""

import hashlib
import os
from array import array

import pytest

from kist.api import Repo
from kist.builtin.node_manifest import NodeManifestCodec
from kist.engine.manifest.nodes import NodeTree
from kist.model.columns import Columns
from kist.testing.manifest_tools import NodeStore

TIMES = 3
"""How often a command may open the same node: to find the target, as what is wanted, and as what was there."""


def columns(files):
    """Entries of many files."""
    paths = [b"part%05d/%07d.bin" % (number // 200, number) for number in range(files)]
    raws = hashlib.sha256(b"content").digest() * files
    return Columns("sha256", 32, paths, b"f" * files, array("Q", [100]) * files, raws)


@pytest.mark.parametrize("files", [1_000, 30_000, 1_000_000])
def test_one_path_opens_one_node_a_level(files):
    store = NodeStore()
    whole = NodeManifestCodec().write([columns(files)], store.put, store.hasher, store.get)
    store.reset()
    view = NodeManifestCodec().open(whole.root, store.get)
    number = files * 2 // 3
    assert view.find(b"part%05d/%07d.bin" % (number // 200, number)).size == 100
    assert store.opened == view.tree.level + 1


@pytest.fixture
def decoded(monkeypatch):
    """The nodes that this process decodes, as a list."""
    found = []
    decode = NodeTree._decode

    def counted(tree, data, *same):
        found.append(data)
        return decode(tree, data, *same)

    monkeypatch.setattr(NodeTree, "_decode", counted)
    return found


def test_checkout_of_one_path_opens_depth_and_two(tmp_path, monkeypatch, decoded):
    for name in [name for name in os.environ if name.startswith("KIST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KIST_FSYNC", "off")
    folder = tmp_path / "work"
    for number in range(6000):
        if number % 200 == 0:
            (folder / "data" / f"part{number // 200}").mkdir(parents=True)
        (folder / "data" / f"part{number // 200}" / f"{number}.bin").write_bytes(b"%d" % number)
    repo = Repo.init(folder)
    monkeypatch.chdir(folder)
    repo.add("data")
    [tracked] = repo.context.tracked()
    depth = repo.context.view(tracked.output.digest).tree.level + 1
    wanted = folder / "data" / "part7" / "1500.bin"
    wanted.unlink()
    decoded.clear()
    repo.checkout("data/part7/1500.bin")
    assert wanted.read_bytes() == b"1500"
    assert 1 < len(set(decoded)) <= depth + 2
    assert len(decoded) <= TIMES * depth
    decoded.clear()
    assert b"".join(repo.cat("data/part7/1500.bin")) == b"1500"
    assert 1 < len(set(decoded)) <= depth + 2
    assert len(decoded) <= TIMES * depth
