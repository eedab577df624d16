"""Relocate: move a workspace path inside the repository, and finish what killed commands began."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from kist.engine.process.journal import Journal, JournalRecord
from kist.engine.workspace.folders import Folders, lstat_or_none, name_of, parent_of, sweep_temporaries
from kist.errors import KistError, PathConflict, PathNotTracked, StorageError, WorkspaceError
from kist.util.atomic import DENIED, storage_error, storage_errors
from kist.util.paths import check_path, display, inside
from kist.util.slotted import slotted


@slotted(frozen=True)
class Finished:
    """What became of a killed command.

    Attributes:
        header: what it was to do.
        error: why it could not be finished, None if it was.
    """

    header: Mapping[str, object]
    error: KistError | None = None


def move_path(
    root: Path, source: bytes, target: bytes, journal: Journal, *, intent: Mapping[str, object]
) -> JournalRecord:
    """Rename a file or folder inside the repository, never over something else.

    The caller still has the metafiles to change; it calls ``done()`` on the record after that, so that a kill between
    the two is finished by the next command.

    Args:
        root: the repository's folder.
        source: what is moved, relative to it.
        target: where it shall be; folders above are made.
        journal: where the intent is recorded.
        intent: what else the next command needs; ``verb``, ``source`` and ``target`` are added.

    Returns:
        The record, to be marked done.

    Raises:
        PathNotTracked: there is nothing at *source*.
        PathConflict: something stands at *target*, or a symlink in the way, or the target lies inside the source.
        StorageError: the system refuses, for example because the two are on different file systems.
    """
    check_move(root, source, target)
    with storage_errors(root):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        header = {**intent, "verb": "move", "source": os.fsdecode(source), "target": os.fsdecode(target)}
        record = journal.begin(header)
        try:
            _rename(descriptor, source, target)
        except BaseException:
            if _present(descriptor, source):
                record.done()
            else:
                record.release()
            raise
        return record
    finally:
        os.close(descriptor)


def _present(root: int, path: bytes) -> bool:
    with Folders(root) as folders:
        try:
            return lstat_or_none(name_of(path), folders.open(parent_of(path))) is not None
        except FileNotFoundError:
            return False


def check_move(root: Path, source: bytes, target: bytes) -> None:
    """Look whether :func:`move_path` can be done; nothing is changed.

    Args:
        root: the repository's folder.
        source: what is to be moved, relative to it.
        target: where it shall be.

    Raises:
        KistError: see :func:`move_path`.
    """
    check_path(source)
    check_path(target)
    if inside(target, source):
        raise PathConflict(f"{display(source)} cannot be moved into itself", path=display(target))
    with storage_errors(root):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        there, taken = _present(descriptor, source), _present(descriptor, target)
    finally:
        os.close(descriptor)
    if not there:
        raise PathNotTracked(f"there is no {display(source)}", path=display(source))
    if taken:
        raise PathConflict(
            f"{display(target)} exists already", path=display(target), hint="move it away, or name another target"
        )


def _rename(root: int, source: bytes, target: bytes) -> None:
    with Folders(root) as one, Folders(root) as other:
        here = one.open(parent_of(source))
        there = other.open(parent_of(target), make=True)
        try:
            os.rename(name_of(source), name_of(target), src_dir_fd=here, dst_dir_fd=there)
        except OSError as exc:
            if exc.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
                raise PathConflict(f"{display(target)} appeared meanwhile", path=display(target)) from exc
            raise storage_error(exc, source) from exc


def undo_move(root: Path, record: JournalRecord) -> bool:
    """Put back what a killed move had renamed, if its metafiles were not changed yet.

    Args:
        root: the repository's folder.
        record: the move's record.

    Returns:
        Whether the source is in its place again.

    Raises:
        PathConflict: a symlink stands in the way.
        StorageError: the system refuses.
    """
    source, target = (os.fsencode(str(record.header[key])) for key in ("source", "target"))
    for path in (source, target):
        check_path(path)
    with storage_errors(root):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _present(descriptor, source) and _present(descriptor, target):
            _rename(descriptor, target, source)
        return _present(descriptor, source)
    finally:
        os.close(descriptor)


def finish_pending(
    root: Path, journal: Journal, finishers: Mapping[str, Callable[[JournalRecord], None]]
) -> list[Finished]:
    """Finish what killed commands left: their temporaries are removed, their work is done again or undone.

    Work that would now lose changes of the user's, or that the system forbids, is given up: every file is old or new by
    then, and ``status`` shows which.

    Args:
        root: the repository's folder.
        journal: its journal.
        finishers: what to do by ``verb``: plans the work anew from the header and does it, as that command would;
            a ``move`` without a finisher is undone. Other verbs without one are given up.

    Returns:
        What was finished, and what was given up and why.

    Raises:
        KistError: a finisher failed for another reason, such as a full disk; its record stays for the next command.
    """
    done: list[Finished] = []
    for record in journal.pending():
        try:
            verb = str(record.header.get("verb", ""))
            error: KistError | None = None
            try:
                _sweep(root, record)
                if verb in finishers:
                    finishers[verb](record)
                elif verb == "move":
                    undo_move(root, record)
                else:
                    error = WorkspaceError(f"nobody here can finish a killed '{verb}'", hint="look at 'kist status'")
            except WorkspaceError as exc:
                error = exc
            except StorageError as exc:
                if exc.errno not in DENIED:
                    raise
                error = exc
            record.done()
            done.append(Finished(record.header, error))
        finally:
            record.release()
    return done


def _sweep(root: Path, record: JournalRecord) -> None:
    with storage_errors(root):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sweep_temporaries(descriptor, record.data.split(b"\0"), record.token)
        finally:
            os.close(descriptor)
