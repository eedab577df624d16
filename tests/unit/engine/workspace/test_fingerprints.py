"""Fingerprints: rows, segments, bases, and going on when the file is busy, broken or gone."""

import os
import sqlite3
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.abc.kernel import OTHER, STAT_FIELDS, SUBDIRECTORY, Listing
from kist.engine.workspace import fingerprints as module
from kist.engine.workspace import rows as rows_module
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.rows import Row, only, pack_contents, pack_states, with_entry
from kist.model.digest import Digest
from kist.model.entry import DIRECTORY, FILE, SYMLINK

ROOT = Digest("sha256", "ab" * 32)
OTHER_ROOT = Digest("sha256", "cd" * 32)
SECOND = 1_000_000_000


def row(directory, names=(b"a", b"b"), kinds=None, seed=1, is_file=False):
    kinds = bytes(kinds) if kinds is not None else bytes([FILE]) * len(names)
    stats = array("q", [seed * 1000 + number for number in range(STAT_FIELDS * len(names))])
    targets = [b"to-" + name for name, kind in zip(names, kinds, strict=True) if kind == SYMLINK]
    digests = b"".join(bytes([seed, number % 256]) * 16 for number in range(len(names)))
    return Row(directory, "sha256", Listing(list(names), kinds, stats), digests, targets, is_file)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "private" / "fingerprints.sqlite"


def saved(path, rows, bases=()):
    fingerprints = Fingerprints(path)
    fingerprints.put_many(rows)
    for output, root in bases:
        fingerprints.set_base(output, root)
    assert fingerprints.save()
    fingerprints.close()
    return Fingerprints(path)


def test_rows_come_back(path):
    rows = [row(b"data"), row(b"data/x", [b"l", b"s"], [SYMLINK, SUBDIRECTORY]), row(b"data/e", []), row(b"")]
    fingerprints = saved(path, rows)
    for one in rows:
        assert fingerprints.get(one.directory) == one
    assert fingerprints.get(b"absent") is None
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_and_a_folder_of_one_name_are_two_rows(path):
    folder, file = row(b"data/x"), row(b"data/x", [b"x"], is_file=True)
    fingerprints = saved(path, [folder, file])
    assert fingerprints.get(b"data/x") == folder
    assert fingerprints.get(b"data/x", is_file=True) == file


def test_below_comes_in_the_order_of_a_walk(path):
    folders = [b"data", b"data/b-", b"data/b", b"data/b/c", b"data/b0", b"data-", b"data0", b"dat", b""]
    fingerprints = saved(path, [row(folder) for folder in folders])
    found = [one.row().directory for one in fingerprints.get_below(b"data")]
    assert found == [b"data", b"data/b-", b"data/b", b"data/b/c", b"data/b0"]
    assert len(list(fingerprints.get_below(b""))) == len(folders)


def test_chunks_hold_no_lock(path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 300)
    monkeypatch.setattr(rows_module, "SEGMENT", 2)
    rows = [row(b"d%03d" % number, [b"%d" % name for name in range(5)]) for number in range(50)]
    fingerprints = saved(path, rows)
    below = fingerprints.get_below(b"")
    first = next(below)
    other = Fingerprints(path)
    other.put_many([row(b"d999", seed=7)])
    assert other.save()
    assert [first.row(), *(one.row() for one in below)] == [*rows, row(b"d999", seed=7)]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 11])
