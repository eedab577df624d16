"""Many outputs of one file each: what is unchanged costs a look, and every change is seen."""

import contextlib
import os
import time

from cli_support import commit, git, write

from kist.operations import checkout, status


def edit_quietly(path):
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


CHANGES = {
    "files/edited.bin": edit_quietly,
    "files/executable.bin": lambda path: path.chmod(0o755),
    "files/link.bin": replace_by_link,
    "files/gone.bin": lambda path: path.unlink(),
}


def test_only_what_may_have_changed_is_scanned(repo, monkeypatch):
    same = ["files/same.bin", "files/deep/same.bin", "same.bin"]
    names = [*CHANGES, *same]
    write(repo.folder, {name: f"content of {name}\n" for name in names})
    repo("add", *names)
    time.sleep(2.1)  # what is younger is looked at again
    scanned = []
    compare = status.compare_target
    monkeypatch.setattr(
        status, "compare_target", lambda context, target: scanned.append(target.path) or compare(context, target)
    )
    assert repo.json("status").data["clean"]
    scanned.clear()
    assert repo.json("status").data["clean"]
    assert scanned == []
    for name, change in CHANGES.items():
        change(repo.folder / name)
    found = repo.json("status", code=None)
    changed = {one["path"]: one["change"] for one in found.data["changes"]}
    assert sorted(scanned) == sorted(CHANGES)
    assert (
        changed.items()
        >= {
            "files/edited.bin": "modified",
            "files/executable.bin": "modified",
            "files/gone.bin": "missing",
        }.items()
    )
    assert set(changed).isdisjoint(same)


NAMES = [f"files/{name}" for name in ("a.bin", "b.bin", "deep/c.bin", "run.sh")] + ["top.bin"]


def two_versions(repo):
    """Five outputs in two versions, tagged in Git."""
    git(repo.folder, "init", "-q", "-b", "main")
    write(repo.folder, {name: f"one {name}\n" for name in NAMES})
    (repo.folder / "files/run.sh").chmod(0o755)
    for version in ("one", "two"):
        write(repo.folder, {name: f"{version} {name}\n" for name in NAMES[1:4]})
        repo("add", *NAMES)
        git(repo.folder, "add", "-A")
        git(repo.folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", version)
        git(repo.folder, "tag", version)


def contents(repo):
    return {name: (repo.folder / name).read_text() if (repo.folder / name).exists() else None for name in NAMES}


def version(which):
    return {name: f"{which if name in NAMES[1:4] else 'one'} {name}\n" for name in NAMES}


def test_many_are_checked_out_in_one_go(repo, monkeypatch):
    two_versions(repo)
    plans = []
    apply = checkout.apply_checkout
    monkeypatch.setattr(
        checkout, "apply_checkout", lambda *given, **more: plans.append(given[2]) or apply(*given, **more)
    )
    before = {name: (repo.folder / f"{name}.kist").stat().st_mtime_ns for name in NAMES}
    repo("checkout", "--rev", "one")
    assert contents(repo) == version("one")
    assert (repo.folder / "files/run.sh").stat().st_mode & 0o111
    assert [len(plan.replace) for plan in plans] == [3]
    after = {name: (repo.folder / f"{name}.kist").stat().st_mtime_ns for name in NAMES}
    assert {name for name in NAMES if after[name] != before[name]} == set(NAMES[1:4])
    assert git(repo.folder, "status", "--short").split() == ["M", f"{NAMES[1]}.kist", "M", f"{NAMES[2]}.kist", "M", f"{NAMES[3]}.kist"]  # fmt: skip
    repo("checkout", "--rev", "two")
    assert contents(repo) == version("two")
    assert repo.json("status").data["clean"]
    for name in NAMES:
        (repo.folder / name).unlink()
    repo("checkout")
    assert contents(repo) == version("two")


def test_one_unsaved_edit_holds_up_all(repo):
    two_versions(repo)
    write(repo.folder, {"files/b.bin": "unsaved\n"})
    refused = repo.json("checkout", "--rev", "one", code=6)
    assert refused.classes == ["UnsavedChanges"]
    assert contents(repo) == version("two") | {"files/b.bin": "unsaved\n"}
    done = repo.json("checkout", "--rev", "one", "-f").data
    assert contents(repo) == version("one")
    assert len(done["trashed"]) == 1


def test_metafiles_follow_the_revision_also_where_the_file_is_right_already(repo):
    names = ["files/a.bin", "files/b.bin", "c.bin"]
    for version in ("v1", "v2"):
        write(repo.folder, {name: f"{version} of {name}" for name in names})
        repo("add", *names)
        commit(repo.folder, version)
    write(repo.folder, {name: f"v1 of {name}" for name in names})
    repo("checkout", "--rev", "v1")
    assert git(repo.folder, "diff", "--name-only", "v1", "--", "*.kist") == ""
    assert repo.json("status").data["clean"]


def test_what_is_no_plain_file_is_seen_to_by_itself(repo):
    two_versions(repo)
    place = repo.folder / "files/b.bin"
    place.unlink()
    os.mkfifo(place)
    outcome = repo.json("checkout", "--rev", "one", code=None)
    assert outcome.code != 0
    assert contents_without(repo, "files/b.bin") == {k: v for k, v in version("one").items() if k != "files/b.bin"}


def contents_without(repo, *names):
    return {name: (repo.folder / name).read_text() for name in NAMES if name not in names}


def test_a_missing_object_is_told_and_the_others_come(repo):
    two_versions(repo)
    for name in NAMES[:3]:
        (repo.folder / name).unlink()
    lost = repo.json("status").data["changes"]
    assert len(lost) == 3
    cache = repo.folder / ".git/kist/cache"
    for pack in cache.glob("packs/**/*"):
        if pack.is_file():
            pack.unlink()
    repo("add", *NAMES[3:])
    told = repo.json("checkout", code=8)
    messages = [one["message"] for one in told.json["errors"]]
    assert len(messages) == 3
    assert all(any(name in message for message in messages) for name in NAMES[:3])


def test_a_killed_checkout_of_many_is_finished(repo, monkeypatch):
    two_versions(repo)

    class Killed(BaseException):
        pass

    rename = os.rename
    done = []

    def die(*given, **more):
        if given[1] in (b"b.bin", b"c.bin", b"run.sh"):
            if done:
                raise Killed
            done.append(given[1])
        return rename(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", die)
        for _ in range(2):  # the second time while it is finished
            with contextlib.suppress(Killed):
                repo("checkout", "--rev", "one", code=None)
    assert done
    assert contents(repo) not in (version("one"), version("two"))
    write(repo.folder, {"other.bin": "other\n"})
    told = repo("add", "other.bin")
    assert told.err.count("finished a killed checkout") == 1
    assert contents(repo) == version("one")


def test_new_outputs_that_git_tracks_are_refused_with_one_question(repo):
    git(repo.folder, "init", "-q")
    write(repo.folder, {f"x{number}": "1" for number in range(600)})
    git(repo.folder, "add", "x577", "x12")
    refused = repo.json("add", *(f"x{number}" for number in range(600)), code=6)
    assert "x12 is tracked by Git" in refused.json["errors"][0]["message"]
    refused = repo.json("add", "x*", code=6).json["errors"][0]
    assert refused["message"].startswith("x12 is tracked"), "as a person would type it"
    assert refused["hint"].endswith("--cached x12")
    git(repo.folder, "rm", "-q", "--cached", "x577", "x12")
    repo("add", *(f"x{number}" for number in range(600)))
