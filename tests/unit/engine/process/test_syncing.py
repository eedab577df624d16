"""Files are made durable behind the writers' backs: none is left out."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from kist.engine.process import syncing
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


def test_many_folders_are_synced_on_each_of_their_file_systems(tmp_path, other_file_system, monkeypatch):
    synced = []
    monkeypatch.setattr(syncing, "sync_file_system", lambda folder: not synced.append(folder.stat().st_dev))
    folders = [tmp_path / str(number) for number in range(100)]
    for folder in folders[:-1]:
        folder.mkdir()
    elsewhere = other_file_system / "elsewhere"
    elsewhere.mkdir()
    folders[-1].symlink_to(elsewhere)
    Syncer("batch").folders(folders)
    assert sorted(synced) == sorted({tmp_path.stat().st_dev, elsewhere.stat().st_dev})
    assert len(synced) == 2


def test_a_folder_that_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(StorageError, match="gone"):
        syncing.sync_file_system(tmp_path / "gone")
