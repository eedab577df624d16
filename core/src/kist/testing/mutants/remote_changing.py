"""Remotes whose delete, batches, conditions, errors or manners are broken."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from kist.abc import NullProgress, ObjectInfo, Progress
from kist.errors import (
    RemoteAuthError,
    RemoteError,
    RemoteExists,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemoteUnavailable,
)
from kist.remotes.files import read_source
from kist.remotes.memory import MemoryRemote, Stored
from kist.testing.mutants.remote import REMOTE, SECRET


@REMOTE.mutant
class DeleteRaises(MemoryRemote):
    """Fails to delete what is not there."""

    def delete(self, key: str) -> None:
        super().delete(key) if key in self.objects else self.stat(key)


@REMOTE.mutant
class DeleteByPrefix(MemoryRemote):
    """Deletes every key that begins alike."""

    def delete(self, key: str) -> None:
        self._gate("delete")
        for other in list(self.objects):
            if other.startswith(key):
                self.objects.pop(other, None)


@REMOTE.mutant
class DeleteRace(MemoryRemote):
    """Fails when another was faster to delete."""

    def delete(self, key: str) -> None:
        self._gate("delete")
        if key in self.objects:
            time.sleep(0.001)
            try:
                del self.objects[key]
            except KeyError:
                raise RemoteError("404 while deleting") from None


@REMOTE.mutant
class ReadsDeleted(MemoryRemote):
    """Still opens what was deleted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: dict[str, Stored] = {}

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        if key in self.objects:
            self.seen[key] = self.objects[key]
        elif key in self.seen:
            return MemoryRemote(self.seen).open(key, start=start, length=length)
        return super().open(key, start=start, length=length)

    def delete(self, key: str) -> None:
        if key in self.objects:
            self.seen[key] = self.objects[key]
        super().delete(key)


@REMOTE.mutant
class GetManyRaises(MemoryRemote):
    """Stops at the first object that is missing."""

    def get_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        for key, target in items:
            self.get_file(key, target, progress=progress)
        return {}


@REMOTE.mutant
class SilentBatch(MemoryRemote):
    """Tells nothing while it stores many."""

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        return super().put_many(items)


@REMOTE.mutant
class BatchRaises(MemoryRemote):
    """Raises the first failure of a batch."""

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        failed = super().put_many(items, progress=progress)
        for error in failed.values():
            raise error
        return failed


@REMOTE.mutant
class DeleteManyReportsMissing(MemoryRemote):
    """Takes a key that is not there as one that could not be deleted."""

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        missing: dict[str, RemoteError] = {key: RemoteObjectNotFound(key) for key in keys if key not in self.objects}
        return {**super().delete_many(keys), **missing}


@REMOTE.mutant
class CopyMoves(MemoryRemote):
    """Moves instead of copying."""

    def copy(self, source: str, target: str) -> None:
        self.objects[target] = self._find(source)
        del self.objects[source]


@REMOTE.mutant
class CopyMakesEmpty(MemoryRemote):
    """Copies what is not there as an empty object."""

    def copy(self, source: str, target: str) -> None:
        empty = Stored(b"", time.time(), hashlib.sha256(b"").hexdigest())
        self.objects[target] = self.objects.get(source, empty)


@REMOTE.mutant
class SweepsObjects(MemoryRemote):
    """Takes objects for left-overs."""

    def sweep(self) -> int:
        count = len(self.objects)
        self.objects.clear()
        return count


class Conditional(MemoryRemote):
    """Base of mutants that get ``if_absent`` wrong."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """As the reference, but for the condition."""
        self._gate("put_file")
        data = b"".join(read_source(source, progress))
        new = Stored(data, time.time(), hashlib.sha256(data).hexdigest())
        if not if_absent or self.may_put(key, new):
            self.objects[key] = new

    def may_put(self, key: str, new: Stored) -> bool:
        """Whether to store although *if_absent* was asked.

        Args:
            key: the key.
            new: what is to be stored.

        Returns:
            False to store nothing, silently.

        Raises:
            RemoteExists: as the contract asks.
        """
        raise RemoteExists(key)


@REMOTE.mutant
class ConditionIgnored(Conditional):
    """Knows no conditions but declares them, as some servers do."""

    def may_put(self, key: str, new: Stored) -> bool:
        return True


@REMOTE.mutant
class CheckThenPut(Conditional):
    """Looks first and puts then, so that several win."""

    def may_put(self, key: str, new: Stored) -> bool:
        if key in self.objects:
            raise RemoteExists(key)
        time.sleep(0.002)
        return True


@REMOTE.mutant
class SameIsFine(Conditional):
    """Takes the same bytes as if they were its own."""

    def may_put(self, key: str, new: Stored) -> bool:
        if (old := self.objects.setdefault(key, new)) is not new and old.data != new.data:
            raise RemoteExists(key)
        return False


@REMOTE.mutant
class NeverStores(Conditional):
    """Checks the condition and forgets to store."""

    def may_put(self, key: str, new: Stored) -> bool:
        if key in self.objects:
            raise RemoteExists(key)
        return False


@REMOTE.mutant
class RemembersDeleted(Conditional):
    """Takes a deleted key as taken."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.deleted: set[str] = set()

    def delete(self, key: str) -> None:
        super().delete(key)
        self.deleted.add(key)

    def may_put(self, key: str, new: Stored) -> bool:
        if key in self.deleted or self.objects.setdefault(key, new) is not new:
            raise RemoteExists(key)
        return False


