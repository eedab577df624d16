import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from kist.engine.process import leases, locks
from kist.engine.process.locks import GroupLock, Holder, Lock, find_holder, has_flock
from kist.errors import RepoLocked, StorageError

HOLD = """
import sys, time
from kist.engine.process.locks import Lock
with Lock(sys.argv[1], what="it", verb="add data", shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """Another process that holds the lock."""
    started = []

    def start(shared=False, code=HOLD):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "l"), "shared" if shared else "alone"],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(params=["flock", "lease"])
def kind(request, monkeypatch):
    """With kernel locks, and on a file system without them."""
    if request.param == "lease":

        def refuse(*args):
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(locks.fcntl, "flock", refuse)
    return request.param


def test_who_waits_is_told_who_holds_it_and_gives_up_in_time(tmp_path, hold):
    process = hold()
    told = []
    start = time.monotonic()
    with pytest.raises(RepoLocked) as caught:
        Lock(tmp_path / "l", what="the repository", timeout=1.4, notify=told.append).acquire()
    assert 1.3 < time.monotonic() - start < 4
    assert len(told) == 1
    for text in (told[0], str(caught.value)):
        assert f"'add data' (process {process.pid} on {os.uname().nodename})" in text
        assert "the repository" in text and time.strftime("%Y-") in text
    assert caught.value.exit_code == 12
    assert find_holder(tmp_path / "l").pid == process.pid


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_dead_process_is_free(tmp_path, hold, how):
    process = hold()
    process.send_signal(how)
    process.wait()
    with Lock(tmp_path / "l", what="it", timeout=0) as lock:  # at the first look
        assert lock.held
    assert find_holder(tmp_path / "l") is None


def test_who_waits_gets_it_when_it_comes_free(tmp_path, hold):
    process = hold()
    threading.Timer(0.3, process.kill).start()
    with Lock(tmp_path / "l", what="it", timeout=20):
        assert find_holder(tmp_path / "l").pid == os.getpid()


def test_readers_share_and_a_writer_waits_for_them(tmp_path, hold):
    process = hold(shared=True)
    with Lock(tmp_path / "l", what="it", timeout=0, shared=True, verb="push"):
        with pytest.raises(RepoLocked):
            Lock(tmp_path / "l", what="it", timeout=0).acquire()
    with pytest.raises(RepoLocked, match="add data"):
        Lock(tmp_path / "l", what="it", timeout=0).acquire()
    process.kill()
    process.wait()
    with Lock(tmp_path / "l", what="it", timeout=5):
        with pytest.raises(RepoLocked):
            Lock(tmp_path / "l", what="it", timeout=0, shared=True).acquire()


def test_who_shares_a_lock_twice_is_told_until_both_are_free(tmp_path):
    with Lock(tmp_path / "l", what="it", shared=True, verb="push"):
        with Lock(tmp_path / "l", what="it", shared=True, verb="push"):
            pass
        assert find_holder(tmp_path / "l").pid == os.getpid()
    assert find_holder(tmp_path / "l") is None


def test_a_forked_child_does_not_keep_the_lock(tmp_path, hold):
    code = HOLD.replace(
        'print("held", flush=True)', 'import os\n    if os.fork() == 0: time.sleep(60)\n    print("held", flush=True)'
    )
    process = hold(code=code)
    process.kill()
    process.wait()
    with Lock(tmp_path / "l", what="it", timeout=2):
        pass


def test_it_is_taken_and_given_back(tmp_path, kind):
    lock = Lock(tmp_path / "deep" / "er" / "l", what="it", timeout=0)
    for _ in range(3):
        with lock:
            assert lock.held
            assert not Lock(lock.path, what="it").try_acquire()
            assert lock.holder().pid == os.getpid()
        assert not lock.held
        lock.release()
    assert find_holder(lock.path) is None


def test_many_threads_take_turns(tmp_path, kind):
    inside, most = [], []

    def work():
        for _ in range(5):
            with Lock(tmp_path / "l", what="it", timeout=60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 40 and max(most) == 1


def test_many_processes_take_turns(tmp_path):
    code = """
import sys
from kist.engine.process.locks import Lock
for _ in range(20):
    with Lock(sys.argv[1], what="it", timeout=60):
        with open(sys.argv[2]) as file: number = int(file.read())
        with open(sys.argv[2], "w") as file: file.write(str(number + 1))
