"""doctor: one broken thing at a time is found, named, and mended where that loses nothing."""

import os
import shutil

import pytest
from cli_support import cache_of, damage, write

from kist.api import Repo
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import Index, PackEntry, index_id
from kist.engine.storage.packs import DATA, PackReader


def findings(result):
    found = {}
    for one in result.data["findings"]:
        found.setdefault(one["label"], []).append(one)
    return found


def worst(result, label):
    order = ["ok", "note", "warning", "error"]
    return max((one["state"] for one in findings(result)[label]), key=order.index)


def test_a_healthy_repository(tracked):
    result = tracked.json("doctor")
    assert result.data["counts"]["error"] == 0
    assert {
        "kist",
        "python",
        "git",
        "repository",
        "cache",
        "fingerprints",
        "clock",
        "locks",
        "journal",
        "trash",
    } <= set(findings(result))
    assert worst(result, "link type copy") == "ok"
    assert "ok" in tracked("doctor").out


BROKEN_KERNEL = """
from kist import hookimpl
@hookimpl
def kist_make_kernel(name):
    raise ImportError("built for another Python")
"""


def test_tells_the_kernel(tracked, monkeypatch):
    monkeypatch.setenv("KIST_KERNEL", "pure")
    assert findings(tracked.json("doctor"))["kernel"][0]["detail"] == "pure"
    monkeypatch.setenv("KIST_KERNEL", "none-such")
    assert worst(tracked.json("doctor", code=1), "kernel") == "error"


def test_a_kernel_that_does_not_work(tracked, site, monkeypatch):
    """Nobody who did not ask for it misses it; whoever asks is told."""
    monkeypatch.setenv("KIST_PLUGINS_BLOCK", "kist-accel")
    site.install("kist-quick", {"kernels": {"quick": "toy_quick"}}, {"toy_quick": BROKEN_KERNEL})
    assert tracked.json("status").data["clean"]
    (found,) = findings(tracked.json("doctor"))["kernel"]
    assert found["detail"].startswith("pure, because quick does not work: ")
    assert "built for another Python" in found["detail"]
    monkeypatch.setenv("KIST_KERNEL", "quick")
    tracked("status", code=4)
    tracked("verify")  # which looks at no file of the workspace


def test_outside_of_a_repository(kist):
    assert worst(kist.json("doctor"), "repository") == "note"
    kist("doctor", "--remote", "store", code=5)
    kist("doctor", "--fix", code=5)


def private(kist):
    (found,) = (kist.folder / ".git" / "kist").glob("*/fingerprints.sqlite")
    return found


def test_fingerprints_that_are_damaged(tracked):
    private(tracked).write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    result = tracked.json("doctor", code=1)
    assert worst(result, "fingerprints") == "error"
    assert findings(result)["fingerprints"][0]["fix"] == "kist doctor --fix"
    tracked.json("doctor", "--fix", "--dry-run", code=1)
    assert "mended" in findings(tracked.json("doctor", "--fix"))["fingerprints"][0]["detail"]
    tracked.json("doctor")
    assert tracked.json("status").data["clean"]


@pytest.mark.parametrize("words", [("doctor", "--fix"), ("verify", "--repair")])
def test_objects_of_packs_that_no_index_leads_to(tracked, words):
    cache = Repo(tracked.folder).context.cache
    names = [name for name in cache.folder.pack_ids() if PackReader.open(cache.folder.packs / name).kind == DATA]
    (name,) = names
    cache.catalog.refresh()
    (index,) = [one.id for one in cache.catalog.files() if [entry.id for entry in one.index.packs] == [name]]
    with PackReader.open(cache.folder.packs / name) as pack:
        gone = PackEntry("0" * 64, pack.size, pack.kind)
        builder = IndexBuilder(pack.algorithm, pack.width)
        builder.add_pack(gone, pack.members)  # the first place of a digest counts
        builder.add_index(Index.load((cache.folder.index / index).read_bytes()))
    content = builder.build()
    (cache.folder.index / index).unlink()
    (cache.folder.index / index_id(content)).write_bytes(content)
    shutil.rmtree(tracked.folder / "data")
    assert worst(tracked.json("doctor", code=1), "cache indexes") == "error"
    tracked.json("checkout", code=8)
    tracked(*words)
    assert worst(tracked.json("doctor"), "cache indexes") == "ok"
    tracked("checkout")
    assert tracked.json("status").data["clean"]


def test_indexes_that_are_lost_or_damaged(tracked):
    indexes = list((cache_of(tracked.folder) / "index").iterdir())
    assert indexes
    for path in indexes:
        path.unlink()
    assert worst(tracked.json("doctor"), "cache indexes") == "warning"
    tracked("verify")
    tracked("doctor", "--fix")
    assert worst(tracked.json("doctor"), "cache indexes") == "ok"
    for path in (cache_of(tracked.folder) / "index").iterdir():
        damage(path, 3)
    assert worst(tracked.json("doctor", code=1), "cache indexes") == "error"
    tracked("doctor", "--fix")
    tracked("doctor")
    tracked("verify")


def test_a_metafile_that_git_would_not_commit(tracked):
    write(tracked.folder, {"other/x": "1", ".gitignore": (tracked.folder / ".gitignore").read_text() + "*.kist\n"})
    tracked("add", "other")
    result = tracked.json("doctor")
    assert "other.kist" in str(findings(result)["git ignore rules"])


