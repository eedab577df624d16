"""What only this kernel has: the same results as the pure one on real folders, odd arguments, no memory lost."""

import errno
import os
import pickle
import random
import resource
import stat
import sys
import threading
import time

import pytest

from kist.builtin.pure_kernel import READ_LIMIT, PureKernel
from kist.testing.kernel import Sha256


@pytest.fixture
def directory(tmp_path):
    """Descriptor of the empty folder ``tmp_path``."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def many_kinds(folder):
    """Fill a folder with what may stand in one; names whose order depends on what they are."""
    for name in ("a", "a+", "b.c", "b0", "b-c", "prefix-longer-than-eight", "prefix-longer", "prefix-longer0"):
        (folder / name).write_bytes(name.encode() * 9)
    for name in ("b", "a-", "prefix-l", "prefix-longer-", "empty", "b0.d"):
        (folder / name).mkdir()
    (folder / "run").write_bytes(b"#!")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("b")
    (folder / "broken").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    (folder / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    os.utime(folder / "a", ns=(-5_000_000_001, -5_000_000_001))
    os.utime(folder / "b.c", ns=(2**33 * 10**9 + 7, 2**33 * 10**9 + 7))


def test_lists_as_the_pure_kernel_does(kernel, tmp_path):
    many_kinds(tmp_path)
    for folder in (tmp_path, tmp_path / "empty", "/", "/dev", "/etc", "/usr/bin"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            assert kernel.list_directory(descriptor) == PureKernel().list_directory(descriptor)
            assert kernel.list_directory(descriptor) == PureKernel().list_directory(descriptor), "the position is reset"
        finally:
            os.close(descriptor)


def test_a_folder_that_may_not_be_searched(kernel, directory, tmp_path):
    """Root may search all, so this is tried as nobody."""
    (tmp_path / "only").mkdir()
    tmp_path.chmod(0o444)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        for one in (kernel, PureKernel()):
            with pytest.raises(PermissionError) as caught:
                one.list_directory(directory)
            assert os.fsencode(caught.value.filename) == b"only"
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)


def test_lists_many_names(kernel, directory, tmp_path):
    for number in range(3000):
        (tmp_path / f"{number:x}{'-' * (number % 50)}").write_bytes(b"")
        if number % 7 == 0:
            (tmp_path / f"{number:x}.d").mkdir()
    assert kernel.list_directory(directory) == PureKernel().list_directory(directory)


def test_lists_folders_together_as_the_pure_kernel_does(kernel, tmp_path):
    many_kinds(tmp_path)
    names = [tmp_path, tmp_path / "empty", "/", "/dev", "/etc", "/usr/bin", "/usr/lib"] * 10
    folders = [os.open(name, os.O_RDONLY | os.O_DIRECTORY) for name in names]
    try:
        assert kernel.list_directories(folders) == PureKernel().list_directories(folders)
    finally:
        for folder in folders:
            os.close(folder)


@pytest.mark.parametrize("size", [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 1 << 20])
def test_reads_any_size(kernel, directory, tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    assert kernel.read_small(directory, [b"a"], Sha256()) == PureKernel().read_small(directory, [b"a"], Sha256())
    assert kernel.read_small(directory, [b"a"], Sha256()).buffers[0] == content


def test_a_huge_file_is_not_read(kernel, directory, tmp_path):
    (tmp_path / "a").write_bytes(b"")
    os.truncate(tmp_path / "a", READ_LIMIT + 1)
    assert kernel.read_small(directory, [b"a"], Sha256()).failed == {0: errno.EFBIG}


def test_fails_as_the_pure_kernel_does(kernel, directory, tmp_path):
    many_kinds(tmp_path)
    (tmp_path / "secret").write_bytes(b"1")
    (tmp_path / "secret").chmod(0)
    names = [*map(os.fsencode, os.listdir(tmp_path)), b"missing", b"a/b", b"n" * 300]
    assert kernel.read_small(directory, names, Sha256()) == PureKernel().read_small(directory, names, Sha256())


def test_writes_what_was_read(kernel, directory, tmp_path):
    contents = [b"", b"x", os.urandom(300_000)]
    names = [b"0", b"1", b"2"]
    stats = kernel.write_small(directory, names, tuple(contents), b"\0\1\0")
    read = PureKernel().read_small(directory, names, Sha256())
    assert read.buffers == contents
    assert stats == read.stats
    assert stat.S_IMODE((tmp_path / "1").stat().st_mode) & stat.S_IXUSR


def test_a_write_without_room_leaves_nothing(kernel, directory, tmp_path):
    """A limit on the size of files stands for a full disk."""
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            kernel.write_small(directory, [b"a", b"b", b"c"], [b"1", bytes(2000), b"3"], bytes(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, b"b")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_hashes_as_the_library_does(native, blake3, lanes):
    """Every length up to some chunks, alone and together, of all widths of vectors that this processor has."""
    content = memoryview(random.Random(lanes).randbytes(1 << 20))
    every = [content[at % 64 : at % 64 + size] for at, size in enumerate(range(9300))]
    assert native.blake3_many(every, lanes) == blake3.raw_many(every)
    large = [content[:size] for size in (16_383, 16_384, 16_385, 31_744, 65_537, 1 << 20)]
    for one in (*every[:200], *every[1000:1100], *every[2000::97], *large):
        assert native.blake3_many([one], lanes) == blake3.raw(one)
    chance = random.Random(lanes)
    for _ in range(200):
        sizes = [int(2 ** chance.uniform(0, chance.choice((4, 11, 14, 18)))) for _ in range(chance.randrange(70))]
        mixed = [content[size % 64 : size % 64 + size] for size in sizes]
        assert native.blake3_many(iter(mixed), lanes) == blake3.raw_many(mixed)


def test_a_hasher_that_disagrees_stays(kernel, blake3, monkeypatch):
    """Where the compiled part would give other names, the hasher that is installed is used."""
    from kist_accel import kernel as module

    assert kernel.hasher(blake3) is kernel.hasher(blake3) is not blake3
    sent = pickle.dumps(kernel.hasher(blake3))
    assert isinstance(pickle.loads(sent), module.ManyAtOnce)
    monkeypatch.setattr(module, "blake3_many", lambda buffers: bytes(32 * len(buffers)))
    assert module.AccelKernel().hasher(blake3) is blake3
    assert type(pickle.loads(sent)) is type(blake3)


def test_refuses_what_is_not_asked_rightly(native, directory):
    with pytest.raises(TypeError):
        native.list_directory("x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        native.list_directory(10**6)
    with pytest.raises(TypeError):
        native.read_small(directory, ["text"])
    with pytest.raises(ValueError, match="null"):
        native.read_small(directory, [b"a\0b"])
    with pytest.raises(TypeError):
        native.read_small(directory, 5)
    for names, contents, flags in (([b"a"], [], b"\0"), ([b"a"], [b""], b""), ([], [b""], b"")):
        with pytest.raises(ValueError, match="length"):
            native.write_small(directory, names, contents, flags)
    for names, contents in ((["a"], [b""]), ([b"a"], ["text"])):
        with pytest.raises(TypeError):
            native.write_small(directory, names, contents, b"\0")
    with pytest.raises(ValueError, match="null"):
        native.write_small(directory, [b"a\0"], [b""], b"\0")
    for buffers in (["text"], [b"", None], 5):
        with pytest.raises(TypeError):
            native.blake3_many(buffers)
    with pytest.raises(BufferError):
        native.blake3_many([b"", memoryview(b"abcd")[::2]])
    assert os.listdir(directory) == []


def test_threads_proceed_meanwhile(native, directory, tmp_path):
    """No other thread gets the interpreter by itself here, so one that proceeds was let in by the call."""
    turns, stop = [], threading.Event()

    def count():
        while not stop.is_set():
            turns.append(None)
            time.sleep(0)

    names = [b"%d" % number for number in range(500)]
    calls = {
        "write": lambda at: native.write_small(directory, [b"%d-" % at + name for name in names], names, bytes(500)),
        "read": lambda _: native.read_small(directory, [b"0-" + name for name in names]),
        "list": lambda _: native.list_directory(directory),
        "hash": lambda _: native.blake3_many(names * 1000),
    }
    thread = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        thread.start()
        for name, call in calls.items():
            for at in range(1000):  # on a busy machine the other thread may come too late for one call
                before = len(turns)
                call(at)
                if len(turns) > before:
                    break
            else:
                pytest.fail(f"nobody proceeds while {name} works")
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()


def test_loses_no_memory(native, directory, tmp_path):
    """Ten thousand calls of each kind, with failures: the process does not grow."""
    for number in range(20):
        (tmp_path / f"{number:02}").write_bytes(bytes(5000))
    (tmp_path / "large").write_bytes(bytes(100_000))
    names = [*(b"%02d" % number for number in range(20)), b"large", b"missing"]

    def once():
        native.list_directory(directory)
        native.read_small(directory, names)
        with pytest.raises(FileExistsError):
            native.write_small(directory, [b"00", b"01"], [bytes(5000), b""], b"\0\0")
        with pytest.raises(TypeError):
            native.read_small(directory, [b"00", "text"])
        with pytest.raises(TypeError):
            native.write_small(directory, [b"new", "text"], [b"", b""], b"\0\0")
        with pytest.raises(NotADirectoryError):
            native.list_directory(file)
        native.blake3_many([*names, bytes(5000)])
        with pytest.raises(TypeError):
            native.blake3_many([b"", bytes(5000), "text"])

    file = os.open(tmp_path / "00", os.O_RDONLY)
    try:
        for _ in range(500):
            once()
        before = resident()
        for _ in range(10_000):
            once()
        assert resident() - before < 2 << 20
    finally:
        os.close(file)


def resident():
    """Bytes of memory that this process holds now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
