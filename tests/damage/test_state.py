"""Harm to what only helps (fingerprints, records), to metafiles, and to the small files that say what a store is."""

import re

import pytest
from cli_support import git
from damage_support import HARMS, flip, only_right, right


def flips(*positions):
    return {f"flipped at {at}": (lambda path, _at=None, at=at: flip(path, at)) for at in positions}


@pytest.mark.parametrize("harm", HARMS | flips(3, 30, 2000, -1))
@pytest.mark.parametrize("pattern", [".git/kist/*/fingerprints*", ".git/kist/cache/verified/*"])
def test_records_of_what_need_not_be_done_again(site, pattern, harm):
    kist = site.kist
    kist("checkout")
    path = max(kist.folder.glob(pattern), key=lambda path: path.stat().st_size)
    do = (HARMS | flips(3, 30, 2000, -1))[harm]
    do(path, None) if path.stat().st_size > 2000 or "2000" not in harm else flip(path, 100)
    assert kist.json("status").data["clean"]
    (kist.folder / "data" / "z" / "one.txt").write_text("edited")
    assert [one["path"] for one in kist.json("status").data["changes"]] == ["data/z/one.txt"]
    kist("checkout", "--force")
    assert right(kist.folder)
    kist("doctor", "--fix")
    kist("verify")


def test_every_byte_of_a_metafile(site, record_property):
    kist = site.kist
    path = kist.folder / "data.kist"
    original = path.read_bytes()
    record_property("damage", len(original))
    for at in range(len(original)):
        flip(path, at)
        for words in (("status",), ("checkout",), ("push", "-r", "second")):
            assert kist.json(*words, code=None).code in (0, 4, 7, 8, 11), (at, words)
        assert only_right(kist.folder), at
        path.write_bytes(original)
    kist("checkout")
    assert right(kist.folder)


@pytest.mark.parametrize("harm", HARMS)
def test_a_metafile_that_is_not_whole(site, harm):
    kist = site.kist
    HARMS[harm](kist.folder / "data.kist")
    for words in (("status",), ("checkout",), ("push",), ("add", "data"), ("verify",)):
        result = kist.json(*words, code=None)
        assert result.code in (0, 2, 7, 8), words
        assert harm == "removed" or result.code or not result.data["clean"], words
    git(kist.folder, "checkout", "data.kist")
    kist("checkout")
    assert right(kist.folder)


@pytest.mark.parametrize("harm", HARMS | flips(2, 12, -3))
@pytest.mark.parametrize("name", ["kist-remote", "sets/*", "refs/*/*/*", "roots/*/*"])
def test_small_files_of_a_remote(site, name, harm):
    path = next(iter(site.store.glob(name)), None)
    if path is None:
        assert name == "sets/*"  # one output needs none
        return
    (HARMS | flips(2, 12, -3))[harm](path)
    other = site.clone()
    pulled = other.json("pull", code=None)
    assert pulled.code in (0, 5, 7, 8, 10, 11)
    assert (pulled.code == 0) == right(other.folder)
    if (
        name == "kist-remote" and path.exists()
    ):  # it says what the place is: only a person knows that it is the right one
        assert "remove that one file" in site.kist("push", "--repair", code=10).err or harm == "flipped at 12"
        path.unlink()
    site.kist("push", "--repair")
    other("pull")
    assert right(other.folder)
    site.kist("verify", "--remote", "store")


@pytest.mark.parametrize("harm", HARMS | flips(2, 12, -3))
def test_the_marker_of_a_cache(site, harm):
    kist = site.kist
    (HARMS | flips(2, 12, -3))[harm](site.cache / "kist-cache")
    result = kist.json("checkout", code=None)
    if result.code == 0:  # a folder with nothing but what a cache has gets its marker back
        assert harm == "removed"
        assert right(kist.folder)
        return
    assert result.code in (5, 8)
    assert not (kist.folder / "data").exists()
    (error,) = result.json["errors"]
    if result.code == 5:  # it says what the folder is, so that nothing foreign is deleted: only a person can tell
        (text,) = re.findall("write (.*) into the file", error["hint"])
        (site.cache / "kist-cache").write_text(text)
    kist("pull")
    assert right(kist.folder)
