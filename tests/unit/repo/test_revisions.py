import gc
import os
import subprocess

import pytest

from kist.errors import RepoError, UsageError
from kist.repo.revisions import Git

BASE = {
    "GIT_AUTHOR_NAME": "Ann Ä",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@b.c",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env={**os.environ, **BASE})
    return done.stdout.decode().strip()


def commit(folder, message, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_kist", ".kist")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path):
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    return root


def test_a_repository_without_commits(repo):
    one = Git(repo)
    assert not one.has_commits()
    assert one.commits() == [] == one.branches() == one.likely_published()
    assert list(one.history(["*.kist"])) == []
    with pytest.raises(UsageError, match="HEAD"):
        one.files("HEAD", ["*.kist"])


def test_metafiles_of_a_revision(repo):
    first = commit(repo, "one", a_kist="1", sub__b_kist="2", sub__other="x")
    commit(repo, "two", a_kist="3")
    odd = os.fsencode(repo) + b"/new\nline \xff.kist"
    with open(odd, "wb") as file:
        file.write(b"odd")
    os.symlink("a.kist", repo / "link.kist")
    commit(repo, "three")
    one = Git(repo)
    found = one.files("HEAD", ["*.kist"])
    assert list(found) == sorted([b"a.kist", b"new\nline \xff.kist", b"sub/b.kist"])
    contents = one.read(found.values())
    assert [contents[found[path]] for path in found] == [b"3", b"odd", b"2"]
    assert one.read(one.files(first, ["*.kist"]).values()).keys() == set(one.files("HEAD~2", ["*.kist"]).values())
    inner = Git(repo / "sub")
    assert list(inner.files("main", ["*.kist"])) == [b"b.kist"]
    (repo / "other").mkdir()
    assert Git(repo / "other").files("main", ["*.kist"]) == {}
    assert one.read([]) == {}


def test_many_files_are_read_through_one_process(repo):
    commit(repo, "many", **{f"d__{i}_kist": f"content {i}\n" * 500 for i in range(350)})
    one = Git(repo)
    found = one.files("HEAD", ["*.kist"])
    contents = one.read(found.values())
    assert len(started(one)) == 1
    assert all(contents[found[f"d/{i}.kist".encode()]] == f"content {i}\n".encode() * 500 for i in range(350))


def started(one):
    """The processes that answer questions about objects."""
    process = one._objects._process
    return [process] if process is not None else []


def test_the_process_is_ended_and_started_again(repo):
    commit(repo, "one", a_kist="1")
    one = Git(repo)
    one.resolve("HEAD")
    [process] = started(one)
    one.close()
    assert process.returncode is not None
    assert list(one.files("HEAD", ["*.kist"])) == [b"a.kist"]
    [other] = started(one)
    one = None
    gc.collect()
    assert other.returncode is not None


def test_a_process_that_died_is_told_and_replaced(repo):
    commit(repo, "one", a_kist="1")
    one = Git(repo)
    one.resolve("HEAD")
    [process] = started(one)
    process.kill()
    process.wait()
    with pytest.raises(RepoError, match="cat-file failed"):
        one.files("HEAD", ["*.kist"])
    assert list(one.files("HEAD", ["*.kist"])) == [b"a.kist"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_that_holds_the_pipe_keeps_nobody_waiting(repo):
    commit(repo, "one", a_kist="1")
    one = Git(repo)
    one.resolve("HEAD")
    [process] = started(one)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    one.close()
    assert process.returncode is not None
    os.close(writer)
    os.waitpid(child, 0)


def test_a_name_that_is_answered_with_nothing_leaves_the_next_ones_in_step(repo):
    first = commit(repo, "one", a_kist="1")
    second = commit(repo, "two", a_kist="2", **{"x^{commit}": "no commit"})
    one = Git(repo)
    for wrong in ("nothing", "a b", "HEAD:x", "@{upstream}", "HEAD@{999}", "x" * 5000, first[:4] + "z"):
        with pytest.raises(UsageError, match="no revision"):
            one.resolve(wrong)
        assert one.resolve("HEAD~1") == first
        one._commits.clear()
    assert one.resolve("HEAD") == second


def test_repositories_inside_are_left_out_at_a_revision(repo):
    commit(
        repo, "one", a_kist="1", sub__b_kist="2", **{".mark/x.kist": "3", "sub/in/.mark/y": "4", "sub/in/c.kist": "5"}
    )
    commit(repo, "two", **{"sub/in/deep/d.kist": "6"})
    one = Git(repo, [".mark"])
    assert list(one.files("HEAD", ["*.kist"])) == [b".mark/x.kist", b"a.kist", b"sub/b.kist"]
    assert list(Git(repo / "sub" / "in", [".mark"]).files("HEAD", ["*.kist"])) == [b"c.kist", b"deep/d.kist"]


def test_a_folder_that_both_commits_have_is_read_once(repo, monkeypatch):
    commit(repo, "one", a__a_kist="1", b__b_kist="2")
    commit(repo, "two", b__b_kist="3")
    one = Git(repo)
    asked = []
    read = one._objects.read
    monkeypatch.setattr(
        one._objects, "read", lambda names, most=None: (asked.append(list(names)), read(names, most))[1]
    )
    one.files("HEAD~1", ["*.kist"])
    one.files("HEAD", ["*.kist"])
    assert [len(names) for names in asked] == [1, 2, 1, 1]  # top, two folders; top, one folder


def test_names_of_64_digits(tmp_path):
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "-b", "main", "--object-format=sha256")
    name = commit(root, "one", a_kist="1", sub__b_kist="2")
    one = Git(root)
    assert one.resolve("main") == name and len(name) == 64
    found = one.files("main", ["*.kist"])
    assert list(one.read(found.values()).values()) == [b"1", b"2"]


def test_a_huge_file_is_cut_and_a_missing_one_is_an_error(repo):
    commit(repo, "huge", big_kist="x" * (5 << 20), a_kist="1")
    one = Git(repo)
    found = one.files("HEAD", ["*.kist"])
    contents = one.read([found[b"big.kist"], found[b"a.kist"]])
    assert len(contents[found[b"big.kist"]]) == (4 << 20) + 1
    assert contents[found[b"a.kist"]] == b"1"
    with pytest.raises(RepoError, match="lacks"):
        one.read(["0" * 40])


@pytest.mark.parametrize("revision", ["nothing", "--all", "-h", "", "a\0b", "HEAD:a.kist", "HEAD^{tree}", "HEAD\nHEAD"])
def test_what_is_no_commit_is_refused(repo, revision):
    commit(repo, "one", a_kist="1")
    with pytest.raises(UsageError, match="no revision"):
        Git(repo).resolve(revision)


def test_branches_tags_and_all_commits(repo):
    first = commit(repo, "one", a_kist="1")
    git(repo, "tag", "-a", "v1", "-m", "annotated")
    git(repo, "tag", "light")
    second = commit(repo, "two", a_kist="2")
    git(repo, "checkout", "-q", "-b", "side", first)
    third = commit(repo, "three", b="x")
    one = Git(repo)
    assert sorted(one.branches()) == sorted([second, third])
    assert one.tags() == [first]
    assert sorted(one.commits()) == sorted([first, second, third])
    assert sorted(one.changing(["*.kist"])) == sorted([first, second])
    assert one.likely_published()[:2] == [third, first]


def test_history_tells_what_each_commit_wrote(repo):
    first = commit(repo, "one", sub__a_kist="1", other="x")
    commit(repo, "no metafile", other="y")
    second = commit(repo, "two\n\nbody", sub__a_kist="2", b_kist="b")
    third = commit(repo, "three", sub__a_kist=None)
    log = list(Git(repo).history(["*.kist"]))
    assert [(one.revision, one.subject) for one, _ in log] == [(third, "three"), (second, "two"), (first, "one")]
    assert [changed for _, changed in log] == [
        [("sub/a.kist", None)],
        [("b.kist", b"b"), ("sub/a.kist", b"2")],
        [("sub/a.kist", b"1")],
    ]
    assert log[0][0].author == "Ann Ä" and log[0][0].date[:2] == "20"
    assert [one.revision for one, _ in Git(repo).history(["*.kist"], ["b.kist"])] == [second]
    assert [changed for _, changed in Git(repo / "sub").history(["*.kist"], ["a.kist"])] == [
        [("a.kist", None)],
        [("a.kist", b"2")],
        [("a.kist", b"1")],
    ]
    assert [one.revision for one, _ in Git(repo / "sub").history(["*.kist"])] == [third, second, first]


def test_tracked_paths(repo):
    commit(repo, "one", data__a="1", data__b="2", x_kist="1")
    (repo / "data" / "c").write_text("untracked")
    one = Git(repo)
    assert one.tracked([b"data", b"x.kist", b"none"]) == [b"data/a", b"data/b", b"x.kist"]
    assert one.tracked([b"*"]) == [] == one.tracked([])


def test_nothing_of_the_repository_runs(repo, tmp_path):
    commit(repo, "one", a_kist="1")
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    trap.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "core.sshCommand", "diff.external", "core.askPass", "core.editor"):
        git(repo, "config", key, str(trap))
    git(repo, "config", "core.hooksPath", str(tmp_path))
    one = Git(repo)
    one.tracked([b"a.kist"])
    one.ignored([b"a.kist"])
    list(one.history(["*.kist"]))
    one.read(one.files("HEAD", ["*.kist"]).values())
    assert not (tmp_path / "ran").exists()


def test_the_environment_of_a_hook_does_not_lead_elsewhere(repo, tmp_path, monkeypatch):
    first = commit(repo, "one", a_kist="1")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert Git(repo).commits() == [first]


def test_outside_of_git_and_without_git(tmp_path, monkeypatch):
    with pytest.raises(RepoError):
        Git(tmp_path).commits()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RepoError, match="not installed"):
        Git(tmp_path).commits()
