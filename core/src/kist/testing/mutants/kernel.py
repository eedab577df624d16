"""Broken kernels."""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kist.abc.hasher import Buffer, Hasher, RunningHash
from kist.abc.kernel import STAT_FIELDS, Ingested, Listing
from kist.builtin.pure_kernel import PureKernel
from kist.model.entry import FILE
from kist.testing.kernel import KernelContract
from kist.testing.mutants.running import Kind


def _fixtures(subject: type, _folder: Path) -> Mapping[str, object]:
    return {"kernel": subject()}


KERNEL = Kind("kernel", KernelContract, PureKernel, _fixtures)


def rows(directory: int, names: Sequence[bytes]) -> array[int]:
    """The stats of names, as a listing has them.

    Args:
        directory: descriptor of their folder.
        names: plain names.

    Returns:
        ``STAT_FIELDS`` values a name.
    """
    found = [os.stat(name, dir_fd=directory, follow_symlinks=False) for name in names]
    return array("q", [value for one in found for value in (one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino)])


@KERNEL.mutant
class Nameless(PureKernel):
    """Has no name."""

    name = ""


@KERNEL.mutant
class ListsItself(PureKernel):
    """Lists the folder itself where it is empty."""

    def list_directory(self, directory: int) -> Listing:
        found = super().list_directory(directory)
        return found if found.names else Listing([b"."], b"s", array("q", [0, 0, 0, 0]))


@KERNEL.mutant
class GroupMayRun(PureKernel):
    """Takes a file that anybody may run for executable."""

    def list_directory(self, directory: int) -> Listing:
        found = super().list_directory(directory)
        kinds = bytearray(found.kinds)
        for at, name in enumerate(found.names):
            if kinds[at] == FILE and os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode & 0o111:
                kinds[at] = ord("x")
        found.kinds = bytes(kinds)
        return found


@KERNEL.mutant
class PlainOrder(PureKernel):
    """Sorts folders as files."""

    def list_directory(self, directory: int) -> Listing:
        found = super().list_directory(directory)
        order = sorted(range(len(found.names)), key=found.names.__getitem__)
        stats = array("q")
        for at in order:
            stats.extend(found.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS])
        return Listing([found.names[at] for at in order], bytes(found.kinds[at] for at in order), stats)


@KERNEL.mutant
class FollowsForStats(PureKernel):
    """Tells the stats of what a link leads to."""

    def list_directory(self, directory: int) -> Listing:
        found = super().list_directory(directory)
        for at, name in enumerate(found.names):
            if found.kinds[at] == ord("l"):
                try:
                    there = os.stat(name, dir_fd=directory)
                except OSError:
                    continue
                values = [there.st_size, there.st_mtime_ns, there.st_ctime_ns, there.st_ino]
                found.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS] = array("q", values)
        return found


@KERNEL.mutant
class TextNames(PureKernel):
    """Takes names for UTF-8."""

    def list_directory(self, directory: int) -> Listing:
        found = super().list_directory(directory)
        found.names = [name.decode("utf-8", "replace").encode() for name in found.names]
        return found


@KERNEL.mutant
class FailsOnVanished(PureKernel):
    """Fails when a name vanishes while its folder is listed."""

    def list_directory(self, directory: int) -> Listing:
        for name in os.listdir(directory):
            os.stat(name, dir_fd=directory, follow_symlinks=False)
        return super().list_directory(directory)


@KERNEL.mutant
class FileIsEmptyFolder(PureKernel):
    """Takes a file for an empty folder."""

    def list_directory(self, directory: int) -> Listing:
        try:
            return super().list_directory(directory)
        except NotADirectoryError:
            return Listing()


@KERNEL.mutant
class ListsInItsOwnOrder(PureKernel):
    """Lists several folders in the order of their descriptors."""

    def list_directories(self, directories: Sequence[int]) -> list[Listing | OSError]:
        return super().list_directories(sorted(directories))


@KERNEL.mutant
class ListsAllOrNone(PureKernel):
    """Lists none of several folders where it cannot list one."""

    def list_directories(self, directories: Sequence[int]) -> list[Listing | OSError]:
        return [self.list_directory(one) for one in directories]


@KERNEL.mutant
class SortsWhatItReads(PureKernel):
    """Reads in the order of the names, not in that it was asked in."""

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        return super().read_small(directory, sorted(names), hasher)


@KERNEL.mutant
class ReadsAlways(PureKernel):
    """Cannot be asked for nothing."""

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        if not names:
            raise OSError(errno.EINVAL, "nothing to read")
        return super().read_small(directory, names, hasher)


@KERNEL.mutant
class AllOrNothing(PureKernel):
    """Raises for the first file that is gone."""

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        found = super().read_small(directory, names, hasher)
        for number in found.failed.values():
            if number:
                raise OSError(number, os.strerror(number))
        return found


@KERNEL.mutant
class ReadsFifo(PureKernel):
    """Takes a FIFO for an empty file."""

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        return _replaced(super().read_small(directory, names, hasher), directory, names, hasher, stat.S_ISFIFO)


