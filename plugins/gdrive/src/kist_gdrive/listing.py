"""Listing: what lies in many folders at once, level by level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kist.errors import RemoteError, RemoteObjectNotFound
from kist.remotes.files import check_key
from kist_gdrive.client import DriveClient, Entry, one_of
from kist_gdrive.folders import PARENTS, Folders

Found = dict[str, list[Entry]]
"""Key to its files, the newest first."""


def walk(client: DriveClient, folders: Folders, prefix: str) -> Iterator[Found]:
    """The files of every key that starts with a prefix, for some folders at a time; each key once.

    Args:
        client: for requests.
        folders: finds where to begin.
        prefix: the prefix.

    Yields:
        What lies in some folders.
    """
    if prefix and not _may_start_key(prefix):
        return
    top = prefix.rpartition("/")[0]
    pending = {top: list(folders.find(top))}
    while pending:
        paths: dict[str, str] = {}
        # All folders of one path together, so that doubles meet.
        for path in list(pending):
            if paths and len(paths) + len(pending[path]) > PARENTS:
                break
            paths |= dict.fromkeys(pending.pop(path), path)
        if not paths:
            continue
        found: Found = {}
        for entry, key in _children(client, folders, paths, top):
            if entry.is_folder and (key.startswith(prefix) or prefix.startswith(key + "/")):
                pending.setdefault(key, []).append(entry.id)
            elif entry.size is not None and key.startswith(prefix):
                found.setdefault(key, []).append(entry)
        yield {key: newest_first(entries) for key, entries in found.items()}


def newest_first(entries: Iterable[Entry]) -> list[Entry]:
    """Files of one name in their order: the first is the object.

    Args:
        entries: the files.

    Returns:
        The one that was written last first.
    """
    return sorted(entries, key=lambda one: (one.modified, one.id), reverse=True)


def _children(client: DriveClient, folders: Folders, paths: dict[str, str], top: str) -> list[tuple[Entry, str]]:
    """What lies in some folders, with its key; what cannot be part of a key is left out.

    Args:
        client: for requests.
        folders: told of folders that went away.
        paths: ids of the folders, with their paths.
        top: the path of the one whose id is not told, as that of the alias "root" is not.
    """
    try:
        entries = list(client.query(one_of("parents", list(paths))))
    except RemoteObjectNotFound:  # one of them went away
        if len(paths) == 1:
            folders.lost(paths)
            return []
        return [one for name, path in paths.items() for one in _children(client, folders, {name: path}, top)]
    named = ((entry, f"{paths.get(entry.parent, top)}/{entry.title}".lstrip("/")) for entry in entries)
    return [(entry, key) for entry, key in named if "/" not in entry.title and _may_start_key(key)]


def _may_start_key(prefix: str) -> bool:
    """Whether some key could start so, or be so."""
    try:
        check_key(prefix.removesuffix("/").rstrip("."))
    except RemoteError:
        return False
    return "//" not in prefix and not any(part in (".", "..") for part in prefix.split("/"))
