"""UnchangedFiles: which single-file outputs certainly are as recorded, many asked for one after the other.

A scan of each would open its folder, ask for the time of the file system and keep a new row; with thousands of outputs
in few folders one row and one stat for each are enough.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from kist.engine.workspace.listings import list_one
from kist.engine.workspace.scan import Scanner
from kist.engine.workspace.walk import enter
from kist.errors import KistError
from kist.model.digest import Digest
from kist.model.entry import EXECUTABLE, FILE


class UnchangedFiles:
    """Compares files with their fingerprints; for a ``with`` statement, and best asked in the order of the paths.

    Args:
        scanner: its repository, fingerprints and ignore rules count.
    """

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._folder: bytes | None = None
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def has(self, path: bytes, digest: Digest, *, executable: bool) -> bool:
        """Whether a file certainly is what was recorded; nothing is read.

        Args:
            path: relative to the repository.
            digest: of its recorded content.
            executable: whether it was recorded as executable.

        Returns:
            False means: scan it.
        """
        row = self._scanner.fingerprints.get(path, is_file=True)
        if row is None or row.algorithm != digest.algorithm or row.digests != digest.raw:
            return False
        kinds = bytes([EXECUTABLE if executable else FILE])
        if row.listing.kinds != kinds:
            return False
        folder, _, name = path.rpartition(b"/")
        try:
            self._enter(folder)
            listing = self._rules.apply(folder, list_one(self._descriptor, name))
        except (KistError, OSError):  # the scan says what is wrong
            return False
        return (listing.names, listing.kinds, listing.stats) == ([name], kinds, row.listing.stats)

    def _enter(self, folder: bytes) -> None:
        if folder == self._folder:
            return
        self._leave()
        self._descriptor, rules = enter(self._scanner.root, folder, self._scanner.ignore)
        self._folder = folder
        self._rules = rules.for_directory(folder, self._descriptor)

    def _leave(self) -> None:
        self._folder = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
