"""What gc remembers: with the same roots and the same cache it need not look again, and with others it does."""

import os
import subprocess
import sys
import time

import pytest

from kist.api import Repo
from kist.operations import gc as gc_module
from kist.operations.gc import GcOptions, gc


@pytest.fixture
def looks(monkeypatch):
    """How often everything was looked at."""
    made = []
    plan = gc_module.plan_cache_gc
    monkeypatch.setattr(gc_module, "plan_cache_gc", lambda *args, **more: made.append(1) or plan(*args, **more))
    return made


@pytest.fixture
def repo(tmp_path):
    Repo.init(tmp_path)
    (tmp_path / "data").mkdir()
    for number in range(20):
        (tmp_path / "data" / f"{number}").write_bytes(b"%d\n" % number)
    Repo(tmp_path).add([str(tmp_path / "data")])
    return tmp_path


def planned(repo, **options):
    return gc(Repo(repo).context, GcOptions(dry_run=True, **options)).candidates


def test_the_same_again_is_not_looked_at(repo, looks):
    assert [planned(repo) for _ in range(3)] == [0, 0, 0]
    assert len(looks) == 1


def test_what_nothing_needs_any_more_is_found(repo, looks):
    assert planned(repo) == 0
    (repo / "data" / "3").write_bytes(b"other\n")
    Repo(repo).add([str(repo / "data")])
    assert planned(repo) > 0
    assert planned(repo) > 0
    assert len(looks) == 3


def test_without_a_root_its_objects_are_found(repo, looks):
    assert planned(repo) == 0
    (repo / "data.kist").unlink()
    assert planned(repo) == 21
    assert len(looks) == 2


def test_a_loose_object_that_nobody_needs_is_found(repo, looks):
    assert planned(repo) == 0
    with Repo(repo).context.cache.session(
        "blake3" if "blake3" in (repo / "data.kist").read_text() else "sha256"
    ) as one:
        raw = bytes(range(32))
        one.put_loose({raw: b"nobody's"})
        one.commit()
    assert planned(repo) == 1
    assert len(looks) == 2


def test_what_comes_from_the_future_is_looked_at_again(repo, looks):
    """It is spared, and its time will come."""
    packs = Repo(repo).context.cache.folder.packs
    for one in packs.iterdir():
        os.utime(one, (time.time() + 1000, time.time() + 1000))
    (repo / "data.kist").unlink()
    assert planned(repo) == 0
    for one in packs.iterdir():
        os.utime(one)
    assert planned(repo) == 21
    assert len(looks) == 2


def test_a_pack_that_cannot_be_read_is_looked_at_again(repo, looks):
    packs = sorted(Repo(repo).context.cache.folder.packs.iterdir(), key=lambda one: one.stat().st_size)
    content = packs[0].read_bytes()
    for path in packs[:1]:
        path.chmod(0o644)
        path.write_bytes(content[:-10])
    assert planned(repo) == 0
    assert planned(repo) == 0
    assert len(looks) == 2


def test_a_memory_that_was_damaged_says_nothing(repo, looks):
    assert planned(repo) == 0
    (path,) = repo.rglob("nothing-dead")
    path.write_bytes(path.read_bytes()[:-9])
    assert planned(repo) == 0
    assert len(looks) == 2


@pytest.mark.parametrize("name", ["nothing-dead", "complete.json"])
def test_1_2_what_was_killed_while_it_remembered_leaves_nothing(repo, name):
    code = f"from kist.util.atomic import temp_name; print(temp_name({name!r}), end='')"
    left = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    place = Repo(repo).context.place.own / left
    place.write_bytes(b"half")
    Repo(repo).add([str(repo / "data")])
    assert not place.exists()
