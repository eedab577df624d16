"""A repository without Git into which Git comes later: data never gets into Git by an innocent ``git add -A``."""

import pytest
from cli_support import git, write


def staged(folder):
    return git(folder, "diff", "--cached", "--name-only").split()


@pytest.fixture
def later(plain):
    write(plain.folder, {"data/a": "a", "sub/model.bin": "m", "notes.txt": "n"})
    plain("add", "data", "sub/model.bin")
    return plain


def test_init_says_what_happens(kist):
    assert ".gitignore" in kist("init").err


def test_git_leaves_the_data_alone_from_the_start(later):
    git(later.folder, "init", "-q")
    git(later.folder, "add", "-A")
    assert staged(later.folder) == [
        ".gitignore", ".kist/config.yaml", "data.kist", "notes.txt", "sub/.gitignore", "sub/model.bin.kist"
    ]  # fmt: skip
    assert later.json("status").data["warnings"] == []


def test_rules_follow_moves_and_removals_without_git(later):
    later("move", "data", "moved")
    later("remove", "sub/model.bin")
    assert "/moved\n" in (later.folder / ".gitignore").read_text()
    assert "/data\n" not in (later.folder / ".gitignore").read_text()
    assert not (later.folder / "sub" / ".gitignore").exists()


@pytest.fixture
def bare(later):
    """As a version of kist left it that wrote no rules without Git."""
    (later.folder / ".gitignore").unlink()
    git(later.folder, "init", "-q")
    return later


def test_status_and_doctor_point_out_what_git_does_not_ignore(bare):
    (warning,) = bare.json("status").data["warnings"]
    assert "Git does not ignore data yet" in warning
    found = [one for one in bare.json("doctor").data["findings"] if one["state"] == "warning"]
    assert any("'git add' would take in data" in one["detail"] for one in found), found
    bare("doctor", "--fix")
    bare("verify")
    git(bare.folder, "add", "-A")
    assert not any(name.startswith("data/") for name in staged(bare.folder))
    assert bare.json("status").data["warnings"] == []


@pytest.mark.parametrize("words", [("checkout",), ("commit",), ("add", "sub/model.bin")])
def test_the_next_command_that_writes_adds_the_rules(bare, words):
    bare(*words)
    assert "/data\n" in (bare.folder / ".gitignore").read_text()


def test_doctor_after_a_rule_was_lost(tracked):
    (tracked.folder / ".gitignore").unlink()
    assert "kist doctor --fix" in tracked("doctor").out
    tracked("doctor", "--fix")
    assert "/data\n" in (tracked.folder / ".gitignore").read_text()
