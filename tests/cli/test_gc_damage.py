"""gc beside damage: what nobody can read is named, and never makes it collect more."""

import re
import shutil

import pytest
from cli_support import DATA, cache_of, clone, commit, damage, git, stored_files, tree, write


@pytest.fixture
def history(tracked):
    """Three commits; what only the first one needs is known to be garbage once that commit cannot be read."""
    write(tracked.folder, {"data/a.txt": "second\n"})
    tracked("add", "data")
    commit(tracked.folder, "v2")
    write(tracked.folder, {"data/a.txt": "third\n"})
    tracked("add", "data")
    return tracked


def forge(repo, pattern, text):
    """Commit a changed metafile, and then the right one again."""
    path = repo.folder / "data.kist"
    right = path.read_text()
    path.write_text(re.sub(pattern, text, right))
    commit(repo.folder, "forged")
    path.write_text(right)
    commit(repo.folder, "v3")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"manifest: .*", "manifest: [oops"),
        (r"manifest: (\w+):.*", r"manifest: \1:0123456789abcdef01"),
        (r"manifest: (\w+):", "manifest: nohash:"),
        (r"(?s).*", "<<<<<<< ours\n"),
        (r"kist/1", "kist/99"),
    ],
)
def test_a_metafile_of_a_commit_that_cannot_be_read(history, pattern, text):
    forge(history, pattern, text)
    name = git(history.folder, "rev-parse", "--short=12", "forged").strip()
    before = stored_files(cache_of(history.folder))
    for words in (("gc", "-f"), ("gc", "-A", "--now", "-f"), ("gc", "--plan")):
        result = history.json(*words, code=7)
        assert result.classes == ["MetafileError"]
        (error,) = result.json["errors"]
        assert f"data.kist of commit {name}" in error["message"]
        assert error["hint"].startswith(f"'kist gc --without {name}'")
    assert stored_files(cache_of(history.folder)) == before
    assert history.json("gc", "-f", "--without", name).data["candidates"] == 0
    for tag in ("v1", "v2", "v3"):
        history("checkout", "--rev", tag)
    history("gc", "-w", "--plan")


def test_digests_in_what_cannot_be_read_are_kept(history):
    """A conflict that was committed names both versions: no other commit knows the one from the other branch."""
    write(history.folder, {"data/a.txt": "only in the conflict\n"})
    history("add", "data")
    theirs = (history.folder / "data.kist").read_text()
    write(history.folder, {"data/a.txt": "third\n"})
    history("add", "data")
    forge(history, r"(?s)\A", f"<<<<<<< ours\n{theirs}=======\n")
    assert history.json("gc", "-f", "--without", "forged").data["candidates"] == 0
    (history.folder / "data.kist").write_text(theirs)
    history("checkout", "--force")
    assert (history.folder / "data" / "a.txt").read_text() == "only in the conflict\n"


def test_a_metafile_that_names_a_file_for_a_manifest(history):
    content = history.json("diff", "v1", "v2").data["changes"][0]["old"]["digest"]
    forge(history, r"manifest: .*", f"manifest: {content}")
    result = history.json("gc", "-f")
    assert result.data["candidates"] == 0
    assert f"{content} stands for a directory" in history("gc", "--plan").err + history("gc", "--plan").out


