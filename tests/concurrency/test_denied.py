"""A folder of the workspace that may not be written: who runs into it is told where, and nobody else is held up."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from concurrency_support import git, kist, tree, well, write

from children import as_nobody
from users import environment

FILES = {"data/a": b"1", "data/inner/b": b"1", "other/x": b"1"}


def denied(test):
    """Run *test* as an ordinary user, in a repository of two versions whose folder ``data/inner`` is read-only."""

    def run():
        home = Path(tempfile.mkdtemp(prefix="kist-denied-"))
        os.environ.update(environment(home))
        root = home / "work"
        inner = root / "data" / "inner"
        try:
            git(home, "init", "-q", "-b", "main", root)
            well(root, "init")
            write(root, FILES)
            well(root, "add", "data", "other")
            git(root, "add", "-A")
            git(root, "commit", "-q", "-m", "v1")
            git(root, "tag", "v1")
            write(root, {"data/a": b"2", "data/inner/b": b"2", "data/inner/c": b"2"})
            well(root, "commit")
            inner.chmod(0o555)
            test(root, inner)
        finally:
            if inner.exists():
                inner.chmod(0o755)
            shutil.rmtree(home)

    as_nobody(run)


@pytest.mark.parametrize("words", [("remove", "data"), ("checkout", "--rev", "v1", "data")], ids=lambda words: words[0])
def test_what_is_forbidden_is_given_up(words):
    def test(root, inner):
        recorded = (root / "data.kist").read_bytes()
        for _ in range(2):
            code, said = kist(root, *words)
            assert code == 13
            assert "data/inner" in said
        assert (root / "data.kist").read_bytes() == recorded
        write(root, {"other/y": b"1"})
        well(root, "commit", "other")
        inner.chmod(0o755)
        left = tree(root)
        said = well(root, "add", "other")
        assert tree(root) == left, "nothing is done later that failed before"
        assert "finished" not in said
        well(root, "checkout")
        assert tree(root / "data") == {"a": b"2", "inner/b": b"2", "inner/c": b"2"}
        well(root, *words)

    denied(test)


def test_4_5_what_cannot_be_read_is_not_called_deleted():
    def test(root, inner):
        (root / "data/a").unlink()
        inner.chmod(0)
        (root / "other/x").chmod(0)
        code, said = kist(root, "diff")
        assert code == 13
        assert "data/inner" in said
        assert "other/x" in said
        assert [line.split()[:2] for line in said.splitlines() if line.startswith("deleted")] == [["deleted", "data/a"]]

    denied(test)
