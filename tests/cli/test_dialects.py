"""Repositories of another dialect, whose plugin is written from the public surface alone."""

import os

import pytest
from cli_support import DATA, clone, commit, git, tree, write
from lake import LAKE, install


@pytest.fixture
def lake(kist, site):
    """A repository of another tool's, in Git, with a remote in that tool's configuration."""
    install(site)
    git(kist.folder, "init", "-q", "-b", "main")
    write(
        kist.folder,
        {**DATA, ".lake/lake.ini": "[store]\nurl = ../store\n", ".lakeignore": "*.tmp\n", "data/x.tmp": "-"},
    )
    return kist


def test_a_clone_gets_its_data_and_nothing_of_ours_but_the_metafiles(lake):
    assert lake("status").code == 0
    lake("add", "data")
    assert tree(lake.folder / ".lake").keys() == {"lake.ini"}
    assert not (lake.folder / ".kist").exists()
    assert '"sha512:' in (lake.folder / "data.lake").read_text()
    commit(lake.folder, "v1")
    assert lake.json("status").data["clean"]
    lake("push", "-r", "store")
    other = clone(lake)
    lake("pull", "-r", "store", folder=other)
    assert tree(other / "data") == {name.removeprefix("data/"): value for name, value in expected().items()}
    assert lake.json("status", folder=other).data["clean"]


def expected():
    return {name: value if isinstance(value, bytes) else value.encode() for name, value in DATA.items()}


def test_the_main_verbs_work_there(lake):
    lake("add", "data")
    commit(lake.folder, "v1")
    write(lake.folder, {"data/a.txt": "other\n", "data/new.txt": "new\n"})
    changes = lake.json("diff").data["changes"]
    assert {(one["path"], one["change"]) for one in changes} == {("data/a.txt", "modified"), ("data/new.txt", "added")}
    lake("commit")
    commit(lake.folder, "v2")
    lake("move", "data/new.txt", "data/sub/newer.txt")
    lake("remove", "data/sub/b.txt")
    assert "b.txt" not in lake("list", "-R", "data").out
    write(lake.folder, {"data/sub/newer.txt": None, "data/x.tmp": None})
    lake("checkout", "--rev", "v1")
    assert tree(lake.folder / "data") == {name.removeprefix("data/"): value for name, value in expected().items()}
    assert lake("cat", "--rev", "v2", "data/new.txt").out == "new\n"
    assert lake.json("gc", "--plan").data["candidates"] >= 0
    lake("verify")
    assert lake.json("doctor").json["ok"]


def test_settings_of_ours_stand_beside_those_of_the_tool_and_win(lake):
    lake("config", "core.hash", "sha256")
    assert (lake.folder / ".lake/kist.yaml").read_text() == "core:\n  hash: sha256\n"
    lake("remote", "modify", "store", "url", "../elsewhere")
    assert lake.json("remote", "list").data["remotes"][0]["url"] == "../elsewhere"
    lake("remote", "modify", "--local", "store", "url", "../private")
    lake("add", "data")
    lake("push", "-r", "store")
    assert (lake.folder.parent / "private").exists()
    assert "private" not in (lake.folder / ".lake/kist.yaml").read_text()
    error = lake.json("remote", "remove", "other", code=3).json["errors"][0]
    assert "other" in error["message"]


def test_a_remote_of_the_tools_own_configuration_is_removed_there(lake):
    error = lake.json("remote", "remove", "store", code=3).json["errors"][0]
    assert "lake.ini" in error["message"] + error["hint"]
    assert lake.json("remote", "rename", "store", "new", code=3).classes == ["ConfigError"]


