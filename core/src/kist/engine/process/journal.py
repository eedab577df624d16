"""Journal: what a command is about to do to the workspace, so that the next one can finish it after a kill.

``<folder>/<token>/record`` is written and synced before the first change and locked by the kernel as long as its owner
lives. Records count only in a folder that belongs to the user and that nobody else may write.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kist.engine.process.locks import NO_FLOCK
from kist.engine.process.scratch import owner_gone
from kist.errors import RepoNotOwned
from kist.util.atomic import new_token, storage_errors, sync_directory, write_all
from kist.util.json_text import load_json

_FORMAT = b"kist-journal/1\n"
_RECORD = "record"
_UNFINISHED = ".new-"
"""Records whose writer has not begun to change anything yet."""
_OLD = 3600 * 10**9


class JournalRecord:
    """One intent, held by a lock; as a context manager it is done when the block ends well, else it stays.

    Attributes:
        token: its name, also part of the names of temporary files of the work.
        header: what is done: ``verb``, ``output``, ``target`` and more, JSON values.
        data: whatever else is needed to finish.
    """

    def __init__(self, path: Path, descriptor: int, header: Mapping[str, Any], data: bytes) -> None:
        self._path = path
        self._descriptor = descriptor
        self.token = path.name
        self.header = dict(header)
        self.data = data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.done()
        else:
            self.release()

    def done(self) -> None:
        """The work is finished or undone: remove the record.

        Raises:
            StorageError: it cannot be removed.
        """
        with storage_errors(self._path):
            (self._path / _RECORD).unlink(missing_ok=True)
            shutil.rmtree(self._path, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let go of the record and leave it for the next command; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Journal:
    """The records of one worktree.

    Args:
        folder: the journal's folder, made (0700) with the first record.
        sync: whether records wait for the disk (``core.fsync`` is not ``off``).
    """

    def __init__(self, folder: Path, *, sync: bool = True) -> None:
        self._folder = folder
        self._sync = sync

    def begin(self, header: Mapping[str, Any], data: bytes = b"", *, token: str = "") -> JournalRecord:
        """Record an intent before the first change.

        Args:
            header: what is about to be done, JSON values.
            data: whatever else is needed to finish.
            token: the record's name, a new one by default.

        Returns:
            The record, locked by this process.

        Raises:
            RepoNotOwned: the folder belongs to somebody else.
            StorageError: the record cannot be made durable; nothing has changed.
        """
        with storage_errors(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_owner()
            path = self._folder / (token or new_token())
            unfinished = self._folder / (_UNFINISHED + path.name)
            unfinished.mkdir(mode=0o700)
            descriptor = os.open(
                unfinished / _RECORD, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            try:
                _lock(descriptor)
                write_all(descriptor, _dump(header, data))
                if self._sync:
                    os.fsync(descriptor)
                    sync_directory(unfinished)
                unfinished.rename(path)
                if self._sync:
                    sync_directory(self._folder)
            except BaseException:
                os.close(descriptor)
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
        return JournalRecord(path, descriptor, header, data)

    def pending(self) -> Iterator[JournalRecord]:
        """The records of dead processes, oldest first; each is locked by this process until released or done.

        Records that cannot be read are removed: the workspace then shows as it is in ``status``, and nothing is lost.

        Raises:
            RepoNotOwned: the folder belongs to somebody else.
        """
        if not self._folder.is_dir():
            return
        self._check_owner()
        with storage_errors(self._folder):
            paths = sorted(self._folder.iterdir(), key=lambda path: (_mtime(path), path.name))
        for path in paths:
            record = _take(path)
            if record is not None:
                yield record

    def _check_owner(self) -> None:
        found = os.lstat(self._folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise RepoNotOwned(
                f"the journal {self._folder} is not a folder that only you can write",
                path=str(self._folder),
                hint="look who made it; remove it if it is not yours",
            )


def _mtime(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        # Without kernel locks nobody can tell who lives; writers are serialised by the repository's lock there.
        if exc.errno not in NO_FLOCK:
            raise
    return True


def _take(path: Path) -> JournalRecord | None:
    """Lock and read a record; None if its owner lives, it is gone, or it is not valid (then it is removed)."""
    try:
        descriptor = os.open(path / _RECORD, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        # Its owner has just removed it, or was killed before it wrote (then nothing was changed).
        if not path.name.startswith(_UNFINISHED) or owner_gone(path.name) or time.time_ns() - _mtime(path) > _OLD:
            shutil.rmtree(path, ignore_errors=True)
        return None
    except OSError:
        return None
    keep = False
    try:
        if not _lock(descriptor) or not _still_there(descriptor, path / _RECORD):
            return None
        content = None if path.name.startswith(_UNFINISHED) else _load(descriptor)
        if content is None:
            shutil.rmtree(path, ignore_errors=True)
            return None
        keep = True
        return JournalRecord(path, descriptor, *content)
    finally:
        if not keep:
            os.close(descriptor)


def _still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _dump(header: Mapping[str, Any], data: bytes) -> bytes:
    line = json.dumps(header, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    return _FORMAT + line + b"sha256:" + hashlib.sha256(line + data).hexdigest().encode() + b"\n" + data


def _load(descriptor: int) -> tuple[dict[str, Any], bytes] | None:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        content = file.read()
    if os.fstat(descriptor).st_uid != os.geteuid() or not content.startswith(_FORMAT):
        return None
    line, _, rest = content[len(_FORMAT) :].partition(b"\n")
    digest, _, data = rest.partition(b"\n")
    if digest != b"sha256:" + hashlib.sha256(line + b"\n" + data).hexdigest().encode():
        return None
    try:
        header = load_json(line)
    except ValueError:
        return None
    return (header, data) if isinstance(header, dict) else None