@KERNEL.mutant
class FollowsLinks(PureKernel):
    """Reads what a link leads to."""

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        return _replaced(super().read_small(directory, names, hasher), directory, names, hasher, stat.S_ISLNK)


@KERNEL.mutant
class ReadsFolders(PureKernel):
    """Takes a folder for an empty file."""

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        return _replaced(super().read_small(directory, names, hasher), directory, names, hasher, stat.S_ISDIR)


@KERNEL.mutant
class ReadsItsOwn(PureKernel):
    """Reads only files of the user who asks."""

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        found = super().read_small(directory, names, hasher)
        for at, name in enumerate(names):
            if at not in found.failed and os.stat(name, dir_fd=directory).st_uid != os.geteuid():
                found.failed[at] = errno.EPERM
        return found


@KERNEL.mutant
class ReadsTwice(PureKernel):
    """Hashes one reading and gives another."""

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        found = super().read_small(directory, names, hasher)
        if list(found.failed) != [0] or not stat.S_ISREG(
            os.stat(names[0], dir_fd=directory, follow_symlinks=False).st_mode
        ):
            return found
        descriptor = os.open(names[0], os.O_RDONLY, dir_fd=directory)
        try:
            digest = hasher.raw(os.pread(descriptor, 1 << 20, 0))
            return Ingested(digest, [os.pread(descriptor, 1 << 20, 0)], found.stats)
        finally:
            os.close(descriptor)


@KERNEL.mutant
class WritesShort(PureKernel):
    """Writes the first page."""

    def write_small(
        self, directory: int, names: Sequence[bytes], buffers: Sequence[bytes], executable: bytes
    ) -> array[int]:
        return super().write_small(directory, names, [buffer[:4096] for buffer in buffers], executable)


@KERNEL.mutant
class PrivateFiles(PureKernel):
    """Makes files for their owner only."""

    def write_small(
        self, directory: int, names: Sequence[bytes], buffers: Sequence[bytes], executable: bytes
    ) -> array[int]:
        before = os.umask(0o077)
        try:
            return super().write_small(directory, names, buffers, executable)
        finally:
            os.umask(before)


@KERNEL.mutant
class Overwrites(PureKernel):
    """Writes over what is there."""

    def write_small(
        self, directory: int, names: Sequence[bytes], buffers: Sequence[bytes], executable: bytes
    ) -> array[int]:
        for name in names:
            if name == b"b" and os.access(name, os.F_OK, dir_fd=directory, follow_symlinks=False):
                os.unlink(name, dir_fd=directory)
        return super().write_small(directory, names, buffers, executable)


@KERNEL.mutant
class LeaksDescriptors(PureKernel):
    """Opens a folder once more than it closes it."""

    def list_directory(self, directory: int) -> Listing:
        found = super().list_directory(directory)
        if found.names == [b"a"] and not hasattr(self, "kept"):
            self.kept = os.dup(directory)
        return found

    def __del__(self) -> None:
        if hasattr(self, "kept"):
            os.close(self.kept)


@KERNEL.mutant
class OneBuffer(PureKernel):
    """Keeps the names that it works on where all threads do."""

    names: Sequence[bytes] = ()

    def read_small(self, directory: int, names: Sequence[bytes], hasher: Hasher) -> Ingested:
        import threading
        import time

        if threading.current_thread() is threading.main_thread():
            return super().read_small(directory, names, hasher)
        mine = object()
        self.user = mine
        time.sleep(0.0005)
        return super().read_small(directory, names if self.user is mine else names[:1], hasher)


class Changed(Hasher):
    """A hasher in place of another one.

    Args:
        hasher: the other one.
    """

    def __init__(self, hasher: Hasher) -> None:
        self.name, self.digest_size, self._hasher = hasher.name, hasher.digest_size, hasher

    def new(self) -> RunningHash:
        """A running hash."""
        return self._hasher.new()


@KERNEL.mutant
class WidensDigests(PureKernel):
    """Gives hashers with longer digests."""

    def hasher(self, hasher: Hasher) -> Hasher:
        given = Changed(hasher)
        given.digest_size = 2 * hasher.digest_size
        return given


@KERNEL.mutant
class HashesFirstPages(PureKernel):
    """Gives hashers that look at the first page of each of many buffers."""

    def hasher(self, hasher: Hasher) -> Hasher:
        class FirstPages(Changed):
            def raw_many(self, buffers: Iterable[Buffer]) -> bytes:
                return super().raw_many([memoryview(buffer)[:4096] for buffer in buffers])

        return FirstPages(hasher)


def _replaced(found: Ingested, directory: int, names: Sequence[bytes], hasher: Hasher, wrong: object) -> Ingested:
    """The result, with names of a wrong kind taken for empty files."""
    for at in list(found.failed):
        try:
            mode = os.stat(names[at], dir_fd=directory, follow_symlinks=False).st_mode
        except OSError:
            continue
        if wrong(mode):  # type: ignore[operator]
            del found.failed[at]
            found.buffers[at] = b""
            width = hasher.digest_size
            found.digests = found.digests[: at * width] + hasher.raw(b"") + found.digests[(at + 1) * width :]
    return found
