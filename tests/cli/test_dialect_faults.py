"""What a dialect or a metafile format of a plugin may do wrong: told as its defect, and nothing is harmed by it."""

import importlib
import json
import sys

import pytest
from cli_support import DATA, commit, git, write
from lake import LAKE, install

SOURCES = 'return (".lake/lake.ini",)'
IGNORED = 'return frozenset({b".git", b".lake"})'
LOADED = "return Metafile((output,), extra)"
DEFECTS = [
    (SOURCES, 'return ("../outside",)', "not a path inside the repository"),
    (SOURCES, "return (7,)", "not a path inside the repository"),
    (SOURCES, "return None", "not paths"),
    ('return {"remote":', 'return 5 or {"remote":', "not sections"),
    ('return {"remote":', 'return {"lake": {"depth": 1}} or {"remote":', "unknown configuration key 'lake.depth'"),
    ("parser.read_string(data.decode())", "raise KeyError(7)", "kist-lake"),
    (IGNORED, "raise KeyError(7)", "kist-lake"),
    (IGNORED, "return None", "Lake.always_ignored gave None, not a frozenset of bytes"),
    (IGNORED, 'return {".git"}', "Lake.always_ignored gave {'.git'}, not"),
    ('marker = ".lake"', "", "its plugin gave '' for dialects..lake"),
    ('metafile_formats = ("lake",)', 'metafile_formats = "lake"', "Lake.metafile_formats gave 'lake', not a tuple"),
    ('metafile_formats = ("lake",)', "metafile_formats = ()", "Lake.metafile_formats gave (), not"),
    ('default_hashers = ("sha512",)', "default_hashers = (5,)", "Lake.default_hashers gave (5,), not"),
    ('default_hashers = ("sha512",)', "", "Lake.default_hashers gave None, not"),
    ('ignore_file = ".lakeignore"', 'ignore_file = "../x"', "Lake.ignore_file gave '../x', not a file's name"),
    ('ignore_file = ".lakeignore"', "", "Lake.ignore_file gave None, not"),
    ('patterns = ("*.lake",)', 'patterns = "*.lake"', "LakeFormat.patterns gave '*.lake', not a tuple"),
    ('patterns = ("*.lake",)', 'patterns = ("a/*.lake",)', "LakeFormat.patterns gave ('a/*.lake',), not"),
    ('patterns = ("*.lake",)', 'patterns = ("lake.json",)', "lake.json has no '*' at its beginning"),
    ('name = "lake"', 'name = "lake"; max_size = None', "LakeFormat.max_size gave None, not"),
    ('name = "lake"', 'name = "lake"; codec = 5', "LakeFormat.codec gave 5, not"),
    ("return json.dumps(values, indent=1).encode()", "return str(values) or b''", "LakeFormat.dumps gave \"{'path'"),
]


@pytest.mark.parametrize(("old", "new", "told"), DEFECTS)
def test_a_wrong_answer_is_told_as_a_defect_of_its_distribution(kist, site, old, new, told):
    assert old in LAKE
    install(site, LAKE.replace(old, new))
    write(kist.folder, {**DATA, ".lake/lake.ini": "[store]\nurl = ../store\n"})
    error = kist.json("add", "data", code=None).json["errors"][0]
    assert error["exit_code"] in (3, 4)
    assert told in error["message"]
    assert any(name in error["message"] + error["hint"] for name in ("kist-lake", "lake.ini", "the dialect"))
    assert not (kist.folder / "data.lake").exists()


@pytest.fixture
def recorded(kist, site):
    """A repository with one output, which a plugin that keeps its contract recorded."""
    install(site)
    git(kist.folder, "init", "-q", "-b", "main")
    write(kist.folder, {**DATA, ".lake/lake.ini": ""})
    kist("add", "data")
    commit(kist.folder, "v1")
    return kist


