"""The pool executor: which workers it takes, and that they end with their parent."""

import operator
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kist.builtin import pool_executor
from kist.builtin.pool_executor import PoolExecutor, kist_make_executor
from kist.errors import KistError


def pid_of(_):
    return os.getpid()


def thread_of(_):
    return threading.get_ident()


@pytest.fixture
def pool():
    made = []

    def make(name, jobs=2):
        made.append(PoolExecutor(name, jobs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_names():
    assert kist_make_executor("pool", 3).jobs == 3
    assert kist_make_executor("cluster", 3) is None


def test_processes_are_processes(pool):
    """What is sent is the library's, since a process that is not forked, beside a thread, has no module of tests."""
    assert os.getpid() not in set(pool("processes").map(operator.call, [os.getpid] * 4))


def test_threads_are_threads(pool):
    executor = pool("threads")
    assert set(executor.map(pid_of, range(4))) == {os.getpid()}
    assert threading.get_ident() not in set(executor.map(thread_of, range(4)))


def test_one_job_needs_no_workers(pool):
    assert set(pool("processes", 1).map(thread_of, range(4))) == {threading.get_ident()}


def test_one_item_needs_no_workers(pool):
    assert list(pool("processes").map(pid_of, [1])) == [os.getpid()]


def test_pool_takes_processes_where_forking_is_safe(pool, monkeypatch):
    monkeypatch.setattr(pool_executor, "_may_fork", lambda: True)
    assert os.getpid() not in set(pool("pool").map(pid_of, range(4)))


def test_pool_takes_threads_for_what_cannot_be_sent(pool, monkeypatch):
    monkeypatch.setattr(pool_executor, "_may_fork", lambda: True)
    assert set(pool("pool").map(lambda _: os.getpid(), range(4))) == {os.getpid()}


def test_pool_takes_threads_where_the_script_is_not_ours(pool, monkeypatch):
    monkeypatch.setattr(pool_executor, "_may_fork", lambda: False)
    assert set(pool("pool").map(pid_of, range(4))) == {os.getpid()}


def test_no_fork_beside_threads():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert not pool_executor._may_fork()
    finally:
        stop.set()
        thread.join()


def test_killed_worker_is_an_error_and_no_hang(pool):
    with pytest.raises(KistError, match="killed"):
        list(pool("processes").map(signal.raise_signal, [signal.SIGKILL] * 4))


ORPHANS = """
import os, time
from kist.builtin.pool_executor import PoolExecutor
def work(number):
    os.write(1, b"%d\\n" % os.getpid())  # one call: lines of two processes must not mix
    time.sleep(30)
if __name__ == "__main__":
    list(PoolExecutor("processes", 2).map(work, range(2)))
"""


def test_an_interruption_waits_for_no_process(pool):
    def items():
        yield from (60, 60, 60)
        raise KeyboardInterrupt

    executor, begun = pool("processes"), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(executor.map(time.sleep, items()))
    executor.close()
    assert time.monotonic() - begun < 30


def test_workers_end_with_their_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ORPHANS)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.02)


def alive(process_id):
    try:
        with open(f"/proc/{process_id}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


SPAWNED = """
import threading
from contextlib import closing
from kist.builtin.pool_executor import PoolExecutor
def work(number):
    return number * 2
if __name__ == "__main__":
    stop = threading.Event()
    threading.Thread(target=stop.wait, daemon=True).start()  # beside a thread nothing is forked
    with closing(PoolExecutor("processes", 2)) as executor:
        print(list(executor.map(work, range(4))))
    stop.set()
"""


def test_workers_import_nothing_from_the_current_folder(tmp_path):
    script, here = tmp_path / "script.py", tmp_path / "clone"
    script.write_text(SPAWNED)
    here.mkdir()
    for name in ("multiprocessing", "kist", "selectors"):
        (here / f"{name}.py").write_text("raise SystemExit('imported from the clone')\n")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=here, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("[0, 2, 4, 6]\n", "")


def test_fresh_interpreters_are_told_to_leave_the_current_folder_alone():
    """Whatever of ours starts Python gives ``-P``, or a script of its own."""
    root = Path(__file__).parents[3]
    found = [
        f"{path.name}: {line.strip()}"
        for folder in (root / "core" / "src" / "kist", *root.glob("plugins/*/src"))
        for path in folder.rglob("*.py")
        if "testing" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if "sys.executable" in line and ('"-m"' in line or '"-c"' in line) and '"-P"' not in line
    ]
    assert found == []