def test_two_clones_are_two_users_of_a_remote(lake):
    lake("add", "data")
    commit(lake.folder, "v1")
    lake("push", "-r", "store")
    other = clone(lake)
    lake("pull", "-r", "store", folder=other)
    write(other, {"data/more.txt": "more\n"})
    lake("commit", folder=other)
    lake("push", "-r", "store", folder=other)
    refs = list((lake.folder.parent / "store/refs").iterdir())
    assert len(refs) == 2
    git(lake.folder, "rm", "-q", "--cached", "data.lake")
    (lake.folder / "data.lake").unlink()
    lake("config", "--local", "gc.grace", "0")
    for _ in range(2):
        lake("gc", "--workspace", "--force", "--remote", "store")
    lake("push", "-r", "store", "--repair", folder=other)
    lake("verify", "--remote", "store", folder=other)
    assert lake.json("push", "-r", "store", folder=other).data["objects"] == 0


def test_without_git_and_when_git_comes_later(kist, site):
    install(site)
    write(kist.folder, {**DATA, ".lake/lake.ini": "[store]\nurl = ../store\n"})
    kist("add", "data")
    assert (kist.folder / ".kist/private/cache").is_dir()
    kist("push", "-r", "store")
    named = kist.json("remote", "list").data
    git(kist.folder, "init", "-q", "-b", "main")
    write(kist.folder, {"data/a.txt": "changed\n"})
    kist("commit")
    assert not (kist.folder / ".kist/private").exists()
    assert (kist.folder / ".git/kist/cache").is_dir()
    kist("push", "-r", "store")
    assert kist.json("remote", "list").data == named
    assert len(list((kist.folder.parent / "store/refs").iterdir())) == 1


def test_the_nearest_marker_wins(repo, site):
    install(site)
    write(repo.folder, {"lake/.lake/lake.ini": "", "lake/deep/x.txt": "1", "lake/deep/er/y.txt": "2", "own/z.txt": "3"})
    repo("add", "own")
    repo("add", "deep", folder=repo.folder / "lake")
    assert (repo.folder / "lake/deep.lake").exists() and (repo.folder / "own.kist").exists()
    assert [one["path"] for one in repo.json("list").data["entries"]] == ["own"]
    error = repo.json("add", "lake/deep/x.txt", code=2).json["errors"][0]
    assert "repository lake" in error["message"]
    write(repo.folder, {"lake/inner/keep.txt": "4"})
    repo("init", folder=repo.folder / "lake/inner")
    repo("add", "keep.txt", folder=repo.folder / "lake/inner")
    assert (repo.folder / "lake/inner/keep.txt.kist").exists()


def test_what_a_repository_inside_it_records_is_not_its_own_at_any_revision(lake):
    inner = lake.folder / "inner"
    write(inner, {".lake/lake.ini": "", "mine/x.txt": "of the inner one\n"})
    lake("add", "mine", folder=inner)
    lake("add", "data")
    commit(lake.folder, "v1")
    assert [one["path"] for one in lake.json("list", "--rev", "HEAD").data["entries"]] == ["data"]
    assert "mine" not in lake("log").out
    lake("push", "-r", "store", "-A")
    lake("verify", "--remote", "store")
    sent = len(list((lake.folder.parent / "store/roots").rglob("*")))
    lake("push", "-r", "store", "-A", folder=inner, code=3)  # it has no remote of that name
    assert sent == len(list((lake.folder.parent / "store/roots").rglob("*")))


def test_init_in_its_folder_makes_a_native_repository_which_goes_first(lake):
    assert "warning: .kist goes before .lake" in lake("init").err
    lake("add", "data")
    assert (lake.folder / "data.kist").exists()
    assert not (lake.folder / "data.lake").exists()


def test_a_dialect_that_is_blocked_is_not_asked_but_named(lake):
    lake("config", "--global", "plugins.block", "kist-lake")
    error = lake.json("status", code=5).json["errors"][0]
    assert error["class"] == "NotARepo"
    assert error["hint"] == "it has a .lake folder: kist-lake brings it, but plugins.block names it"


@pytest.mark.parametrize("marker", [".", "..", "lake", "a/.lake", ".git", ".GIT", ".git~1"])
def test_a_marker_that_is_no_hidden_folder_makes_no_repository(kist, site, marker):
    install(site, LAKE.replace('".lake"', repr(marker)), marker)
    (kist.folder / "lake").mkdir()
    assert kist.json("status", code=5).classes == ["NotARepo"]