def test_segments(path, monkeypatch, count):
    monkeypatch.setattr(rows_module, "SEGMENT", 4)
    names = [b"%03d" % number for number in range(count)]
    kinds = [SYMLINK if number % 3 == 0 else FILE for number in range(count)]
    whole = row(b"data", names, kinds)
    fingerprints = saved(path, [whole])
    stored = next(fingerprints.get_below(b"data"))
    assert len(stored.states) == max(1, -(-count // 4))
    assert stored.states == pack_states(whole.listing)
    assert stored.row() == whole
    assert fingerprints.get(b"data") == whole


def test_fewer_segments_replace_more(path, monkeypatch):
    monkeypatch.setattr(rows_module, "SEGMENT", 2)
    saved(path, [row(b"data", [b"%d" % number for number in range(9)])]).close()
    fingerprints = saved(path, [row(b"data", [b"x"])])
    assert fingerprints.get(b"data") == row(b"data", [b"x"])


def test_forget(path):
    fingerprints = saved(path, [row(b"data"), row(b"data/x"), row(b"data-2"), row(b"data", [b"data"], is_file=True)])
    fingerprints.put_many([row(b"data/new"), row(b"other")])
    fingerprints.forget(b"data")
    assert fingerprints.save()
    assert [one.key for one in Fingerprints(path).get_below(b"")] == [b"data-2/", b"other/"]


def test_forget_single_rows(path):
    fingerprints = saved(path, [row(b"data"), row(b"data/x"), row(b"data/x/y")])
    fingerprints.forget_rows([b"data/x/"])
    assert fingerprints.save()
    assert [one.key for one in Fingerprints(path).get_below(b"")] == [b"data/", b"data/x/y/"]


def test_much_is_kept_outside_of_memory(path, monkeypatch):
    monkeypatch.setattr(module, "_MEMORY", 500)
    fingerprints = Fingerprints(path)
    for number in range(40):
        fingerprints.put_many([row(b"d%02d" % number)])
    fingerprints.put_many([row(b"d05", seed=9)])
    fingerprints.forget(b"d07")
    assert fingerprints._fresh_bytes < 1000
    assert fingerprints.save()
    again = Fingerprints(path)
    assert again.get(b"d05") == row(b"d05", seed=9)
    assert again.get(b"d07") is None
    assert len(list(again.get_below(b""))) == 39


def test_bases(path):
    fingerprints = saved(path, [row(b"data")], [(b"data", ROOT)])
    assert fingerprints.base(b"data") == ROOT
    assert fingerprints.base(b"other") is None
    fingerprints.put_many([row(b"data", seed=2)])
    fingerprints.set_base(b"data", None)
    assert fingerprints.save()
    assert Fingerprints(path).base(b"data") is None


def test_a_mixture_of_two_writers_is_equal_to_nothing(path):
    saved(path, [row(b"data"), row(b"data/x")], [(b"data", ROOT)]).close()
    one, two = Fingerprints(path), Fingerprints(path)
    one.base(b"data")
    two.base(b"data")
    one.put_many([row(b"data", seed=2)])
    one.set_base(b"data", None)
    two.put_many([row(b"data/x", seed=3)])
    two.set_base(b"data", OTHER_ROOT)
    assert one.save()
    assert two.save()
    assert Fingerprints(path).base(b"data") is None


def test_who_replaces_all_rows_need_not_ask_before(path):
    saved(path, [row(b"data")], [(b"data", ROOT)]).close()
    fingerprints = Fingerprints(path)
    fingerprints.forget(b"data")
    fingerprints.put_many([row(b"data", seed=2)])
    fingerprints.set_base(b"data", OTHER_ROOT)
    assert fingerprints.save()
    assert Fingerprints(path).base(b"data") == OTHER_ROOT


def test_none_keeps_nothing():
    fingerprints = Fingerprints(None)
    fingerprints.put_many([row(b"data")])
    fingerprints.set_base(b"data", ROOT)
    assert fingerprints.save()
    assert fingerprints.get(b"data") is None
    assert fingerprints.base(b"data") is None
    assert list(fingerprints.get_below(b"")) == []


def test_reading_makes_no_file(path):
    fingerprints = Fingerprints(path)
    assert fingerprints.get(b"data") is None
    assert fingerprints.save()
    assert not path.parent.exists()


def test_deleted_while_open(path):
    fingerprints = saved(path, [row(b"data")])
    assert fingerprints.get(b"data") is not None
    path.unlink()
    fingerprints.put_many([row(b"new")])
    assert fingerprints.save()
    assert Fingerprints(path).get(b"new") == row(b"new")
    assert Fingerprints(path).get(b"data") is None


@pytest.mark.parametrize("damage", ["garbage", "truncated", "no table"])
def test_a_broken_file_is_made_anew_with_one_notice(path, damage):
    saved(path, [row(b"d%d" % number) for number in range(200)], [(b"data", ROOT)]).close()
    if damage == "garbage":
        path.write_bytes(b"no database at all" * 1000)
    elif damage == "truncated":
        os.truncate(path, 8192 + 100)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE folders")
            connection.execute("DROP TABLE bases")
        connection.close()
    fingerprints = Fingerprints(path)
    assert fingerprints.get(b"d150") is None
    assert fingerprints.base(b"data") is None
    assert list(fingerprints.get_below(b"")) == []
    assert len(fingerprints.notices) == 1
    assert "made anew" in fingerprints.notices[0]
    fingerprints.put_many([row(b"data")])
    assert fingerprints.save()
    again = Fingerprints(path)
    assert again.get(b"data") == row(b"data")
    assert again.notices == []


def test_a_torn_row_is_no_row(path):
    saved(path, [row(b"data"), row(b"other")]).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE folders SET content = substr(content, 1, 20) || x'00' || substr(content, 22)")
    connection.close()
    assert Fingerprints(path).get(b"data") is None


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_no_row_or_a_row(state, content):
    stored = module.StoredRow(b"data/", "sha256", [state], [content])
    assert stored.row() is None or isinstance(stored.row(), Row)


def test_the_content_must_belong_to_the_state():
    one, two = row(b"data"), row(b"data", seed=2)
    states = pack_states(one.listing)
    stored = module.StoredRow(b"data/", "sha256", states, pack_contents(two, pack_states(two.listing)))
    assert stored.row() is None


def test_a_newer_kists_file_is_left_alone(path):
    saved(path, [row(b"data")]).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    before = path.read_bytes()
    fingerprints = Fingerprints(path)
    assert fingerprints.get(b"data") is None
    fingerprints.put_many([row(b"new")])
    assert not fingerprints.save()
    assert path.read_bytes() == before


def test_save_gives_up_at_once_if_somebody_writes(path):
    import time

    saved(path, [row(b"data")]).close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    fingerprints = Fingerprints(path)
    assert fingerprints.get(b"data") == row(b"data")  # readers go on
    fingerprints.put_many([row(b"new")])
    start = time.monotonic()
    assert not fingerprints.save()
    assert time.monotonic() - start < 4  # SQLite waits for five seconds where it is not told otherwise
    writer.execute("ROLLBACK")
    writer.close()
    fingerprints.put_many([row(b"newer")])
    assert fingerprints.save()
    assert Fingerprints(path).get(b"new") is None
    assert Fingerprints(path).get(b"newer") == row(b"newer")


def test_a_locked_file_is_done_without(path):
    saved(path, [row(b"data")]).close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    fingerprints = Fingerprints(path)
    assert fingerprints.get(b"data") is None
    assert fingerprints.base(b"data") is None
    assert len(fingerprints.notices) == 1
    assert "cannot be used now" in fingerprints.notices[0]
    fingerprints.put_many([row(b"new")])
    assert not fingerprints.save()
    writer.execute("ROLLBACK")
    writer.close()
    assert Fingerprints(path).get(b"data") == row(b"data")


def test_a_folder_in_the_place_of_the_file(path):
    path.mkdir(parents=True)
    fingerprints = Fingerprints(path)
    assert fingerprints.get(b"data") is None
    fingerprints.put_many([row(b"data")])
    assert not fingerprints.save()


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def aged(times):
    stats = array("q")
    for number, (changed, renewed) in enumerate(times):
        stats.extend([10, changed, renewed, number])
    names = [b"%d" % number for number in range(len(times))]
    return Row(b"data", "sha256", Listing(names, bytes([FILE]) * len(times), stats), bytes(32 * len(times)))


def smudged(one):
    return [one.listing.stats[at * STAT_FIELDS] == -1 for at in range(len(one.listing.names))]


def test_recent_entries_are_smudged():
    clock = 100 * SECOND
    one = aged(
        [(98 * SECOND - 1, 90 * SECOND), (98 * SECOND, 0), (0, 98 * SECOND), (0, 0), (200 * SECOND, 0), (-5, -5)]
    )
    one.smudge(clock)
    assert smudged(one) == [False, True, True, False, True, False]
    assert list(one.listing.stats[4:8]) == [-1, -1, -1, -1]


def test_without_a_clock_nothing_is_trusted():
    one = aged([(0, 0), (-5, -5)])
    one.smudge(None)
    assert smudged(one) == [True, True]
    Row(b"data", "sha256", Listing()).smudge(None)


def test_folders_are_never_smudged_and_others_always():
    stats = array("q", [0, 0, 0, 0, 1, 1, 1, 1])
    one = Row(b"data", "sha256", Listing([b"a", b"p"], bytes([SUBDIRECTORY, OTHER]), stats), bytes(64))
    one.smudge(100 * SECOND)
    assert smudged(one) == [False, True]
    one.smudge(None)
    assert smudged(one) == [False, True]


def test_one_entry_of_a_row():
    whole = row(b"data", [b"a", b"b-", b"b", b"c"], [SYMLINK, FILE, SUBDIRECTORY, SYMLINK])
    part = only(whole, b"c")
    assert (part.listing.names, part.targets, part.digests) == ([b"c"], [b"to-c"], bytes([1, 3]) * 16)
    assert only(whole, b"b").listing.names == []
    assert only(whole, b"x").listing.names == []


@pytest.mark.parametrize("name", [b"a", b"b", b"c", b"0", b"zz", b"bb"])
def test_replace_one_entry_of_a_row(name):
    whole = row(b"data", [b"a", b"b-", b"b", b"c"], [SYMLINK, FILE, SUBDIRECTORY, SYMLINK])
    new = row(b"data", [name], [SYMLINK], seed=5)
    changed = with_entry(whole, name, new)
    keys = [
        n + b"/" if k == SUBDIRECTORY else n for n, k in zip(changed.listing.names, changed.listing.kinds, strict=True)
    ]
    assert keys == sorted(keys)
    assert sorted(changed.listing.names) == sorted({*whole.listing.names, name})
    assert only(changed, name) == new
    for other in {b"a", b"b-", b"c"} - {name}:
        assert only(changed, other) == only(whole, other)
    assert name not in with_entry(whole, name, row(b"data", [])).listing.names


def test_a_listing_of_an_empty_folder_has_a_state():
    assert len(pack_states(Listing())) == 1
    assert pack_states(Listing()) != pack_states(row(b"data").listing)
    assert DIRECTORY not in row(b"data").listing.kinds