def test_a_metafile_that_is_broken(tracked):
    write(tracked.folder, {"bad.kist": "format: kist/1\npath: [\n"})
    result = tracked.json("doctor", code=1)
    assert worst(result, "metafiles") == "error"
    assert "bad.kist" in findings(result)["metafiles"][0]["detail"]


def test_configuration_that_is_dangerous(tracked, monkeypatch):
    monkeypatch.setenv("KIST_FSYNC", "off")
    assert worst(tracked.json("doctor"), "configuration") == "warning"
    monkeypatch.delenv("KIST_FSYNC")
    file = tracked.folder / ".kist" / "config.yaml"
    file.write_text(file.read_text() + "cache:\n  dir: /elsewhere\n")
    assert "cache.dir" in str(findings(tracked.json("doctor"))["configuration"])


def test_private_folders_that_are_open_to_others(tracked):
    (tracked.folder / ".git" / "kist").chmod(0o755)
    assert worst(tracked.json("doctor"), "private folder") == "warning"
    tracked("doctor", "--fix")
    assert (tracked.folder / ".git" / "kist").stat().st_mode & 0o777 == 0o700


def test_a_remote_is_tried(shared):
    found = findings(shared.json("doctor", "--remote", "store"))
    for step in ("write", "read", "range", "size", "list", "delete"):
        assert [one["state"] for one in found[f"remote store: {step}"]] == ["ok"]
    assert not list((shared.folder.parent / "store").rglob("*doctor*"))
    result = shared.json("doctor", "--remote", "stor", code=1)
    assert "'store'" in findings(result)["remote stor"][0]["fix"]


def test_a_remote_that_cannot_be_written(shared):
    shared("config", "--local", "remote.store.readonly", "true")
    assert worst(shared.json("doctor", "--remote", "store", code=1), "remote store: write") == "error"


def test_plugins_add_findings(tracked, site):
    code = (
        "from kist import hookimpl\nfrom kist.model.report import Finding\n"
        "@hookimpl\ndef kist_doctor(repo):\n    return [Finding('toy', 'note', 'hello')]\n"
    )
    site.install("kist-toy", {"hooks": {"doctor": "toy_doctor"}}, {"toy_doctor": code})
    assert findings(tracked.json("doctor"))["toy"][0]["detail"] == "hello"


@pytest.mark.parametrize("answer", ["'text'", "7", "[1]", "(1 / 0 for _ in 'x')", "[Finding('toy', 'bad')]"])
def test_plugins_that_answer_nonsense_are_told(tracked, site, answer):
    code = (
        "from kist import hookimpl\nfrom kist.model.report import Finding\n"
        f"@hookimpl\ndef kist_doctor(repo): return {answer}\n"
        f"@hookimpl\ndef kist_status_sections(repo): return {answer}\n"
    )
    hooks = {"doctor": "toy_doctor", "status_sections": "toy_doctor"}
    site.install("kist-toy", {"hooks": hooks}, {"toy_doctor": code})
    told = findings(tracked.json("doctor", code=1))["plugin"]
    assert [(one["state"], "kist-toy" in one["detail"]) for one in told] == [("error", True)]
    assert "kist_doctor" in told[0]["detail"]
    status = tracked("status")
    assert "clean" in status.out
    assert "warning:" in status.err
    assert "kist-toy: kist_status_sections" in status.err


def test_an_executor_that_is_configured_is_tried(tracked, monkeypatch):
    assert "executor" not in findings(tracked.json("doctor"))
    monkeypatch.setenv("KIST_EXECUTOR", "threads")
    assert findings(tracked.json("doctor"))["executor"][0]["state"] == "ok"
    monkeypatch.setenv("KIST_EXECUTOR", "thraeds")
    found = findings(tracked.json("doctor", code=1))["executor"][0]
    assert (found["state"], found["fix"]) == ("error", "did you mean 'threads'?")


def test_plugins_that_cannot_be_loaded_are_told(tracked, site):
    site.install(
        "kist-ruin", {"hashers": {"ruin": "ruin_hooks"}, "links": {"ruin": "ruin_hooks"}}, {"ruin_hooks": "1/0"}
    )
    site.install("kist-fine", {"hashers": {"fine": "fine_hooks"}}, {"fine_hooks": ""})
    code = (
        "from dataclasses import dataclass\nfrom kist import hookimpl\nfrom kist.abc import Options\n"
        "@dataclass\nclass Bare(Options):\n    color: str = 'red'\n"
        "@hookimpl\ndef kist_remote_options(scheme): return Bare\n"
    )
    site.install("kist-bare", {"remotes": {"bare": "bare_hooks"}}, {"bare_hooks": code})
    found = findings(tracked.json("doctor", code=1))
    assert [one["state"] for one in found["plugin kist-ruin"]] == ["ok", "error"]
    assert "ZeroDivisionError" in found["plugin kist-ruin"][1]["detail"]
    assert [one["state"] for one in found["plugin kist-fine"]] == ["ok"]
    assert "'color' is not declared with option()" in found["plugin kist-bare"][1]["detail"]
    assert "Options of file://" in tracked("help", "remotes").out


@pytest.mark.parametrize("words", [("doctor",), ("doctor", "--fix")])
def test_a_repository_without_git(plain, words):
    write(plain.folder, {"data/x": "1"})
    plain("add", "data")
    assert plain.json(*words).data["counts"]["error"] == 0
