"""Ignore rules: grammar compared with Git's own answers, nested files, what is always ignored."""

import itertools
import os
import random
import re
import subprocess
import sys

import pytest

from kist.builtin.pure_kernel import PureKernel
from kist.engine.workspace import ignore as ignore_module
from kist.engine.workspace.ignore import IgnoreRules, RepositoryIgnore
from kist.engine.workspace.walk import walk
from kist.errors import ConfigError


def walked(root, start=b"", rules=None):
    return [
        (folder + b"/" if folder else b"") + name
        for folder, listing in walk(root, start, PureKernel(), rules or IgnoreRules())
        for name in listing.names
    ]


def make(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")


CASES = [
    "/*\n!/foo/\n",
    "*\n!*/\n!*.txt\n",
    "foo\n!foo/bar\n",
    "a/\n",
    "/foo/*\n!/foo/bar/\n",
    "**/x\n",
    "a/**/b\n",
    "a/**\n",
    "\\!x\n",
    "x \n",
    "x\\ \n",
    "[ab].c\n",
    "!a\n",
    "#c\n\\#c\n",
    "a*\n!ab\n",
    "foo/*\n!foo/b.c\n",
    "*.c\n!/foo/\n",
    "build/\n!build/x\n",
    "a/*/b\n",
    "b.?\n\n   \n",
    "**/foo/bar\n",
    "foo\r\n",
    "/a\n/b/\n!/b/\n",
]
NAMES = ["foo", "a", "b", "x", "bar", "a.txt", "b.c", "!x", "#c", "ab", "build", "x "]
PATHS = ["/".join(parts) for length in (1, 2, 3) for parts in itertools.product(NAMES, repeat=length)]


@pytest.mark.parametrize("text", CASES)
def test_grammar_is_gits(tmp_path, text):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", tmp_path], check=True, env=environment)
    (tmp_path / ".gitignore").write_bytes(text.encode())
    (tmp_path / ".kistignore").write_bytes(text.encode())
    answer = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        input="\0".join(PATHS).encode(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env=environment,
    )
    theirs = set(answer.stdout.decode().split("\0")) - {""}
    descriptor = os.open(tmp_path, os.O_RDONLY)
    rules = IgnoreRules().for_directory(b"", descriptor)
    os.close(descriptor)

    def hidden(path):
        parts = path.split("/")
        return any(
            rules.hides_name(
                "".join(part + "/" for part in parts[:depth]).encode(),
                parts[depth].encode(),
                is_directory=depth < len(parts) - 1,
            )
            for depth in range(len(parts))
        )

    assert {path for path in PATHS if hidden(path)} == theirs


def test_always_ignored(tmp_path):
    make(
        tmp_path,
        ".git/config",
        ".GIT/x",
        ".kist/config.yaml",
        ".Kist/x",
        "a",
        ".a.kist-tmp-1-2",
        "b/.gIt",
        "b/.kistignored",
    )
    make(tmp_path, ".gitignore", "git", "b/.x.kist-tmp-host-1")
    assert walked(tmp_path) == [b".gitignore", b"a", b"b/.kistignored", b"git"]


def test_a_folder_of_ignored_names_counts_as_empty(tmp_path):
    make(tmp_path, "a/.x.kist-tmp-1", "a-", "b/c/skip.me", "b/c.d")
    (tmp_path / ".kistignore").write_text("*.me\n")
    assert walked(tmp_path) == [b".kistignore", b"a", b"a-", b"b/c", b"b/c.d"]


def test_nested_files(tmp_path):
    make(tmp_path, "data/x.log", "data/keep/x.log", "data/keep/y.tmp", "data/deep/z", "data/keep/sub/x.log", "x.log")
    (tmp_path / ".kistignore").write_text("*.log\n/data/deep/\n")
    (tmp_path / "data/keep/.kistignore").write_text("!*.log\n*.tmp\n/sub/x.log\n")
    expected = [b"data/keep/.kistignore", b"data/keep/sub", b"data/keep/x.log"]
    assert walked(tmp_path, b"data") == expected
    assert walked(tmp_path) == [b".kistignore", *expected]


def test_rules_above_the_start_count(tmp_path):
    make(tmp_path, "a/b/c/x.log", "a/b/c/y", "a/b/c/z.log")
    (tmp_path / ".kistignore").write_text("*.log\n")
    (tmp_path / "a/b/.kistignore").write_text("!c/z.log\n")
    assert walked(tmp_path, b"a/b/c") == [b"a/b/c/y", b"a/b/c/z.log"]


def test_other_names_may_be_configured(tmp_path):
    make(tmp_path, ".dvc/x", ".git/x", "a.o", ".kist/x")
    (tmp_path / ".dvcignore").write_text("*.o\n")
    rules = IgnoreRules(always=[b".dvc", b".git"], file_name=b".dvcignore")
    assert walked(tmp_path, rules=rules) == [b".dvcignore", b".kist/x"]


def test_names_that_are_no_text(tmp_path):
    for name in (b"\xff.log", b"\xff.txt", b"new\nline.log"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
            pass
    (tmp_path / ".kistignore").write_bytes(b"*.log\n")
    assert walked(tmp_path) == [b".kistignore", b"\xff.txt"]
    (tmp_path / ".kistignore").write_bytes(b"\xff*\n")
    assert walked(tmp_path) == [b".kistignore", b"new\nline.log"]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_a_regular_file_is_read(tmp_path, kind):
    make(tmp_path, "a.log")
    (tmp_path / "rules").write_text("*\n")
    place = tmp_path / ".kistignore"
    if kind == "link":
        place.symlink_to("rules")
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    assert b"a.log" in walked(tmp_path)


def test_a_bad_pattern_is_told_with_its_line(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/.kistignore").write_text("*.log\n!\n")
    with pytest.raises(ConfigError, match=r"data/\.kistignore:2"):
        walked(tmp_path)


def test_a_huge_file_is_refused(tmp_path):
    with (tmp_path / ".kistignore").open("wb") as file:
        file.truncate(ignore_module.MAX_BYTES + 1)
    with pytest.raises(ConfigError, match="larger"):
        walked(tmp_path)


def test_whole_paths(tmp_path):
    make(tmp_path, "a/b/x.log", "a/b/y", ".git/x")
    (tmp_path / "a/.kistignore").write_text("*.log\n/b/hidden/\n")
    rules = RepositoryIgnore(tmp_path)
    assert rules.hides(b"a/b/x.log", is_directory=False)
    assert rules.hides(b"a/b/hidden", is_directory=True)
    assert rules.hides(b"a/b/hidden/new", is_directory=False)
    assert rules.hides(b".git/x", is_directory=False)
    assert not rules.hides(b"a/b/hidden", is_directory=False)
    assert not rules.hides(b"a/b/y", is_directory=False)
    assert not rules.hides(b"absent/path/x.log", is_directory=False)


def test_no_ignore_file_imports_nothing(tmp_path):
    make(tmp_path, "a/b")
    program = (
        "import sys\nfrom pathlib import Path\nfrom kist.engine.workspace.walk import walk\n"
        "from kist.engine.workspace.ignore import IgnoreRules\nfrom kist.builtin.pure_kernel import PureKernel\n"
        f"list(walk(Path({str(tmp_path)!r}), b'', PureKernel(), IgnoreRules()))\n"
        "print([name for name in ('pathspec', 'sqlite3', 'yaml', 'asyncio', 'subprocess', 'hashlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "line", ["*a" * 40 + "b", "**/a/" * 20 + "b", "*?*[ab]" * 20 + "/**/*c*" * 9, "x/**" * 30 + "/y*z"]
)
def test_many_wildcards_take_no_time(tmp_path, line):
    """A clone brings the patterns: with backtracking these would not end before the test's time is up."""
    (tmp_path / ".kistignore").write_text(f"{line}\n")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        rules = IgnoreRules().for_directory(b"", descriptor)
        for name in (b"a" * 255, b"ba" * 100):
            assert not rules.hides_name(b"", name, is_directory=False)
            assert not rules.hides_name(b"a/" * 250, name, is_directory=True)
            assert not rules.hides_name(b"x/" + b"a/" * 250, name, is_directory=True)
    finally:
        os.close(descriptor)


def test_wildcards_fit_what_they_fit_in_pathspec():
    """Random patterns and paths; a negated set fits no slash, as in Git."""
    from pathspec import GitIgnoreSpec

    chance = random.Random(7)
    pieces = ["*", "*", "**", "?", "a", "b", "/", "[ab]", "[!a]", "\\*", "(", "|", ".", "/**/", "**/", "/**"]
    tried = 0
    for _ in range(3000):
        try:
            (pattern,) = GitIgnoreSpec.from_lines(["".join(chance.choices(pieces, k=chance.randint(1, 9)))]).patterns
        except ValueError:
            continue
        if pattern.regex is None or pattern.include is None:
            continue
        theirs = pattern.regex.pattern.replace("[^/]", "\0").replace("[^", "[^/").replace("\0", "[^/]")
        ours = ignore_module._linear(pattern.regex.pattern)
        for _ in range(10):
            path = "/".join(
                "".join(chance.choices("ab.(*|", k=chance.randint(1, 4))) for _ in range(chance.randint(1, 4))
            )
            assert bool(re.search(ours, path)) == bool(re.search(theirs, path)), (pattern, path)
            tried += 1
    assert tried > 20_000