"""
    count = tmp_path / "count"
    count.write_text("0")
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "l"), str(count)]) for _ in range(6)]
    assert [process.wait() for process in running] == [0] * 6
    assert count.read_text() == "120"


def test_a_lock_file_that_is_taken_away_does_not_split_the_lock(tmp_path):
    lock = Lock(tmp_path / "l", what="it", timeout=0)
    descriptor = lock._open()
    os.unlink(tmp_path / "l")
    assert not locks._still_there(descriptor, tmp_path / "l")
    os.close(descriptor)
    with lock:
        pass


def test_a_lock_is_not_taken_twice_and_links_are_not_followed(tmp_path):
    with Lock(tmp_path / "l", what="it") as lock:
        with pytest.raises(RuntimeError):
            lock.acquire()
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError):
        Lock(tmp_path / "link", what="it").acquire()
    assert not (tmp_path / "victim").exists()


def test_a_shared_lock_file_does_not_depend_on_the_umask(tmp_path):
    old = os.umask(0o077)
    try:
        with GroupLock(tmp_path / "l", what="it"):
            assert (tmp_path / "l").stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(old)


def test_a_torn_or_hostile_record_harms_nothing(tmp_path, hold):
    hold()
    for text in (
        '{"pid": 1',
        "[]",
        "\x1b[31m",
        json.dumps({"pid": 1, "host": "a\x1b", "machine": "m", "verb": "v\x1b]0;x", "since": 1e300}),
    ):
        (tmp_path / "l").write_text(text)
        with pytest.raises(RepoLocked) as caught:
            Lock(tmp_path / "l", what="it", timeout=0).acquire()
        assert "\x1b" not in str(caught.value)


def test_the_file_system_is_asked_for_locks(tmp_path, kind):
    assert has_flock(tmp_path) == (kind == "flock")


@pytest.fixture
def lease(monkeypatch):
    def refuse(*args):
        raise OSError(errno.EOPNOTSUPP, "no locks")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)


def test_leases_are_shared_within_the_process_only(tmp_path, lease):
    one, two = (Lock(tmp_path / "l", what="it", shared=True, timeout=0) for _ in range(2))
    with one, two:
        with pytest.raises(RepoLocked):
            Lock(tmp_path / "l", what="it", timeout=0).acquire()
    with Lock(tmp_path / "l", what="it", timeout=0):
        pass
    assert len([name for name in os.listdir(tmp_path) if "lease" in name]) == 1


def test_the_lease_of_a_dead_process_here_is_free_at_once(tmp_path, lease):
    (tmp_path / "l").touch()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    holder = Holder(dead.pid, locks.host_name(), locks.machine(), "add", time.time())
    (tmp_path / "l.lease-7").write_text(holder.dump())
    with Lock(tmp_path / "l", what="it", timeout=0):
        assert (tmp_path / "l.lease-8").exists()


def test_a_lease_of_another_machine_counts_as_long_as_its_heart_beats(tmp_path, lease, monkeypatch):
    (tmp_path / "l.lease-1").write_text(Holder(1, "far", "far", "gc", time.time()).dump())
    with pytest.raises(RepoLocked, match="'gc' \\(process 1 on far\\)"):
        Lock(tmp_path / "l", what="it", timeout=0).acquire()
    monkeypatch.setattr(leases, "DEAD_AFTER", 0.2)
    os.utime(tmp_path / "l.lease-1", (1, 1))
    with Lock(tmp_path / "l", what="it", timeout=5):
        pass


def test_the_heart_of_a_lease_beats(tmp_path, lease, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.05)
    with Lock(tmp_path / "l", what="it"):
        os.utime(tmp_path / "l.lease-1", (1, 1))
        time.sleep(0.3)
        assert (tmp_path / "l.lease-1").stat().st_mtime > 1e9


def test_a_lease_that_was_overtaken_counts_for_nothing(tmp_path, lease, monkeypatch):
    (tmp_path / "l.lease-1").write_text(leases.RELEASED)
    real = leases._numbers
    answers = [[1]]
    monkeypatch.setattr(leases, "_numbers", lambda path: answers.pop() if answers else [*real(path), 9])
    assert not Lock(tmp_path / "l", what="it").try_acquire()
    assert not (tmp_path / "l.lease-2").exists()
