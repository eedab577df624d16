import errno
import json
import os
import shutil
import signal
import time

import pytest

from children import code_of, forked
from kist.engine.storage.trash import Trash
from kist.engine.storage.trash_age import time_of_look
from kist.errors import PathConflict, PathNotTracked, StorageError


@pytest.fixture
def trash(tmp_path):
    return Trash(tmp_path / "trash")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "work" / "data.csv"
    path.parent.mkdir()
    path.write_bytes(b"1,2,3\n")
    path.chmod(0o751)
    return path


def test_there_and_back(trash, file):
    entry = trash.put(file, str(file), "checkout --force")
    assert not file.exists()
    assert trash.list() == [entry]
    assert (entry.reason, entry.size) == ("checkout --force", 6)
    assert [item.original for item in entry.items] == [str(file)]
    assert list(trash.restore(entry.id)) == [file]
    assert file.read_bytes() == b"1,2,3\n"
    assert file.stat().st_mode & 0o777 == 0o751
    assert trash.list() == []
    assert os.listdir(trash.folder) == []


def test_empty_trash_is_no_error(trash):
    assert list(trash.list()) == []
    assert trash.empty() == 0
    for name in ("x", "", "..", "../work", "."):
        with pytest.raises(PathNotTracked):
            trash.restore(name)


def test_links_and_folders(trash, tmp_path):
    link, folder = tmp_path / "link", tmp_path / "folder"
    link.symlink_to("nowhere")
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(b"abc")
    entries = [trash.put(link, str(link), "r"), trash.put(folder, str(folder), "r")]
    assert entries[1].size == 3
    for entry in entries:
        trash.restore(entry.id)
    assert os.readlink(link) == "nowhere"
    assert (folder / "deep" / "file").read_bytes() == b"abc"


def test_names_that_are_not_utf8(trash, tmp_path):
    path = os.fsencode(tmp_path) + b'/\xff\n"name'
    with open(path, "wb") as writer:
        writer.write(b"x")
    from pathlib import Path

    original = os.fsdecode(path)
    entry = trash.put(Path(original), original, "r")
    assert trash.list()[0].items[0].original == original
    trash.restore(entry.id)
    assert os.path.exists(path)


def test_many_in_one_entry(trash, tmp_path):
    paths = [tmp_path / str(number) for number in range(20)]
    for path in paths:
        path.write_bytes(b"x" * 10)
    entry = trash.put_many([(path, str(path)) for path in paths], "gc")
    assert (len(entry.items), entry.size, len(trash.list())) == (20, 200, 1)
    with pytest.raises(PathConflict):
        trash.restore(entry.id, tmp_path / "one place")
    trash.restore(entry.id)
    assert all(path.exists() for path in paths)


def test_restore_never_overwrites(trash, file, tmp_path):
    entry = trash.put(file, str(file), "r")
    file.write_bytes(b"newer")
    with pytest.raises(PathConflict):
        trash.restore(entry.id)
    assert file.read_bytes() == b"newer"
    file.unlink()
    file.symlink_to("dangling")
    with pytest.raises(PathConflict):
        trash.restore(entry.id)
    assert list(trash.restore(entry.id, tmp_path / "a" / "b")) == [tmp_path / "a" / "b"]


def test_restore_never_overwrites_what_comes_meanwhile(trash, file, monkeypatch):
    entry = trash.put(file, str(file), "r")
    file.write_bytes(b"newer")
    monkeypatch.setattr(os.path, "lexists", lambda path: str(path) != str(file))
    with pytest.raises(PathConflict):
        trash.restore(entry.id)
    assert file.read_bytes() == b"newer"


def test_relative_originals_need_a_place(trash, file, tmp_path):
    entry = trash.put(file, "data.csv", "r")
    with pytest.raises(PathConflict):
        trash.restore(entry.id)
    trash.restore(entry.id, tmp_path / "here")


def test_cleaned_by_age_only(trash, file, monkeypatch):
    entry = trash.put(file, str(file), "r")
    assert trash.empty(older_than=1000) == 0
    assert trash.list() == [entry]
    monkeypatch.setattr("time.time", lambda: entry.when + 1001)
    assert trash.empty(older_than=1000) == 6
    assert os.listdir(trash.folder) == []


