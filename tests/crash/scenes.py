"""The commands that are killed, each with the state that it starts from."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from crash_support import LARGE, V1, Scene, good, to_v2, write


def _git(root, *words):
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


# ── sites ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_untracked(site):
    """site/work: a repository, nothing tracked yet, with files and a remote that is empty."""
    root = os.path.join(site, "work")
    os.makedirs(root)
    _git(root, "init", "-q", "-b", "main", "--template=")
    good(root, "init")
    good(root, "remote", "add", "-d", "store", "../store")
    write(root, V1)
    Path(root, "data/run.sh").write_text("#!/bin/sh\n")
    Path(root, "data/run.sh").chmod(0o755)
    Path(root, "data/link").symlink_to("a.txt")
    Path(root, "data/empty").mkdir()
    write(root, {"other.bin": b"other\n"})


def make_versioned(site):
    """The same with data tracked in the versions v1 (Git tag, pushed) and v2 (recorded, in the workspace)."""
    make_untracked(site)
    root = os.path.join(site, "work")
    good(root, "add", "data", "other.bin")
    _save_in_git(root, "v1")
    _git(root, "tag", "v1")
    good(root, "push")
    to_v2(root)
    good(root, "commit")
    _save_in_git(root, "v2")


def make_many(site):
    """As many files in folders of their own as are shared among processes once few are enough for that; two versions."""
    make_untracked(site)
    root = os.path.join(site, "work")
    for version in (1, 2):
        write(
            root, {f"data/part{n}/{name}": b"%d of %d\n" % (name, version * n) for n in range(4) for name in range(3)}
        )
        good(root, "add", "data", "other.bin")
        _save_in_git(root, f"v{version}")
        if version == 1:
            _git(root, "tag", "v1")
            good(root, "push")
            to_v2(root)


FILES = ("files/a.bin", "files/b.bin", "files/deep/c.bin", "d.bin")


def make_files(site):
    """Outputs of one file each in several folders, beside data; two versions."""
    make_untracked(site)
    root = os.path.join(site, "work")
    for version in (1, 2):
        write(root, {name: b"%d of %s\n" % (version, name.encode()) for name in FILES})
        good(root, "add", "data", "other.bin", *FILES)
        _save_in_git(root, f"v{version}")
        if version == 1:
            _git(root, "tag", "v1")
            good(root, "push")
            to_v2(root)


def _save_in_git(root, message):
    _git(root, "add", "-A")
    _git(root, "commit", "-q", "-m", message)


SITES = {"untracked": make_untracked, "versioned": make_versioned, "many": make_many, "files": make_files}


# ── what stands before ───────────────────────────────────────────────────────────────────────────────────────────────


def edited(root):
    write(root, {"data/a.txt": b"edited again\n", "data/new/e.txt": b"five\n", "data/large.bin": LARGE[1:]})
    Path(root, "data/sub/b.txt").unlink()


def edited_files(root):
    write(root, {name: b"edited %s\n" % name.encode() for name in FILES})


def without_workspace(root):
    shutil.rmtree(Path(root, "data"))
    Path(root, "other.bin").unlink()


def unsaved(root):
    write(root, {"data/a.txt": b"never added\n", "data/mine.txt": b"mine\n"})


def pushed_and_forgotten(root):
    good(root, "push")
    shutil.rmtree(Path(root, ".git/kist/cache"))


def pushed_and_gone(root):
    pushed_and_forgotten(root)
    without_workspace(root)


def garbage(root):
    """Versions that no commit has."""
    for text in (b"nobody\n", b"needs\n", b"these\n"):
        write(root, {"data/a.txt": text, "data/large.bin": text * 300_000})
        good(root, "commit")
    _to_recorded(root)


def remote_garbage(root):
    for text in (b"nobody\n", b"needs\n"):
        write(root, {"data/a.txt": text})
        good(root, "commit")
        good(root, "push")
    _to_recorded(root)


def _to_recorded(root):
    _git(root, "checkout", "-q", "HEAD", "--", ".")
    good(root, "checkout")


def collected(root):
    garbage(root)
    good(root, "gc", "-f", "-A")


def configured(root):
    good(root, "config", "--local", "core.jobs", "3")
    good(root, "config", "--global", "core.jobs", "4")


def refs_damaged(root):
    """Nobody can tell from the cache what this worktree needs."""
    write(root, {"data/more.txt": b"more\n"})
    good(root, "add", "data")  # which writes what it needs
    mine = json.dumps(str(root)).encode()
    (path,) = (path for path in Path(root, ".git/kist/cache/refs").glob("*/*") if mine in path.read_bytes())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def conflicting(root):
    """HEAD has v2 of data and a second output; a branch from v1 changed both, and the merge stopped at the conflicts."""
    write(root, {"more/ours.txt": b"ours\n", "more/same.txt": b"same\n"})
    good(root, "add", "more")
    _save_in_git(root, "ours")
    _git(root, "checkout", "-q", "-b", "theirs", "v1")
    good(root, "checkout", "--force")
    write(root, {"data/sub/b.txt": b"theirs\n", "data/theirs/t.txt": b"t\n", "data/their.bin": LARGE[2:]})
    write(root, {"more/theirs.txt": b"theirs\n", "more/same.txt": b"same\n", "extra/e.txt": b"e\n"})
    good(root, "add", "data", "more", "extra")
    _save_in_git(root, "theirs")
    _git(root, "checkout", "-q", "main")
    good(root, "checkout", "--force")
    merging = subprocess.run(["git", "merge", "-q", "theirs"], cwd=root, check=False, capture_output=True)
    assert merging.returncode == 1, merging


def linked(root):
    """The workspace made of links of the configured type."""
    without_workspace(root)
    good(root, "checkout")


# ── what must be, once a command said that it was done ───────────────────────────────────────────────────────────────


def on_remote(stage):
    good(stage.root, "verify", "--remote", "store")


def in_cache(stage):
    good(stage.root, "verify")


def nothing_to_collect(stage):
    assert "nothing to collect" in good(stage.root, "gc", "-A", "--plan")
    good(stage.root, "verify")


def merged(stage):
    good(stage.root, "verify")
    listed = good(stage.root, "list", "-R")
    for path in ("data/new/d.txt", "data/theirs/t.txt", "data/their.bin", "more/ours.txt", "more/theirs.txt"):
        assert path in listed, f"{path} is not in what both sides made"


def refs_are_whole(stage):
    good(stage.root, "gc", "-A", "--plan")
    good(stage.root, "verify")


# ── the commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


def few_are_worth_a_process():
    from kist.engine.checkout import shares

    shares.WORTH = 4


TRANSFER = (10, 11)
PURE = {"KIST_KERNEL": "pure"}
ONE = {"KIST_JOBS": "1"}
BRING = {"fails": TRANSFER, "result": in_cache, "lacks": True}

_ALL = (
    Scene("add, first", ("add", "data", "other.bin"), "untracked", unsaved=True),
    Scene("add, after edits", ("add", "data"), prepare=edited),
    Scene("add, inside", ("add", "data/new"), prepare=edited, unsaved=True),
    Scene("commit", ("commit",), prepare=edited),
    Scene("checkout, switch", ("checkout", "--rev", "v1")),
    Scene("checkout, switch with force", ("checkout", "--rev", "v1", "-f"), prepare=unsaved, unsaved=True),
    Scene("checkout, fresh", ("checkout",), prepare=without_workspace),
    Scene("checkout, inside", ("checkout", "data/old", "--rev", "v1")),
    Scene("move", ("move", "data", "moved"), again=(2,)),
    Scene("move, inside", ("move", "data/sub", "data/deep"), again=(2,)),
    Scene("remove", ("remove", "data"), again=(2,)),
    Scene("remove, inside", ("remove", "data/sub"), again=(2,)),
    Scene("remove, keep", ("remove", "--keep", "data"), again=(2,)),
    *(
        Scene(
            f"remove, keep, {kind}",
            ("remove", "--keep", "data"),
            prepare=linked,
            again=(2,),
            settings={"KIST_CACHE_TYPE": kind},
        )
        for kind in ("hardlink", "symlink")
    ),
    Scene("doctor, refs", ("doctor", "--fix"), prepare=refs_damaged, fails=(1,), result=refs_are_whole, unsure=True),
    *(
        Scene(
            f"resolve{name}", ("resolve", "--theirs"), prepare=conflicting, settings=how, result=merged, conflict=True
        )
        for name, how in (("", {}), (", pure kernel", PURE))
    ),
    Scene("push", ("push",), fails=TRANSFER, settings=ONE, result=on_remote),
    Scene("push, many at once", ("push",), fails=TRANSFER, result=on_remote),
    Scene("fetch", ("fetch", "-A"), prepare=pushed_and_forgotten, settings=ONE, **BRING),
    Scene("pull", ("pull",), prepare=pushed_and_gone, settings=ONE, **BRING),
    Scene("pull, many at once", ("pull",), prepare=pushed_and_gone, **BRING),
    Scene("gc", ("gc", "-f", "-A"), prepare=garbage, result=nothing_to_collect),
    Scene("gc, now", ("gc", "-f", "-A", "--now"), prepare=garbage, result=nothing_to_collect),
    Scene("gc, undo", ("gc", "--undo"), prepare=collected, result=in_cache, again=(2,)),
    Scene("gc, remote", ("gc", "-f", "-A", "-r", "store"), prepare=remote_garbage, fails=TRANSFER, settings=ONE),
    Scene("config, tracked", ("config", "core.symlinks", "follow"), configures=True),
    Scene("config, local", ("config", "--local", "core.jobs", "2"), prepare=configured, configures=True),
    Scene("config, user", ("config", "--global", "core.jobs", "2"), prepare=configured, configures=True),
    Scene("config, user, first", ("config", "--global", "core.jobs", "2"), configures=True),
    Scene("remote, add", ("remote", "add", "-d", "second", "../second"), configures=True, again=(2, 3)),
    Scene("remote, change", ("remote", "modify", "store", "retries", "2"), configures=True),
    Scene("remote, rename", ("remote", "rename", "store", "shop"), configures=True, again=(2, 3)),
    Scene("remote, remove", ("remote", "remove", "store"), configures=True, again=(2, 3)),
    Scene("add, pure kernel", ("add", "data"), prepare=edited, settings=PURE),
    Scene("checkout, pure kernel", ("checkout", "--rev", "v1"), settings=PURE),
    Scene("checkout, files", ("checkout", "--rev", "v1"), "files"),
    Scene("commit, files", ("commit",), "files", edited_files),
    Scene("push, files", ("push",), "files", fails=TRANSFER, settings=ONE, result=on_remote),
    Scene("checkout, processes", ("checkout", "--rev", "v1"), "many", patch=few_are_worth_a_process),
    Scene("checkout, processes, fresh", ("checkout",), "many", without_workspace, patch=few_are_worth_a_process),
    *(
        Scene(f"checkout, {kind}", ("checkout", "--rev", "v1"), prepare=linked, settings={"KIST_CACHE_TYPE": kind})
        for kind in ("hardlink", "symlink", "reflink")
    ),
    *(
        Scene(f"add, {kind}", ("add", "data"), prepare=edited, settings={"KIST_CACHE_TYPE": kind})
        for kind in ("hardlink", "symlink", "reflink")
    ),
)
SCENES = {scene.name: scene for scene in _ALL}
