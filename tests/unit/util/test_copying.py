import errno
import os

import pytest

from kist.util import copying


@pytest.fixture
def pair(tmp_path):
    """A file that stands at its fourth byte, and an empty one."""
    (tmp_path / "source").write_bytes(b"abc" + b"0123456789" * 500_000)
    with (
        (tmp_path / "source").open("rb", buffering=0) as reader,
        (tmp_path / "target").open("wb", buffering=0) as writer,
    ):
        reader.seek(3)
        yield reader.fileno(), writer.fileno(), tmp_path / "target"


def refuse(number, after=0):
    real, calls = os.copy_file_range, []

    def copy_file_range(reader, writer, count, start):
        calls.append(count)
        if len(calls) > after:
            raise OSError(number, os.strerror(number))
        return real(reader, writer, min(count, 1_000_000), start)

    return copy_file_range


@pytest.mark.parametrize("way", [None, refuse(errno.EXDEV), refuse(errno.EIO, after=2), os.copy_file_range])
def test_the_rest_is_copied_and_told(pair, monkeypatch, way):
    reader, writer, target = pair
    monkeypatch.setattr(os, "copy_file_range", way, raising=False)
    told = []
    copying.copy_rest(reader, writer, told.append)
    assert target.read_bytes() == b"0123456789" * 500_000
    assert sum(told) == 5_000_000


@pytest.mark.parametrize("way", [None, refuse(errno.EXDEV), refuse(errno.EIO, after=2), os.copy_file_range])
def test_a_range_is_copied_behind_what_is_there(pair, monkeypatch, way):
    reader, writer, target = pair
    monkeypatch.setattr(os, "copy_file_range", way, raising=False)
    copying.copy_range(reader, writer, 3, 2_500_001)
    copying.copy_range(reader, writer, 2_500_004, 10_000_000)  # there is not as much
    assert target.read_bytes() == b"0123456789" * 500_000
    assert os.lseek(reader, 0, os.SEEK_CUR) == 3


def test_a_full_disk_is_not_tried_again(pair, monkeypatch):
    reader, writer, _ = pair
    monkeypatch.setattr(os, "copy_file_range", refuse(errno.ENOSPC), raising=False)
    with pytest.raises(OSError, match="space"):
        copying.copy_rest(reader, writer)


def test_who_is_told_may_end_it(pair):
    reader, writer, _ = pair

    def stop(_amount):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copying.copy_rest(reader, writer, stop)
