"""FsspecRemote: any fsspec filesystem as a remote; the only module of the remotes that imports fsspec."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, BinaryIO

from kist.abc import Capabilities, NullProgress, ObjectInfo, Options, Progress, Remote, RemoteURL, option
from kist.abc.options import declared_options
from kist.errors import InvalidOption, RemoteError, RemoteExists, RemoteObjectNotFound
from kist.remotes.failures import Translator
from kist.remotes.files import RangeReader, check_key, read_data, read_pieces, read_source, write_target
from kist.remotes.wrapping import buffered
from kist.util.slotted import replace

_BLOCK = 8 << 20
"""Bytes of one range request."""

_TEMPORARY = ".kist-tmp"
"""Folder for what is being written; no key starts with a dot."""

_ABANDONED = 24 * 3600.0
"""Seconds after which a temporary belongs to nobody any more: no lock says so across a network."""


@dataclass(frozen=True, kw_only=True)
class FsspecOptions(Options):
    """Options of a remote that has no more than its fsspec filesystem's."""

    storage_options: str | None = option(
        None, help="arguments of the fsspec filesystem, as a JSON object; may hold secrets", secret=True
    )


class FsspecRemote(Remote):
    """Keeps objects in a folder or bucket of any fsspec filesystem.

    A filesystem is taken as one whose files appear when they are opened and not when they are closed, so objects are
    written under a temporary name and moved. Nothing is contacted before the first call.

    Args:
        scheme: the protocol under which fsspec knows the filesystem.
        url: where the objects lie.
        options: ``storage_options`` is read as JSON; every other field that is set becomes an argument of the
            filesystem with its name.
        capabilities: what is known of this filesystem. With ``if_absent`` its ``put_file`` is called with
            ``mode="create"`` and must be the one winner of many or raise FileExistsError.
        commits_on_close: whether the filesystem's own ``put_file`` is all or nothing, as that of object stores is;
            objects are then sent to their final name at once.
        move: gives a file another name, replacing what is there: called with the filesystem and both paths. None: its
            ``mv``, or a copy where it has none of its own.
    """

    def __init__(
        self,
        scheme: str,
        url: RemoteURL,
        options: Options | None = None,
        *,
        capabilities: Capabilities = Capabilities(cheap_list=False),
        commits_on_close: bool = False,
        move: Callable[[Any, str, str], object] | None = None,
    ) -> None:
        if capabilities.if_absent and not commits_on_close:
            capabilities = replace(capabilities, if_absent=False)  # a move cannot refuse to replace
        self.capabilities = capabilities
        self._scheme, self._url = scheme, url
        self._arguments = _arguments(options)
        self._commits_on_close = commits_on_close
        self._move = move or _move
        self._opened: tuple[Any, str] | None = None
        self._lock = threading.Lock()
        self._folders: set[str] = set()
        self._failures = Translator(f"{scheme} remote", _texts(self._arguments))

    @classmethod
    def from_url(cls, url: str, **storage_options: Any) -> FsspecRemote:
        """Open a URL whose scheme is the fsspec protocol.

        Args:
            url: such as ``memory://folder``.
            storage_options: arguments of the filesystem.

        Returns:
            The remote.

        Raises:
            InvalidOption: not a URL, or arguments that JSON cannot hold.
        """
        parsed = RemoteURL.parse(url)
        try:
            text = json.dumps(storage_options)
        except TypeError as exc:
            raise InvalidOption(f"not an argument that JSON can hold: {exc}") from None
        return cls(parsed.scheme, parsed, FsspecOptions(storage_options=text))

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Send under a temporary name, then move; or at once where the filesystem commits on close."""
        if self._commits_on_close:
            self._put_at_once(key, source, if_absent=if_absent, progress=progress)
            return
        if if_absent and not self.capabilities.if_absent and self.exists_many([key])[key]:
            raise RemoteExists(f"the remote has {key} already")
        self._put_and_move(key, read_source(source, progress))

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        """Send under a temporary name, then move; from a file where the filesystem commits on close."""
        if self._commits_on_close:
            super().put_bytes(key, data, progress=progress, scratch=scratch)
        else:
            self._put_and_move(key, map(bytes, read_data(data, progress)))  # not every filesystem takes views

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Bring the object by ranges."""
        with self.open(key) as reader:
            write_target(target, read_pieces(reader), progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read by range requests of at most 8 MiB, so that nothing is shared between threads."""
        filesystem, root = self._open()
        path = f"{root}/{check_key(key)}"

        def fetch(first: int, last: int) -> bytes:
            with self._failures(key):
                # From 0 some filesystems would ask twice, once for the whole file and once from there.
                return bytes(filesystem.cat_file(path, start=first or None, end=last))

        reader = RangeReader(fetch, lambda: self.stat(key).size, start, length, _BLOCK)
        return buffered(reader, 1 << 20 if length is None else min(max(length, 1), 1 << 20))

    def stat(self, key: str) -> ObjectInfo:
        """Size and time, from the filesystem itself and no cache of it."""
        filesystem, root = self._open()
        with self._failures(key):
            info = filesystem.info(f"{root}/{check_key(key)}")
        if info.get("type") != "file":
            raise RemoteObjectNotFound(key)
        return _object_info(key, info)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List folder by folder."""
        filesystem, root = self._open()
        pending = [prefix.rpartition("/")[0]]
        if prefix and not _may_start_key(prefix):
            return
        while pending:
            folder = pending.pop()
            path = f"{root}/{folder}".rstrip("/")
            try:
                with self._failures(folder):
                    entries = filesystem.ls(path or "/", detail=True)
            except RemoteObjectNotFound:
                continue
            for info in sorted(entries, key=_name, reverse=True):
                key = f"{folder}/{_name(info)}".lstrip("/")
                if _name(info) == _TEMPORARY or str(info["name"]).strip("/") == path.strip("/"):
                    continue  # what is being written, or the answer for a file that is no folder
                if info["type"] == "directory" and (key.startswith(prefix) or prefix.startswith(key + "/")):
                    pending.append(key)
                elif info["type"] == "file" and key.startswith(prefix):
                    yield _object_info(key, info)

    def delete(self, key: str) -> None:
        """Remove one file; looked at first, since some filesystems would remove a whole folder of that name."""
        filesystem, root = self._open()
        with suppress(RemoteObjectNotFound):
            self.stat(key)
            with self._failures(key):
                filesystem.rm_file(f"{root}/{key}")

    def close(self) -> None:
        """Let the filesystem go, and its connections; it is not shared with others in the process."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            _close(opened[0])

    def sweep(self) -> int:
        """Remove temporaries that are a day old."""
        filesystem, root = self._open()
        removed = 0
        try:
            with self._failures(_TEMPORARY):
                entries = filesystem.ls(f"{root}/{_TEMPORARY}", detail=True)
        except RemoteObjectNotFound:
            return 0
        for info in entries:
            mtime = _mtime(info)
            if info["type"] == "file" and mtime is not None and mtime < time.time() - _ABANDONED:
                with self._failures(_TEMPORARY):
                    filesystem.rm_file(info["name"])
                removed += 1
        return removed

    def __repr__(self) -> str:
        return f"FsspecRemote({self._scheme!r}, {str(self._url)!r})"

    def _open(self) -> tuple[Any, str]:
        """The filesystem and the path of our root on it; made at the first call."""
        with self._lock:
            if self._opened is None:
                self._opened = self._make_filesystem()
            return self._opened

    def _make_filesystem(self) -> tuple[Any, str]:
        try:
            from fsspec import get_filesystem_class  # type: ignore[import-untyped, unused-ignore]

            kind = get_filesystem_class(self._scheme)
        except (ImportError, ValueError) as exc:
            raise RemoteError(
                f"no filesystem for {self._scheme}:// is installed: {exc}",
                hint="pip install 'kist-core[fsspec]' and the filesystem's own package",
            ) from exc
        address = f"{self._scheme}://{str(self._url).partition('://')[2]}"
        with self._failures(""):
            found = kind._get_kwargs_from_urls(address)  # noqa: SLF001 (fsspec's interface for this)
            filesystem = kind(**{**found, **self._arguments}, skip_instance_cache=True)
            # Set here and not as an argument, which some filesystems hand on to their SDK.
            if (cache := getattr(filesystem, "dircache", None)) is not None:
                cache.use_listings_cache = False
            return filesystem, str(kind._strip_protocol(address)).rstrip("/")  # noqa: SLF001

    def _make_folder(self, path: str) -> None:
        if path in self._folders:
            return
        filesystem, _ = self._open()
        with self._failures(path):
            try:
                filesystem.makedirs(path, exist_ok=True)
            except Exception:  # some look first and make it then: another client may have made it in between
                filesystem.makedirs(path, exist_ok=True)
        self._folders.add(path)

    def _put_and_move(self, key: str, pieces: Iterator[bytes]) -> None:
        filesystem, root = self._open()
        target, temporary = f"{root}/{check_key(key)}", f"{root}/{_TEMPORARY}/{uuid.uuid4().hex}"
        try:
            self._make_folder(f"{root}/{_TEMPORARY}")
            with self._failures(key):
                writer = filesystem.open(temporary, "wb")
            self._send(key, writer, pieces)
            self._make_folder(target.rpartition("/")[0])
            with self._failures(key):
                self._move(filesystem, temporary, target)
        except BaseException:
            with suppress(Exception):
                filesystem.rm_file(temporary)
            raise

    def _send(self, key: str, writer: Any, pieces: Iterator[bytes]) -> None:
        try:
            for piece in pieces:
                with self._failures(key):
                    writer.write(piece)
            with self._failures(key):
                writer.close()
        except BaseException:
            with suppress(Exception):
                getattr(writer, "discard", writer.close)()
            raise

    def _put_at_once(self, key: str, source: Path, *, if_absent: bool, progress: Progress) -> None:
        filesystem, root = self._open()
        target = f"{root}/{check_key(key)}"
        from kist.util.atomic import storage_errors

        with storage_errors(source), source.open("rb") as reader:
            size = os.fstat(reader.fileno()).st_size
        callback = _callback(progress)
        extra = {"mode": "create"} if if_absent and self.capabilities.if_absent else {}
        with self._failures(key, passing=callback.raised):
            filesystem.put_file(str(source), target, callback=callback, **extra)
        if size > callback.told:
            progress.advance(size - callback.told)


def _callback(progress: Progress) -> Any:
    """An fsspec callback that tells *progress*; what that raises is kept, to be told from the filesystem's errors."""
    from fsspec.callbacks import Callback  # type: ignore[import-untyped, unused-ignore]

    class Told(Callback):  # type: ignore[misc, unused-ignore]
        told = 0

        def __init__(self) -> None:
            super().__init__()
            self.raised: list[BaseException] = []

        def relative_update(self, inc: int = 1) -> None:
            self.told += inc
            try:
                progress.advance(inc)
            except BaseException as exc:
                self.raised.append(exc)
                raise

        def absolute_update(self, value: int) -> None:
            if value > self.told:
                self.relative_update(value - self.told)

    return Told()


def _move(filesystem: Any, source: str, target: str) -> None:
    """Rename in the filesystem's own way, else copy and delete, which is whole at any time too on object stores."""
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped, unused-ignore]

    if type(filesystem).mv is not AbstractFileSystem.mv:
        filesystem.mv(source, target)
        return
    filesystem.cp_file(source, target)
    filesystem.rm_file(source)


