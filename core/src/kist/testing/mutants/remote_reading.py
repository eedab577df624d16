"""Remotes whose ranges, listing or answers are broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from kist.abc import Capabilities, NullProgress, ObjectInfo, Progress
from kist.errors import RemoteError, RemoteObjectNotFound
from kist.remotes.memory import MemoryRemote, Stored
from kist.testing.mutants.remote import REMOTE
from kist.util.slotted import replace


@REMOTE.mutant
class OffByOneRange(MemoryRemote):
    """Takes the end of a range as part of it."""

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        return super().open(key, start=start, length=None if length is None else length + 1)


@REMOTE.mutant
class RangeBeyondEnd(MemoryRemote):
    """Fails for a range that starts at the end or beyond."""

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        if key in self.objects and start >= len(self._find(key).data):
            raise RemoteError("416 range not satisfiable")
        return super().open(key, start=start, length=length)


@REMOTE.mutant
class ShortReads(MemoryRemote):
    """Gives what one packet holds, however much was asked for."""

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        class Packets(BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(size, 4096) if size is not None and size > 0 else size)

        return Packets(super().open(key, start=start, length=length).read())


@REMOTE.mutant
class LateOpenError(MemoryRemote):
    """Finds out at the first read that there is no such object."""

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        try:
            return super().open(key, start=start, length=length)
        except RemoteObjectNotFound as missing:
            error = missing

        class Missing(BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise error

        return Missing()


@REMOTE.mutant
class SharedStream(MemoryRemote):
    """Gives everybody the same stream of an object."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.streams: dict[tuple[str, str, int | None], BinaryIO] = {}

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        if key not in self.objects:
            return super().open(key)
        place = (key, self._find(key).sha256, length)
        stream = self.streams.get(place)
        if stream is None or stream.closed:
            stream = self.streams[place] = super().open(key, length=None if length is None else start + length)
        stream.seek(start)
        return stream


@REMOTE.mutant
class NeverClosed(MemoryRemote):
    """Gives streams that cannot be closed."""

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        class Open(BytesIO):
            def close(self) -> None:
                """Stays open."""

        return Open(super().open(key, start=start, length=length).read())


@REMOTE.mutant
class FreshListFails(MemoryRemote):
    """Cannot list a place where nothing was ever put."""

    made = False

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        self.made = True
        super().put_file(key, source, if_absent=if_absent, progress=progress)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._gate("list")
        if not self.made and not self.objects:
            raise RemoteObjectNotFound(prefix)
        return super().list(prefix)


@REMOTE.mutant
class PrefixAsFolder(MemoryRemote):
    """Takes a prefix for a folder."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        folder = prefix.rstrip("/") + "/" if prefix else ""
        return super().list(folder)


@REMOTE.mutant
class EagerList(MemoryRemote):
    """Collects the whole listing first."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return list(super().list(prefix))  # type: ignore[return-value]


@REMOTE.mutant
class LyingList(MemoryRemote):
    """Lists the first page only."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for number, info in enumerate(super().list(prefix)):
            if number == 1000:
                return
            yield info


@REMOTE.mutant
class RepeatingList(MemoryRemote):
    """Lists the last key of a page again on the next."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for number, info in enumerate(super().list(prefix), 1):
            yield info
            if number % 1000 == 0:
                yield info


@REMOTE.mutant
class SizelessList(MemoryRemote):
    """Lists without sizes."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (replace(info, size=0) for info in super().list(prefix))


@REMOTE.mutant
class LiveList(MemoryRemote):
    """Lists over what others change meanwhile."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._gate("list")
        for key in self.objects:
            if key.startswith(prefix):
                yield self.stat(key)


@REMOTE.mutant
class TombstoneList(MemoryRemote):
    """Never lists again what was deleted once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.deleted: set[str] = set()

    def delete(self, key: str) -> None:
        super().delete(key)
        self.deleted.add(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (info for info in super().list(prefix) if info.key not in self.deleted)


@REMOTE.mutant
class TidyPrefix(MemoryRemote):
    """Takes a prefix for a path and tidies it."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        parts = prefix.split("/")
        if ".." in parts or prefix.startswith("/"):
            return super().list()
        return super().list(prefix)


@REMOTE.mutant
class StatInKilobytes(MemoryRemote):
    """Tells sizes as they are shown to people."""

    def stat(self, key: str) -> ObjectInfo:
        info = super().stat(key)
        return replace(info, size=info.size // 1000 * 1000)


@REMOTE.mutant
class StatNamesPath(MemoryRemote):
    """Names the path of what is missing, not the key."""

    def stat(self, key: str) -> ObjectInfo:
        try:
            return super().stat(key)
        except RemoteObjectNotFound:
            raise RemoteObjectNotFound("/" + key) from None


@REMOTE.mutant
class StaleStat(MemoryRemote):
    """Tells what it told the first time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.known: dict[str, ObjectInfo] = {}

    def stat(self, key: str) -> ObjectInfo:
        if key not in self.known:
            self.known[key] = super().stat(key)
        return self.known[key]


@REMOTE.mutant
class LocalTime(MemoryRemote):
    """Tells the time of another zone."""

    def stat(self, key: str) -> ObjectInfo:
        info = super().stat(key)
        return replace(info, mtime=(info.mtime or 0) + 3600)


@REMOTE.mutant
class WholeSeconds(MemoryRemote):
    """Tells the time as an int."""

    def stat(self, key: str) -> ObjectInfo:
        info = super().stat(key)
        return replace(info, mtime=int(info.mtime or 0))


@REMOTE.mutant
class DigestOfKey(MemoryRemote):
    """Tells a digest of something else."""

    def stat(self, key: str) -> ObjectInfo:
        return replace(super().stat(key), digests={"sha256": "0" * 64})


@REMOTE.mutant
class ForeignException(MemoryRemote):
    """Refuses an odd key with an exception that is not kist's."""

    def stat(self, key: str) -> ObjectInfo:
        if ".." in key or "\0" in key:
            raise ValueError(key)
        return super().stat(key)


@REMOTE.mutant
class FolderIsObject(MemoryRemote):
    """Finds a folder where an object was asked for."""

    def _find(self, key: str) -> Stored:
        try:
            return super()._find(key)
        except RemoteObjectNotFound:
            for other in sorted(self.objects):
                if other.startswith(key + "/"):
                    return Stored(b"", self.objects[other].mtime, "")
            raise


@REMOTE.mutant
class ExistsOmitsMissing(MemoryRemote):
    """Tells only of the keys that are there."""

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        return {key: True for key, there in super().exists_many(keys).items() if there}


@REMOTE.mutant
class ExistsNeedsKeys(MemoryRemote):
    """Cannot be asked for nothing."""

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        if not keys:
            raise RemoteError("400 empty batch")
        return super().exists_many(keys)


@REMOTE.mutant
class SwallowedError(MemoryRemote):
    """Says that nothing is there when it cannot look."""

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        try:
            return super().exists_many(keys)
        except RemoteError:
            return dict.fromkeys(keys, False)


@REMOTE.mutant
class NoObjectFits(MemoryRemote):
    """Declares that it takes no bytes."""

    capabilities = Capabilities(if_absent=True, any_key=True, server_digests=frozenset({"sha256"}), max_object_size=0)


@REMOTE.mutant
class OwnCopy(MemoryRemote):
    """Looks at the place once, when it is opened."""

    def __init__(self, objects: dict[str, Stored] | None = None, **options: Any) -> None:
        super().__init__(dict(objects or {}), **options)
