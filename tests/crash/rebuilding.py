"""Delete what can be found out again, in a stage, and look whether it is."""

import os
import shutil
import sqlite3
from pathlib import Path

from crash_support import Scene, Stage, good, nothing
from scenes import edited, without_workspace

from walking import walk


def without_fingerprints(base, folder):
    """The same status, and the same version, without the fingerprints as with them."""
    stage = Stage(folder, base, Scene("fingerprints", ("status",), prepare=edited))
    root = stage.root

    def cold():
        before = good(root, "status", "--json")
        _fingerprints_of(root).unlink()
        assert good(root, "status", "--json") == before
        _fingerprints_of(root).unlink(missing_ok=True)
        good(root, "commit")
        saved = sqlite3.connect(_fingerprints_of(root))
        assert saved.execute("PRAGMA quick_check").fetchone() == ("ok",)
        saved.close()
        good(root, "status", "--exit-code")
        good(root, "verify")
        return Path(root, "data.kist").read_bytes()

    found = stage.do(cold)
    stage.restore()
    stage.do(lambda: good(root, "commit"))
    assert Path(root, "data.kist").read_bytes() == found


def _fingerprints_of(root):
    (path,) = Path(root, ".git", "kist").glob("*/fingerprints.sqlite")
    return path


def without_indexes(place, base, folder):
    """The indexes of a cache or of a remote, made again from what they were made of."""
    stage = Stage(folder, base, Scene("indexes", ("push",), prepare=nothing))
    root = stage.root
    stage.do(lambda: good(root, "push"))
    indexes = Path(root, ".git/kist/cache/index") if place == "cache" else Path(stage.store, "index")
    gone = [path for path in indexes.rglob("*") if path.is_file()]
    assert gone
    for path in gone:
        path.unlink()
    stage.do(lambda: _mend(root, place))
    assert [path for path in indexes.rglob("*") if path.is_file()]
    wanted = walk(os.path.join(root, "data"))

    def use():
        if place == "remote":
            shutil.rmtree(Path(root, ".git/kist/cache"))
            good(root, "fetch")
        good(root, "verify")
        without_workspace(root)
        good(root, "checkout")
        good(root, "status", "--exit-code")

    stage.do(use)
    assert walk(os.path.join(root, "data")) == wanted


def _mend(root, place):
    from kist.api import Repo
    from kist.operations.transfers import TransferOptions
    from kist.operations.verify import VerifyOptions

    if place == "remote":  # the cache has all that the indexes were made of
        assert not Repo(root).verify(options=VerifyOptions(remote="store")).good
        list(Repo(root).push(options=TransferOptions(repair=True)))
        assert Repo(root).verify(options=VerifyOptions(remote="store")).good
        return
    found = list(Repo(root).doctor())
    assert any(one.state in ("warning", "error") and "index" in f"{one.label} {one.detail}" for one in found), found
    found = list(Repo(root).doctor(fix=True))
    assert not [one for one in found if one.state == "error"], found
