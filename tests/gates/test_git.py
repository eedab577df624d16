"""How many processes of Git's each command starts: one costs more than all that is asked of it."""

import os
import shutil

import pytest

from gates.support import Repository, make_files

MOST = {
    ("add", "data"): 1,
    ("status",): 0,
    ("diff",): 1,
    ("diff", "HEAD~1", "HEAD"): 1,
    ("checkout", "--rev", "HEAD~1"): 2,
    ("checkout", "--rev", "HEAD"): 2,
    ("push",): 2,  # no branch that it follows: Git ends when asked for one
    ("pull",): 0,
    ("fetch", "-A"): 2,
    ("log",): 3,
    ("gc", "-f"): 2,
    ("verify",): 0,
}
"""Command -> how many, in this order: what it takes today."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory, cache_home):
    """A repository with two versions of some data, the first one pushed."""
    made = Repository(tmp_path_factory.mktemp("git") / "repository", cache_home)
    make_files(made.folder / "data", 3, 100)
    for number in range(2):
        (made.folder / "data" / "version").write_text(str(number))
        made.let_age()
        made.run("add", "data")
        made.git("add", "-A")
        made.git("commit", "-q", "-m", f"version {number}")
        if not number:
            made.run("push")
    return made


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for Git")
def test_commands_start_git_seldom(repository):
    real, bin_, log = shutil.which("git"), repository.place / "bin", repository.place / "calls"
    bin_.mkdir()
    (bin_ / "git").write_text(f'#!/bin/sh\necho "$*" >> "{log}"\nexec "{real}" "$@"\n')
    (bin_ / "git").chmod(0o755)
    repository.environment["PATH"] = f"{bin_}{os.pathsep}{os.environ['PATH']}"
    found = {}
    for words in MOST:
        log.write_text("")
        repository.run(*words)
        found[words] = log.read_text().splitlines()
    assert {words: calls for words, calls in found.items() if len(calls) != MOST[words]} == {}
