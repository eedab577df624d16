"""verify: damage and loss are named with the paths that need it, and mended from wherever a good copy is."""

import os
import shutil

import pytest
from cli_support import DATA, cache_of, clone, damage, stored_files, tree, write


def paths_of(found):
    return sorted(path for one in found for path in one["paths"])


def test_all_good(tracked):
    data = tracked.json("verify").data
    assert data["checked"] >= len(DATA)
    assert (data["damaged"], data["missing"], data["repaired"]) == ([], [], [])
    assert "all good" in tracked("verify").out
    assert tracked.json("verify", "data/sub").data["checked"] >= 2


def test_damage_is_named_with_its_paths(tracked):
    damage(stored_files(cache_of(tracked.folder))[0])
    result = tracked.json("verify", code=8)
    assert result.classes == ["ObjectError"]
    assert paths_of(result.data["damaged"]) == ["data/sub/c.bin"]
    text = tracked("verify", code=8)
    assert "data/sub/c.bin" in text.out
    assert "--repair" in text.err
    assert paths_of(tracked.json("verify", "data/sub/c.bin", code=8).data["damaged"]) == ["data/sub/c.bin"]
    assert tracked.json("verify", "data/a.txt").data["damaged"] == []


def test_damage_is_mended_from_the_workspace(tracked):
    damage(stored_files(cache_of(tracked.folder))[0])
    assert tracked.json("verify", "--repair", "--dry-run", code=8).data["repaired"] == []
    data = tracked.json("verify", "--repair").data
    assert paths_of(data["repaired"]) == ["data/sub/c.bin"]
    tracked("verify", code=None)
    tracked("verify", "data")


def test_damage_is_mended_from_a_remote(shared):
    write(shared.folder, {"data/sub/c.bin": None})
    damage(stored_files(cache_of(shared.folder))[0])
    shared("verify", code=8)
    shared("verify", "--repair")
    shared("verify", "data")
    shared("checkout")
    assert tree(shared.folder / "data") == {
        name[5:]: data if isinstance(data, bytes) else data.encode() for name, data in DATA.items()
    }


def test_what_no_place_has_stays_wrong(tracked):
    write(tracked.folder, {"data/sub/c.bin": None})
    damage(stored_files(cache_of(tracked.folder))[0])
    data = tracked.json("verify", "--repair", code=8).data
    assert paths_of(data["damaged"]) == ["data/sub/c.bin"]
    assert data["repaired"] == []


def test_loss_is_named(shared):
    other = clone(shared)
    result = shared.json("verify", code=8, folder=other)
    assert [one["paths"] for one in result.data["missing"]] == [["data"]]
    shared("verify", "--repair", folder=other)
    shared("verify", folder=other)
    for path in stored_files(cache_of(other)):
        path.unlink()
    assert shared.json("verify", code=8, folder=other).data["missing"]


def test_2_3_a_remote_is_read_back(shared):
    data = shared.json("verify", "--remote", "store").data
    assert data["checked"] >= len(DATA)
    assert data["requests"] > 0
    damage(stored_files(shared.folder.parent / "store")[0])
    data = shared.json("verify", "--remote", "store", code=8).data
    assert paths_of(data["damaged"]) == ["data/sub/c.bin"]
    assert paths_of(shared.json("verify", "--remote", "store", "--repair").data["repaired"]) == ["data/sub/c.bin"]
    shared("verify", "--remote", "store")


def test_2_2_what_was_never_pushed_is_missing_there(shared):
    write(shared.folder, {"data/new.txt": "new"})
    shared("add", "data")
    assert shared.json("verify", "--remote", "store", code=8).data["missing"]


@pytest.mark.parametrize("sample", ["0", "101", "many", "-5"])
def test_samples_are_percentages(tracked, sample):
    tracked("verify", f"--sample={sample}", code=2)


def test_samples_check_less(tracked):
    write(tracked.folder, {f"many/{n}": str(n) for n in range(400)})
    tracked("add", "many")
    assert tracked.json("verify", "many", "--sample", "10%").data["checked"] < 150
    assert "all good" not in tracked("verify", "--sample", "0.0001").out


def test_unknown_targets_and_remotes(tracked):
    tracked("verify", "nothing", code=2)
    tracked("verify", "--remote", "nothing", code=3)
    tracked("verify", "-j", "0", code=2)


def test_single_files(repo):
    write(repo.folder, {"one.bin": os.urandom(3 << 20)})
    repo("add", "one.bin")
    assert repo.json("verify", "one.bin").data["checked"] == 1
    damage(stored_files(cache_of(repo.folder))[0])
    assert paths_of(repo.json("verify", "one.bin", code=8).data["damaged"]) == ["one.bin"]
    assert paths_of(repo.json("verify", code=8).data["damaged"]) == ["one.bin"]
    assert paths_of(repo.json("verify", "--repair").data["repaired"]) == ["one.bin"]


def test_a_sample_names_a_damaged_copy_of_what_another_place_has_good(repo):
    """Both remotes got packs of their own; one that has all of them holds each object twice."""
    kist, stores = repo, [repo.folder.parent / name for name in ("one", "two")]
    write(kist.folder, {f"{folder}/{number}": str(number) * 40 for folder in ("d", "e") for number in range(20)})
    write(kist.folder, {"d/more": "more"})  # else a pack of the cache would go to both as it is
    kist("add", "d", "e")
    for store, folder in zip(stores, ("d", "e"), strict=True):
        kist("remote", "add", store.name, str(store))
        kist("push", "-r", store.name, folder)
    shutil.copytree(stores[1], stores[0], dirs_exist_ok=True)
    kist("verify", "--remote", "one")
    told = []
    for pack in [path for path in (stores[0] / "packs").iterdir() if b"11" * 40 in path.read_bytes()]:
        whole = pack.read_bytes()
        damage(pack, whole.index(b"11" * 40))
        words = ("verify", "--remote", "one", "--sample", "99.99999")
        if found := kist.json(*words, code=None).data["damaged"]:  # it is the one that was read
            told.append(found)
            assert [one["digest"] for one in found] == [f"pack:{pack.name}"]
            assert kist.json("verify", "--remote", "one", code=8).data["damaged"] == found
            assert kist.json(*words, "--repair").data["repaired"] == found
            kist("verify", "--remote", "one")
        pack.write_bytes(whole)
    assert told
