import os
import stat
import subprocess
from pathlib import Path

import pytest

from kist.errors import NotARepo, RepoFormatError, RepoNotOwned
from kist.repo.adopting import adopt
from kist.repo.layout import check_id, check_owner, find_git, find_place, find_root, make, name_clone, new_id

ID = "0123456789abcdef"


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "protocol.file.allow=always", *arguments],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture
def repo(tmp_path):
    root = tmp_path / "repo"
    (root / ".kist").mkdir(parents=True)
    return root


def test_the_nearest_marker_upwards_is_the_repository(repo):
    inner = repo / "a" / "b"
    inner.mkdir(parents=True)
    assert find_root(inner) == (repo, ".kist")
    assert find_root(repo) == (repo, ".kist")
    (repo / "a" / ".other").mkdir()
    assert find_root(inner, lambda: [".other"]) == (repo / "a", ".other")
    assert find_root(inner) == (repo, ".kist")


def test_the_native_marker_goes_before_another_in_one_folder(repo):
    (repo / ".other").mkdir()
    assert find_root(repo, lambda: [".other"]) == (repo, ".other")  # .kist has its private folder only
    (repo / ".kist/config.yaml").write_text("")
    assert find_root(repo, lambda: pytest.fail("nobody need be asked")) == (repo, ".kist")


@pytest.mark.parametrize("sub", [".", "sub"])
def test_a_clone_of_another_dialect_is_named_once(repo, sub):
    root = repo / sub
    (root / ".other").mkdir(parents=True)
    first = find_place(root, "", ".other")
    assert first.id == "" and first.config == root / ".other/kist.yaml"
    make(first)
    named = name_clone(first)
    assert find_place(root, "", ".other") == named == name_clone(named) == name_clone(first)
    git(repo, "init", "-q")
    between = find_place(root, "", ".other")
    assert between.id == named.id and between.waiting
    moved = adopt(between)
    assert moved == find_place(root, "", ".other")
    assert moved.id == named.id and moved.settings.is_relative_to(repo / ".git")
    assert moved.settings != find_place(root, "", ".more").settings


def test_the_search_stops_at_gits_top_level(repo):
    inner = repo / "module" / "b"
    inner.mkdir(parents=True)
    (repo / "module" / ".git").write_text("gitdir: elsewhere\n")
    with pytest.raises(NotARepo) as caught:
        find_root(inner)
    assert caught.value.hint
    (repo / "module" / ".kist").mkdir()
    assert find_root(inner) == (repo / "module", ".kist")


def test_a_linked_marker_is_no_repository(tmp_path, repo):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".kist").symlink_to(repo / ".kist")
    with pytest.raises(NotARepo):
        find_root(tmp_path / "other")


def test_without_git_the_private_folder_stands_in_the_repository(repo):
    place = find_place(repo, ID)
    make(place)
    assert place.git is None
    assert place.cache == repo / ".kist/private/cache"
    assert place.local_config == repo / f".kist/private/{ID}/config.yaml"
    assert (repo / ".kist/private/.gitignore").read_bytes() == b"*\n"
    assert stat.S_IMODE((repo / ".kist/private").stat().st_mode) == 0o700
    make(place)


def test_inside_git_nothing_private_stands_in_the_workspace(repo):
    git(repo, "init", "-q")
    place = find_place(repo, ID)
    make(place)
    assert place.cache == repo / ".git/kist/cache"
    assert place.journal == repo / f".git/kist/{ID}/journal"
    assert place.locks.is_dir() and place.scratch.is_dir()
    assert sorted(os.listdir(repo / ".kist")) == []


