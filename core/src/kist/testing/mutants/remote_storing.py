"""Remotes whose put or get is broken."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

from kist.abc import NullProgress, ObjectInfo, Progress
from kist.errors import RemoteError, RemoteExists, RemoteObjectNotFound, RemoteUnavailable, StorageError
from kist.remotes.files import read_source, write_target
from kist.remotes.memory import MemoryRemote, Stored
from kist.testing.mutants.remote import REMOTE


def stored(data: bytes) -> Stored:
    """An object as MemoryRemote keeps it.

    Args:
        data: its bytes.

    Returns:
        The object.
    """
    return Stored(data, time.time(), hashlib.sha256(data).hexdigest())


class Changed(MemoryRemote):
    """Base of mutants that store something else than they were given."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        """What is stored instead.

        Args:
            key: the key.
            data: the bytes.

        Returns:
            Key and bytes, None for nothing at all.
        """
        return key, data

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """As the reference, but for the change."""
        self._gate("put_file")
        changed = self.change(key, b"".join(read_source(source, progress)))
        if changed is None:
            return
        key, new = changed[0], stored(changed[1])
        if not if_absent:
            self.objects[key] = new
        elif self.objects.setdefault(key, new) is not new:
            raise RemoteExists(key)


@REMOTE.mutant
class TruncatingPut(Changed):
    """Stores the first part of a large object."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        return key, data[: 8 << 20]


@REMOTE.mutant
class EmptyIgnored(Changed):
    """Does not store an object without bytes."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        return (key, data) if data else None


@REMOTE.mutant
class LongKeyCut(Changed):
    """Cuts long keys."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        return key[:128], data


@REMOTE.mutant
class PercentDecoding(Changed):
    """Takes a key as part of a URL."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        return unquote(key), data


@REMOTE.mutant
class CaseFolding(Changed):
    """Keeps keys in lower case."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        return key.lower(), data


@REMOTE.mutant
class SuffixIgnored(Changed):
    """Takes what precedes the last dot as the object's name, so that one replaces the other."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        self.objects.pop(key.rpartition(".")[0], None)
        return key, data


@REMOTE.mutant
class RefusesSame(Changed):
    """Takes the same bytes under the same key for a mistake."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        if (old := self.objects.get(key)) and old.data == data:
            raise RemoteExists(key)
        return key, data


@REMOTE.mutant
class OverwriteInPlace(Changed):
    """Leaves the tail of a longer object that was there."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        old = self.objects.get(key)
        return key, data + (old.data[len(data) :] if old else b"")


@REMOTE.mutant
class DeletedForever(Changed):
    """Never stores again what was deleted."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.seen: set[str] = set()

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        if key in self.seen and key not in self.objects:
            return None
        self.seen.add(key)
        return key, data


@REMOTE.mutant
class NormalisesKeys(Changed):
    """Takes a key as a path and tidies it."""

    def change(self, key: str, data: bytes) -> tuple[str, bytes] | None:
        parts = [part for part in key.split("/") if part not in ("", ".", "..")]
        return "/".join(parts), data


@REMOTE.mutant
class MovesSource(MemoryRemote):
    """Takes the file away that it was given."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        super().put_file(key, source, if_absent=if_absent, progress=progress)
        source.unlink()


@REMOTE.mutant
class SourceErrorSwallowed(MemoryRemote):
    """Stores nothing for a file that cannot be read, and says nothing."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        try:
            super().put_file(key, source, if_absent=if_absent, progress=progress)
        except StorageError:
            self.objects[key] = stored(b"")


class Hiding(MemoryRemote):
    """Base of mutants that keep things of their own at the location, which the listing hides."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """As the reference, without what is hidden."""
        return (info for info in super().list(prefix) if not info.key.startswith("~"))


@REMOTE.mutant
class LeavesSidecar(Hiding):
    """Keeps a second file beside each object."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        super().put_file(key, source, if_absent=if_absent, progress=progress)
        self.objects["~" + key] = stored(b"sidecar")


@REMOTE.mutant
class LeavesAbortedPut(Hiding):
    """Leaves what had arrived of a put that was broken off."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        self.objects["~temporary"] = stored(b"")
        super().put_file(key, source, if_absent=if_absent, progress=progress)
        self.objects.pop("~temporary", None)


@REMOTE.mutant
class KnowsOnlyItsOwn(MemoryRemote):
    """Finds only what this instance put."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.own = set(self.objects)

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        super().put_file(key, source, if_absent=if_absent, progress=progress)
        self.own.add(key)

    def _find(self, key: str) -> Stored:
        if key not in self.own:
            raise RemoteObjectNotFound(key)
        return super()._find(key)


