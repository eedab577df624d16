"""Share the writing of many small files among processes: making names takes the time, and that runs in parallel.

A share is a set of folders that hold no other folders to be written, so no two processes meet in one. Processes are
forked before any thread exists; where that is not so, or not worth it, there is one share.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from kist.abc.progress import Progress
from kist.engine.workspace.folders import parent_of
from kist.errors import KistError, PathConflict, StorageError
from kist.util.processors import processors

WORTH = 8192
"""Files that a process must have to write before it repays its start, or as much work in bytes."""

TURN = 1 << 16
"""Files that are written before what is known of them is handed over: no more than that is held of new folders."""

_ONE_FILE = 16 << 10
"""Bytes whose writing takes about as long as making a file."""

_MOST = 4

Groups = dict[bytes, list[range]]
"""Positions of entries by their folder."""


def in_turns(groups: Groups) -> Iterator[Groups]:
    """Cut work into turns of about as many files, a folder whole, and before the folders that lie in it.

    Args:
        groups: all positions, by folder.

    Yields:
        Some of the folders, with their positions.
    """
    turn: Groups = {}
    count = 0
    for folder in sorted(groups):
        files = sum(map(len, groups[folder]))
        if turn and count + files > TURN:
            yield turn
            turn, count = {}, 0
        turn[folder] = groups[folder]
        count += files
    if turn:
        yield turn


def divide(groups: Groups, sizes: Sequence[int]) -> tuple[Groups, list[Groups]]:
    """Divide work into what must come first and shares that are independent.

    Args:
        groups: all positions, by folder.
        sizes: bytes of the entry at each position.

    Returns:
        The folders that others lie in, and shares of the rest, in path order, at least one.
    """
    inner: set[bytes] = set()
    for folder in groups:
        above = folder
        while above:
            above = parent_of(above)
            if above in inner:
                break
            inner.add(above)
    first = {folder: positions for folder, positions in groups.items() if folder in inner}
    leaves = sorted(folder for folder in groups if folder not in inner)
    work = {folder: sum(_work(sizes, positions) for positions in groups[folder]) for folder in leaves}
    total = sum(work.values())
    count = max(1, min(_processes(), total // WORTH))
    shares: list[Groups] = [{} for _ in range(count)]
    done = 0
    for folder in leaves:
        middle = 2 * done + work[folder]  # twice, so that it is a whole number
        shares[min(middle * count // max(2 * total, 1), count - 1)][folder] = groups[folder]
        done += work[folder]
    return first, [share for share in shares if share] or [{}]


def in_shares(raws: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Small objects to be written, in as many parts as there are processes to do that."""
    count = max(1, min(_processes(), len(raws) // WORTH))
    step = -(-len(raws) // count)
    return list(in_pieces(raws, step)) or [raws]


def in_pieces(raws: Sequence[bytes], length: int) -> Iterator[Sequence[bytes]]:
    """Pieces of so many objects."""
    for start in range(0, len(raws), length):
        yield raws[start : start + length]


def _work(sizes: Sequence[int], positions: range) -> int:
    """What writing some entries takes, counted in files."""
    return len(positions) + sum(sizes[positions.start : positions.stop : positions.step]) // _ONE_FILE


def _processes() -> int:
    if not hasattr(os, "fork") or sys.platform == "darwin" or threading.active_count() > 1:
        return 1
    return min(processors(), _MOST)


Check = Callable[[], None]
"""Is called now and then by who does a share."""

_LOOK = 100
"""Milliseconds between two looks at how far helpers are."""


class Tally(Progress):
    """Progress of a helper: a count in memory that it shares with its parent, which alone tells anybody of it."""

    def __init__(self) -> None:
        from mmap import mmap

        self._memory = mmap(-1, 8)
        self._done = 0

    def advance(self, amount: int) -> None:
        """In the helper: more is done."""
        self._done += amount
        struct.pack_into("<q", self._memory, 0, self._done)

    def take(self) -> int:
        """In the parent: how much more is done than at the last time."""
        (done,) = struct.unpack_from("<q", self._memory)
        new, self._done = done - self._done, done
        return int(new)


def share_out(
    helps: Sequence[Callable[[Tally, Check], Any]], mine: Callable[[Check], None], progress: Progress
) -> list[Any]:
    """Do work in helpers and in this process at once.

    Args:
        helps: what helpers do, each with a tally for what it has done, and a check to be called now and then.
        mine: what this process does meanwhile, with the same kind of check.
        progress: is told what is done anywhere.

    Returns:
        The helpers' results, in their order.

    Raises:
        KistError: what went wrong in a helper.
    """
    tallies = [Tally() for _ in helps]

    def tell() -> None:
        for tally in tallies:
            progress.advance(tally.take())

    helpers: list[Helper] = []
    results = []
    gc.freeze()  # a collection in any of the processes would write on, and so copy, what they share
    try:
        for help_, tally in zip(helps, tallies, strict=True):
            helpers.append(Helper(partial(help_, tally)))
        mine(tell)
        for helper in helpers:
            results.append(helper.result(tell))
            tell()
        return results
    finally:
        gc.unfreeze()
        for helper in helpers:
            helper.stop()


class Helper:
    """A forked process that does one share and sends its result.

    Args:
        work: what it does; the result must be made of plain values. It is given a check to be called now and then,
            which ends the process once nobody waits for it.
    """

    def __init__(self, work: Callable[[Check], Any]) -> None:
        self._reader, writer = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._reader)
            _serve(work, writer, parent)
        os.close(writer)

    def result(self, waiting: Check | None = None) -> Any:
        """Wait for the result.

        Args:
            waiting: is called now and then meanwhile.

        Raises:
            KistError: what went wrong there.
        """
        ready = select.poll()
        ready.register(self._reader)
        while waiting is not None and not ready.poll(_LOOK):
            waiting()
        with os.fdopen(self._reader, "rb") as reader:
            self._reader = -1
            data = reader.read()
        os.waitpid(self._pid, 0)
        self._pid = 0
        if not data:
            raise StorageError("a process that wrote files was killed", hint="run the command again")
        # It comes from our own process through an anonymous pipe.
        good, value = pickle.loads(data)  # noqa: S301
        if good:
            return value
        raise _rebuilt(*value)

    def stop(self) -> None:
        """End the process at once, if it still runs, and wait until it is gone."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1


def _serve(work: Callable[[Check], Any], writer: int, parent: int) -> None:
    """The life of a helper; never returns."""

    def check() -> None:
        if os.getppid() != parent:
            os._exit(1)

    code = 1
    try:
        # An interruption is the parent's to handle: it stops its helpers and clears up after them.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            message: tuple[bool, Any] = (True, work(check))
        except KistError as exc:
            kind = "conflict" if isinstance(exc, PathConflict) else "storage"
            message = (False, (kind, exc.message, exc.hint, exc.path, getattr(exc, "errno", 0)))
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(message, pipe, protocol=5)
        code = 0
    finally:
        os._exit(code)


def _rebuilt(kind: str, message: str, hint: str | None, path: str | None, number: int) -> KistError:
    if kind == "conflict":
        return PathConflict(message, hint=hint, path=path)
    return StorageError(message, hint=hint, path=path, errno=number)