def test_worktrees_share_the_cache_and_nothing_else(repo, tmp_path):
    git(repo, "init", "-q")
    (repo / "sub" / ".kist").mkdir(parents=True)
    (repo / "sub" / ".kist" / "config.yaml").write_text("x: 1\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "x")
    git(repo, "worktree", "add", "-q", str(tmp_path / "tree"))
    one, two = find_place(repo / "sub", ID), find_place(tmp_path / "tree" / "sub", ID)
    assert one.cache == two.cache == repo / ".git/kist/cache"
    assert one.local_config == two.local_config
    assert two.own.parent == repo / ".git/worktrees/tree/kist"
    assert two.own.name.startswith(f"{ID}-")  # with the path: a copy in the same worktree has a folder of its own
    assert one.own != two.own
    assert two.git.top == tmp_path / "tree"


def test_a_submodule_has_a_private_folder_of_its_own(repo, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    git(inner, "commit", "-q", "--allow-empty", "-m", "x")
    git(repo, "init", "-q")
    git(repo, "submodule", "add", "-q", str(inner), "module")
    (repo / "module" / ".kist").mkdir()
    assert find_place(repo / "module", ID).shared == repo / ".git/modules/module/kist"


def test_a_broken_git_folder_counts_for_nothing(repo):
    (repo / ".git").write_text("gitdir: nowhere\n")
    assert find_git(repo) is None
    (repo / ".git").write_bytes(b"\xff\0" * 10)
    assert find_git(repo) is None


def test_the_private_folder_moves_when_git_comes_later(repo):
    before = find_place(repo, ID)
    make(before)
    (before.cache / "objects").mkdir(parents=True)
    (before.cache / "objects" / "a").write_text("data")
    before.local_config.write_text("core:\n  jobs: 2\n")
    before.fingerprints.write_text("db")
    git(repo, "init", "-q")
    between = find_place(repo, ID)
    assert between.cache == before.cache and between.waiting == before.shared
    after = adopt(between)
    assert after.waiting is None
    assert after == find_place(repo, ID)
    assert (after.cache / "objects" / "a").read_text() == "data"
    assert after.local_config.read_text() == "core:\n  jobs: 2\n"
    assert after.fingerprints.read_text() == "db"
    assert not (repo / ".kist/private").exists()
    assert adopt(after) == after


def test_a_move_that_was_killed_is_finished_by_the_next(repo):
    before = find_place(repo, ID)
    make(before)
    for name in "ab":
        (before.cache / "objects" / name).mkdir(parents=True)
        (before.cache / "objects" / name / "x").write_text(name)
    before.fingerprints.write_text("db")
    git(repo, "init", "-q")
    target = repo / ".git/kist"
    (target / "cache/objects").mkdir(parents=True)
    os.rename(before.cache / "objects/a", target / "cache/objects/a")
    after = adopt(find_place(repo, ID))
    assert sorted(os.listdir(after.cache / "objects")) == ["a", "b"]
    before.shared.mkdir()
    (before.shared / ID).mkdir()
    (before.shared / ID / "late").write_text("1")
    again = find_place(repo, ID)
    assert again.shared == target and again.waiting == before.shared
    assert (adopt(again).own / "late").read_text() == "1"


def test_a_private_folder_that_came_with_a_clone_is_never_used(repo):
    git(repo, "init", "-q")
    (repo / ".kist/private/cache").mkdir(parents=True)
    (repo / ".kist/private/cache/evil").write_text("x")
    git(repo, "add", "-f", "-A")
    place = find_place(repo, ID)
    assert place.waiting is None
    assert place.shared == repo / ".git/kist"


@pytest.mark.parametrize("tracked", [".KIST/Private/evil", ".k\u200cist/private/evil", ".kist", ".kist/private"])
def test_what_may_come_with_a_clone_in_another_spelling_or_as_a_submodule_is_never_used(repo, tracked):
    git(repo, "init", "-q")
    (repo / ".kist/private").mkdir(parents=True)
    assert find_place(repo, ID).waiting is not None
    submodule = tracked.startswith(".kist")
    about = ("160000", "1" * 40) if submodule else ("100644", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    git(repo, "update-index", "--add", "--cacheinfo", ",".join([*about, tracked]))
    assert find_place(repo, ID).waiting is None


def test_a_private_folder_in_a_submodule_that_git_no_longer_lists(repo):
    git(repo, "init", "-q")
    (repo / ".kist/private").mkdir(parents=True)
    (repo / ".kist/.git").write_text("gitdir: ../.git/modules/evil\n")
    assert find_place(repo, ID).waiting is None


def test_a_private_folder_that_is_a_link_is_refused(repo, tmp_path):
    (repo / ".kist/private").symlink_to(tmp_path)
    with pytest.raises(RepoNotOwned):
        find_place(repo, ID)


def foreign(monkeypatch, path):
    real = os.lstat
    mine = os.geteuid()

    def lstat(where, **more):
        facts = real(where, **more)
        if Path(where) == path:
            return os.stat_result([*facts[:4], mine + 1234, *facts[5:]])
        return facts

    monkeypatch.setattr(os, "lstat", lstat)
    return mine + 1234


def test_a_repository_of_another_user_is_refused_unless_trusted(repo, monkeypatch, tmp_path):
    owner = foreign(monkeypatch, repo / ".kist")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    paths = [repo, repo / ".kist"]
    with pytest.raises(RepoNotOwned) as caught:
        check_owner(paths, repo)
    assert "safe.directory" in caught.value.hint
    assert caught.value.exit_code == 5
    for trusted in ([str(repo)], ["*"], [f"{repo.parent}/*"]):
        check_owner(paths, repo, trusted)
    with pytest.raises(RepoNotOwned):
        check_owner(paths, repo, ["/elsewhere"])
    git(repo, "config", "--file", str(tmp_path / "gitconfig"), "safe.directory", str(repo))
    check_owner(paths, repo)
    git(repo, "config", "--file", str(tmp_path / "gitconfig"), "--add", "safe.directory", "")
    with pytest.raises(RepoNotOwned):
        check_owner(paths, repo)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    check_owner([repo / ".kist"], repo, env={"SUDO_UID": str(owner)})
    with pytest.raises(RepoNotOwned):
        check_owner([repo / ".kist"], repo, env={"SUDO_UID": str(owner + 1)})


def test_ids():
    assert check_id(new_id()) and new_id() != new_id()
    for bad in (None, 7, "", "short", "../../../etc/x", "A" * 20, "a" * 65, "-" * 10, "abc/defgh", "a\0bcdefgh"):
        with pytest.raises(RepoFormatError):
            check_id(bad)