def test_a_damaged_manifest_stops_gc_until_it_is_back(history):
    history("remote", "add", "-d", "store", "../store")
    commit(history.folder, "v3")
    history("push", "-A")
    nodes = [path for path in stored_files(cache_of(history.folder)) if path.read_bytes()[9:10] == b"\x01"]
    for path in nodes:
        damage(path, at=path.stat().st_size // 4)
    assert history.json("gc", "-f", code=8).classes == ["ObjectCorrupt"]
    history("verify", "--repair", code=8)  # brings back what the workspace's version needs; the others are set aside
    result = history.json("gc", "-f", code=8)
    assert result.classes == ["ObjectMissing"]
    assert "set aside" in result.json["errors"][0]["message"]
    history("fetch", "-A")
    assert history.json("gc", "-f").data["candidates"] == 0
    history("checkout", "--rev", "v1")


# ── a marker that promises too much ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def promised(shared):
    """What a push may leave that was killed between its marker and its last look, while two gcs crossed it."""
    store = shared.folder.parent / "store"
    shared("push")
    before = set(stored_files(store))
    write(shared.folder, {"data/a.txt": "promised\n"})
    shared("add", "data")
    commit(shared.folder, "v2")
    shared("push")
    gone = [path for path in stored_files(store) if path not in before]
    assert gone
    for path in gone:
        path.unlink()
    return shared


def test_1_1_a_false_marker_is_named_and_mended_by_who_has_the_data(promised):
    there = clone(promised)
    assert promised.json("gc", "-r", "store", "-f", folder=there, code=8).classes == ["ObjectMissing"]
    (error,) = promised.json("gc", "-r", "store", "-f", folder=there, code=8).json["errors"]
    assert "kist push --repair" in error["hint"]
    assert promised.json("verify", "--remote", "store", folder=there, code=8).data["missing"]
    promised("pull", folder=there, code=8)
    promised("push", "--repair")
    promised("verify", "--remote", "store", folder=there)
    promised("pull", folder=there)
    promised("gc", "-r", "store", "-f", folder=there)


def test_1_1_a_false_marker_of_what_is_lost_goes_when_nobody_needs_it(promised):
    """Its data is gone with the machine that pushed it."""
    there = clone(promised)
    promised("gc", "-r", "store", "-f", folder=there, code=8)
    git(there, "checkout", "-q", "v1", "--", "data.kist")
    git(there, "commit", "-q", "-m", "back to what there is")
    promised("pull", folder=there)
    promised("gc", "-r", "store", "-f", "-w", folder=there)
    promised("config", "--local", "gc.grace", "0", folder=there)
    promised("gc", "-r", "store", "-f", "-w", folder=there)
    promised("verify", "--remote", "store", folder=there)
    write(there, {"data/a.txt": "promised\n"})
    promised("add", "data", folder=there)
    promised("push", folder=there)
    promised("verify", "--remote", "store", folder=there)


def test_what_was_sent_again_in_another_pack_is_found_and_stays_on_a_remote(repo):
    """A lost pack held an object that nobody has any more, so a marker still names the index that speaks of that pack."""
    kist, store = repo, repo.folder.parent / "store"
    write(kist.folder, {f"data/{number}": str(number) for number in range(30)} | {"lost": "lost for good"})
    lost = kist.json("add", "data", "lost").data["outputs"][1]["digest"]
    kist("remote", "add", "-d", "store", str(store))
    kist("push")
    commit(kist.folder, "v1")
    pack = next(path for path in stored_files(cache_of(kist.folder)) if b"lost for good" in path.read_bytes())
    shutil.rmtree(store / "packs")
    damage(pack, pack.read_bytes().index(b"lost for good"))
    write(kist.folder, {"lost": "another"})
    assert [one["object"] for one in kist.json("push", "--repair", code=8).data["failures"]] == [lost]
    for name in ("before", "after"):
        missing = kist.json("verify", "--remote", "store", code=8).data["missing"]
        assert [one["paths"] for one in missing] == [["lost"]]
        other = clone(kist, name)
        kist("pull", code=8, folder=other)
        assert len(tree(other / "data")) == 30
        kist("gc", "-r", "store", "-f")


def test_a_repair_that_has_but_a_damaged_copy_says_what_to_do_first(repo):
    kist, store = repo, repo.folder.parent / "store"
    write(kist.folder, DATA)
    kist("add", "data")
    kist("remote", "add", "-d", "store", str(store))
    kist("push")
    content = (kist.folder / "data/a.txt").read_bytes()
    for harm in ("lost", "damaged"):
        for path in [path for path in stored_files(cache_of(kist.folder)) if content in path.read_bytes()]:
            damage(path, path.read_bytes().index(content))
        for path in [path for path in (store / "packs").iterdir() if content in path.read_bytes()]:
            damage(path, path.read_bytes().index(content)) if harm == "damaged" else path.unlink()
        [error] = kist.json("push", "--repair", code=8).json["errors"]
        assert "'kist verify --repair'" in error["hint"]
        kist("verify", "--repair")
        kist("push", "--repair")
        kist("verify", "--remote", "store")


@pytest.mark.parametrize("how", ["cut", "damaged"])
def test_what_was_sent_again_instead_of_damage_is_found_and_stays_on_a_remote(repo, how):
    """The same of a pack that is there, and no good: gc reads no packs, and keeps what was sent last."""
    kist, store = repo, repo.folder.parent / "store"
    write(kist.folder, {f"data/{number}": str(number) * 50 for number in range(30)} | {"lost": "lost for good"})
    kist("add", "data", "lost")
    kist("remote", "add", "-d", "store", str(store))
    kist("push")
    commit(kist.folder, "v1")
    pack = next(path for path in stored_files(cache_of(kist.folder)) if b"lost for good" in path.read_bytes())
    for sent in (store / "packs").iterdir():
        content = sent.read_bytes()
        if b"lost for good" in content:
            sent.chmod(0o600)
            sent.write_bytes(content[:100] if how == "cut" else content[:64] + bytes(len(content) - 64))
    damage(pack, pack.read_bytes().index(b"lost for good"))
    write(kist.folder, {"lost": "another"})
    kist("push", "--repair", code=8)
    for name in ("before", "after"):
        found = kist.json("verify", "--remote", "store", code=8).data
        assert {path for one in found["damaged"] + found["missing"] for path in one["paths"]} == {"lost"}
        other = clone(kist, name)
        kist("pull", code=8, folder=other)
        assert len(tree(other / "data")) == 30
        kist("gc", "-r", "store", "-f")