def spoil(site, old, new):
    """Change the plugin that is installed, as an update of it would."""
    assert old in LAKE
    (site.folder / "kist_lake.py").write_text(LAKE.replace(old, new))
    sys.modules.pop("kist_lake", None)
    importlib.invalidate_caches()


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("return None", "LakeFormat.loads gave None, not a kist.model.Metafile"),
        ("return Metafile((7,), extra)", "LakeFormat.loads gave 7, not a kist.model.TrackedOutput"),
        ("return Metafile(7, extra)", "LakeFormat.loads gave 7, not a tuple of outputs"),
        ("return Metafile((output,), None)", "not a kist.model.Metafile"),
        ("return Metafile((TrackedOutput('data', 'md5:0', True),))", "gave 'md5:0', not what an output's digest"),
        ("return Metafile((TrackedOutput('data', digest, True, size='1'),))", "gave '1', not what an output's size"),
    ],
)
def test_what_a_format_reads_is_looked_at(recorded, site, new, told):
    spoil(site, LOADED, new)
    error = recorded.json("status", code=4).json["errors"][0]
    assert error["class"] == "ContractViolation"
    assert error["message"].startswith("kist-lake: ")
    assert told in error["message"]


@pytest.mark.parametrize("path", ["../outside", ".git/config", "/etc/motd", ".KIST/private", "a//b", "\ud800"])
def test_a_path_that_a_format_lets_pass_leads_nowhere(recorded, site, path):
    spoil(site, 'check_path(values["path"].encode())', "pass")
    metafile = recorded.folder / "data.lake"
    metafile.write_text(json.dumps({**json.loads(metafile.read_text()), "path": path}))
    before = (recorded.folder / ".git/config").read_text()
    for words in (["status"], ["checkout", "--force"], ["pull"]):
        assert "MetafileError" in recorded.json(*words, code=None).classes
    assert (recorded.folder / ".git/config").read_text() == before


def test_a_metafile_of_several_outputs_is_read_and_loses_none_of_them(recorded, site):
    several = 'return Metafile((output, TrackedOutput("other", digest, values["directory"])), extra)'
    spoil(site, LOADED, several)
    assert {one["path"] for one in recorded.json("list").data["entries"]} == {"data", "other"}
    recorded("checkout", "other")
    metafile = (recorded.folder / "data.lake").read_bytes()
    write(recorded.folder, {"data/a.txt": "changed"})
    commit(recorded.folder, "v2")
    for words in (
        ["add", "data"],
        ["commit"],
        ["move", "data", "new"],
        ["move", "data/a.txt", "data/b.txt"],
        ["remove", "other"],
        ["checkout", "--rev", "HEAD", "--force"],
    ):
        error = recorded.json(*words, code=7).json["errors"][0]
        assert "describes 2 outputs together" in error["message"], words
    assert (recorded.folder / "data.lake").read_bytes() == metafile
    assert (recorded.folder / "data/a.txt").read_text() == "changed"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("def write(self, *given): return None", "Nodes.write gave None, not a kist.abc.ManifestView"),
        ("def write(self, *given): return super().open(*given)", "kist-lake"),
        ("kinds = 'file'", "Nodes.kinds gave 'file', not"),
    ],
)
def test_what_a_manifest_codec_gives_is_looked_at(kist, site, wrong, told):
    codec = f"from kist.builtin.node_manifest import NodeManifestCodec\nclass Nodes(NodeManifestCodec):\n    {wrong}\n"
    install(site, codec + LAKE.replace('name = "lake"', 'name = "lake"; codec = Nodes()'))
    write(kist.folder, {**DATA, ".lake/lake.ini": ""})
    error = kist.json("add", "data", code=4).json["errors"][0]
    assert error["class"] in ("ContractViolation", "PluginBroken")
    assert told in error["message"]
    assert not (kist.folder / "data.lake").exists()


def test_who_would_bring_the_hash_algorithms_is_told(kist, site):
    install(site, LAKE.replace('("sha512",)', '("nix", "nox")'))
    write(kist.folder, {**DATA, ".lake/lake.ini": ""})
    error = kist.json("add", "data", code=4).json["errors"][0]
    assert "none of the hash algorithms nix, nox is installed" in error["message"]
    assert "blake3" not in error["hint"] or "installed: " in error["hint"]