def test_across_file_systems(trash, file, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "inner").write_bytes(b"inner")
    (folder / "link").symlink_to("inner")
    real_rename = os.rename

    def devices(source, target):
        return [str(trash.folder) in str(path) for path in (source, target)]

    def rename(source, target, **options):
        if len(set(devices(source, target))) > 1:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real_rename(source, target, **options)

    def link(source, target, **options):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr("kist.engine.storage.trash._same_device", lambda *_: False)
    entries = [trash.put(path, str(path), "r") for path in (file, folder)]
    assert not file.exists()
    assert not folder.exists()
    for entry in entries:
        trash.restore(entry.id)
    assert file.read_bytes() == b"1,2,3\n"
    assert file.stat().st_mode & 0o777 == 0o751
    assert (folder / "inner").read_bytes() == b"inner"
    assert os.readlink(folder / "link") == "inner"
    assert os.listdir(trash.folder) == []


def test_full_disk_keeps_the_original(trash, file, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def across(*_, **__):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", across)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(StorageError) as caught:
        trash.put(file, str(file), "r")
    assert caught.value.errno == errno.ENOSPC
    assert file.read_bytes() == b"1,2,3\n"
    assert list(trash.list()) == []


def test_a_missing_file_is_told(trash, tmp_path):
    with pytest.raises(StorageError):
        trash.put(tmp_path / "nothing", "nothing", "r")
    assert list(trash.list()) == []


@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_step_the_file_is_here_or_there(tmp_path, file, step):
    trash = Trash(tmp_path / "trash")
    left = step

    def killing(real):
        def call(*args, **options):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    def put():
        for name in ("rename", "replace", "mkdir", "fsync", "open"):
            setattr(os, name, killing(getattr(os, name)))
        trash.put(file, str(file), "r")

    assert code_of(forked(put)) in (0, -signal.SIGKILL)
    if file.exists():
        assert list(trash.list()) == []
    else:
        (entry,) = trash.list()
        trash.restore(entry.id)
    assert file.read_bytes() == b"1,2,3\n"


def unreadable_records(original):
    """Bytes that are no record, or one that says something else than when it was written; None: it is gone."""
    good = json.loads(original)
    yield from (None, b"", b"[]", b"{}", b'{"format":1}', b"\xff", b"[" * 100_000)
    yield json.dumps(good | {"items": [{"name": "../../x", "original": "/", "size": 1}]}).encode()
    yield json.dumps(good | {"when": 1.5}).encode()
    yield json.dumps(good | {"items": [good["items"][0] | {"original": "/elsewhere"}]}).encode()
    yield json.dumps({"format": "kist-trash/1", "items": [{"name": "../../x", "original": "/", "size": 1}]}).encode()


def test_a_record_that_cannot_be_read_hides_nothing(trash, file, tmp_path):
    """The file stays to be had, goes nowhere by itself, and is not taken for an old one."""
    entry = trash.put(file, str(file), "r")
    record = trash.folder / entry.id / "record.json"
    for text in unreadable_records(record.read_bytes()):
        record.write_bytes(text) if text is not None else record.unlink()
        (found,) = trash.list()
        assert [(item.name, item.original) for item in found.items] == [("0", f"{entry.id}/0")]
        assert abs(found.when - entry.when) < 2
        with pytest.raises(PathConflict):
            trash.restore(entry.id)
        assert trash.empty(3600) == 0
    trash.restore(entry.id, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"1,2,3\n"
    assert list(trash.list()) == []


def test_a_record_without_a_check_is_read(trash, file):
    entry = trash.put(file, str(file), "r")
    record = trash.folder / entry.id / "record.json"
    told = json.loads(record.read_bytes())
    del told["check"]
    record.write_text(json.dumps(told))
    assert list(trash.list()) == [entry]


def displaced(trash):
    folder = trash.displaced_folder()
    (folder / "data" / "sub").mkdir(parents=True)
    (folder / "data" / "a").write_text("one")
    (folder / "data" / "empty").mkdir()
    os.symlink("a", folder / "data" / "sub" / "link")
    return folder


def test_what_a_forced_command_displaced_is_an_entry(tmp_path):
    trash = Trash(tmp_path / "trash")
    folder = displaced(trash)
    (entry,) = trash.list()
    assert entry.id == folder.name
    assert [item.original for item in entry.items] == ["data/a", "data/empty", "data/sub/link"]
    assert abs(entry.when - time.time()) < 10


def test_displaced_files_go_back_below_a_folder(tmp_path):
    trash, base = Trash(tmp_path / "trash"), tmp_path / "work"
    folder = displaced(trash)
    with pytest.raises(PathConflict, match="not absolute"):
        trash.restore(folder.name)
    assert trash.restore(folder.name, base=base, only="data/a") == [base / "data" / "a"]
    assert [item.original for item in trash.list()[0].items] == ["data/empty", "data/sub/link"]
    trash.restore(folder.name, base=base)
    assert (base / "data" / "a").read_text() == "one"
    assert os.readlink(base / "data" / "sub" / "link") == "a"
    assert not trash.list()
    with pytest.raises(PathNotTracked):
        trash.restore(folder.name, base=base)


def test_nothing_goes_back_through_a_link(tmp_path):
    trash, base = Trash(tmp_path / "trash"), tmp_path / "work"
    folder = displaced(trash)
    base.mkdir()
    os.symlink(tmp_path, base / "data")
    with pytest.raises(PathConflict):
        trash.restore(folder.name, base=base)


def test_displaced_files_are_deleted_by_age(tmp_path):
    trash = Trash(tmp_path / "trash")
    folder = displaced(trash)
    assert trash.empty(3600) == 0
    old = folder.with_name("20200101T000000-00000000-displaced")
    folder.rename(old)
    trash.empty(3600)
    assert not old.exists()


# ── a clock that is wrong ────────────────────────────────────────────────────────────────────────────────────────────

DAY = 86400.0
KEEP = 14 * DAY
START = 1_800_000_000.0


@pytest.fixture
def at(monkeypatch):
    """Sets the clock to so many days after the start."""

    def set_to(days):
        monkeypatch.setattr("time.time", lambda: START + days * DAY)

    set_to(0)
    return set_to


def looks(trash):
    return [name for name in os.listdir(trash.folder) if name.endswith("-seen")]


@pytest.mark.parametrize("every", [0.5, 1, 5, 7])
def test_cleaned_when_its_time_is_over(trash, file, at, every):
    trash.put(file, str(file), "r")
    for look in range(1, 100):
        at(look * every)
        if trash.clean(KEEP):
            break
        assert len(looks(trash)) < 10
    assert 14 <= look * every < 16
    assert os.listdir(trash.folder) == []


def test_1_1_a_clock_that_jumps_ahead_empties_no_trash(trash, file, at):
    at(-6)
    entry = trash.put(file, str(file), "r")
    for days in (*range(-6, 1), 365, 365.5, 365.9):  # whatever commands follow before somebody sets it right
        at(days)
        assert trash.clean(KEEP) == 0
    for days in (1, 3, 7):
        at(days)
        assert trash.clean(KEEP) == 0
        assert all(time_of_look(name) <= START + days * DAY for name in looks(trash))
    assert trash.list() == [entry]
    at(8)
    assert trash.clean(KEEP) == 6


def test_1_1_what_came_while_the_clock_was_far_behind_is_no_older_for_that(trash, file, at):
    at(-10000)
    trash.put(file, str(file), "r")
    for days in (0, 1, 6):
        at(days)
        assert trash.clean(KEEP) == 0
    at(7)
    assert trash.clean(KEEP) == 6


def test_who_was_away_finds_it_once_more(trash, file, at):
    trash.put(file, str(file), "r")
    at(300)
    assert trash.clean(KEEP) == 0
    assert len(looks(trash)) == 1
    at(307)
    assert trash.clean(KEEP) == 6
    assert os.listdir(trash.folder) == []


def test_what_came_while_the_clock_was_ahead_can_be_deleted(trash, file, at):
    at(365)
    entry = trash.put(file, str(file), "r")
    at(0)
    assert trash.clean(KEEP) == 0
    assert trash.empty(older_than=KEEP) == 0
    assert trash.list() == [entry]
    assert trash.empty() == 6


def test_cleaning_works_where_nothing_can_be_noted(trash, file, at, monkeypatch):
    trash.put(file, str(file), "r")
    at(300)

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("pathlib.Path.touch", full)
    assert trash.clean(KEEP) == 0
    assert looks(trash) == []
    assert len(trash.list()) == 1
