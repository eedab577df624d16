"""DriveRemote: objects as files below a folder of Google Drive."""

from __future__ import annotations

import builtins
import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kist.abc import Capabilities, NullProgress, ObjectInfo, Options, Progress, Remote, RemoteScope, RemoteURL
from kist.errors import RemoteError, RemoteExists, RemoteObjectNotFound
from kist.remotes.files import check_key, read_pieces, write_target
from kist.remotes.wrapping import buffered
from kist_gdrive.options import DriveOptions, Location
from kist_gdrive.reading import ObjectReader

if TYPE_CHECKING:
    from kist_gdrive.client import DriveClient, Entry
    from kist_gdrive.contents import Contents
    from kist_gdrive.folders import Folders

_NAMES = 16
"""Names that one query asks for."""

_ABANDONED = 24 * 3600.0
"""Seconds after which an older file of the same name belongs to no put that is under way."""


class DriveRemote(Remote):
    """Keeps each object as a file, in folders as its key has slashes.

    Drive lets several files of one folder have one name. Here the one that was written last is the object; a put
    writes to the one that was made first and removes the others, a delete removes all.

    Args:
        location: the folder.
        options: how to get there.
        scope: what the core lends. Credentials go to Google's own endpoints, whoever named the folder.
    """

    capabilities = Capabilities(max_concurrency=8, server_digests=frozenset({"md5"}), max_object_size=5_000_000_000_000)

    def __init__(
        self, location: Location, options: DriveOptions = DriveOptions(), scope: RemoteScope = RemoteScope()
    ) -> None:
        self._location, self._options, self._scope = location, options, scope
        self._lock = threading.Lock()
        self._opened: tuple[DriveClient, Folders, Contents] | None = None

    @classmethod
    def from_url(cls, url: RemoteURL, options: Options, scope: RemoteScope) -> DriveRemote:
        """Open ``gdrive://<folder id>/path``.

        Args:
            url: the address.
            options: a DriveOptions, or none of its values.
            scope: what the core lends.

        Returns:
            The remote.

        Raises:
            InvalidOption: the URL names no folder.
        """
        chosen = options if isinstance(options, DriveOptions) else DriveOptions()
        return cls(Location.of(url), chosen, scope)

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Ask what is there, then add a file or replace the content of the one that is."""
        from kist_gdrive.uploads import Source, Target

        folder, title = _parts(key)
        bytes_ = Source(source, progress)
        parents = self._folders.make(folder)
        there = self._among(key, parents, title)
        if if_absent and there:
            raise RemoteExists(f"the remote has {key} already", remote=self._scope.name)
        # Which one stays does not depend on who looks when: of two puts at once, neither removes the other's.
        there.sort(key=lambda one: (one.created, one.id))
        try:
            self._client.upload(Target(key, parents[0], title, there[0].id if there else None), bytes_, progress)
        except RemoteObjectNotFound:  # it, or its folder, went away since
            self._folders.lost(())
            self._client.upload(Target(key, self._folders.make(folder)[0], title, None), bytes_, progress)
        for other in there[1:]:
            self._client.remove(other.id, key)
        if bytes_.data is not None:
            self._contents.keep(bytes_.md5(), bytes_.data)

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Bring the object and compare its digest with Google's."""
        with self.open(key) as reader:
            write_target(target, read_pieces(reader), progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read by requests of at most 8 MiB; all of an object is compared with Google's digest at its end."""
        check_key(key)
        return buffered(
            ObjectReader(self._client, self._contents, key, lambda: self._newest(key), start=start, length=length)
        )

    def stat(self, key: str) -> ObjectInfo:
        """Size, time and digest, as Google tells them now."""
        return _info(key, self._newest(key))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Ask for many folders at once, level by level; each key once."""
        from kist_gdrive.listing import walk

        for found in walk(self._client, self._folders, prefix):
            for key, entries in found.items():
                yield _info(key, entries[0])

    def delete(self, key: str) -> None:
        """Remove every file of that name."""
        for entry in self._find(key):
            self._client.remove(entry.id, key)

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Ask for sixteen names at a time, folder by folder."""
        return {key: bool(entries) for key, entries in self._find_many(keys)}

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Ask for sixteen names at a time, then remove what is there one by one, as Drive does it."""
        failed: dict[str, RemoteError] = {}
        for key, entries in self._find_many(keys):
            try:
                for entry in entries:
                    self._client.remove(entry.id, key)
            except RemoteError as exc:
                failed[key] = exc
        return failed

    def copy(self, source: str, target: str) -> None:
        """Copy on Google's side."""
        entry = self._newest(source)
        folder, title = _parts(target)
        parents = self._folders.make(folder)
        there = self._among(target, parents, title)
        self._client.copy(entry.id, parents[0], title, target)
        for older in there:
            self._client.remove(older.id, target)

    def sweep(self) -> int:
        """Remove older files of a name that has several, as puts at the same moment leave them."""
        from kist_gdrive.listing import walk

        removed = 0
        for found in walk(self._client, self._folders, ""):
            for key, entries in found.items():
                for older in entries[1:]:
                    if older.modified < time.time() - _ABANDONED:
                        self._client.remove(older.id, key)
                        removed += 1
        return removed

    def identity(self) -> str:
        """The account, or the application that a user has let in."""
        return self._client.identity()

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """Where the folder is, which credentials count and whose they are."""
        from kist_gdrive.access import sources

        found = [("folder", str(self._location))]
        places = sources(self._options)
        chosen = next((one for one in places if one.present), None)
        tried = [f"{one.place}: {'used' if one is chosen else 'set' if one.present else 'not set'}" for one in places]
        found.append(("credentials", "; ".join(tried)))
        try:
            about = self._client.about()
        except RemoteError as error:
            return [*found, ("identity", f"not known: {error}")]
        found.append(("identity", str(about.get("user", {}).get("emailAddress", "not told"))))
        used, total = (int(about.get(name, 0)) for name in ("quotaBytesUsed", "quotaBytesTotal"))
        found.append(("space", f"{used / 1e9:.1f} GB used" + (f" of {total / 1e9:.1f} GB" if total else "")))
        return [*found, ("what is deleted", "goes to the trash" if self._options.use_trash else "is gone for ever")]

    def close(self) -> None:
        """Let go of connections, and remember the folders and small contents."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            client, folders, contents = opened
            folders.save()
            contents.save()
            client.close()

    def __repr__(self) -> str:
        return f"DriveRemote({str(self._location)!r})"

    # ── what lies there ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _client(self) -> DriveClient:
        return self._open()[0]

    @property
    def _folders(self) -> Folders:
        return self._open()[1]

    @property
    def _contents(self) -> Contents:
        return self._open()[2]

    def _open(self) -> tuple[DriveClient, Folders, Contents]:
        """Load Google's libraries, once."""
        with self._lock:
            if self._opened is None:
                from kist_gdrive.client import DriveClient
                from kist_gdrive.contents import Contents
                from kist_gdrive.folders import Folders

                client = DriveClient(self._location, self._options, self._scope)
                folders = Folders(client, self._location, self._memory("folders"))
                self._opened = client, folders, Contents(self._memory("contents"))
            return self._opened

    def _memory(self, what: str) -> Path | None:
        """A file in the private folder, of this place alone."""
        name = hashlib.sha256(str(self._location).encode()).hexdigest()[:16]
        return self._scope.state / f"gdrive-{what}-{name}.json" if self._scope.state is not None else None

    def _newest(self, key: str) -> Entry:
        if not (found := self._find(key)):
            raise RemoteObjectNotFound(key, remote=self._scope.name)
        return found[0]

    def _find(self, key: str) -> builtins.list[Entry]:
        """The files of a key, the newest first."""
        from kist_gdrive.listing import newest_first

        folder, title = _parts(key)
        parents, there = self._folders.look(folder, title)
        if there is not None:
            return newest_first(one for one in there if one.size is not None)
        return self._among(key, parents, title) if parents else []

    def _among(self, key: str, parents: tuple[str, ...], title: str) -> builtins.list[Entry]:
        """The files of a name in some folders, the newest first."""
        return self._asked({title: key}, parents)[key]

    def _asked(self, keys: dict[str, str], parents: tuple[str, ...]) -> dict[str, builtins.list[Entry]]:
        """The files of some names in some folders, the newest first.

        Args:
            keys: name to key.
            parents: ids of the folders, found before.
        """
        from kist_gdrive.client import one_of
        from kist_gdrive.listing import newest_first

        condition = f"{one_of('parents', parents)} and {one_of('title', builtins.list(keys))}"
        found: dict[str, builtins.list[Entry]] = {key: [] for key in keys.values()}
        try:
            for entry in self._client.query(condition):
                if entry.title in keys and entry.size is not None:
                    found[keys[entry.title]].append(entry)
        except RemoteObjectNotFound:  # a folder went away since it was found, with what was in it
            self._folders.lost(parents)
        return {key: newest_first(entries) for key, entries in found.items()}

    def _find_many(self, keys: Iterable[str]) -> Iterator[tuple[str, builtins.list[Entry]]]:
        by_folder: dict[str, dict[str, str]] = {}
        for key in keys:
            folder, title = _parts(key)
            by_folder.setdefault(folder, {})[title] = key
        for folder, titles in by_folder.items():
            parents = self._folders.find(folder)
            names = builtins.list(titles)
            for start in range(0, len(names), _NAMES):
                some = {name: titles[name] for name in names[start : start + _NAMES]}
                yield from (self._asked(some, parents) if parents else {key: [] for key in some.values()}).items()


def _parts(key: str) -> tuple[str, str]:
    folder, _, title = check_key(key).rpartition("/")
    return folder, title


def _info(key: str, entry: Entry) -> ObjectInfo:
    return ObjectInfo(key=key, size=entry.size or 0, mtime=entry.modified, digests={"md5": entry.md5})
