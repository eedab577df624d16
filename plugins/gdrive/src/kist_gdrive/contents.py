"""Small objects that earlier commands read or wrote: not brought again while Google tells the same digest of them."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from pathlib import Path

from kist.errors import StorageError
from kist.kit import storage_errors, write_file

LARGEST = 4096
"""Bytes of the largest object that is kept: markers and settings are smaller."""

_COUNT = 32
_FORMAT = "kist-gdrive-contents/1"
_LIMIT = 1 << 20


class Contents:
    """A few contents by their digests.

    Args:
        path: the file that keeps them, None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._before: dict[str, bytes] | None = None
        self._seen: dict[str, bytes] = {}

    def get(self, digest: str, size: int) -> bytes | None:
        """A content that an earlier command read or wrote.

        Args:
            digest: its MD5, as Google tells it now.
            size: its bytes, likewise.

        Returns:
            The content, None if it is not known.
        """
        with self._lock:
            if self._before is None:
                self._before = self._load()
            data = self._before.get(digest)
            return data if data is not None and len(data) == size else None

    def keep(self, digest: str, data: bytes) -> None:
        """Remember a content for later commands, if it is small.

        Args:
            digest: its MD5.
            data: the content.
        """
        if len(data) <= LARGEST:
            with self._lock:
                self._seen[digest] = data

    def save(self) -> None:
        """Write what is new; where that is not possible, later commands bring it again."""
        with self._lock:
            before = self._before if self._before is not None else {}
            if self._path is None or self._seen.keys() <= before.keys():
                return
            newest = list((before | self._seen).values())[-_COUNT:]
        text = json.dumps({"format": _FORMAT, "contents": [base64.b64encode(one).decode() for one in newest]})
        try:
            with storage_errors(self._path):
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._path, text.encode(), mode=0o600, sync=False)
        except StorageError:
            return

    def _load(self) -> dict[str, bytes]:
        """What is kept, by digests computed anew."""
        if self._path is None:
            return {}
        try:
            with open(self._path, "rb") as stream:
                value = json.loads(stream.read(_LIMIT))
            if value["format"] != _FORMAT:
                return {}
            known = [base64.b64decode(one) for one in value["contents"]]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {hashlib.md5(one, usedforsecurity=False).hexdigest(): one for one in known}