@REMOTE.mutant
class NotThreadSafe(MemoryRemote):
    """Collects what arrives where all callers collect."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        if if_absent:
            super().put_file(key, source, if_absent=True, progress=progress)
            return
        self._gate("put_file")
        self.pieces: list[bytes] = []
        for piece in read_source(source, progress):
            time.sleep(0.0005)
            self.pieces.append(piece)
        data = b"".join(self.pieces)
        self.objects[key] = Stored(data, time.time(), hashlib.sha256(data).hexdigest())


@REMOTE.mutant
class LostUpdate(MemoryRemote):
    """Writes back a catalogue that another has changed meanwhile."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        before = dict(self.objects)
        super().put_file(key, source, if_absent=if_absent, progress=progress)
        mine = self.objects[key]
        if not if_absent:
            time.sleep(0.0005)
            for other in set(self.objects) - set(before) - {key}:
                self.objects.pop(other, None)
            self.objects[key] = mine


@REMOTE.mutant
class AuthIsRetried(MemoryRemote):
    """Takes refused credentials for a passing failure."""

    def stat(self, key: str) -> ObjectInfo:
        try:
            return super().stat(key)
        except RemoteAuthError as exc:
            raise RemoteUnavailable(str(exc)) from exc


@REMOTE.mutant
class OutageIsFinal(MemoryRemote):
    """Takes an outage for good."""

    def stat(self, key: str) -> ObjectInfo:
        try:
            return super().stat(key)
        except RemoteUnavailable as exc:
            raise RemoteError(str(exc)) from exc


@REMOTE.mutant
class SilentlyReadOnly(MemoryRemote):
    """Says that it stored what it may not store."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        try:
            super().put_file(key, source, if_absent=if_absent, progress=progress)
        except RemotePermissionError:
            return


@REMOTE.mutant
class LeakySecret(MemoryRemote):
    """Shows a secret in its repr."""

    def __repr__(self) -> str:
        return f"LeakySecret(token={SECRET!r})"


@REMOTE.mutant
class LeakyError(MemoryRemote):
    """Shows a secret in an error."""

    def stat(self, key: str) -> ObjectInfo:
        try:
            return super().stat(key)
        except RemoteAuthError as exc:
            raise RemoteAuthError(f"the token {SECRET} is refused") from exc


@REMOTE.mutant
class LeakyLog(MemoryRemote):
    """Logs a secret."""

    def stat(self, key: str) -> ObjectInfo:
        logging.getLogger("kist.remote").debug("GET %s with %s", key, SECRET)
        return super().stat(key)


@REMOTE.mutant
class LeakyAccess(MemoryRemote):
    """Shows a secret to ``kist doctor``."""

    def describe_access(self) -> Sequence[tuple[str, str]]:
        return [("token", SECRET)]


@REMOTE.mutant
class LeakyIdentity(MemoryRemote):
    """Has a secret in what it calls whoever asks."""

    def identity(self) -> str:
        return f"the token {SECRET}"


@REMOTE.mutant
class Talkative(MemoryRemote):
    """Prints."""

    def stat(self, key: str) -> ObjectInfo:
        print("stat", key)  # noqa: T201 (the fault)
        return super().stat(key)


@REMOTE.mutant
class ClosesOnce(MemoryRemote):
    """Fails when it is closed again."""

    def close(self) -> None:
        del self._gate


@REMOTE.mutant
class ClosesOnlyUsed(MemoryRemote):
    """Fails to close a connection that was never opened."""

    def close(self) -> None:
        if not hasattr(self, "connection"):
            raise AttributeError("connection")

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        super().put_file(key, source, if_absent=if_absent, progress=progress)
        self.connection = True


@REMOTE.mutant
class LeavesThread(MemoryRemote):
    """Leaves a thread behind that keeps the process from ending."""

    def close(self) -> None:
        threading.Thread(target=time.sleep, args=(0.2,)).start()


@REMOTE.mutant
class LeavesFileOpen(MemoryRemote):
    """Opens a file for each listing and closes none."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.left: list[int] = []

    def delete(self, key: str) -> None:
        self.left.append(os.open(os.devnull, os.O_RDONLY))
        super().delete(key)

    def __del__(self) -> None:
        for descriptor in self.left:
            os.close(descriptor)
