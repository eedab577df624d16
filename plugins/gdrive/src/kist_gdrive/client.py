"""Requests to Drive's API, through pydrive2's credentials and service: each one once, never repeated here."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from googleapiclient.http import MediaIoBaseUpload, MediaUpload

from kist.abc import Progress, RemoteScope
from kist.errors import RemoteError, RemoteObjectNotFound, RemoteUnavailable
from kist.kit import storage_errors
from kist.remotes.files import PIECE, read_source
from kist_gdrive.access import Access
from kist_gdrive.failures import Failures
from kist_gdrive.options import DriveOptions, Location

FOLDER = "application/vnd.google-apps.folder"
BINARY = "application/octet-stream"
SMALL = 5 << 20
"""Bytes up to which Google takes an object in one request."""

CHUNK = 16 << 20
"""Bytes of each further request of a larger one; a multiple of 256 KiB, as Google asks."""

_FIELDS = "id,title,mimeType,fileSize,md5Checksum,createdDate,modifiedDate,parents(id)"
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder, as Drive tells it.

    Args:
        id: its id.
        title: its name, which others beside it may have too.
        parent: id of its folder.
        is_folder: whether it is a folder.
        size: bytes; None where it is no file of bytes, such as a document of Google's.
        md5: digest of the bytes, computed by Google.
        created: UTC seconds.
        modified: UTC seconds.
    """

    id: str
    title: str
    parent: str
    is_folder: bool
    size: int | None
    md5: str
    created: float
    modified: float

    @classmethod
    def of(cls, told: dict[str, Any]) -> Entry:
        """Read what the API tells.

        Args:
            told: the resource.

        Returns:
            The entry.
        """
        parents = told.get("parents") or [{}]
        size = told.get("fileSize")
        return cls(
            id=told["id"],
            title=told.get("title", ""),
            parent=parents[0].get("id", ""),
            is_folder=told.get("mimeType") == FOLDER,
            size=int(size) if size is not None else None,
            md5=told.get("md5Checksum", ""),
            created=_seconds(told.get("createdDate")),
            modified=_seconds(told.get("modifiedDate")),
        )