@REMOTE.mutant
class TornPut(MemoryRemote):
    """Lets an object grow under its name."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        self._gate("put_file")
        if if_absent and key in self.objects:
            raise RemoteExists(key)
        data = b""
        with source.open("rb") as reader:
            while piece := reader.read(1 << 16):
                data += piece
                self.objects[key] = stored(data)
                progress.advance(len(piece))
        self.objects[key] = stored(data)


@REMOTE.mutant
class StuckAfterAbort(MemoryRemote):
    """Takes a put that was broken off as one that is still under way."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.stuck: set[str] = set()

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        if key in self.stuck:
            raise RemoteUnavailable("an upload is under way")
        try:
            super().put_file(key, source, if_absent=if_absent, progress=progress)
        except BaseException as exc:
            if not isinstance(exc, RemoteError):
                self.stuck.add(key)
            raise


@REMOTE.mutant
class PlaceholderFirst(MemoryRemote):
    """Makes an empty object first, and removes it when the put fails."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        if if_absent or key in self.objects:
            super().put_file(key, source, if_absent=if_absent, progress=progress)
            return
        try:
            self.objects[key] = stored(b"")
            super().put_file(key, source, progress=progress)
        except BaseException:
            self.objects.pop(key, None)
            raise


@REMOTE.mutant
class DoubleProgress(MemoryRemote):
    """Tells of every byte when it is read and when it is sent."""

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        super().put_file(key, source, if_absent=if_absent, progress=progress)
        progress.advance(source.stat().st_size)


@REMOTE.mutant
class NewlineTranslation(MemoryRemote):
    """Takes objects for text."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        super().get_file(key, target, progress=progress)
        target.write_bytes(target.read_bytes().replace(b"\r\n", b"\n"))


@REMOTE.mutant
class AppendingGet(MemoryRemote):
    """Appends to the file that is in the place of the target."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        old = target.read_bytes() if target.exists() else b""
        super().get_file(key, target, progress=progress)
        target.write_bytes(old + target.read_bytes())


@REMOTE.mutant
class NamesNoKey(MemoryRemote):
    """Says that something is missing but not what."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        try:
            super().get_file(key, target, progress=progress)
        except RemoteObjectNotFound:
            raise RemoteObjectNotFound("") from None


@REMOTE.mutant
class TargetFirst(MemoryRemote):
    """Makes the target before it knows whether there is an object."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        write_target(target, [])
        super().get_file(key, target, progress=progress)


@REMOTE.mutant
class LeavesPart(MemoryRemote):
    """Leaves a file beside the target."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        super().get_file(key, target, progress=progress)
        target.with_name(target.name + ".part").touch()


@REMOTE.mutant
class ForeignDiskError(MemoryRemote):
    """Lets the system's error through when the target cannot be written."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        try:
            super().get_file(key, target, progress=progress)
        except StorageError as exc:
            raise OSError(exc.errno, str(exc)) from None


@REMOTE.mutant
class WritesIntoTarget(MemoryRemote):
    """Writes straight into the target, which stays when the get is broken off."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        try:
            super().get_file(key, target, progress=progress)
        except RemoteError:
            raise
        except BaseException as exc:
            if not isinstance(exc, StorageError):
                target.write_bytes(b"part")
            raise


@REMOTE.mutant
class OneDownloadName(MemoryRemote):
    """Downloads everything under one temporary name."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        part = target.with_name(".download")
        super().get_file(key, part, progress=progress)
        time.sleep(0.001)
        try:
            os.replace(part, target)
        except OSError as exc:
            raise RemoteError(str(exc)) from exc


@REMOTE.mutant
class NoGetProgress(MemoryRemote):
    """Tells nothing while it brings a file."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        super().get_file(key, target)


@REMOTE.mutant
class WrapsAbort(MemoryRemote):
    """Takes what progress raises for a failure of the remote."""

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        try:
            super().get_file(key, target, progress=progress)
        except (RemoteError, StorageError):
            raise
        except Exception as exc:
            raise RemoteError(str(exc)) from exc


@REMOTE.mutant
class PutManyNeedsList(MemoryRemote):
    """Takes only a list of items."""

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        return super().put_many([items[at] for at in range(len(items))], progress=progress)  # type: ignore[index, arg-type]
