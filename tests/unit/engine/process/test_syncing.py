"""Files are made durable behind the writers' backs: none is left out."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from kist.engine.process.syncing import Syncer
from kist.errors import StorageError


def test_what_others_hand_over_while_one_waits_is_done(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    files = [os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT) for number in range(300)]
    inodes = sorted(os.fstat(one).st_ino for one in files)
    syncer = Syncer("batch")

    def hand_over(one):
        syncer.sync(one)
        if one % 3 == 0:
            syncer.wait()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(hand_over, files))
    syncer.wait()
    for one in files:
        os.close(one)
    assert sorted(synced) == inodes


def test_a_failure_is_told_each_time(tmp_path, monkeypatch):
    def fail(_descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    syncer = Syncer("batch")
    with (tmp_path / "one").open("wb") as file:
        syncer.sync(file.fileno())
    for _ in range(2):
        with pytest.raises(StorageError):
            syncer.wait()
