"""LocalRemote: objects as files below a folder, on a local disk or a network share."""

from __future__ import annotations

import builtins
import io
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from kist.abc import Capabilities, NullProgress, ObjectInfo, Options, Progress, Remote, RemoteURL
from kist.errors import InvalidOption, RemoteError, RemoteObjectNotFound
from kist.kit import storage_errors, temp_name
from kist.remotes.files import LimitedReader
from kist.remotes.wrapping import buffered
from kist_local.copying import copy_file
from kist_local.folder import Folders, checked_parts, folder_of, is_temporary, translated
from kist_local.options import LocalOptions
from kist_local.writing import NEW_FILE, Writer, opened_source

_TOGETHER = 16
"""Files that one call has open at once; several calls may be under way."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalRemote(Remote):
    """Keeps each object as a file of the key's path below a folder.

    Args:
        root: the folder; made by the first put.
        options: how to write.
    """

    capabilities = Capabilities(max_concurrency=16, if_absent=True, cheap_get=True)

    def __init__(self, root: Path, options: LocalOptions = LocalOptions()) -> None:
        self._root = Path(os.path.abspath(root))
        self._folders = Folders(self._root, options.modes(), sync=options.fsync)
        self._writer = Writer(self._folders)
        self._touched: set[str] = set()
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: RemoteURL, options: Options) -> LocalRemote:
        """Open ``file:///folder`` or a plain path.

        Args:
            url: the address; a host other than this machine makes no sense.
            options: a LocalOptions, or none of its values.

        Returns:
            The remote.

        Raises:
            InvalidOption: the URL names a host or no path.
        """
        if url.host not in ("", "localhost") or not url.path:
            raise InvalidOption(
                f"not the URL of a folder: {url}", hint="write a path, or file:///path with three slashes"
            )
        return cls(Path(url.path), options if isinstance(options, LocalOptions) else LocalOptions())

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Write beside the final name, wait for the disk, rename, wait for the folder."""
        with opened_source(source) as descriptor:
            self._writer.write(key, descriptor, if_absent=if_absent, progress=progress)
        self._writer.sync_folders({folder_of(key)})

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        progress: Progress = NullProgress(),
        scratch: Path | None = None,  # noqa: ARG002 (no file is needed)
    ) -> None:
        """Write beside the final name, likewise."""
        self._writer.write(key, data, if_absent=False, progress=progress)
        self._writer.sync_folders({folder_of(key)})

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Store many, and wait for the disk only once for some of them, and for each folder only once."""
        failed: dict[str, RemoteError] = {}
        folders: set[str] = set()
        waiting = iter(items)
        try:
            while some := list(islice(waiting, _TOGETHER)):
                failed |= self._writer.write_many(some, progress)
                folders.update(folder_of(key) for key, _ in some if key not in failed)
        finally:
            self._writer.sync_folders(folders)
        return failed

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Copy beside the target, by shared blocks where the file system has them, then rename."""
        source = self._open_object(key)
        temporary = target.with_name(temp_name(target.name))
        try:
            with storage_errors(target):
                writer = os.open(temporary, NEW_FILE, 0o666)
            try:
                with storage_errors(target):
                    copy_file(source, writer, progress.advance)
            finally:
                os.close(writer)
            with storage_errors(target):
                os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
            raise
        finally:
            os.close(source)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read the file, or a range of it."""
        reader = io.FileIO(self._open_object(key))
        reader.seek(start)
        return buffered(LimitedReader(reader, length, lambda: translated(key, self._root)))

    def stat(self, key: str) -> ObjectInfo:
        """Size and time of the file."""
        with self._folder(key) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise RemoteObjectNotFound(key)
        return _info(key, status)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk folder by folder; those that cannot hold the prefix are not read."""
        parts = prefix.split("/")[:-1]
        if any(part in ("", ".", "..") for part in parts):
            return
        pending = ["/".join(parts)]
        while pending:
            for key, status in self._scan(pending.pop()):
                if stat.S_ISDIR(status.st_mode):
                    if key.startswith(prefix) or prefix.startswith(key + "/"):
                        pending.append(key)
                elif stat.S_ISREG(status.st_mode) and key.startswith(prefix) and not is_temporary(key):
                    yield _info(key, status)

    def delete(self, key: str) -> None:
        """Unlink the file; its folder stays."""
        with suppress(RemoteObjectNotFound):
            with self._folder(key) as (folder, name):
                if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    return
                os.unlink(name, dir_fd=folder)
            with self._lock:
                self._touched.add(folder_of(key))

    def copy(self, source: str, target: str) -> None:
        """Copy below the folder, by shared blocks where the file system has them."""
        descriptor = self._open_object(source)
        try:
            self._writer.write(target, descriptor, if_absent=False, progress=NullProgress())
        finally:
            os.close(descriptor)
        self._writer.sync_folders({folder_of(target)})

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Look at each name; no request goes anywhere, so there is nothing to join."""
        found = dict.fromkeys(keys, False)
        for key in found:
            with suppress(RemoteObjectNotFound):
                self.stat(key)
                found[key] = True
        return found

    def sync(self) -> None:
        """Wait until deletions are durable too; what was put is already."""
        with self._lock:
            touched, self._touched = self._touched, set()
        self._writer.sync_folders(touched)

    def sweep(self) -> int:
        """Remove temporaries whose writer is dead: it held a lock on each."""
        removed = 0
        pending = [""]
        while pending:
            for path, status in self._scan(pending.pop()):
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)
                elif stat.S_ISREG(status.st_mode) and is_temporary(path):
                    removed += self._writer.remove_abandoned(path)
        return removed

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """Where the folder is and what we may do there."""
        if not self._root.is_dir():
            return [("folder", str(self._root)), ("access", "the folder is not there yet")]
        effective = os.access in os.supports_effective_ids
        writable = os.access(self._root, os.W_OK | os.X_OK, effective_ids=effective)
        return [("folder", str(self._root)), ("access", "read and write" if writable else "read only")]

    def close(self) -> None:
        """Nothing is held open between calls."""

    def __repr__(self) -> str:
        return f"LocalRemote({str(self._root)!r})"

    @contextmanager
    def _folder(self, key: str) -> Iterator[tuple[int, str]]:
        """The open folder of a key and its name there, for a block whose OSErrors are translated."""
        parts = checked_parts(key)
        with translated(key, self._root):
            descriptor = self._folders.open(parts[:-1])
            try:
                yield descriptor, parts[-1]
            finally:
                os.close(descriptor)

    def _open_object(self, key: str) -> int:
        with self._folder(key) as (folder, name):
            descriptor = os.open(name, _READ, dir_fd=folder)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
        os.close(descriptor)
        raise RemoteObjectNotFound(key)

    def _scan(self, folder: str) -> builtins.list[tuple[str, os.stat_result]]:
        """Everything in a folder, sorted, nothing where there is no such folder; links are not followed."""
        found = []
        start = f"{folder}/" if folder else ""
        try:
            with translated(folder, self._root):
                descriptor = self._folders.open(folder.split("/") if folder else [])
                try:
                    with os.scandir(descriptor) as entries:
                        for entry in entries:
                            with suppress(FileNotFoundError):
                                found.append((start + entry.name, entry.stat(follow_symlinks=False)))
                finally:
                    os.close(descriptor)
        except RemoteObjectNotFound:
            return []
        return sorted(found, key=lambda one: one[0])


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key=key, size=status.st_size, mtime=status.st_mtime)
