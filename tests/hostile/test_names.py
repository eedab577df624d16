"""Names of any bytes: kept exactly, shown harmlessly, and told where they would clash; what is no file is never opened."""

import ast
import os
import shutil
import stat
from pathlib import Path

import pytest
from cli_support import clone, commit, make_socket, tree, write
from hostile_support import forge

import kist

NAMES = [
    b"\x1b[2J\x1b[31mred", b"\x1b]0;title\x07", b"\x1b]8;;mailto:evil\x1b\\click", b"a\nb", b"a\rb", b"\x07\x08\x7f", b"\x9b2J",
    "\u202etxt.exe".encode(), "\u2066x\u2069".encode(), "zero\u200bwidth".encode(), b"\xff\xfe", b"\xc3(", b"-rf", b"--force", b" ",
    b"'; rm -rf .", b"$(touch x)", b"`x`", b"%s%n", b"{0}", b"a\\b", b"*?[x]", b"<img src=x onerror=alert(1)>", b"a&b\"'<>", b"con", b"aux.txt",
    "e\u0301".encode(), "\u00e9x".encode(), b"CASE", b"x" * 255, "\U0001f4a9".encode(), b"a:b", b"trailing.", b"tab\tx", b"#x", b"!x",
]  # fmt: skip
HARMFUL = {chr(code) for code in [*range(10), *range(11, 32), 127, *range(0x80, 0xA0)]} | set(
    "\u200b\u202e\u2066\u2069\u2028"
)
WORDS = [("status",), ("add", "odd"), ("list", "odd"), ("list", "--recursive"), ("diff", "v1"), ("verify",), ("commit",), ("push",), ("doctor",),
         ("checkout", "--rev", "v1"), ("checkout", "--rev", "odd"), ("remove", "odd")]  # fmt: skip


@pytest.fixture
def odd(shared):
    """A repository with a directory of odd names, not recorded yet."""
    (shared.folder / "odd").mkdir()
    for name in NAMES:
        Path(os.fsdecode(os.path.join(os.fsencode(shared.folder / "odd"), name))).write_bytes(name)
    return shared


def test_4_5_names_of_any_bytes_are_kept_and_shown_harmlessly(odd, tried):
    for words in tried(WORDS):
        for more in ((), ("--json",)):
            told = odd(*words, *more, code=None)
            assert not HARMFUL & set(told.out + told.err), (words, told)
        if words == ("commit",):
            commit(odd.folder, "odd")
            odd("push")
            other = clone(odd)
            odd("pull", folder=other)
            assert tree(other / "odd") == tree(odd.folder / "odd")
            assert len(tree(other / "odd")) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_4_5_an_output_of_that_name_is_handled_alone(tracked, name):
    path = Path(os.fsdecode(os.path.join(os.fsencode(tracked.folder), name[:200])))
    path.write_bytes(b"content")
    told = tracked("add", "--", path.name, code=None)
    assert not HARMFUL & set(told.out + told.err)
    if told.code == 0:
        path.unlink()
        told = tracked("checkout", "--", path.name + ".kist")
        assert not HARMFUL & set(told.out + told.err)
        assert path.read_bytes() == b"content"
    else:
        assert told.err.startswith("error: ")


def test_4_5_what_is_quoted_from_a_clone_is_shown_harmlessly(tracked, tried):
    evil = "\\e[2J\\u202E\\x07"
    sound = (tracked.folder / ".kist" / "config.yaml").read_text()
    metafile = (tracked.folder / "data.kist").read_text()
    texts = [
        (".kist/config.yaml", f'{sound}core: {{remote: "{evil}"}}\n'),
        (".kist/config.yaml", f'{sound}remote: {{"{evil}": {{url: "{evil}"}}}}\n'),
        (".kist/config.yaml", f'{sound}remote: {{x: {{url: "s3://{evil}/"}}}}\ncore: {{remote: x}}\n'),
        (".kist/config.yaml", f'{sound}"{evil}": 1\n'),
        (".kist/config.yaml", f'repository: {{id: "{evil}"}}\n'),
        (".kist/config.yaml", f'{sound}core: {{hash: "{evil}"}}\n'),
        ("data.kist", f'{metafile}remote: "{evil}"\n'),
        ("data.kist", f'{metafile}"{evil}": "{evil}"\n'),
        ("data.kist", metafile.replace("path: data", f'path: "{evil}"')),
        ("data.kist", metafile + "\x1b[2J: [\n"),
    ]
    for name, text in tried(texts):
        write(tracked.folder, {name: text})
        for words in (
            ("status",),
            ("push",),
            ("pull",),
            ("checkout",),
            ("remote", "list"),
            ("config", "--list"),
            ("doctor",),
            ("list",),
        ):
            told = tracked(*words, code=None)
            assert not HARMFUL & set(told.out + told.err), (text, words, told)
        write(tracked.folder, {".kist/config.yaml": sound, "data.kist": metafile})


