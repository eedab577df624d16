"""What a hostile or careless repository gets: refusals that change nothing, and never a traceback."""

import os

import pytest
from cli_support import DATA, cache_of, damage, git, stored_files, tree, write


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


def test_what_belongs_to_a_repository_inside_is_refused(tracked):
    for inner in ("module", "other"):
        write(tracked.folder, {f"{inner}/data/x": "1"})
    git(tracked.folder / "module", "init", "-q")
    tracked("init", folder=tracked.folder / "other")
    for inner in ("module", "other"):
        assert "inside this one" in tracked("add", f"{inner}/data", code=2).err
        assert "inside this one" in tracked("move", "data", f"{inner}/moved", code=2).err
        assert not list((tracked.folder / inner).glob("?*.kist"))
    tracked("add", "data", folder=tracked.folder / "other")
    assert "kist -C other" in tracked("status", "other/data", code=2).err
    assert "kist -C other" in tracked("add", "other/data.kist", code=2).err
    assert tracked.json("status").data["clean"]


def test_a_git_folder_inside_an_output_stays_its_own(repo):
    write(repo.folder, DATA)
    git(repo.folder / "data" / "sub", "init", "-q")
    repo("add", "data")
    assert repo.json("list").data["entries"][0]["files"] == 3
    write(repo.folder, {"data/sub/b.txt": "changed\n"})
    repo("add", "data/sub/b.txt")
    assert repo.json("status").data["clean"]


def test_pull_replaces_what_is_damaged_in_the_cache(shared):
    before = tree(shared.folder / "data")
    for file in stored_files(cache_of(shared.folder)):
        if file.stat().st_size > 5000:
            damage(file)
    for path in ("a.txt", "sub/b.txt", "sub/c.bin"):
        (shared.folder / "data" / path).unlink()
    shared("pull")
    assert tree(shared.folder / "data") == before
    shared("verify")


def test_checkout_puts_a_damaged_object_aside_and_fetch_brings_it(shared):
    for file in stored_files(cache_of(shared.folder)):
        if file.stat().st_size > 5000:
            damage(file)
    (shared.folder / "data/sub/c.bin").unlink()
    (shared.folder / "data/a.txt").unlink()
    assert shared.json("checkout", code=8).classes == ["ObjectMissing"]
    assert (shared.folder / "data/a.txt").read_text() == "one\n"
    assert shared.json("fetch").data["objects"] == 1
    shared("checkout")
    assert tree(shared.folder)["data/sub/c.bin"] == DATA["data/sub/c.bin"]


@pytest.mark.parametrize("path", [".git", ".git/config", ".kist/config.yaml", ".GIT/x"])
def test_private_folders_are_no_targets(tracked, path):
    write(tracked.folder, {".GIT/x": "1"})
    assert tracked.json("add", path, code=2).classes == ["UsageError"]
    assert tracked.json("move", "data", path + "/x", code=2).classes == ["UsageError"]


def test_special_files_are_named_and_never_opened(tracked):
    os.mkfifo(tracked.folder / "data" / "pipe")
    os.mkfifo(tracked.folder / "data" / "sub" / "other")
    for verb, code in (("add", 6), ("checkout", 0), ("status", 6)):
        result = tracked(verb, "data", code=code)
        assert "data/pipe is a FIFO" in result.err
        assert "data/sub/other is a FIFO" in result.err


def test_a_damaged_marker_of_the_cache_tells_how_to_mend_it(tracked):
    marker = cache_of(tracked.folder) / "kist-cache"
    marker.write_bytes(b"\0\xff")
    error = tracked.json("add", "data", code=5).json["errors"][0]
    marker.write_text(error["hint"].split("write ")[1].split(" into")[0])
    tracked("verify")