# ── what comes with a clone is trusted as little as tracked configuration ────────────────────────────────────────────


def test_the_tools_configuration_may_set_harmless_keys_only(kist, site):
    install(site, LAKE.replace('return {"remote":', 'return {"plugins": {"block": ["kist-local"]}, "remote":'))
    write(kist.folder, {**DATA, ".lake/lake.ini": "[store]\nurl = ../store\n"})
    done = kist("add", "data")
    assert "plugins.block" in done.err and "lake.ini" in done.err
    kist("push", "-r", "store")


def test_its_configuration_may_be_no_link_and_no_pipe(lake, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("[secret-word]\n")
    file = lake.folder / ".lake/lake.ini"
    file.unlink()
    file.symlink_to(secret)
    done = lake.json("status", code=3)
    assert "secret-word" not in done.out and "not a regular file" in done.out
    file.unlink()
    os.mkfifo(file)
    assert lake.json("status", code=3).classes == ["ConfigError"]


def test_a_folder_on_the_way_to_it_may_be_no_link(kist, site, tmp_path):
    install(site, LAKE.replace(".lake/lake.ini", ".lake/deep/lake.ini"))
    (kist.folder / ".lake").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/lake.ini").write_text("[stranger]\nurl = ../store\n")
    (kist.folder / ".lake/deep").symlink_to(tmp_path / "deep")
    assert kist.json("remote", "list").data["remotes"] == []


@pytest.mark.parametrize("text", ["no sections", "[store]\nurl = a\nurl = b\n", "\0", "x" * (2 << 20)])
def test_a_configuration_that_is_not_valid_is_told(lake, text):
    write(lake.folder, {".lake/lake.ini": text})
    assert lake.json("status", code=3).classes == ["ConfigError"]


def test_a_repository_of_another_user_is_refused(lake):
    os.chown(lake.folder / ".lake", 12345, 12345) if os.geteuid() == 0 else pytest.skip("needs root")
    assert lake.json("status", code=5).classes == ["RepoNotOwned"]
    lake("config", "--global", "safe.directory", str(lake.folder))
    assert lake("status").code == 0


# ── plugins that do not work, or are too many ───────────────────────────────────────────────────────────────────────


def test_what_does_not_work_is_told_and_chosen_from_inside_the_repository(kist, site):
    install(site, "raise RuntimeError('boom')\n")
    write(kist.folder, {**DATA, ".lake/lake.ini": ""})
    assert kist.json("status", code=4).classes == ["PluginBroken"]
    found = kist.json("doctor", code=1).data["findings"]
    told = {one["label"] for one in found if one["state"] == "error"}
    assert {"plugin kist-lake", "repository"} <= told
    assert kist.json("doctor", "--fix", code=4).classes == ["PluginBroken"]
    assert "kist-lake" in {one["distribution"] for one in kist.json("plugins").data["plugins"]}
    kist("config", "--global", "plugins.block", "kist-lake")
    assert kist.json("status", code=5).classes == ["NotARepo"]


def test_one_of_two_plugins_for_a_marker_is_preferred_from_inside_the_repository(kist, site):
    install(site)
    kinds = {"dialects": {".lake": "kist_puddle"}, "metafiles": {"lake": "kist_puddle"}}
    site.install("kist-puddle", kinds, {"kist_puddle": LAKE})
    write(kist.folder, {**DATA, ".lake/lake.ini": ""})
    for pair in ("dialects..lake", "metafiles.lake"):
        error = kist.json("add", "data", code=4).json["errors"][0]
        assert error["class"] == "PluginConflict"
        assert f"kist config --global plugins.prefer.{pair} kist-lake" in error["hint"]
        kist("config", "--global", f"plugins.prefer.{pair}", "kist-lake")
    kist("add", "data")
