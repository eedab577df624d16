"""config: settings of all levels, inside and outside of a repository."""

import pytest


def test_set_get_list_unset(repo):
    assert repo.json("config", "core.remote", "store").data["level"] == "tracked"
    assert repo("config", "core.remote").out == "store\n"
    got = repo.json("config", "get", "core.remote").data
    assert (got["value"], got["level"]) == ("store", "tracked")
    assert got["origin"].endswith(".kist/config.yaml")
    assert "core.remote=store" in repo("config", "list").out.splitlines()
    assert "core.remote=store" in repo("config", "--list").out.splitlines()
    repo("config", "--unset", "core.remote")
    repo("config", "core.remote", code=3)
    repo("config", "unset", "core.remote", code=3)
    repo("config", "set", "core.remote", "x")
    assert repo("config", "get", "core.remote").out == "x\n"


def test_precedence_and_origin(repo, monkeypatch):
    repo("config", "--global", "core.symlinks", "follow")
    assert repo("config", "core.symlinks").out == "follow\n"
    repo("config", "core.symlinks", "keep")
    repo("config", "--local", "core.symlinks", "refuse")
    assert repo("config", "core.symlinks").out == "refuse\n"
    assert repo("config", "--tracked", "core.symlinks").out == "keep\n"
    assert repo("config", "--global", "core.symlinks").out == "follow\n"
    monkeypatch.setenv("KIST_CONFIG__core__symlinks", "follow")
    assert repo.json("config", "core.symlinks").data["level"] == "environment"
    (row,) = [line for line in repo("config", "list", "--show-origin").out.splitlines() if "core.symlinks" in line]
    assert row.startswith("environment")
    (row,) = [
        line for line in repo("config", "list", "--local", "--show-origin").out.splitlines() if "core.sym" in line
    ]
    assert row.startswith("local")


def test_defaults_are_told(repo):
    got = repo.json("config", "core.symlinks").data
    assert (got["value"], got["level"]) == ("keep", "default")


def test_typos_name_the_nearest(repo):
    for words in (["core.remot"], ["core.remot", "x"], ["--unset", "core.remot"]):
        error = repo.json("config", *words, code=3).json["errors"][0]
        assert error["class"] == "UnknownOption"
        assert error["hint"] == "did you mean 'core.remote'?"


@pytest.mark.parametrize(
    ("key", "value"), [("core.symlinks", "perhaps"), ("core.jobs", "many"), ("gc.grace", "long"), ("core.fsync", "no")]
)
def test_values_that_do_not_fit(repo, key, value):
    assert repo.json("config", "--local", key, value, code=3).classes == ["InvalidOption"]


def test_what_a_clone_may_not_set_is_refused_and_ignored(repo):
    error = repo.json("config", "core.jobs", "4", code=3).json["errors"][0]
    assert "--local" in error["hint"]
    file = repo.folder / ".kist" / "config.yaml"
    file.write_text(file.read_text() + "cache:\n  dir: /elsewhere\n")
    assert "cache.dir" in repo("config", "list").err
    assert repo("config", "cache.dir", code=3)


def test_outside_of_a_repository(kist):
    kist("config", "--global", "core.jobs", "4")
    assert kist("config", "core.jobs").out == "4\n"
    assert "core.jobs=4" in kist("config", "list").out
    assert "--global" in kist("config", "core.jobs", "5", code=3).err
    kist("config", "--local", "core.jobs", "5", code=5)


def test_dry_run(repo):
    assert repo.json("config", "core.remote", "store", "--dry-run").data["dry_run"]
    repo("config", "core.remote", code=3)
    repo("config", "--local", "core.jobs", "many", "--dry-run", code=3)


def test_wrong_numbers_of_words(repo):
    repo("config", "get", code=2)
    repo("config", "set", "core.jobs", code=2)
    repo("config", "core.jobs", "1", "2", code=2)


def test_a_broken_file_is_told_with_its_line(repo):
    file = repo.folder / ".kist" / "config.yaml"
    file.write_text(file.read_text() + "core: [\n")
    assert "config.yaml:" in repo("status", code=3).err


def test_comments_stay(repo):
    file = repo.folder / ".kist" / "config.yaml"
    file.write_text("# ours\n" + file.read_text())
    repo("config", "core.symlinks", "follow")
    assert file.read_text().startswith("# ours\n")


def test_values_that_would_break_every_later_command_are_refused(repo):
    assert repo.json("config", "core.hash", "blake9", code=4).classes == ["PluginNotFound"]
    assert repo.json("config", "cache.type", "hardlnk,copy", code=4).classes == ["PluginNotFound"]
    assert repo.json("config", "repository.id", "x", code=3).classes == ["InvalidOption"]
    repo("config", "core.hash", "sha256")
    repo("config", "cache.type", "hardlink,copy")
    repo("log", "-n", "-1", code=2)
