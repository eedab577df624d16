import os
import subprocess
import sys

import pytest

from kist.engine.process.journal import Journal
from kist.errors import RepoNotOwned, StorageError

HEADER = {"verb": "checkout", "output": "d\udcff", "target": "blake3:00"}


def killed(folder, code="journal.begin({'verb': 'x', 'n': int(sys.argv[2])}, b'data')", count=1):
    program = (
        "import os, sys; from pathlib import Path; from kist.engine.process.journal import Journal\n"
        f"journal = Journal(Path(sys.argv[1])); record = {code}; os._exit(7)"
    )
    for number in range(count):
        done = subprocess.run([sys.executable, "-c", program, str(folder), str(number)], check=False)
        assert done.returncode == 7


def test_a_live_record_is_not_pending(tmp_path):
    journal = Journal(tmp_path / "journal")
    record = journal.begin(HEADER)
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700
    assert list(journal.pending()) == []
    record.done()
    assert os.listdir(tmp_path / "journal") == []


def test_records_of_the_dead_are_pending_in_order(tmp_path):
    folder = tmp_path / "journal"
    killed(folder, count=3)
    journal = Journal(folder)
    found = list(journal.pending())
    assert [record.header["n"] for record in found] == [0, 1, 2]
    assert all(record.data == b"data" for record in found)
    assert list(Journal(folder).pending()) == [], "they are locked by us now"
    found[0].done()
    found[1].release()
    found[2].release()
    again = list(journal.pending())
    assert [record.header["n"] for record in again] == [1, 2]
    for record in again:
        record.done()
    assert os.listdir(folder) == []


def test_header_and_data_come_back(tmp_path):
    journal = Journal(tmp_path / "journal", sync=False)
    journal.begin(HEADER, bytes(range(256)) * 100).release()
    (record,) = journal.pending()
    assert record.header == HEADER
    assert record.data == bytes(range(256)) * 100
    record.done()


def test_an_error_leaves_the_record(tmp_path):
    journal = Journal(tmp_path / "journal")
    with pytest.raises(ValueError), journal.begin(HEADER):
        raise ValueError
    with next(journal.pending()) as record:
        assert record.header == HEADER
    assert list(journal.pending()) == []


@pytest.mark.parametrize("cut", [0, 5, 30, 60, -1])
def test_a_torn_record_is_dropped(tmp_path, cut):
    folder = tmp_path / "journal"
    journal = Journal(folder)
    record = journal.begin(HEADER, b"much data")
    file = folder / record.token / "record"
    record.release()
    file.write_bytes(file.read_bytes()[:cut])
    assert list(journal.pending()) == []
    assert os.listdir(folder) == []


def test_a_record_that_was_not_finished_is_dropped(tmp_path):
    folder = tmp_path / "journal"
    journal = Journal(folder)
    record = journal.begin(HEADER)
    record.release()
    (folder / record.token).rename(folder / (".new-" + record.token))
    assert list(journal.pending()) == []
    assert os.listdir(folder) == []


def test_no_folder_means_nothing_pending(tmp_path):
    assert list(Journal(tmp_path / "absent").pending()) == []


def test_a_folder_that_others_may_write_is_refused(tmp_path):
    folder = tmp_path / "journal"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(RepoNotOwned):
        list(Journal(folder).pending())
    with pytest.raises(RepoNotOwned):
        Journal(folder).begin(HEADER)


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(RepoNotOwned):
        list(Journal(folder).pending())


def test_a_link_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "journal").symlink_to("real")
    with pytest.raises(RepoNotOwned):
        list(Journal(tmp_path / "journal").pending())


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError):
        Journal(tmp_path / "journal").begin(HEADER)
    assert os.listdir(tmp_path / "journal") == []