def _close(filesystem: Any) -> None:
    """End the connections of a filesystem: fsspec has no method for that, so whatever holds them is asked."""
    for holder in (filesystem, *(getattr(filesystem, name, None) for name in ("client", "ftp", "session"))):
        for owner in (holder, getattr(holder, "http", None)):
            close = getattr(owner, "close", None)
            if callable(close) and not iscoroutinefunction(close):
                with suppress(Exception):
                    close()


def _arguments(options: Options | None) -> dict[str, Any]:
    if options is None:
        return {}
    values = {one.name: getattr(options, one.name) for one in declared_options(type(options))}
    text = values.pop("storage_options", None)
    arguments = {name: value for name, value in values.items() if value is not None}
    if text:
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise InvalidOption("the option 'storage_options' must be a JSON object")
        arguments.update(parsed)
    return arguments


def _texts(value: Any) -> tuple[str, ...]:
    """Every text in the arguments of the filesystem: any of them may be a secret that an error repeats."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):
        value = value.values()
    return tuple(text for one in value for text in _texts(one)) if hasattr(value, "__iter__") else ()


def _may_start_key(prefix: str) -> bool:
    try:
        check_key(prefix.rstrip("/."))
    except RemoteError:
        return False
    return "//" not in prefix and "/../" not in prefix and "/./" not in prefix


def _name(info: Mapping[str, Any]) -> str:
    return str(info["name"]).rstrip("/").rpartition("/")[2]


def _object_info(key: str, info: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(key=key, size=int(info.get("size") or 0), mtime=_mtime(info))


def _mtime(info: Mapping[str, Any]) -> float | None:
    """When the file was written, under whichever of its usual names the filesystem tells it."""
    for name in ("mtime", "LastModified", "last_modified", "modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
    return None
