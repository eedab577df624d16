"""ShelfRemote: a store of objects in one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from kist.abc import Capabilities, NullProgress, ObjectInfo, Options, Progress, Remote, RemoteURL
from kist.errors import (
    InvalidOption,
    RemoteError,
    RemoteExists,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemoteQuotaExceeded,
    RemoteUnavailable,
)
from kist.remotes.files import PIECE, check_key, read_source, write_target
from kist_shelf.options import ShelfOptions

_TABLE = "CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, size INTEGER, mtime REAL, data BLOB)"
_PAGE = 1000
_PAGE_OF_KEYS = (
    "SELECT key, size, mtime FROM objects WHERE key >= ? AND key > ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?"
)


class ShelfRemote(Remote):
    """Keeps each object in one row; SQLite gives atomicity and durability.

    Args:
        file: the SQLite file, made by the first use; its folder must exist.
        options: what the user set.
    """

    capabilities = Capabilities(max_concurrency=4, if_absent=True, max_object_size=512 << 20)

    def __init__(self, file: Path, options: ShelfOptions = ShelfOptions()) -> None:
        self._file = file
        self._options = options

    @classmethod
    def from_url(cls, url: RemoteURL, options: Options) -> ShelfRemote:
        """The remote of a URL such as ``shelf:///mnt/backup/data.shelf``.

        Raises:
            InvalidOption: the URL names no file of this machine.
        """
        if url.host or not url.path.startswith("/") or not isinstance(options, ShelfOptions):
            raise InvalidOption(f"{url} names no file: write shelf:///folder/file.shelf")
        return cls(Path(url.path), options)

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Store a file as one row, in one transaction."""
        data = b"".join(read_source(source, progress))
        verb = "INSERT" if if_absent else "INSERT OR REPLACE"
        try:
            with self._connection() as connection:
                connection.execute(
                    f"{verb} INTO objects VALUES (?, ?, ?, ?)", (check_key(key), len(data), time.time(), data)
                )
        except sqlite3.IntegrityError as exc:
            raise RemoteExists(f"the remote has {key} already") from exc

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Bring a row to a file, piece by piece."""
        with self._blob(key) as blob:
            write_target(target, iter(lambda: blob.read(PIECE), b""), progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read a range of a row."""
        with self._blob(key) as blob:
            blob.seek(min(start, len(blob)))
            return BytesIO(blob.read(-1 if length is None else length))

    def stat(self, key: str) -> ObjectInfo:
        """Size and time of one row."""
        with self._connection() as connection:
            row = connection.execute("SELECT key, size, mtime FROM objects WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise RemoteObjectNotFound(key)
        return ObjectInfo(*row)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every key that starts with *prefix*, a page at a time."""
        last = ""
        while True:
            with self._connection() as connection:
                rows = connection.execute(_PAGE_OF_KEYS, (prefix, last, len(prefix), prefix, _PAGE)).fetchall()
            yield from (ObjectInfo(*row) for row in rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def delete(self, key: str) -> None:
        """Remove a row, if it is there."""
        with self._connection() as connection:
            connection.execute("DELETE FROM objects WHERE key = ?", (key,))

    def close(self) -> None:
        """Nothing stays open between calls."""

    def __repr__(self) -> str:
        return f"ShelfRemote({str(self._file)!r})"

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one call, with SQLite's errors as those of a remote."""
        try:
            connection = sqlite3.connect(self._file, timeout=self._options.timeout, isolation_level=None)
            try:
                connection.execute(_TABLE)
                yield connection
            finally:
                connection.close()
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as exc:
            raise _remote_error(exc, self._file) from exc

    @contextmanager
    def _blob(self, key: str) -> Iterator[sqlite3.Blob]:
        """A row's bytes, read in one transaction: who replaces the row meanwhile does not disturb it."""
        with self._connection() as connection:
            connection.execute("BEGIN")
            row = connection.execute("SELECT rowid FROM objects WHERE key = ?", (key,)).fetchone()
            if row is None:
                raise RemoteObjectNotFound(key)
            with connection.blobopen("objects", "data", row[0], readonly=True) as blob:
                yield blob


def _remote_error(exc: sqlite3.Error, file: Path) -> RemoteError:
    kinds: dict[str, type[RemoteError]] = {
        "SQLITE_FULL": RemoteQuotaExceeded,
        "SQLITE_READONLY": RemotePermissionError,
        "SQLITE_PERM": RemotePermissionError,
        "SQLITE_AUTH": RemotePermissionError,
        "SQLITE_BUSY": RemoteUnavailable,
        "SQLITE_LOCKED": RemoteUnavailable,
        "SQLITE_CANTOPEN": RemoteUnavailable,
        "SQLITE_IOERR": RemoteUnavailable,
    }
    name = getattr(exc, "sqlite_errorname", "")
    kind = next((kind for prefix, kind in kinds.items() if name.startswith(prefix)), RemoteError)
    return kind(f"{file}: {exc}")
