"""The bytes of an upload, as Google's client takes them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from googleapiclient.http import MediaIoBaseUpload, MediaUpload

from kist.abc import Progress
from kist.errors import RemoteError
from kist.kit import storage_errors
from kist.remotes.files import PIECE, read_source

BINARY = "application/octet-stream"
SMALL = 5 << 20
"""Bytes up to which Google takes an object in one request."""

CHUNK = 16 << 20
"""Bytes of each further request of a larger one; a multiple of 256 KiB, as Google asks."""


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

    Attributes:
        size: bytes.
        data: all of them, None if they are too many.

    Raises:
        StorageError: the file cannot be read.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        with storage_errors(path):
            self.size = path.stat().st_size
        self._path = path
        self._hash = hashlib.md5(usedforsecurity=False)
        self.data: bytes | None = None
        if self.size <= SMALL:
            self.data = b"".join(read_source(path, progress))
            self._hash.update(self.data)

    def media(self, progress: Progress) -> MediaUpload:
        """The bytes for Google's client.

        Args:
            progress: told of what is read from the file.

        Returns:
            One part of one request, or chunks.
        """
        if self.data is not None:
            return MediaIoBaseUpload(io.BytesIO(self.data), mimetype=BINARY, resumable=False)
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
