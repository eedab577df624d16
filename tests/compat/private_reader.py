"""An independent reader of what kist keeps privately, written from docs/reference/formats.md alone; no import of kist."""

from __future__ import annotations

import json
import re
import sqlite3
import struct
import sys
import zlib
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

Look = tuple[int, int, int, int, int]


def need(condition: object, message: str) -> None:
    """Refuse what is not as the page says."""
    if not condition:
        raise ValueError(message)


def read_verified(data: bytes) -> tuple[str, dict[bytes, Look]]:
    """Algorithm, and how each loose object looked: size, mtime, ctime, inode, number of links."""
    magic, version, width, length, name, count = struct.unpack_from("<8sBBB37sQ", data)
    need((magic, version) == (b"KISTVERI", 1) and not any(data[56:64]), "not a record of version 1")
    need(sha256(data[:-16]).digest()[:16] == data[-16:], "the record's check does not fit")
    need(len(data) == 64 + count * (width + 40) + 16, "a record of another length")
    raws = [data[64 + at * width : 64 + (at + 1) * width] for at in range(count)]
    need(raws == sorted(set(raws)), "digests are not sorted")
    values = struct.unpack_from(f"<{5 * count}Q", data, 64 + count * width)
    looks = zip(*(values[at * count : (at + 1) * count] for at in range(5)), strict=True)
    return name[:length].decode("ascii"), dict(zip(raws, looks, strict=True))


def read_row(state: bytes, content: bytes) -> list[tuple[bytes, str, tuple[int, ...], bytes, bytes]]:
    """One segment of a folder: name, kind, stats, raw digest and target of each."""
    (count, check), (length, other_check) = struct.unpack_from("<II", state), struct.unpack_from("<II", content)
    need(zlib.crc32(state[8:]) == check, "the state's check does not fit")
    need(zlib.crc32(content[8:], zlib.crc32(state)) == other_check, "the content's check does not fit")
    kinds = state[8 : 8 + count].decode("ascii")
    order = "<" if sys.byteorder == "little" else ">"
    stats = struct.unpack_from(f"{order}{4 * count}q", state, 8 + count)
    names = state[8 + 33 * count :].split(b"\0") if count else []
    width = length // count if count else 0
    targets = iter(content[8 + length :].split(b"\0"))
    rows = []
    for at, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        raw = content[8 + at * width : 8 + (at + 1) * width]
        rows.append((name, kind, stats[4 * at : 4 * at + 4], raw, next(targets) if kind == "l" else b""))
    return rows


def read_fingerprints(path: Path) -> tuple[dict[bytes, list[Any]], dict[bytes, tuple[str, int, int]]]:
    """Rows by key, and what the bases say by output."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        need(database.execute("PRAGMA user_version").fetchone() == (1,), "fingerprints of another version")
        folders: dict[bytes, list[Any]] = {}
        for key, segment, algorithm, state, content in database.execute(
            "SELECT key, segment, algorithm, state, content FROM folders ORDER BY key, segment"
        ):
            row = folders.setdefault(key, [algorithm])
            need(segment == len(row) - 1, "a segment is missing")
            row.append(read_row(state, content))
        bases = database.execute("SELECT output, digest, current, generation FROM bases").fetchall()
    return folders, {output: (digest, current, generation) for output, digest, current, generation in bases}


def read_journal(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Header, and the folders in which temporary files may stand."""
    first, header, check, rest = data.split(b"\n", 3)
    need(first == b"kist-journal/1", "not a record of version 1")
    need(check == b"sha256:" + sha256(header + b"\n" + rest).hexdigest().encode(), "the record's check does not fit")
    return json.loads(header), rest.split(b"\0")


def read_trash(folder: Path) -> dict[str, bytes]:
    """What the only entry of a trash holds: original path -> content."""
    [entry] = folder.iterdir()
    need(re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{8}", entry.name), "an entry of another name")
    record = json.loads((entry / "record.json").read_bytes())
    need(record["format"] == "kist-trash/1", "not a record of version 1")
    found = {item["original"]: (entry / item["name"]).read_bytes() for item in record["items"]}
    need(all(item["size"] == len(found[item["original"]]) for item in record["items"]), "an item of another size")
    return found


def read_refs(data: bytes) -> dict[str, str]:
    """Versions that a worktree needs, and whether each is a directory or a file."""
    first, *lines, last = data.decode("ascii").split("\n")
    need(first == "kist-cache-refs/1" and not last, "not refs of version 1")
    checked = [line.rpartition(" ") for line in lines]
    need(all(sha256(text.encode()).hexdigest()[:16] == check for text, _, check in checked), "a check does not fit")
    (place, *_), *roots = checked
    need({"root", "host"} == json.loads(place).keys(), "no place")
    return dict(text.split(" ") for text, *_ in roots)


def read_scratch(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Who holds a scratch folder, and where its temporary files may stand."""
    head, *folders = data.split(b"\0")
    return json.loads(head), folders[:-1]
