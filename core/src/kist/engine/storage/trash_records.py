"""What lies in one folder of a trash: told by the record beside the files, or, if that is damaged, by their names."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kist.util.json_text import load_json
from kist.util.slotted import slotted

RECORD = "record.json"
_FORMAT = "kist-trash/1"
_STAMP = "%Y%m%dT%H%M%S"
STAMP_LENGTH = 15


@slotted(frozen=True)
class TrashItem:
    """One file or folder in an entry: the name it has there, the path it had, its size in bytes."""

    name: str
    original: str
    size: int


@slotted(frozen=True)
class TrashEntry:
    """What went to the trash at one time.

    Args:
        id: names it in commands.
        when: UTC seconds.
        reason: why it went, in a few words.
        items: what it holds, those that were restored or never arrived left out.
        known: whether its record can be read; else nobody knows where the items were.
    """

    id: str
    when: float
    reason: str
    items: tuple[TrashItem, ...]
    known: bool = True

    @property
    def size(self) -> int:
        """Bytes of all items."""
        return sum(item.size for item in self.items)


def stamp(when: float) -> str:
    """A time in UTC seconds as names begin with it."""
    return datetime.fromtimestamp(when, UTC).strftime(_STAMP)


def new_name(when: float) -> str:
    """A name for an entry of that time, in UTC seconds."""
    return f"{stamp(when)}-{os.urandom(4).hex()}"


def time_of(name: str) -> float | None:
    """The time in an entry's name, in UTC seconds; None if it is no such name."""
    try:
        return datetime.strptime(name[:STAMP_LENGTH], _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def dump_record(items: Sequence[TrashItem], reason: str, when: float) -> bytes:
    """The record of an entry."""
    record = {
        "format": _FORMAT,
        "items": [{"name": item.name, "original": item.original, "size": item.size} for item in items],
        "reason": reason,
        "when": when,
    }
    return _canonical(record | {"check": _check(record)}) + b"\n"


def read_entry(folder: Path) -> TrashEntry | None:
    """What one folder of a trash holds; None where it is no entry.

    A record that is damaged tells nothing: then the files are there under the names that they have in the folder, so
    that they are not forgotten, and none goes where nobody had it.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        data = (folder / RECORD).read_bytes()
    except FileNotFoundError:
        found = _unknown(folder)
        # Without files it is a put that was killed, or is at work right now: nothing was moved yet.
        return found if found is not None and found.items else None
    except NotADirectoryError:
        return None
    return _load(folder, data) or _unknown(folder)


def _load(folder: Path, data: bytes) -> TrashEntry | None:
    try:
        record = load_json(data)
        check = record.pop("check", None)
        if record["format"] != _FORMAT or check not in (None, _check(record)):
            return None
        items = (TrashItem(str(one["name"]), str(one["original"]), int(one["size"])) for one in record["items"])
        kept = tuple(item for item in items if item.name.isdigit() and os.path.lexists(folder / item.name))
        return TrashEntry(folder.name, float(record["when"]), str(record["reason"]), kept)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _unknown(folder: Path) -> TrashEntry | None:
    when = time_of(folder.name)
    if when is None:
        return None
    names = sorted((name for name in os.listdir(folder) if name.isdigit()), key=int)
    items = tuple(TrashItem(name, f"{folder.name}/{name}", os.lstat(folder / name).st_size) for name in names)
    return TrashEntry(folder.name, when, "unknown: its record cannot be read", items, known=False)


def _check(record: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(record)).hexdigest()[:32]


def _canonical(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode("ascii")
