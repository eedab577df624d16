"""Harm to what only helps (fingerprints, records), to metafiles, and to the small files that say what a store is."""

import os

import fields
import pytest
from cli_support import git
from damage_support import CONTENT, blob, fine, one, only_right, put, right

from kist.repo.context import RepoContext

PRIVATE = ".git/kist"


def pages(data):
    """A SQLite database: its header, and the beginning of each of its pages."""
    size = int.from_bytes(data[16:18], "big") or 1
    found = [(f"header byte {at}", at, at + 1) for at in range(0, 100, 4)]
    return found + [(f"page {at // size}", at, at + 100) for at in range(size, len(data), size)]


RECORDS = {
    "fingerprints": (one(f"{PRIVATE}/*/fingerprints.sqlite"), pages),
    "verified": (one(f"{PRIVATE}/cache/verified/*"), fields.verified),
    "links": (one(f"{PRIVATE}/*/links.json"), fields.tokens),
    "complete": (one(f"{PRIVATE}/*/complete.json"), fields.tokens),
    "nothing-dead": (one(f"{PRIVATE}/*/nothing-dead"), fields.whole),
    "write.lock": (one(f"{PRIVATE}/*/write.lock"), fields.whole),
    "gc.lock": (one(f"{PRIVATE}/cache/gc.lock"), fields.whole),
}


def sees_what_is(site, _harm):
    """Whatever the memory says, ``status`` tells what is, and a checkout brings what should be."""
    kist = site.kist
    assert kist.json("status").data["clean"]
    (kist.folder / "data" / "z" / "one.txt").write_text("edited")
    assert [one["path"] for one in kist.json("status").data["changes"]] == ["data/z/one.txt"]
    kist("checkout", "--force")
    assert right(kist.folder)
    kist("doctor", "--fix")
    kist("verify")


@pytest.mark.parametrize("kind", RECORDS)
def test_2_1_records_of_what_need_not_be_done_again(damages, kind):
    words = [("checkout",), ("gc", "-f")] if kind == "nothing-dead" else [("checkout",)]
    damages.each(RECORDS[kind], sees_what_is, "work", lambda site: [site.kist(*some) for some in words])


@pytest.mark.parametrize("column", ["state", "content"])
def test_2_1_blobs_of_the_fingerprints(damages, column):
    """Each field of what a folder looked like, in a database that is otherwise whole."""
    layout = getattr(fields, column)
    site = damages.fresh()
    site.kist("checkout")
    path = RECORDS["fingerprints"][0](site, site.work)
    kept = []
    blob(path, "folders", column, lambda value: kept.append(value) or value)
    names = [name for name, _ in fields.harms(kept[0], layout(kept[0])) if name != "removed"]
    chosen = damages.chosen(names)
    damages.count(len(chosen))
    for name in chosen:
        blob(path, "folders", column, lambda value, name=name: dict(fields.harms(value, layout(value))).get(name, b""))
        sees_what_is(site, name)


def test_2_1_every_byte_of_a_metafile(damages, site):
    kist = site.kist
    path = kist.folder / "data.kist"
    original = path.read_bytes()
    chosen = damages.chosen(range(len(original)))
    damages.count(len(chosen))
    for at in chosen:
        put(path, original[:at] + bytes([original[at] ^ 4]) + original[at + 1 :])
        for words in (("status",), ("checkout",), ("push", "-r", "second"), ("verify",)):
            fine(kist.json(*words, code=None), 2, 4, 7, 8, 11)
        assert only_right(kist.folder), at
        path.write_bytes(original)
    kist("checkout")
    assert right(kist.folder)


@pytest.mark.parametrize("name", ["data.kist", "one.bin.kist", ".kist/config.yaml"])
def test_2_1_tracked_files_that_are_not_whole(damages, name):
    def check(site, harm):
        kist = site.kist
        for words in (("status",), ("checkout",), ("push",), ("add", "data"), ("verify",), ("gc", "-f", "--now")):
            result = fine(kist.json(*words, code=None), 1, 2, 3, 4, 5, 7, 8, 10, 11)
            if harm == "emptied" and not (name == "one.bin.kist" and words[0] == "add"):
                assert result.code, words
            assert only_right(kist.folder)
        git(kist.folder, "checkout", "data.kist", "one.bin.kist", ".kist/config.yaml")
        kist("pull")
        assert right(kist.folder)

    damages.each((one(name), fields.tokens), check, "work")


