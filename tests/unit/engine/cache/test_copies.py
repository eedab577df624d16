"""Copies of large objects: complete or not at all, and never in the way of the object."""

import os
import struct

import pytest

from kist.engine.cache.copies import Copies
from kist.model.digest import Digest

DATA = os.urandom(3 << 20)
DIGEST = Digest("blake3", "ab" * 32)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "object"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def make(copies, source, steps=(1 << 20, 3 << 20)):
    with copies.making(DIGEST, len(DATA)) as copy, source.open("rb") as reader:
        for reached in steps:
            copy.follow(reader.fileno(), reached)


def take(copies, here):
    return copies.take(DIGEST.algorithm, DIGEST.raw, b"large", here)


def test_it_is_renamed_with_the_rights_of_a_new_file(source, scratch, here, tmp_path):
    copies = Copies(scratch, lambda: True)
    make(copies, source)
    made = tmp_path / "new"
    made.touch()
    (one,) = scratch.iterdir()
    inode = one.stat().st_ino
    assert copies.ready("blake3") == {DIGEST.raw}
    assert take(copies, here) == len(DATA)
    placed = tmp_path / "workspace" / "large"
    assert placed.read_bytes() == DATA
    assert (placed.stat().st_ino, placed.stat().st_mode) == (inode, made.stat().st_mode)
    assert take(copies, here) == -1  # it serves once
    assert not copies.ready("blake3")
    assert not list(scratch.iterdir())


def test_none_where_none_is_wanted(source, scratch, here):
    for copies in (Copies(), Copies(None, lambda: True), Copies(scratch, lambda: False)):
        make(copies, source)
        assert take(copies, here) == -1
    assert not list(scratch.iterdir())


def test_none_where_there_is_no_room(scratch, here):
    copies = Copies(scratch, lambda: True)
    with copies.making(DIGEST, 1 << 60) as copy:
        copy.follow(here, 1)
    assert take(copies, here) == -1


def test_a_failure_of_the_object_takes_it_away(source, scratch, here):
    copies = Copies(scratch, lambda: True)
    with pytest.raises(KeyError), copies.making(DIGEST, len(DATA)) as copy:
        with source.open("rb") as reader:
            copy.follow(reader.fileno(), 1 << 20)
        raise KeyError  # the reader is closed while the copy may still be read from it
    assert take(copies, here) == -1
    assert not list(scratch.iterdir())


def test_its_own_failure_is_none_of_the_object(source, scratch, here):
    copies = Copies(scratch, lambda: True)
    (scratch / f"copy-blake3-{DIGEST.hex}").write_bytes(b"in the way")
    make(copies, source)
    assert take(copies, here) == -1
    make(copies, source)  # what was in the way is gone
    assert take(copies, here) == len(DATA)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_its_thread_takes_it_away(source, scratch, here, monkeypatch):
    monkeypatch.setattr("kist.engine.cache.copies.copy_range", lambda *_: 1 / 0)
    copies = Copies(scratch, lambda: True)
    make(copies, source)
    assert take(copies, here) == -1
    assert not list(scratch.iterdir())


def test_an_object_that_is_shorter_is_no_failure_here(source, scratch, here, tmp_path):
    copies = Copies(scratch, lambda: True)
    make(copies, source, (1 << 20, 5 << 20))
    assert take(copies, here) == len(DATA)
    assert (tmp_path / "workspace" / "large").read_bytes() == DATA


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_not_where_a_new_file_would_belong_to_another_group(source, scratch, here):
    copies = Copies(scratch, lambda: True)
    make(copies, source)
    os.fchown(here, -1, 4711)
    os.fchmod(here, 0o2775)
    assert take(copies, here) == -1
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("place", ["workspace", "scratch"])
def test_not_where_a_new_file_would_have_other_rights(source, scratch, here, tmp_path, place):
    everybody = (0x01, 0o7), (0x04, 0o5), (0x20, 0o0)  # owner, group, others
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, rights, 0xFFFFFFFF) for tag, rights in everybody)
    try:
        os.setxattr(tmp_path / place, "system.posix_acl_default", acl)
    except (AttributeError, OSError):
        pytest.skip("no access control lists here")
    copies = Copies(scratch, lambda: True)
    make(copies, source)
    assert take(copies, here) == -1
    assert not list(scratch.iterdir())
