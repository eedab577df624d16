"""Folders by path: which ids a path has, remembered between commands and checked before they are used."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from kist.errors import RemoteError, RemoteObjectNotFound, StorageError
from kist.kit import storage_errors, write_file
from kist_gdrive.client import FOLDER, DriveClient, Entry, one_of, quoted
from kist_gdrive.options import Location

PARENTS = 20
"""Folders that one query names, so that its address stays below the 2,048 characters that are sent as they are."""

_FORMAT = "kist-gdrive-folders/1"
_LIMIT = 1 << 22
_TRUSTED = 300.0
"""Seconds after which folders are checked again."""

_RECENT = 30.0
"""Seconds after a look at all folders in one in which a new one is made without another look before it."""

_IS_FOLDER = f"mimeType={quoted(FOLDER)}"

Path_ = tuple[str, ...]
Known = dict[Path_, tuple[str, ...]]
"""Path to ids."""


class Folders:
    """The folders below the root.

    A name may have several folders, as when two commands made it at the same moment: what is new goes into the oldest,
    and all of them are looked into. What is remembered is taken only after one query has told that it is still so.

    Args:
        client: for requests.
        location: the root, and the path of the remote below it.
        memory: the file that remembers, None for none.
    """

    def __init__(self, client: DriveClient, location: Location, memory: Path | None) -> None:
        self._client, self._location, self._memory = client, location, memory
        self._known: dict[Path_, tuple[str, ...]] = {(): (location.root,)}
        self._checked: float | None = None
        self._changed = False
        self._listed: dict[Path_, float] = {}
        self._lock = threading.RLock()

    def find(self, folder: str) -> tuple[str, ...]:
        """The ids of a folder, the oldest first; none where there is no such folder.

        Args:
            folder: its path below the remote's own, "" for that itself.

        Returns:
            The ids.

        Raises:
            RemoteError: the root is not there.
        """
        with self._lock:
            self._check()
            return self._find(self._path(folder))

    def look(self, folder: str, title: str) -> tuple[tuple[str, ...], list[Entry] | None]:
        """The ids of a folder, and what of one name is in it where the question for folders could ask that too.

        Args:
            folder: as in :meth:`find`.
            title: the name.

        Returns:
            The ids, and everything of that name, or None where that was not asked.
        """
        with self._lock:
            path = self._path(folder)
            found = self._check(path, title)
            return self._find(path), found

    def make(self, folder: str) -> tuple[str, ...]:
        """The ids of a folder, made where it is missing, the one for new files first.

        Args:
            folder: as in :meth:`find`.

        Returns:
            The ids.
        """
        with self._lock:
            self._check()
            return self._make(self._path(folder))

    def lost(self, ids: Iterable[str]) -> None:
        """Ask anew for everything: some folder that was known is not there any more.

        Args:
            ids: the folders of a query that failed.

        Raises:
            RemoteError: the root is among them, which nobody makes anew.
        """
        if self._location.root in ids:
            text = f"there is no folder {self._location.root}, or it is not shared with this account"
            hint = "check the id at the end of the folder's address in the browser, and share it with that account"
            raise RemoteError(self._client.failures.message(text), hint=hint)
        with self._lock:
            self._known = {(): (self._location.root,)}
            self._listed.clear()
            self._changed = True

    def save(self) -> None:
        """Remember for later commands; where that cannot be written, they ask again."""
        with self._lock:
            if self._memory is None or not self._changed:
                return
            known = {"/".join(path): ids for path, ids in self._known.items() if path}
            text = json.dumps({"format": _FORMAT, "folders": known}, sort_keys=True)
            self._changed = False
        try:
            with storage_errors(self._memory):
                self._memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._memory, text.encode(), mode=0o600, sync=False)
        except StorageError:
            return

    # ── finding and making ───────────────────────────────────────────────────────────────────────────────────────────

    def _path(self, folder: str) -> Path_:
        return (*self._location.path, *(folder.split("/") if folder else ()))

    def _find(self, path: Path_) -> tuple[str, ...]:
        if path not in self._known:
            parents = self._find(path[:-1])
            if parents and len(path) > len(self._location.path):
                self._list(path[:-1], parents)
            elif parents and (found := self._ask(parents, path[-1])):
                self._learn(path, found)
        return self._known.get(path, ())

    def _list(self, path: Path_, ids: tuple[str, ...]) -> None:
        """Learn all folders in one of ours: the others are asked for next."""
        titles: dict[str, list[Entry]] = {}
        try:
            for entry in self._client.query(f"{one_of('parents', ids)} and {_IS_FOLDER}"):
                titles.setdefault(entry.title, []).append(entry)
        except RemoteObjectNotFound as exc:
            self.lost(ids)
            raise RemoteObjectNotFound("/".join(path)) from exc
        for title, entries in titles.items():
            self._learn((*path, title), _ids(entries))
        self._listed[path] = time.monotonic()

    def _make(self, path: Path_) -> tuple[str, ...]:
        recently = time.monotonic() - self._listed.get(path[:-1], -_RECENT) < _RECENT
        if found := self._known.get(path, ()) if recently else self._find(path):
            return found
        parent = self._make(path[:-1])[0]
        made = self._client.make_folder(parent, path[-1])
        # Who made it at the same moment sees both then, as we do, and takes the same one.
        found = self._ask((parent,), path[-1]) or (made.id,)
        self._learn(path, found)
        return found

    def _learn(self, path: Path_, ids: tuple[str, ...]) -> None:
        self._known[path] = ids
        self._changed = True

    def _ask(self, parents: tuple[str, ...], title: str) -> tuple[str, ...]:
        condition = f"{one_of('parents', parents)} and title={quoted(title)} and {_IS_FOLDER}"
        try:
            found = [one for one in self._client.query(condition) if one.title == title]
        except RemoteObjectNotFound as exc:
            self.lost(parents)
            raise RemoteObjectNotFound(title) from exc
        return _ids(found)

    # ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check(self, path: Path_ = (), title: str = "") -> list[Entry] | None:
        """See whether what is remembered is still so: the first time, and every few minutes.

        Args:
            path: a folder in which to look at the same time.
            title: the name to look for, "" for none.

        Returns:
            What is in that folder under that name; None where that was not asked, or the folder is another now.
        """
        now = time.monotonic()
        if self._checked is not None and now - self._checked < _TRUSTED:
            return None
        claimed = self._load() if self._checked is None else dict(self._known)
        self._checked = now
        before = claimed | {(): (self._location.root,)}
        self._known = {(): (self._location.root,)}
        there: list[Entry] = []
        asked = f"{one_of('parents', before[path])} and title={quoted(title)}" if title and path in before else ""
        if len(before) > 1:
            try:
                self._known, there = self._confirmed(before, asked)
            except RemoteObjectNotFound:
                self._changed, asked = True, ""
        self._changed = self._changed or self._known != before
        told = len(before) > 1 and asked and self._known.get(path) == before[path]
        return [one for one in there if one.title == title] if told else None

    def _load(self) -> dict[Path_, tuple[str, ...]]:
        if self._memory is None:
            return {}
        try:
            with open(self._memory, "rb") as stream:
                value = json.loads(stream.read(_LIMIT))
            if value["format"] != _FORMAT:
                return {}
            return {tuple(path.split("/")): tuple(str(one) for one in ids) for path, ids in value["folders"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _confirmed(self, claimed: Known, also: str) -> tuple[Known, list[Entry]]:
        """Ask for everything below the folders that have folders, and walk down from the root through the answer.

        Args:
            claimed: what is remembered.
            also: a condition for something else to ask for, "" for nothing.

        Returns:
            What is so, and the files that were found on the way.
        """
        inner = [path for path in claimed if any(other[:-1] == path for other in claimed if other)]
        wanted = sorted((path for path in inner if len(claimed[path]) == 1), key=len)[: 2 * PARENTS]
        clauses = [self._below(path, claimed[path][0]) for path in wanted]
        found: dict[str, list[Entry]] = {}
        files: list[Entry] = []
        for start in range(0, len(clauses), PARENTS):
            condition = f"{_IS_FOLDER} and ({' or '.join(clauses[start : start + PARENTS])})"
            for entry in self._client.query(f"({condition}) or ({also})" if also and not start else condition):
                if entry.is_folder:
                    found.setdefault(entry.parent, []).append(entry)
                else:
                    files.append(entry)
        asked = {claimed[path][0] for path in wanted}
        return _walk(self._location.root, found, asked), files

    def _below(self, path: Path_, name: str) -> str:
        """A condition for the folders in a folder; above the remote's own path only for the next one on the way."""
        depth = len(path)
        condition = f"{quoted(name)} in parents"
        if depth < len(self._location.path):
            return f"({condition} and title={quoted(self._location.path[depth])})"
        return condition


def _walk(root: str, found: dict[str, list[Entry]], asked: set[str]) -> Known:
    known: Known = {(): (root,)}
    # The alias "root" stands for an id that only the answer tells.
    aliases = [name for name in found if name not in asked]
    pending: list[tuple[Path_, Iterable[str]]] = [((), aliases if root == "root" else (root,))]
    while pending:
        path, ids = pending.pop()
        titles: dict[str, list[Entry]] = {}
        for name in ids:
            for entry in found.get(name, ()):
                titles.setdefault(entry.title, []).append(entry)
        for title, entries in titles.items():
            known[*path, title] = _ids(entries)
            if all(entry.id in asked for entry in entries):
                pending.append(((*path, title), known[*path, title]))
    return known


def _ids(entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(one.id for one in sorted(entries, key=lambda one: (one.created, one.id)))
