"""What a release wrote is read by every later one, and by whoever has the page on the formats.

The golden files never change. A test that fails here has found a change of a stored format.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import zlib
from itertools import chain
from pathlib import Path

import pytest

from kist.builtin.node_manifest import NodeManifestCodec
from kist.builtin.yaml_metafile import YamlMetafile
from kist.engine.storage import members
from kist.engine.transfer.fetch import fetch_versions
from kist.engine.transfer.parts import Want
from kist.model.digest import Digest
from kist.repo.config_files import read_file


def _load(name: str):
    """A module beside this one."""
    spec = importlib.util.spec_from_file_location(f"compat_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


golden = _load("make_golden")
reader = _load("reader")

FOLDER = golden.GOLDEN
CACHE, REMOTE = FOLDER / "cache", FOLDER / "remote"
ROOTS = json.loads((FOLDER / "roots.json").read_bytes())
TREES = {"first": golden.first_tree(), "second": golden.second_tree()}


def raw_of(name: str) -> bytes:
    return reader.parse_digest(ROOTS[name])[1]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ── kist writes them ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_bytes_are_written_today(tmp_path, monkeypatch):
    """Compressed bytes may differ between builds of zlib, and by where a stream leaves bytes as they are: those that
    were stored then are given again."""
    stored = {}
    for path in [*(CACHE / "packs").iterdir(), *(REMOTE / "packs").iterdir()]:
        data = path.read_bytes()
        for member in reader.read_pack(data, path.name)[2]:
            if member.codec == 1:
                packed = data[member.offset : member.offset + member.stored]
                stored[zlib.decompress(packed)] = packed
    compress = zlib.compress
    monkeypatch.setattr(zlib, "compress", lambda data, *args: stored.get(bytes(data)) or compress(data, *args))
    around = members._deflated_around
    monkeypatch.setattr(members, "_deflated_around", lambda data, *args: stored.get(bytes(data)) or around(data, *args))
    golden.make(tmp_path / "new")
    new, old = files_of(tmp_path / "new"), files_of(FOLDER)
    assert new.keys() == old.keys()
    assert [name for name in old if new[name] != old[name]] == []


def test_they_are_small():
    assert sum(map(len, files_of(FOLDER).values())) < 300_000


# ── the independent reader reads them ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["first", "second"])
def test_reader_on_the_remote(name):
    store = reader.open_version(REMOTE, ROOTS[name])
    assert store.tree(raw_of(name)) == TREES[name]


def test_reader_on_the_cache():
    store = reader.open_cache(CACHE, "sha256")
    assert store.tree(raw_of("first")) == TREES["first"]
    assert store.tree(raw_of("second")) == TREES["second"]
    assert store.get(raw_of("single")) == golden.SINGLE


def test_reader_on_a_single_file():
    assert reader.open_version(REMOTE, ROOTS["single"]).get(raw_of("single")) == golden.SINGLE


def test_the_golden_files_show_every_form():
    """Else a form could change without anybody noticing."""
    store = reader.open_version(REMOTE, ROOTS["second"])
    nodes = [node for node, _ in reader.read_tree(raw_of("second"), "sha256", store.get)]
    assert {node.level for node in nodes} == {0, 1}
    leaves = [node.paths for node in nodes if not node.level]
    assert len(leaves) > 2
    assert [len(paths) for paths in leaves] == reader.leaf_lengths(list(chain(*leaves)))
    assert set(b"".join(node.kinds for node in nodes)) == set(b"fxld")
    places = [place for index in store.indexes for place in index.places.values()]
    assert len(store.indexes) == 2
    assert {(place.pack is None, place.segmented) for place in places} == {(False, False), (True, False), (True, True)}
    assert {place.codec for place in places} == {0, 1}
    assert {kind for index in store.indexes for _, _, kind in index.packs} == {0, 1}


def test_packs_and_indexes_agree():
    for folder in (CACHE, REMOTE):
        packs = {path.name: path.read_bytes() for path in (folder / "packs").iterdir()}
        members = {name: reader.read_pack(data, name) for name, data in packs.items()}
        for path in (folder / "index").iterdir():
            index = reader.read_index(path.read_bytes(), path.name)
            for name, length, kind in index.packs:
                assert (len(packs[name]), members[name][:2]) == (length, (kind, index.algorithm))
                for member in members[name][2]:
                    place = index.places[member.raw]
                    assert place == reader.Place(name, False, member.offset, member.stored, member.plain, member.codec)


def test_texts():
    assert reader.read_text("remote", (REMOTE / "kist-remote").read_bytes()) == {
        "pack_threshold": golden.PACK_THRESHOLD
    }
    assert reader.read_text("condemned", (REMOTE / "condemned").read_bytes()) == {"keys": golden.CONDEMNED}
    described = reader.read_set(REMOTE, [ROOTS["first"], ROOTS["single"]])
    marker = reader.read_text("root", (REMOTE / "roots/sha256" / raw_of("first").hex()).read_bytes())
    assert described["indexes"] == marker["indexes"]
    assert described["repositories"] == [golden.REPOSITORY]
    refs = {path.relative_to(REMOTE / "refs").as_posix() for path in (REMOTE / "refs").rglob("*") if path.is_file()}
    both = {f"{one}/sha256/{raw_of('single').hex()}" for one in (golden.REPOSITORY, golden.OTHER_REPOSITORY)}
    assert refs == both | {f"{golden.REPOSITORY}/sha256/{raw_of(name).hex()}" for name in TREES}
    for name in refs:
        repository, algorithm, hexadecimal = name.split("/")
        value = reader.read_text("ref", (REMOTE / "refs" / name).read_bytes())
        assert value == {"repository": repository, "root": f"{algorithm}:{hexadecimal}"}


def test_reader_on_metafiles():
    values = reader.read_metafile((FOLDER / "metafiles/data.kist").read_bytes())
    assert (values["name"], values["manifest"]) == (b"data", ROOTS["first"])
    assert (values["files"], values["size"]) == expected_totals(TREES["first"])
    values = reader.read_metafile((FOLDER / "metafiles/single.kist").read_bytes())
    assert (values["name"], values["file"]) == (b"single-\xff.bin", ROOTS["single"])
    assert (values["executable"], values["size"]) == (True, len(golden.SINGLE))
    assert (values["remote"], values["links"]) == ("archive", ["hardlink", "copy"])


def expected_totals(tree) -> tuple[int, int]:
    return len(tree), sum(len(data) for mode, data in tree.values() if mode & 0o100000 and mode != 0o120000)


@pytest.mark.parametrize("at", [0, 8, 70, -60, -40, -10])
def test_reader_refuses_damage(at):
    """A reader that accepts everything would prove nothing."""
    for path in (REMOTE / "packs").iterdir():
        data = bytearray(path.read_bytes())
        data[at] ^= 0xFF
        with pytest.raises((reader.FormatError, UnicodeDecodeError)):
            reader.read_pack(bytes(data), path.name)


def test_examples_of_the_page():
    page = Path(__file__).parents[2].joinpath("docs/reference/formats.md").read_text("utf-8")
    rows = re.findall(r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} ?){1,16})", page, re.MULTILINE)
    node = bytes.fromhex("".join(rows))
    assert f"sha256:{reader.sha256(node).hex()}" in page
    leaf = reader.read_node(node, "sha256")
    assert (leaf.paths, leaf.kinds, leaf.targets) == ([b"a/b", b"c", b"d"], b"fld", (b"", b"a/b", b""))
    text = re.search(r"^kist-remote/1\n.*\n.*\n", page, re.MULTILINE)
    assert reader.read_text("remote", text[0].encode()) == {"pack_threshold": 1 << 20}


# ── kist reads them ──────────────────────────────────────────────────────────────────────────────────────────────────


def copy(source: Path, target: Path) -> Path:
    """The golden files are never opened for writing."""
    for name, data in files_of(source).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    return target


def tree_of(cache, root: Digest):
    view = NodeManifestCodec().open(root, lambda raws: cache.read_many("sha256", raws))
    modes = {"file": 0o100644, "executable": 0o100755, "symlink": 0o120000, "directory": 0o040000}
    entries = [entry for leaf in view.leaves() for entry in leaf.entries()]
    raws = list(dict.fromkeys(entry.digest.raw for entry in entries if entry.digest))
    contents = dict(zip(raws, cache.read_many("sha256", raws), strict=True))
    found = {}
    for entry in entries:
        data = contents[entry.digest.raw] if entry.digest else entry.target or b""
        found[entry.path] = (modes[entry.kind], data)
    return found


def test_kist_fetches_from_the_remote(tmp_path):
    store = golden.open_store(copy(REMOTE, tmp_path / "remote"))
    cache = golden.open_cache(tmp_path / "cache")
    roots = {name: Digest.parse(text) for name, text in ROOTS.items()}
    wants = [Want(root, name != "single", path=name) for name, root in roots.items()]
    report = fetch_versions(cache, store, wants, codec=NodeManifestCodec(), jobs=1)
    assert not report.failures
    for name, tree in TREES.items():
        assert tree_of(cache, roots[name]) == tree
    assert cache.read_many("sha256", [roots["single"].raw]) == [golden.SINGLE]


def test_kist_reads_the_cache(tmp_path):
    cache = golden.open_cache(copy(CACHE, tmp_path / "cache"))
    for name, tree in TREES.items():
        assert tree_of(cache, Digest.parse(ROOTS[name])) == tree
    assert all(good for _, good in cache.verify())


def test_kist_reads_the_remote_whole(tmp_path):
    """Markers, sets and refs too: a push of what is there sends nothing."""
    store = golden.open_store(copy(REMOTE, tmp_path / "remote"))
    cache = golden.open_cache(copy(CACHE, tmp_path / "cache"))
    before = files_of(tmp_path / "remote")
    first, second = (golden.add_tree(cache, tree) for tree in TREES.values())
    assert [str(first.root), str(second.root)] == [ROOTS["first"], ROOTS["second"]]
    for version in (first, second, golden.add_file(cache, golden.SINGLE)):
        golden.push(cache, store, [version], [], golden.REPOSITORY)
    assert files_of(tmp_path / "remote") == before
    assert dict(store.read_condemned().keys) == golden.CONDEMNED


def test_kist_reads_metafiles_and_configuration():
    formats = YamlMetafile()
    for name, root in (("data", "first"), ("single", "single")):
        data = (FOLDER / f"metafiles/{name}.kist").read_bytes()
        metafile = formats.loads(data, f"{name}.kist")
        assert str(metafile.outputs[0].digest) == ROOTS[root]
        assert formats.dumps(metafile) == data
    values = read_file(FOLDER / "repository/config.yaml")
    assert values["repository"] == {"id": golden.REPOSITORY}