def test_2_1_the_marker_of_a_cache(damages):
    def check(site, harm):
        kist = site.kist
        result = kist.json("checkout", code=None)
        if result.code == 0:  # a folder with nothing but what a cache has gets its marker back
            assert right(kist.folder)
            return
        fine(result, 5, 8)
        assert not (kist.folder / "data").exists()
        if result.code == 5:  # it says what the folder is, so that nothing foreign is deleted: only a person can tell
            hints = " ".join(error["hint"] for error in result.json["errors"])
            assert "into the file" in hints or "newer" in hints or "upgrade" in hints
            (site.cache / "kist-cache").write_text('{"format":"kist-cache/1"}\n')
        kist("pull")
        assert right(kist.folder)

    damages.each((one("kist-cache"), fields.tokens), check, "cache")


def test_1_1_refs_of_a_cache(damages):
    """What another worktree needs: where nobody can tell, gc takes nothing and names the file; all else works."""

    def check(site, harm):
        kist = site.kist
        kist("checkout")
        kist("commit")
        before = sorted(path.name for path in site.cache.rglob("packs/*"))
        if fine(kist.json("gc", "-f", "--now", code=None), 4, 8).code:
            assert sorted(path.name for path in site.cache.rglob("packs/*")) == before
        kist("verify")
        assert right(kist.folder)

    damages.each((one("refs/*/*"), fields.tokens), check, "cache")


def killed_checkout(site):
    """What a checkout leaves that was killed when its journal was written."""
    context = RepoContext.find(site.work, settings={})
    header = {"verb": "checkout", "output": "data", "target": ":".join(site.root), "inside": "", "is_directory": True,
              "executable": False, "size": 0, "force": False}  # fmt: skip
    with context.writing():
        context.journal.begin(header, b"data").release()


def test_1_2_the_journal(damages):
    """A record that nobody can read counts for nothing; no command goes by what was never written."""

    def check(site, harm):
        kist = site.kist
        kist.json("status")
        mine = kist.folder / "data" / "mine"
        mine.parent.mkdir()
        mine.write_bytes(b"mine")
        kist("checkout")
        assert mine.read_bytes() == b"mine"
        mine.unlink()
        assert right(kist.folder)
        kist("doctor", "--fix")
        assert os.listdir(next(site.work.glob(f"{PRIVATE}/*/journal"))) == []

    record = (one(f"{PRIVATE}/*/journal/*/record"), fields.tokens)
    damages.each(record, check, "work", killed_checkout)


def test_1_1_records_of_the_trash(damages):
    """What gc took away comes back all the same, and nothing under a wrong name."""

    def collected(site):
        kist = site.kist
        kist("checkout")
        (kist.folder / "data" / "z" / "one.txt").write_bytes(b"another\n")
        kist("commit")
        git(kist.folder, "checkout", "data.kist")
        kist("checkout", "--force")
        kist("gc", "-f", "-w")

    def check(site, harm):
        kist = site.kist
        (entry,) = (site.cache / "trash").iterdir()
        before = {path.name: path.read_bytes() for path in entry.iterdir() if path.name.isdigit()}
        assert before
        kist("gc", "--undo")
        assert list((site.cache / "trash").iterdir()) == []
        kist("gc", "-f", "-w")
        after = {
            path.read_bytes()
            for path in (*site.cache.rglob("packs/*"), *site.cache.rglob("trash/*/[0-9]*"))
            if path.is_file()
        }
        assert set(before.values()) <= after
        fine(kist.json("verify", code=None))
        assert right(kist.folder)

    damages.each((one("trash/*/record.json"), fields.tokens), check, "cache", collected)


def test_the_template_is_whole(site):
    """What all these tests begin with is right: without a harm nothing is found."""
    assert site.kist.json("verify").data["damaged"] == []
    site.kist("checkout")
    assert right(site.work)
    assert not only_right(site.work, [*CONTENT, "data/absent"])
