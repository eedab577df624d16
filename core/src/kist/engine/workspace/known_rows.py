"""KnownRows: what the fingerprints know below a folder, beside a walk of it."""

from __future__ import annotations

from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.rows import StoredRow


class KnownRows:
    """The stored rows below a folder, asked for in the order of a walk."""

    def __init__(self, fingerprints: Fingerprints, start: bytes, *, content: bool = True) -> None:
        self._rows = fingerprints.get_below(start, content=content)
        self._next: StoredRow | None = next(self._rows, None)
        self._stale: list[bytes] = []

    def take(self, key: bytes) -> StoredRow | None:
        """The row of a folder; the rows before it belong to folders that are not there any more."""
        while self._next is not None and self._next.key < key:
            self._stale.append(self._next.key)
            self._next = next(self._rows, None)
        if self._next is None or self._next.key != key:
            return None
        found, self._next = self._next, next(self._rows, None)
        return found

    def stale(self) -> list[bytes]:
        """The keys of all rows that nobody took."""
        if self._next is not None:
            self._stale += [self._next.key, *(row.key for row in self._rows)]
            self._next = None
        return self._stale
