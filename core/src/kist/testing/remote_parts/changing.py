"""Remote contract: delete, batches, conditions, and many callers at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from kist.abc import Remote
from kist.errors import RemoteExists, RemoteObjectNotFound
from kist.testing.base import difference
from kist.testing.remote_parts.common import (
    VIEWS,
    RawStore,
    Recorder,
    RemoteFixtures,
    content,
    failures,
    keys,
    needs,
    put,
    read,
    run_threads,
    there,
    write_file,
)


class DeletingContract(RemoteFixtures):
    """What is deleted is gone."""

    __test__ = False

    @pytest.mark.parametrize("view", VIEWS)
    def test_deleted_is_absent(self, remote: Remote, tmp_path: Path, view: str) -> None:
        """After a delete no method finds the key."""
        put(remote, tmp_path, "objects/one")
        remote.delete("objects/one")
        assert not there(remote, view, "objects/one", tmp_path)

    @pytest.mark.parametrize("key", ["objects/none", "none", "objects"])
    def test_delete_missing(self, remote: Remote, tmp_path: Path, key: str) -> None:
        """Deleting a key that is not there is no error and changes nothing, even if others begin with it."""
        put(remote, tmp_path, "objects/ab/one")
        remote.delete(key)
        assert keys(remote) == ["objects/ab/one"]

    def test_delete_twice(self, remote: Remote, tmp_path: Path) -> None:
        """Deleting twice is no error."""
        put(remote, tmp_path, "objects/one")
        remote.delete("objects/one")
        remote.delete("objects/one")
        assert keys(remote) == []

    def test_delete_spares_others(self, remote: Remote, tmp_path: Path) -> None:
        """A delete removes its key and none that begins alike."""
        for key in ("objects/ab", "objects/abc", "objects/ab.c", "objects/a"):
            put(remote, tmp_path, key)
        remote.delete("objects/ab")
        assert keys(remote) == ["objects/a", "objects/ab.c", "objects/abc"]

    def test_put_after_delete(self, remote: Remote, tmp_path: Path) -> None:
        """A deleted key can be put again, with other bytes."""
        put(remote, tmp_path, "objects/one", b"first")
        remote.delete("objects/one")
        put(remote, tmp_path, "objects/one", b"then")
        assert read(remote, "objects/one") == b"then"


class BatchContract(RemoteFixtures):
    """Batch methods do what their single ones do."""

    __test__ = False

    def test_put_many(self, remote: Remote, tmp_path: Path) -> None:
        """Put_many stores every item, from any iterable, and returns no failures."""
        items = [(f"objects/{number}", write_file(tmp_path, content(number), f"{number}")) for number in range(20)]
        assert remote.put_many(iter(items)) == {}
        assert {key: read(remote, key) for key, _ in items} == {key: path.read_bytes() for key, path in items}

    def test_get_many(self, remote: Remote, tmp_path: Path) -> None:
        """Get_many brings every object that is there and returns RemoteObjectNotFound for the others."""
        for number in range(5):
            put(remote, tmp_path, f"objects/{number}", content(number + 1))
        items = [(f"objects/{number}", tmp_path / f"target-{number}") for number in range(7)]
        failed = remote.get_many(iter(items))
        assert {key: type(error) for key, error in failed.items()} == {
            "objects/5": RemoteObjectNotFound,
            "objects/6": RemoteObjectNotFound,
        }
        assert [path.read_bytes() for _, path in items[:5]] == [content(number + 1) for number in range(5)]
        assert not any(path.exists() for _, path in items[5:])

    def test_many_progress(self, remote: Remote, tmp_path: Path) -> None:
        """Batches tell of every byte once."""
        items = [(f"objects/{number}", write_file(tmp_path, content(1000), f"{number}")) for number in range(5)]
        sent, received = Recorder(), Recorder()
        remote.put_many(items, progress=sent)
        remote.get_many([(key, tmp_path / "target") for key, _ in items], progress=received)
        assert (sum(sent.amounts), sum(received.amounts)) == (5000, 5000)

    def test_delete_many(self, remote: Remote, tmp_path: Path) -> None:
        """Delete_many removes every key, takes missing ones as removed, and returns no failures."""
        for number in range(6):
            put(remote, tmp_path, f"objects/{number}")
        assert remote.delete_many([f"objects/{number}" for number in range(1, 9)]) == {}
        assert keys(remote) == ["objects/0"]

    @pytest.mark.parametrize("size", [0, 70_000])
    def test_copy(self, remote: Remote, tmp_path: Path, size: int) -> None:
        """Copy makes another object of the same bytes, replaces what was there, and keeps the source."""
        put(remote, tmp_path, "objects/one", content(size))
        put(remote, tmp_path, "other/two", b"old")
        remote.copy("objects/one", "other/two")
        for key in ("objects/one", "other/two"):
            assert not difference(read(remote, key), content(size))

    def test_copy_missing(self, remote: Remote) -> None:
        """Copy of a key that is not there raises RemoteObjectNotFound and makes nothing."""
        with pytest.raises(RemoteObjectNotFound):
            remote.copy("objects/none", "objects/two")
        assert keys(remote) == []

    def test_sync_and_sweep_keep_objects(self, remote: Remote, tmp_path: Path) -> None:
        """Sync and sweep may be called at any time and remove no object."""
        remote.sync()
        assert remote.sweep() == 0
        put(remote, tmp_path, "objects/one")
        remote.sync()
        assert remote.sweep() == 0
        assert keys(remote) == ["objects/one"]


class ConditionContract(RemoteFixtures):
    """``if_absent`` is a promise."""

    __test__ = False

    def test_if_absent_stores(self, remote: Remote, tmp_path: Path) -> None:
        """Where ``if_absent`` is declared, a put with it stores a key that is not there."""
        needs(remote, "if_absent")
        remote.put_file("objects/one", write_file(tmp_path, b"first"), if_absent=True)
        assert read(remote, "objects/one") == b"first"

    def test_if_absent_refuses(self, remote: Remote, tmp_path: Path) -> None:
        """Where ``if_absent`` is declared, a put with it raises RemoteExists for a key that is there, and keeps it."""
        needs(remote, "if_absent")
        put(remote, tmp_path, "objects/one", b"first")
        with pytest.raises(RemoteExists):
            remote.put_file("objects/one", write_file(tmp_path, b"then"), if_absent=True)
        assert read(remote, "objects/one") == b"first"

    def test_if_absent_refuses_the_same(self, remote: Remote, tmp_path: Path) -> None:
        """Where ``if_absent`` is declared, it refuses a key that is there even if the bytes are the same."""
        needs(remote, "if_absent")
        put(remote, tmp_path, "objects/one", b"same")
        with pytest.raises(RemoteExists):
            remote.put_file("objects/one", write_file(tmp_path, b"same"), if_absent=True)

    def test_if_absent_has_one_winner(self, remote: Remote, raw: RawStore, tmp_path: Path) -> None:
        """Where ``if_absent`` is declared, one of sixteen callers at once wins, and the losers leave nothing."""
        needs(remote, "if_absent")
        for attempt in range(5):
            key = f"objects/{attempt}"
            sources = [write_file(tmp_path, f"caller {n}".encode(), f"caller-{n}") for n in range(16)]
            calls = [partial(remote.put_file, key, source, if_absent=True) for source in sources]
            results = run_threads(calls)
            assert sorted(type(one).__name__ for one in results) == ["NoneType"] + ["RemoteExists"] * 15
            assert read(remote, key) == sources[results.index(None)].read_bytes()
            assert len(list(raw.keys())) == attempt + 1

    def test_if_absent_after_delete(self, remote: Remote, tmp_path: Path) -> None:
        """Where ``if_absent`` is declared, a deleted key counts as absent."""
        needs(remote, "if_absent")
        put(remote, tmp_path, "objects/one", b"first")
        remote.delete("objects/one")
        remote.put_file("objects/one", write_file(tmp_path, b"then"), if_absent=True)
        assert read(remote, "objects/one") == b"then"


class ConcurrencyContract(RemoteFixtures):
    """Many callers do not disturb each other."""

    __test__ = False

    def test_mixed_calls(self, remote: Remote, tmp_path: Path) -> None:
        """As many threads as ``max_concurrency`` allows may put, stat, list, read and delete at once."""

        def work(number: int) -> bytes:
            folder = tmp_path / f"contract-thread-{number}"
            folder.mkdir()
            for step in range(6):
                key = f"objects/{number}/{step}"
                put(remote, folder, key, content(5000, number))
                assert remote.stat(key).size == 5000
                assert key in keys(remote, f"objects/{number}/")
                assert not difference(read(remote, key), content(5000, number))
                if step % 2:
                    remote.delete(key)
            return b"done"

        threads = min(remote.capabilities.max_concurrency, 16)
        assert failures(run_threads([partial(work, number) for number in range(threads)])) == []
        assert len(keys(remote)) == 3 * threads

    def test_put_one_key_at_once(self, remote: Remote, tmp_path: Path) -> None:
        """Of many puts of one key at once, one stays, whole."""
        threads = min(remote.capabilities.max_concurrency, 8)
        sources = [write_file(tmp_path, content(100_000, number), f"source-{number}") for number in range(threads)]
        assert failures(run_threads([partial(remote.put_file, "objects/one", one) for one in sources])) == []
        assert read(remote, "objects/one") in [one.read_bytes() for one in sources]
        assert keys(remote) == ["objects/one"]

    def test_get_one_key_at_once(self, remote: Remote, tmp_path: Path) -> None:
        """Many gets and reads of one key at once all give its bytes."""
        data = content(300_000)
        put(remote, tmp_path, "objects/one", data)

        def work(number: int) -> bool:
            remote.get_file("objects/one", tmp_path / f"target-{number}")
            return (tmp_path / f"target-{number}").read_bytes() == data == read(remote, "objects/one")

        threads = min(remote.capabilities.max_concurrency, 8)
        assert run_threads([partial(work, number) for number in range(threads)]) == [True] * threads

    def test_delete_one_key_at_once(self, remote: Remote, tmp_path: Path) -> None:
        """Many deletes of the same keys at once are no error."""
        items = [f"objects/{number}" for number in range(10)]
        for key in items:
            put(remote, tmp_path, key)

        def work() -> None:
            for key in items:
                remote.delete(key)

        threads = min(remote.capabilities.max_concurrency, 8)
        assert failures(run_threads([work] * threads)) == []
        assert keys(remote) == []

    def test_two_instances(self, remote: Remote, second: Remote, tmp_path: Path) -> None:
        """Two instances on one location may put and delete at once."""

        def work(one: Remote, name: str) -> None:
            folder = tmp_path / f"contract-{name}"
            folder.mkdir()
            for step in range(10):
                put(one, folder, f"objects/{name}/{step}", name.encode())
                put(one, folder, f"objects/both/{step}", b"the same")

        assert failures(run_threads([partial(work, remote, "a"), partial(work, second, "b")])) == []
        assert len(keys(remote)) == 30
        assert keys(remote) == keys(second)