class DriveClient:
    """The requests that a remote needs.

    Args:
        location: where its objects lie.
        options: its options.
        scope: what the core lends.

    Attributes:
        failures: translates what Google's libraries raise.
    """

    def __init__(self, location: Location, options: DriveOptions, scope: RemoteScope) -> None:
        self._options = options
        self._access = Access(options, scope)
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self.failures = Failures(scope.name, str(location), lambda: self._access.identity, self._access.clean)

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._access.close()
        for http in idle:
            http.close()

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def about(self) -> dict[str, Any]:
        """Who we are and how much space there is, as Google tells it."""
        with self.failures(""), self._connection() as (service, http):
            told: dict[str, Any] = (
                service.about().get(fields="user(emailAddress),quotaBytesTotal,quotaBytesUsed").execute(http=http)
            )
            return told

    def query(self, condition: str) -> Iterator[Entry]:
        """What a query finds, page by page.

        Args:
            condition: in Drive's query language; what is in the trash is left out.

        Yields:
            The entries.

        Raises:
            RemoteObjectNotFound: a folder that the query names does not exist.
        """
        asked = {"q": f"trashed=false and ({condition})", "maxResults": _PAGE, "includeItemsFromAllDrives": True}
        asked |= {"supportsAllDrives": True, "fields": f"nextPageToken,items({_FIELDS})"}
        if self._options.shared_drive:
            asked |= {"corpora": "drive", "driveId": self._options.shared_drive}
        while True:
            with self.failures(condition), self._connection() as (service, http):
                answer = service.files().list(**asked).execute(http=http)
            yield from [Entry.of(one) for one in answer.get("items", [])]
            if not answer.get("nextPageToken"):
                return
            asked["pageToken"] = answer["nextPageToken"]

    def make_folder(self, parent: str, title: str) -> Entry:
        """Make a folder, also where one of that name is.

        Args:
            parent: id of the folder that it goes into.
            title: its name.

        Returns:
            The folder.
        """
        body = {"title": title, "mimeType": FOLDER, "parents": [{"id": parent}]}
        with self.failures(title), self._connection() as (service, http):
            return Entry.of(
                service.files().insert(body=body, supportsAllDrives=True, fields=_FIELDS).execute(http=http)
            )

    def remove(self, name: str, key: str) -> None:
        """Delete a file, or put it into the trash; one that is gone is no error.

        Args:
            name: its id.
            key: its key, for messages.
        """
        try:
            with self.failures(key), self._connection() as (service, http):
                method = service.files().trash if self._options.use_trash else service.files().delete
                method(fileId=name, supportsAllDrives=True).execute(http=http)
        except RemoteObjectNotFound:
            return

    def copy(self, name: str, parent: str, title: str, key: str) -> Entry:
        """Copy a file without bringing it here.

        Args:
            name: its id.
            parent: id of the folder that the copy goes into.
            title: the copy's name.
            key: its key, for messages.

        Returns:
            The copy.
        """
        body = {"title": title, "parents": [{"id": parent}]}
        with self.failures(key), self._connection() as (service, http):
            request = service.files().copy(fileId=name, body=body, supportsAllDrives=True, fields=_FIELDS)
            return Entry.of(request.execute(http=http))

    def read(self, name: str, start: int, end: int, *, whole: bool, key: str) -> bytes:
        """Bytes of a file.

        Args:
            name: its id.
            start: the first byte.
            end: the byte after the last.
            whole: whether that is all of it.
            key: its key, for messages.

        Returns:
            The bytes; fewer where the file ends earlier.
        """
        asked: dict[str, Any] = {"fileId": name, "supportsAllDrives": True}
        if self._options.acknowledge_abuse:
            asked["acknowledgeAbuse"] = True
        statuses: list[int] = []
        with self.failures(key), self._connection() as (service, http):
            request = service.files().get_media(**asked)
            if not whole:
                request.headers["range"] = f"bytes={start}-{end - 1}"
            request.add_response_callback(lambda response: statuses.append(int(response.status)))
            data: bytes = request.execute(http=http)
        return data if statuses == [206] or whole else data[start:end]

    def upload(self, target: Target, source: Source, progress: Progress) -> Entry:
        """Store bytes as a new file, or as the new content of one that is there.

        Args:
            target: where.
            source: the bytes.
            progress: told of each piece before it is sent.

        Returns:
            The file.

        Raises:
            RemoteUnavailable: what arrived is not what was sent.
        """
        with self.failures(target.key), self._connection() as (service, http):
            media = source.media(progress)
            common = {"media_body": media, "supportsAllDrives": True, "fields": _FIELDS}
            if target.replaces is None:
                body = {"title": target.title, "mimeType": BINARY, "parents": [{"id": target.parent}]}
                request = service.files().insert(body=body, **common)
            else:
                request = service.files().update(fileId=target.replaces, body={}, **common)
            stored = Entry.of(request.execute(http=http))
        if stored.md5 != source.md5():
            if target.replaces is None:
                self.remove(stored.id, target.key)
            raise RemoteUnavailable(self.failures.message(f"{target.key} arrived damaged; it must be sent again"))
        return stored

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _connection(self) -> Iterator[tuple[Any, Any]]:
        """The service, and a connection that no other thread has; one that failed is not used again."""
        with self._lock:
            self._access.ensure()
            service = self._access.auth.service
            http = self._idle.pop() if self._idle else self._access.auth.Get_Http_Object()
        try:
            yield service, http
        except BaseException:
            http.close()
            raise
        with self._lock:
            self._idle.append(http)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes.

    Args:
        key: the key, for messages.
        parent: id of the folder.
        title: name in it.
        replaces: id of the file whose content is replaced, None for a new file.
    """

    key: str
    parent: str
    title: str
    replaces: str | None


class Source:
    """The bytes of an upload: in memory if they are few, else read from the file when they are sent.

    Args:
        path: the file.
        progress: told of what is read into memory.

    Raises:
        StorageError: the file cannot be read.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        with storage_errors(path):
            self.size = path.stat().st_size
        self._path = path
        self._hash = hashlib.md5(usedforsecurity=False)
        self._data: bytes | None = None
        if self.size <= SMALL:
            self._data = b"".join(read_source(path, progress))
            self._hash.update(self._data)

    def media(self, progress: Progress) -> MediaUpload:
        """The bytes for Google's client.

        Args:
            progress: told of what is read from the file.

        Returns:
            One part of one request, or chunks.
        """
        if self._data is not None:
            return MediaIoBaseUpload(io.BytesIO(self._data), mimetype=BINARY, resumable=False)
        self._hash = hashlib.md5(usedforsecurity=False)
        return _Chunks(self._path, self.size, self._hash, progress)

    def md5(self) -> str:
        """Digest of what was handed out."""
        return self._hash.hexdigest()


class _Chunks(MediaUpload):  # type: ignore[misc, unused-ignore]
    """A file in chunks, each read once and in order."""

    def __init__(self, path: Path, size: int, running: Any, progress: Progress) -> None:
        super().__init__()
        self._path, self._size, self._hash, self._progress = path, size, running, progress

    def chunksize(self) -> int:
        return CHUNK

    def mimetype(self) -> str:
        return BINARY

    def size(self) -> int:
        return self._size

    def resumable(self) -> bool:
        return True

    def has_stream(self) -> bool:
        return False

    def getbytes(self, begin: int, end: int) -> bytes:
        """The chunk of at most *end* bytes from *begin*: Google's name for a length."""
        end = min(end, self._size - begin)
        pieces: list[bytes] = []
        with storage_errors(self._path), self._path.open("rb", buffering=0) as reader:
            reader.seek(begin)
            while end > 0 and (piece := reader.read(min(end, PIECE))):
                end -= len(piece)
                pieces.append(piece)
        if end:
            raise RemoteError(f"{self._path} became shorter while it was sent")
        for piece in pieces:
            self._progress.advance(len(piece))
            self._hash.update(piece)
        return b"".join(pieces)


def one_of(field: str, values: Sequence[str]) -> str:
    """A condition: the field is one of these values.

    Args:
        field: such as ``title``; ``parents`` for the folder.
        values: at least one.

    Returns:
        The condition, in brackets.
    """
    shape: Callable[[str], str] = (lambda one: f"{one} in parents") if field == "parents" else f"{field}={{}}".format
    return f"({' or '.join(shape(quoted(value)) for value in values)})"


def quoted(text: str) -> str:
    """A text in Drive's query language.

    Args:
        text: any text.

    Returns:
        It in quotes.
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
