"""KernelContract: what every kernel must keep."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import socket
import sys
import threading
import time
from abc import abstractmethod
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.abc.hasher import Hasher, RunningHash
from kist.abc.kernel import OTHER, STAT_FIELDS, SUBDIRECTORY, Kernel
from kist.model.entry import EXECUTABLE, FILE, SYMLINK
from kist.testing.base import ContractBase, difference


class Sha256(Hasher):
    """A hasher that needs no plugin."""

    name = "sha256"
    digest_size = 32

    def new(self) -> RunningHash:
        """A running hash."""
        return hashlib.sha256()


def stats_of(path: Path) -> list[int]:
    """The stats that a kernel must give for a path."""
    found = path.lstat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _many_times(least: int, seconds: float = 0.3) -> Iterator[int]:
    """Count up at least *least* times and *seconds* long, while threads take turns often, so that they do meet."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        until = time.monotonic() + seconds
        for number in itertools.count():
            if number >= least and time.monotonic() > until:
                return
            yield number
    finally:
        sys.setswitchinterval(interval)


class KernelContract(ContractBase):
    """Subclass it as ``Test…`` and provide the fixture ``kernel``."""

    __test__ = False

    @pytest.fixture
    @abstractmethod
    def kernel(self) -> Kernel:
        """The kernel under test."""

    @pytest.fixture
    def hasher(self) -> Hasher:
        """A hasher."""
        return Sha256()

    @pytest.fixture
    def hashers(self) -> list[Hasher]:
        """Hashers for which the kernel may have better ones; give those for which yours has."""
        return [Sha256()]

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Iterator[int]:
        """Descriptor of the empty folder ``tmp_path``."""
        descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        yield descriptor
        os.close(descriptor)

    # ── list_directory ───────────────────────────────────────────────────────────────────────────────────────────

    def test_has_a_name(self, kernel: Kernel) -> None:
        """``name`` is its key."""
        assert kernel.name

    def test_lists_an_empty_folder(self, kernel: Kernel, directory: int) -> None:
        """An empty folder has an empty listing."""
        listing = kernel.list_directory(directory)
        assert (listing.names, listing.kinds, list(listing.stats)) == ([], b"", [])

    def test_tells_kinds(self, kernel: Kernel, directory: int, tmp_path: Path) -> None:
        """Files, executables, symlinks, subfolders and others each have their byte; links are never followed."""
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "program").write_bytes(b"")
        (tmp_path / "program").chmod(0o755)
        (tmp_path / "group").write_bytes(b"")
        (tmp_path / "group").chmod(0o654)  # executable for the group only: not for its owner
        (tmp_path / "folder").mkdir()
        (tmp_path / "broken").symlink_to("nowhere")
        (tmp_path / "to-folder").symlink_to("folder")
        os.mkfifo(tmp_path / "pipe")
        with socket.socket(socket.AF_UNIX) as bound:
            here = Path.cwd()
            os.chdir(tmp_path)  # the path of a socket is limited to about a hundred bytes
            try:
                bound.bind("socket")
            finally:
                os.chdir(here)
        listing = kernel.list_directory(directory)
        assert dict(zip(listing.names, listing.kinds, strict=True)) == {
            b"file": FILE,
            b"program": EXECUTABLE,
            b"group": FILE,
            b"folder": SUBDIRECTORY,
            b"broken": SYMLINK,
            b"to-folder": SYMLINK,
            b"pipe": OTHER,
            b"socket": OTHER,
        }

    def test_sorts_folders_with_a_slash(self, kernel: Kernel, directory: int, tmp_path: Path) -> None:
        """Names are in order of their bytes, a subfolder as its name + ``/``."""
        for name in ("a", "a+", "b.c", "b0", "b-c"):
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "b").mkdir()
        (tmp_path / "a-").mkdir()
        assert kernel.list_directory(directory).names == [b"a", b"a+", b"a-", b"b-c", b"b.c", b"b", b"b0"]

    def test_gives_stats(self, kernel: Kernel, directory: int, tmp_path: Path) -> None:
        """Stats are size, mtime, ctime and inode of the name itself, zeros for a subfolder."""
        (tmp_path / "a").write_bytes(b"12345")
        os.utime(tmp_path / "a", ns=(1, -1_000_000_001))
        (tmp_path / "b").mkdir()
        (tmp_path / "c").symlink_to("a")
        listing = kernel.list_directory(directory)
        assert listing.stats.typecode == "q"
        assert list(listing.stats) == [*stats_of(tmp_path / "a"), 0, 0, 0, 0, *stats_of(tmp_path / "c")]

    @pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b" ", b"-", "ü".encode(), b"\\", b"*?[", b"n" * 255])
    def test_lists_any_name(self, kernel: Kernel, directory: int, tmp_path: Path, name: bytes) -> None:
        """Names are any bytes that the platform allows."""
        try:
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
        except OSError as exc:
            assert exc.errno == errno.EILSEQ  # noqa: PT017 (the platform does not allow it)
            return
        assert kernel.list_directory(directory).names == [name]

    def test_leaves_out_what_vanishes(self, kernel: Kernel, directory: int, tmp_path: Path) -> None:
        """A name that vanishes while its folder is listed is left out; the others are there."""
        stop = threading.Event()

        def come_and_go() -> None:
            while not stop.is_set():
                for number in range(20):
                    (tmp_path / f"passing{number}").write_bytes(b"")
                for number in range(20):
                    (tmp_path / f"passing{number}").unlink()

        for number in range(50):
            (tmp_path / f"staying{number:02}").write_bytes(b"")
        thread = threading.Thread(target=come_and_go)
        thread.start()
        try:
            for _ in _many_times(100):
                listing = kernel.list_directory(directory)
                assert sum(name.startswith(b"staying") for name in listing.names) == 50
                assert len(listing.names) == len(listing.kinds) == len(listing.stats) // STAT_FIELDS
        finally:
            stop.set()
            thread.join()

    def test_reports_what_is_no_folder(self, kernel: Kernel, tmp_path: Path) -> None:
        """What cannot be listed is an OSError."""
        (tmp_path / "a").write_bytes(b"")
        descriptor = os.open(tmp_path / "a", os.O_RDONLY)
        try:
            with pytest.raises(NotADirectoryError):
                kernel.list_directory(descriptor)
        finally:
            os.close(descriptor)

    def test_lists_folders_together(self, kernel: Kernel, tmp_path: Path) -> None:
        """Several folders give what each gives by itself, in their order; what cannot be listed is an OSError there."""
        for number in range(20):
            (tmp_path / f"{number:02}").mkdir()
            for inside in range(number):
                (tmp_path / f"{number:02}" / f"{inside}").write_bytes(b"x" * inside)
        (tmp_path / "file").write_bytes(b"")
        *folders, file = [os.open(path, os.O_RDONLY) for path in sorted(tmp_path.iterdir())]
        try:
            assert kernel.list_directories([]) == []
            assert kernel.list_directories(folders[::-1]) == [kernel.list_directory(one) for one in folders[::-1]]
            found = kernel.list_directories([folders[3], file, folders[4]])
            assert found[::2] == [kernel.list_directory(folders[3]), kernel.list_directory(folders[4])]
            assert isinstance(found[1], NotADirectoryError)
        finally:
            for one in (*folders, file):
                os.close(one)

    # ── read_small ───────────────────────────────────────────────────────────────────────────────────────────────

    def test_reads_and_hashes(self, kernel: Kernel, hasher: Hasher, directory: int, tmp_path: Path) -> None:
        """Contents, digests and stats come in the order of the names."""
        contents = {b"b": b"bee", b"a": b"", b"c": os.urandom(100_000)}
        for name, content in contents.items():
            (tmp_path / os.fsdecode(name)).write_bytes(content)
        result = kernel.read_small(directory, list(contents), hasher)
        assert result.failed == {}
        assert not difference(result.buffers, list(contents.values()))
        assert not difference(
            result.digests, b"".join(hashlib.sha256(content).digest() for content in contents.values())
        )
        expected = [stats_of(tmp_path / os.fsdecode(name)) for name in contents]
        assert result.stats == array("q", [value for row in expected for value in row])

    def test_reads_nothing(self, kernel: Kernel, hasher: Hasher, directory: int) -> None:
        """No names give no results."""
        result = kernel.read_small(directory, [], hasher)
        assert (result.digests, result.buffers, list(result.stats), result.failed) == (b"", [], [], {})

    def test_reports_what_vanished(self, kernel: Kernel, hasher: Hasher, directory: int, tmp_path: Path) -> None:
        """A file that is gone fails with its errno; the others are read."""
        (tmp_path / "a").write_bytes(b"1")
        (tmp_path / "c").write_bytes(b"3")
        result = kernel.read_small(directory, [b"a", b"b", b"c"], hasher)
        assert result.failed == {1: errno.ENOENT}
        assert result.buffers == [b"1", None, b"3"]
        assert result.digests == hashlib.sha256(b"1").digest() + bytes(32) + hashlib.sha256(b"3").digest()
        assert len(result.stats) == 3 * STAT_FIELDS

    def test_never_blocks_on_a_fifo(self, kernel: Kernel, hasher: Hasher, directory: int, tmp_path: Path) -> None:
        """A FIFO in the place of a file fails at once, as no regular file."""
        os.mkfifo(tmp_path / "a")
        assert kernel.read_small(directory, [b"a"], hasher).failed == {0: 0}

    def test_never_follows_a_link(self, kernel: Kernel, hasher: Hasher, directory: int, tmp_path: Path) -> None:
        """A symlink in the place of a file fails, as no regular file."""
        (tmp_path / "secret").write_bytes(b"secret")
        (tmp_path / "a").symlink_to("secret")
        result = kernel.read_small(directory, [b"a"], hasher)
        assert (result.failed, result.buffers) == ({0: 0}, [None])

    def test_refuses_a_folder(self, kernel: Kernel, hasher: Hasher, directory: int, tmp_path: Path) -> None:
        """A folder in the place of a file fails, as no regular file."""
        (tmp_path / "a").mkdir()
        assert kernel.read_small(directory, [b"a"], hasher).failed == {0: 0}

    def test_reads_what_others_own(self, kernel: Kernel, hasher: Hasher) -> None:
        """A file that belongs to another user is read if its mode allows it."""
        privileged = os.geteuid() == 0
        folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
        if privileged:
            os.seteuid(65534)
        try:
            found = [kernel.read_small(folder, [b"passwd"], hasher) for _ in range(2)]
        finally:
            if privileged:
                os.seteuid(0)
            os.close(folder)
        content = Path("/etc/passwd").read_bytes()
        assert [(one.failed, one.buffers) for one in found] == [({}, [content])] * 2

    def test_notices_changes(self, kernel: Kernel, hasher: Hasher, directory: int, tmp_path: Path) -> None:
        """A file that is written to all the time is read as one of its states, or fails; it is never a mixture."""
        stop = threading.Event()
        path = tmp_path / "a"
        states = [bytes([65 + number]) * 300_000 for number in range(4)]
        path.write_bytes(states[0])

        def write() -> None:
            with path.open("r+b", buffering=0) as file:
                number = 0
                while not stop.is_set():
                    file.seek(0)
                    for start in range(0, 300_000, 10_000):  # each state is written in steps
                        file.write(states[number % 4][start : start + 10_000])
                    number += 1

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in _many_times(200):
                result = kernel.read_small(directory, [b"a"], hasher)
                buffer = result.buffers[0]
                assert (buffer is None) == (0 in result.failed)
                assert buffer is None or hashlib.sha256(buffer).digest() == result.digests
        finally:
            stop.set()
            thread.join()

    # ── write_small ──────────────────────────────────────────────────────────────────────────────────────────────

    def test_writes(self, kernel: Kernel, directory: int, tmp_path: Path) -> None:
        """New files have their contents, and the stats that come back are theirs."""
        contents = {b"b": b"bee", b"a": b"", b"\xff": os.urandom(100_000)}
        try:
            stats = kernel.write_small(directory, list(contents), list(contents.values()), bytes(3))
        except OSError as exc:
            assert exc.errno == errno.EILSEQ  # noqa: PT017 (the platform does not allow the name)
            return
        paths = [Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)) for name in contents]
        assert not difference([path.read_bytes() for path in paths], list(contents.values()))
        assert list(stats) == [value for path in paths for value in stats_of(path)]

    def test_sets_modes_by_the_umask(self, kernel: Kernel, directory: int, tmp_path: Path) -> None:
        """A file is 0666 or 0777 less the umask."""
        old = os.umask(0o027)
        try:
            kernel.write_small(directory, [b"a", b"b"], [b"", b""], b"\0\1")
        finally:
            os.umask(old)
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
        assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750

    @pytest.mark.parametrize("kind", ["file", "link", "broken"])
    def test_never_replaces(self, kernel: Kernel, directory: int, tmp_path: Path, kind: str) -> None:
        """A name that exists is an error with that name; those before were made, it and those after were not."""
        (tmp_path / "target").write_bytes(b"precious")
        if kind == "file":
            (tmp_path / "b").write_bytes(b"precious")
        else:
            (tmp_path / "b").symlink_to("target" if kind == "link" else "nowhere")
        with pytest.raises(FileExistsError) as caught:
            kernel.write_small(directory, [b"a", b"b", b"c"], [b"1", b"2", b"3"], bytes(3))
        assert os.fsencode(caught.value.filename) == b"b"
        assert (tmp_path / "a").read_bytes() == b"1"
        assert not (tmp_path / "c").exists()
        assert not (tmp_path / "nowhere").exists()
        assert (tmp_path / "target").read_bytes() == b"precious"

    # ── hasher ───────────────────────────────────────────────────────────────────────────────────────────────────

    def test_gives_hashers_of_the_same_attributes(self, kernel: Kernel, hashers: list[Hasher]) -> None:
        """A hasher in place of another has its name and its size."""
        for hasher in hashers:
            given = kernel.hasher(hasher)
            assert (given.name, given.digest_size) == (hasher.name, hasher.digest_size)

    def test_gives_hashers_of_the_same_names(self, kernel: Kernel, hashers: list[Hasher]) -> None:
        """A hasher in place of another gives the same digests, of one buffer and of many, whatever their sizes."""
        content = bytes(range(251)) * 300
        sizes = [*range(300), *range(1000, 1100), *range(1024, 20_000, 511), 65_536, 75_000, 0, 1]
        buffers = [memoryview(content)[size % 7 : size % 7 + size] for size in sizes]
        for hasher in hashers:
            given = kernel.hasher(hasher)
            expected = [hasher.raw(buffer) for buffer in buffers]
            assert not difference([given.raw(buffer) for buffer in buffers], expected)
            for start, stop in ((0, len(buffers)), (0, 0), (7, 8), (350, 390), (395, 440)):
                assert not difference(given.raw_many(buffers[start:stop]), b"".join(expected[start:stop]))
            running = given.new()
            running.update(content)
            assert running.digest() == hasher.raw(content)

    # ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_leaves_no_descriptor_open(self, kernel: Kernel, hasher: Hasher, directory: int, tmp_path: Path) -> None:
        """Every descriptor that it opens is closed again, after failures too."""
        (tmp_path / "a").write_bytes(b"1")
        before = os.dup(directory)
        os.close(before)
        for _ in range(20):
            kernel.list_directory(directory)
            kernel.read_small(directory, [b"a", b"missing"], hasher)
            with pytest.raises(FileExistsError):
                kernel.write_small(directory, [b"a"], [b""], b"\0")
        after = os.dup(directory)
        os.close(after)
        assert after == before

    def test_works_in_threads(self, kernel: Kernel, hasher: Hasher, directory: int, tmp_path: Path) -> None:
        """Threads may use one kernel at once; a descriptor, whose position is shared, is listed by one at a time."""
        for number in range(30):
            (tmp_path / f"{number:02}").write_bytes(b"%d" % number)
        names = [b"%02d" % number for number in range(30)]
        expected = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(30))
        wrong: list[object] = []

        def work() -> None:
            own = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
            for _ in range(20):
                listing = kernel.list_directory(own)
                result = kernel.read_small(directory, names, hasher)
                if listing.names != names or result.digests != expected:
                    wrong.append(result)
            os.close(own)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
