"""Runs one command to its end and tells what it took; a process of its own, so that it is small and always the same.

``python launcher.py OUT ERR TIMEOUT PROGRAM ARGUMENT…`` writes one JSON object to standard output. Memory is summed over
all processes that live at the same time, by sampling: pages that several of them share count once (Pss). A single
process is asked for its own peak. Bytes come from the kernel's counters, which a parent inherits from the children that
it waited for: ``rchar`` and ``wchar`` are what was asked of the kernel, ``read_bytes`` and ``write_bytes`` what went to
the disk.
"""

import json
import os
import resource
import select
import signal
import sys
import time

INTERVAL = 0.05
COUNTERS = ("rchar", "wchar", "read_bytes", "write_bytes", "syscr", "syscw")


def counters():
    """The input and output counters of this process and of the children that it waited for."""
    with open("/proc/self/io", "rb", buffering=0) as stream:
        lines = stream.read().split(b"\n")
    found = dict(line.split(b": ") for line in lines if line)
    return {name: int(found[name.encode()]) for name in COUNTERS}


def family(process):
    """A process and all that it started, as far as they live."""
    found, new = [], [process]
    while new:
        found += new
        new = [child for parent in new for child in children(parent)]
    return found


def children(process):
    """The children of all threads of a process."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", "rb", buffering=0) as stream:
                found += [int(word) for word in stream.read(1 << 16).split()]
    except OSError:
        pass  # it ended meanwhile
    return found


def field(path, name):
    """A number of kilobytes in a file of /proc, 0 where the process is gone."""
    try:
        with open(path, "rb", buffering=0) as stream:
            for line in stream.read(1 << 16).split(b"\n"):
                if line.startswith(name):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def memory(process):
    """Kilobytes that a process and its children hold now, or held at most where it is alone."""
    alive = family(process)
    if len(alive) == 1:
        return field(f"/proc/{process}/status", b"VmHWM:")
    return sum(field(f"/proc/{one}/smaps_rollup", b"Pss:") for one in alive)


def run(command, out, err, timeout):
    """Run, sample, and return the figures."""
    before, peak = counters(), 0
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    started = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=actions, setsid=True)
    handle = os.pidfd_open(process)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    wait = 0.002  # the first look comes early: many commands are short
    while not poll.poll(wait * 1000):
        peak = max(peak, memory(process))
        if time.perf_counter() - started > timeout:
            os.killpg(process, signal.SIGKILL)
        wait = min(INTERVAL, wait * 2)
    seconds = time.perf_counter() - started
    _, status, usage = os.wait4(process, 0)
    after = counters()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # A process starts with the peak of the one that started it: below the launcher's own, this is no more than a bound.
    largest = usage.ru_maxrss if usage.ru_maxrss > own or not peak else 0
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": max(peak, largest) * 1024,
        **{name: after[name] - before[name] for name in COUNTERS},
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[4:], sys.argv[1], sys.argv[2], float(sys.argv[3]))))
