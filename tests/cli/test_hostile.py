"""What a hostile or careless repository gets: refusals that change nothing, and never a traceback."""

import os

import pytest
from cli_support import git, write


@pytest.mark.parametrize("text", ["repository: [1]\n", "repository: 5\n", "repository: {id: ../../x}\n", ""])
def test_a_tracked_configuration_without_a_sound_id(plain, text):
    (plain.folder / ".kist" / "config.yaml").write_text(text)
    assert plain.json("status", code=5).classes == ["RepoFormatError"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_a_metafile_that_is_no_regular_file(tracked, make):
    (tracked.folder / "data.kist").unlink()
    make(tracked.folder / "data.kist")
    result = tracked.json("add", "data", code=7)
    assert result.classes == ["MetafileError"]
    assert "not a regular file" in result.json["errors"][0]["message"]


def test_a_broken_metafile_and_a_checkout_that_says_so(tracked):
    write(tracked.folder, {"bad.kist": "format: kist/1\npath: [\n"})
    result = tracked("checkout", code=7)
    assert "as recorded" not in result.out
    assert "bad.kist:3:1" in result.err or "bad.kist:2:7" in result.err


def test_the_folder_of_another_user_can_be_trusted_from_inside(plain, monkeypatch):
    monkeypatch.setattr("kist.repo.layout._own_users", lambda env=None: {4242})
    plain("status", code=5)
    plain("config", "core.jobs", code=5)
    plain("config", "--global", "safe.directory", plain.folder)
    plain("config", "core.jobs")


def test_git_folders_of_another_user(tracked, monkeypatch):
    from kist.repo import layout

    checked = []
    monkeypatch.setattr(layout, "check_owner", lambda paths, *facts, **more: checked.extend(paths))
    tracked("status")
    assert tracked.folder / ".git" in checked


@pytest.mark.parametrize("folder", [".git", ".git/info", "bare.git"])
def test_no_repository_in_the_folders_of_git(kist, folder):
    git(kist.folder, "init", "-q")
    git(kist.folder, "init", "-q", "--bare", "bare.git")
    assert kist.json("init", folder=kist.folder / folder, code=5).classes == ["RepoError"]
    assert not (kist.folder / folder / ".kist").exists()


def test_settings_of_a_clone_that_do_not_count_are_told(tracked):
    file = tracked.folder / ".kist" / "config.yaml"
    file.write_text(file.read_text() + "cache:\n  dir: /nowhere/evil\n")
    for verb in ("status", "config", "checkout"):
        result = tracked(verb)
        assert result.err.count("'cache.dir'") == 1
        assert "ignored" in result.err
