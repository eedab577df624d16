"""Requests to Drive's API, through pydrive2's credentials and service: each one once, never repeated here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kist.abc import Progress, RemoteScope
from kist.errors import RemoteObjectNotFound, RemotePermissionError, RemoteUnavailable
from kist_gdrive.access import Access
from kist_gdrive.connections import Connections
from kist_gdrive.failures import Failures
from kist_gdrive.options import DriveOptions, Location
from kist_gdrive.uploads import BINARY, Source, Target

FOLDER = "application/vnd.google-apps.folder"
_FIELDS = "id,title,mimeType,fileSize,md5Checksum,createdDate,modifiedDate,parents(id)"
_PAGE = 1000
_TRASH = "on a shared drive only managers may delete for ever: set the option use_trash, or ask for the right"


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
        self._access = access = Access(options, scope)
        self.failures = Failures(scope.name, str(location), self.identity, access.clean)
        self._connections = Connections(access, self.failures)

    def close(self) -> None:
        """Let go of all connections."""
        self._connections.close()

    def identity(self) -> str:
        """Who asks, as far as it is known without asking."""
        return self._access.identity

    def about(self) -> dict[str, Any]:
        """Who we are and how much space there is, as Google tells it."""
        fields = "user(emailAddress),quotaBytesTotal,quotaBytesUsed"
        told: dict[str, Any] = self._connections.call("", lambda service: service.about().get(fields=fields))
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
            answer = self._connections.call("", lambda service: service.files().list(**asked))
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
        asked = {"body": body, "supportsAllDrives": True, "fields": _FIELDS}
        return Entry.of(self._connections.call(title, lambda service: service.files().insert(**asked)))

    def remove(self, name: str, key: str) -> None:
        """Delete a file, or put it into the trash; one that is gone is no error.

        Args:
            name: its id.
            key: its key, for messages.
        """

        def ask(service: Any) -> Any:
            files = service.files()
            return (files.trash if self._options.use_trash else files.delete)(fileId=name, supportsAllDrives=True)

        try:
            with suppress(RemoteObjectNotFound):
                self._connections.call(key, ask)
        except RemotePermissionError as error:
            if not self._options.use_trash:
                error.hint = _TRASH
            raise

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
        asked = {"fileId": name, "body": body, "supportsAllDrives": True, "fields": _FIELDS}
        return Entry.of(self._connections.call(key, lambda service: service.files().copy(**asked)))

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

        def ask(service: Any) -> Any:
            request = service.files().get_media(**asked)
            if not whole:
                request.headers["range"] = f"bytes={start}-{end - 1}"
            request.add_response_callback(lambda response: statuses.append(int(response.status)))
            return request

        data: bytes = self._connections.call(key, ask)
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

        def ask(service: Any) -> Any:
            common = {"media_body": source.media(progress), "supportsAllDrives": True, "fields": _FIELDS}
            if target.replaces is not None:
                return service.files().update(fileId=target.replaces, body={}, **common)
            body = {"title": target.title, "mimeType": BINARY, "parents": [{"id": target.parent}]}
            return service.files().insert(body=body, **common)

        stored = Entry.of(self._connections.call(target.key, ask))
        if stored.md5 != source.md5():
            if target.replaces is None:
                self.remove(stored.id, target.key)
            raise RemoteUnavailable(self.failures.message(f"{target.key} arrived damaged; it must be sent again"))
        return stored


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