def test_4_5_names_out_of_a_manifest_are_shown_harmlessly(plain, monkeypatch):
    forge(plain.folder, [(name, "file") for name in sorted(NAMES)], monkeypatch)
    for words in (("list", "-r"), ("status",), ("diff",), ("checkout",), ("checkout", "--verbose"), ("verify",)):
        told = plain(*words, code=None)
        assert not HARMFUL & set(told.out + told.err), words
    assert set(map(os.fsencode, os.listdir(plain.folder / "evil"))) == set(NAMES)


PAIRS = [(b"A", b"a"), (b"A/x", b"a/y"), ("\u00e9".encode(), "e\u0301".encode()), ("Stra\u00dfe".encode(), b"STRASSE"), (b"B", b"b/x"),
         ("\u212a".encode(), b"k"), ("\ufb01".encode(), b"fi")]  # fmt: skip


def test_4_5_names_that_clash_are_told_before_anything_is_written(plain, monkeypatch, tried):
    """What asks the file system whether case counts there is told that it does not."""
    monkeypatch.setattr("kist.engine.checkout.checks._ignores_case", lambda root: True)
    for pair in tried(PAIRS):
        forge(plain.folder, [(b"0", "file"), *((name, "file") for name in sorted(pair))], monkeypatch)
        refused = plain.json("checkout", "--force", code=6)
        assert refused.classes == ["PathConflict"]
        assert not (plain.folder / "evil" / "0").exists(), pair


@pytest.fixture
def bottomless(tracked):
    """A folder in the workspace whose path is longer than the system takes."""
    name = "d" * 255
    (tracked.folder / "deep").mkdir()
    above = os.open(tracked.folder / "deep", os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(20):
        os.mkdir(name, dir_fd=above)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)
    yield tracked
    shutil.rmtree(tracked.folder / "deep")


def test_4_5_a_folder_that_no_path_leads_to_stops_nothing_else(bottomless):
    for words in (("status",), ("verify",), ("commit",), ("checkout",), ("gc", "-A", "--plan"), ("add", "data")):
        bottomless(*words)
    refused = bottomless.json("add", "deep", code=6)
    assert refused.classes == ["PathConflict"]
    assert "longer than 4096 bytes" in refused.json["errors"][0]["message"]
    assert not (bottomless.folder / "deep.kist").exists()


def test_4_5_a_name_that_leaves_no_room_for_its_metafile(tracked):
    write(tracked.folder, {"n" * 251: "x", f"folder/{'n' * 255}": "x"})
    refused = tracked.json("add", "n" * 251, code=13)
    assert "add the folder that it is in" in refused.json["errors"][0]["hint"]
    tracked("add", "folder")
    assert tracked.json("status").data["clean"]


def test_4_5_nothing_renders_html():
    """No object of ours offers a rich form that a notebook would show, so no name can carry markup into one."""
    package = Path(kist.__file__).parent
    rich = {
        "_repr_html_",
        "_repr_mimebundle_",
        "_repr_markdown_",
        "_repr_svg_",
        "_repr_javascript_",
        "_repr_latex_",
        "_ipython_display_",
    }
    found = [
        f"{file}: {node.name}"
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.FunctionDef) and node.name in rich
    ]
    assert found == []


def make_device(path):
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero, which never ends


SPECIAL = [os.mkfifo, make_socket, *([make_device] if os.geteuid() == 0 else [])]
"""Only root can make devices."""


@pytest.mark.parametrize("make", SPECIAL)
def test_4_5_what_is_no_file_is_refused_by_name_without_opening_it(tracked, tried, make):
    for place in tried(["data/special", "data/sub/special", "special", "data/a.txt"]):
        path = tracked.folder / place
        path.unlink(missing_ok=True)
        make(path)
        for words in (("add", place.split("/")[0]), ("status",), ("checkout",), ("diff",), ("add", place)):
            told = tracked(*words, code=None)
            assert words[0] != "add" or (told.code == 6 and place in told.err), (place, words, told)
        assert not stat.S_ISREG(path.lstat().st_mode)
        path.unlink()
        tracked("checkout")
