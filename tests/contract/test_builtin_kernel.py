"""The kernel of the core under the contract of all kernels."""

import errno
import os

import pytest

from kist.builtin import pure_kernel
from kist.builtin.pure_kernel import PureKernel, kist_make_kernel
from kist.testing import KernelContract


class TestPure(KernelContract):
    @pytest.fixture
    def kernel(self):
        return PureKernel()

    @pytest.fixture
    def during_read(self, monkeypatch):
        """Do something between the read of a file and the look at it afterwards."""

        def install(action):
            read = os.read

            def racing(descriptor, size):
                data = read(descriptor, size)
                action()
                return data

            monkeypatch.setattr(pure_kernel.os, "read", racing)

        return install

    def test_change_during_read_of_equal_size(self, kernel, hasher, directory, tmp_path, during_read):
        (tmp_path / "a").write_bytes(b"old")
        os.utime(tmp_path / "a", ns=(1, 1))

        def edit():
            (tmp_path / "a").write_bytes(b"new")
            os.utime(tmp_path / "a", ns=(1, 1))  # mtime set back: only the ctime tells

        during_read(edit)
        assert kernel.read_small(directory, [b"a"], hasher).failed == {0: 0}

    @pytest.mark.parametrize("content", [b"", b"longer than before"])
    def test_size_change_during_read(self, kernel, hasher, directory, tmp_path, during_read, content):
        (tmp_path / "a").write_bytes(b"old")
        during_read(lambda: (tmp_path / "a").write_bytes(content))
        assert kernel.read_small(directory, [b"a"], hasher).failed == {0: 0}

    def test_replaced_during_read_is_the_old_file(self, kernel, hasher, directory, tmp_path, during_read):
        """What was opened is what is read; its stats are those of the old file, so the new one is never taken for it."""
        (tmp_path / "a").write_bytes(b"old")
        old = (tmp_path / "a").stat().st_ino

        def replace():
            if not (tmp_path / "kept").exists():
                os.link(tmp_path / "a", tmp_path / "kept")
                (tmp_path / "a").unlink()
                os.mkfifo(tmp_path / "a")

        during_read(replace)
        result = kernel.read_small(directory, [b"a"], hasher)
        assert result.failed == {0: 0} or result.stats[3] == old

    def test_short_reads_are_put_together(self, kernel, hasher, directory, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(b"0123456789")
        read = os.read
        monkeypatch.setattr(pure_kernel.os, "read", lambda descriptor, size: read(descriptor, min(size, 3)))
        assert kernel.read_small(directory, [b"a"], hasher).buffers == [b"0123456789"]

    def test_a_huge_file_is_not_read(self, kernel, hasher, directory, tmp_path):
        (tmp_path / "a").write_bytes(b"")
        os.truncate(tmp_path / "a", pure_kernel.READ_LIMIT + 1)
        assert kernel.read_small(directory, [b"a"], hasher).failed == {0: errno.EFBIG}

    def test_inode_numbers_of_64_bits(self, kernel, directory, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(b"")
        lstat = os.lstat

        def large(*args, **keywords):
            found = list(lstat(*args, **keywords))
            found[1] = 2**64 - 5
            return os.stat_result((*found[:10], 0, 0, 0, 0, 0, 0, 7, 8, 9))

        monkeypatch.setattr(pure_kernel.os, "lstat", large)
        assert kernel.list_directory(directory).stats[3] == -5

    def test_a_failed_write_leaves_nothing(self, kernel, directory, tmp_path, monkeypatch):
        def full(descriptor, data):
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(pure_kernel.os, "write", full)
        with pytest.raises(OSError, match="full") as caught:
            kernel.write_small(directory, [b"a"], [b"data"], b"\0")
        assert caught.value.filename == b"a"
        assert os.listdir(tmp_path) == []

    def test_short_writes_are_continued(self, kernel, directory, tmp_path, monkeypatch):
        write = os.write
        monkeypatch.setattr(pure_kernel.os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
        kernel.write_small(directory, [b"a"], [b"0123456789"], b"\0")
        assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_the_hook_makes_only_its_own():
    assert isinstance(kist_make_kernel("pure"), PureKernel)
    assert kist_make_kernel("fast") is None
