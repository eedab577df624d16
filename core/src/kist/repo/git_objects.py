"""Git's objects by name, through one ``git cat-file --batch`` that stays open: one process a command."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import NamedTuple
from weakref import finalize

from kist.errors import RepoError
from kist.repo.git_errors import git_error, refused
from kist.repo.git_program import GitProgram, end

_HEAD = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) ([a-z]+) ([0-9]+)\n")
_MAX_METAFILE = 4 << 20
_ASKED = 4000
"""Bytes of names that are written at once: so few that they fit into the pipe while Git waits to print."""


class GitObject(NamedTuple):
    """One object.

    Attributes:
        id: its full hexadecimal id.
        kind: ``blob``, ``tree``, ``commit`` or ``tag``.
        data: its content, cut where more was not asked for.
    """

    id: str
    kind: str
    data: bytes


class _Ended(Exception):
    """Git ended instead of giving an answer.

    Args:
        errors: what it told.
    """

    def __init__(self, errors: bytes) -> None:
        super().__init__()
        self.errors = errors


class GitObjects:
    """The objects of one repository. Threads may share it.

    Args:
        program: starts Git.
    """

    def __init__(self, program: GitProgram) -> None:
        self._program = program
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: finalize[..., GitObjects] | None = None

    def read(self, names: Sequence[str], most: int | None = None) -> list[GitObject | None]:
        """Read objects.

        Args:
            names: ids, or what else Git takes for the name of an object, without line breaks.
            most: how many bytes of each to keep, None for all.

        Returns:
            For each name its object, None where there is none.

        Raises:
            RepoError: Git cannot be asked.
        """
        try:
            return self._read(names, most)
        except _Ended as ended:
            raise git_error("cat-file", ended.errors, self._program.root) from None

    def find(self, name: str) -> GitObject | None:
        """Read the object of a name that people typed: at some, such as an upstream that is not set, Git ends.

        Args:
            name: it, without line breaks.

        Returns:
            The object, None where there is none.

        Raises:
            RepoError: Git cannot be asked.
        """
        try:
            return self._read([name], None)[0]
        except _Ended as ended:
            if refused(ended.errors):
                raise git_error("cat-file", ended.errors, self._program.root) from None
            return None

    def contents(self, object_ids: Iterable[str]) -> dict[str, bytes]:
        """Read small files.

        Args:
            object_ids: full ids, in any order, also repeated.

        Returns:
            Id -> content; what is larger than a metafile may be is cut to one byte more than that.

        Raises:
            RepoError: Git cannot be asked, or lacks one.
        """
        wanted = list(dict.fromkeys(object_ids))
        found = zip(wanted, self.read(wanted, _MAX_METAFILE + 1), strict=True)
        return {name: _there(name, one).data for name, one in found}

    def close(self) -> None:
        """End the process, if one is open."""
        with self._lock:
            self._stop()

    def _read(self, names: Sequence[str], most: int | None) -> list[GitObject | None]:
        with self._lock:
            try:
                return [one for group in _groups(names) for one in self._ask(group, most)]
            except (EOFError, BrokenPipeError):
                raise _Ended(self._stop()) from None
            except BaseException:
                self._stop()  # what is still on its way would be taken for the next answer
                raise

    def _ask(self, names: Sequence[bytes], most: int | None) -> list[GitObject | None]:
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(b"".join(names))
        process.stdin.flush()
        return [_answer(process, most) for _ in names]

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = process = self._program.start(["-c", "core.warnAmbiguousRefs=false", "cat-file", "--batch"])
        self._end = finalize(self, _end_own, process, os.getpid())
        return process

    def _stop(self) -> bytes:
        ending, self._process, self._end = self._end, None, None
        return ending() or b"" if ending is not None else b""


def _end_own(process: subprocess.Popen[bytes], owner: int) -> bytes:
    """End a process, unless this one is a fork of the one that started it."""
    return end(process) if os.getpid() == owner else b""


def _groups(names: Iterable[str]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    length = 0
    for name in names:
        line = os.fsencode(name) + b"\n"
        if group and length + len(line) > _ASKED:
            yield group
            group, length = [], 0
        group.append(line)
        length += len(line)
    if group:
        yield group


def _answer(process: subprocess.Popen[bytes], most: int | None) -> GitObject | None:
    stream = process.stdout
    assert stream is not None
    line = stream.readline()
    head = _HEAD.fullmatch(line)
    if head is None:
        if not line.endswith(b"\n"):
            raise EOFError
        return None
    size = int(head[3])
    data = stream.read(size if most is None else min(size, most))
    rest = size + 1 - len(data)
    while rest:
        skipped = len(stream.read(min(rest, 1 << 20)))
        if not skipped:
            raise EOFError
        rest -= skipped
    return GitObject(head[1].decode("ascii"), head[2].decode("ascii"), data)


def _there(name: str, found: GitObject | None) -> GitObject:
    if found is None:
        raise RepoError(f"Git lacks the object {name}", hint="'git fsck' tells more, 'git fetch' may bring it")
    return found
