"""An independent reader of what kist stores, written from docs/reference/formats.md alone.

It imports nothing of kist and nothing beyond the standard library, so it shows that the page says all there is to know.
It reads strictly: whatever the page calls not valid is a ``FormatError`` here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOSE, SEGMENTED = 0xFFFFFFFF, 0xFFFFFFFE
KINDS = {ord("f"): 0o100644, ord("x"): 0o100755, ord("l"): 0o120000, ord("d"): 0o040000}

Raw = bytes
Tree = dict[bytes, tuple[int, bytes]]


class FormatError(Exception):
    """The bytes are not what the page says."""


def need(condition: object, message: str) -> None:
    """Refuse what is not as the page says."""
    if not condition:
        raise FormatError(message)


def sha256(data: bytes) -> bytes:
    """The raw SHA-256."""
    return hashlib.sha256(data).digest()


# ── numbers and columns ──────────────────────────────────────────────────────────────────────────────────────────────


class Cursor:
    """Takes one column after another off some bytes."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, length: int) -> bytes:
        need(self.at + length <= len(self.data), "the bytes end too early")
        self.at += length
        return self.data[self.at - length : self.at]

    def zeros(self, length: int) -> None:
        need(not any(self.take(length)), "what should be zero is not")

    def u8(self) -> int:
        return self.take(1)[0]

    def u32(self) -> int:
        return self.u32s(1)[0]

    def u64(self) -> int:
        return self.u64s(1)[0]

    def u32s(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self.take(4 * count))

    def u64s(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self.take(8 * count))

    def i64s(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}q", self.take(8 * count))

    def raws(self, count: int, width: int) -> list[Raw]:
        return [self.take(width) for _ in range(count)]

    def texts(self, length: int, count: int) -> list[bytes]:
        parts = self.take(length).split(b"\0") if count else []
        need(len(parts) == count, "a joined column has another number of parts")
        return parts

    def end(self) -> None:
        need(self.at == len(self.data), "something follows the last column")


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_text(what: str, data: bytes) -> Any:
    """One of the remote's texts."""
    lines = data.split(b"\n")
    need(len(lines) == 4 and lines[3] == b"", "a text has three lines")
    need(lines[0] == f"kist-{what}/1".encode(), f"not a text {what}")
    body = lines[0] + b"\n" + lines[1] + b"\n"
    need(lines[2] == b"sha256:" + sha256(body).hex().encode(), "the text's check does not fit")
    value = json.loads(lines[1])
    need(json.dumps(value, sort_keys=True, separators=(",", ":")).encode() == lines[1], "the JSON is not canonical")
    return value


# ── packs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Member:
    raw: Raw
    offset: int
    stored: int
    plain: int
    codec: int


def unfold(codec: int, stored: bytes, plain: int) -> bytes:
    """The plain bytes of a member."""
    need(codec in (0, 1), "an unknown codec")
    data = zlib.decompress(stored) if codec else stored
    need(len(data) == plain, "a member has another length")
    return data


def read_pack(data: bytes, name: str) -> tuple[int, str, list[Member]]:
    """Kind, algorithm and members of a pack, with everything checked but the members' own digests."""
    head = Cursor(data)
    need(head.take(8) == b"KISTPACK" and head.u8() == 1, "not a pack of version 1")
    kind, width, length = head.u8(), head.u8(), head.u8()
    algorithm = head.take(length).decode("ascii")
    head.zeros(52 - length)
    need(kind in (0, 1) and 8 <= width <= 64 and head.at == 64, "a pack's header is not valid")

    trailer = Cursor(data, len(data) - 48)
    need(trailer.take(8) == b"KISTPEND", "a pack has no trailer")
    start, size = trailer.u64(), trailer.u64()
    need(trailer.u8() == 1, "a trailer of another version")
    trailer.zeros(7)
    need(start + size + 48 == len(data), "a pack's footer is not where its trailer says")
    footer = data[start : start + size]
    need(trailer.take(16) == sha256(data[:64] + footer)[:16], "a pack's check does not fit")
    need(sha256(footer).hex() == name, "a pack has another name")

    columns = Cursor(footer)
    count = columns.u64()
    raws = columns.raws(count, width)
    need(count and raws == sorted(set(raws)), "digests are not sorted")
    numbers = [columns.u64s(count) for _ in range(3)]
    members = [Member(*row) for row in zip(raws, *numbers, columns.take(count), strict=True)]
    columns.end()

    at = 64
    for member in sorted(members, key=lambda one: one.offset):
        own = Cursor(data, at)
        need(
            own.take(width) == member.raw and own.u8() == member.codec, "a member's header is not what the footer says"
        )
        own.zeros(7)
        need((own.u64(), own.u64()) == (member.stored, member.plain), "a member has other lengths")
        need(own.at == member.offset, "a member is not where the footer says")
        at = member.offset + member.stored
    need(at == start, "members do not fill the pack")
    return kind, algorithm, members


# ── indexes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Place:
    pack: str | None
    """The pack, or None if the object lies by itself."""
    segmented: bool
    offset: int
    stored: int
    plain: int
    codec: int


@dataclass
class Index:
    algorithm: str
    packs: list[tuple[str, int, int]]
    """Name, length and kind of each."""
    places: dict[Raw, Place]


def read_index(data: bytes, name: str) -> Index:
    """All that an index file says."""
    need(sha256(data).hex() == name, "an index has another name")
    cursor = Cursor(data)
    need(cursor.take(8) == b"KISTINDX" and cursor.u8() == 1, "not an index of version 1")
    width, length = cursor.u8(), cursor.u8()
    algorithm = cursor.take(length).decode("ascii")
    cursor.zeros(37 - length)
    count, pack_count = cursor.u64(), cursor.u32()
    cursor.zeros(4)
    packs = [(cursor.take(32).hex(), cursor.u64(), cursor.u8()) for _ in range(pack_count)]
    need(packs == sorted(packs), "packs are not sorted")
    fan_out = cursor.u32s(257)
    raws = cursor.raws(count, width)
    need(raws == sorted(set(raws)), "digests are not sorted")
    firsts = [raw[0] for raw in raws]
    need(fan_out == tuple(bisect_left(firsts, byte) for byte in range(257)), "the fan-out does not fit")
    numbers, offsets, stored, plains = cursor.u32s(count), cursor.u64s(count), cursor.u64s(count), cursor.u64s(count)
    codecs = cursor.take(count)
    cursor.end()
    places = {}
    for raw, number, *row in zip(raws, numbers, offsets, stored, plains, codecs, strict=True):
        alone = number in (LOOSE, SEGMENTED)
        places[raw] = Place(None if alone else packs[number][0], number == SEGMENTED, *row)
    return Index(algorithm, packs, places)


# ── manifests ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Node:
    level: int
    paths: list[bytes]
    raws: list[Raw]
    sizes: tuple[int, ...]
    kinds: bytes = b""
    """Of a leaf."""
    targets: tuple[bytes, ...] = ()
    """Of a leaf: one an entry, b"" where it is no symlink."""
    counts: tuple[int, ...] = ()
    """Of an inner node: entries below each child."""


def read_node(data: bytes, algorithm: str) -> Node:
    """One node."""
    cursor = Cursor(data)
    need(cursor.take(8) == b"KISTNODE" and cursor.u8() == 1, "not a node of version 1")
    level, width, length = cursor.u8(), cursor.u8(), cursor.u8()
    need(cursor.take(length).decode("ascii") == algorithm, "a node of another algorithm")
    count, paths_length, targets_length = cursor.u32(), cursor.u32(), cursor.u32()
    if level:
        raws = cursor.raws(count, width)
        counts, sizes = cursor.u64s(count), cursor.u64s(count)
        node = Node(level, cursor.texts(paths_length, count), raws, sizes, counts=counts)
        need(count and not targets_length, "an inner node that is not valid")
    else:
        kinds, sizes, raws = cursor.take(count), cursor.u64s(count), cursor.raws(count, width)
        paths = cursor.texts(paths_length, count)
        targets = iter(cursor.texts(targets_length, kinds.count(b"l")))
        filled = tuple(next(targets) if kind == ord("l") else b"" for kind in kinds)
        node = Node(0, paths, raws, sizes, kinds, filled)
    cursor.end()
    need(node.paths == sorted(set(node.paths)), "paths are not sorted")
    return node


def read_tree(raw: Raw, algorithm: str, get: Callable[[Raw], bytes]) -> Iterator[tuple[Node, int]]:
    """The leaves below a node with what each holds, and each inner node, checked against what it says."""
    node = read_node(get(raw), algorithm)
    yield node, len(node.paths)
    if not node.level:
        return
    last = b""
    for child, path, count, size in zip(node.raws, node.paths, node.counts, node.sizes, strict=True):
        below = list(read_tree(child, algorithm, get))
        top = below[0][0]
        leaves = [one for one, _ in below if not one.level]
        need(top.level == node.level - 1, "a child of another level")
        need(leaves[0].paths[0] > last and top.paths[-1] == path, "a child of another range")
        need(sum(len(leaf.paths) for leaf in leaves) == count, "a child with another number of entries")
        need(sum(sum(leaf.sizes) for leaf in leaves) == size, "a child of another size")
        last = path
        yield from below


def leaf_lengths(paths: list[bytes]) -> list[int]:
    """How many entries each leaf of a manifest with these paths has."""
    lengths, count, size = [], 0, 0
    for path in paths:
        count, size = count + 1, size + len(path)
        if (count >= 256 and zlib.crc32(path) & 1023 == 0) or count == 4096 or size >= 262_144:
            lengths.append(count)
            count = size = 0
    return [*lengths, count] if count else lengths


# ── whole stores ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Store:
    """Reads objects by their digests: what a remote and a cache have in common.

    Args:
        folder: where the files lie.
        algorithm: of the digests.
        indexes: names of index files, the one to look in last at the end.
    """

    def __init__(self, folder: Path, algorithm: str, indexes: list[str]) -> None:
        self.folder, self.algorithm = folder, algorithm
        self.indexes = [read_index((folder / "index" / name).read_bytes(), name) for name in indexes]
        self._packs: dict[str, bytes] = {}

    def get(self, raw: Raw) -> bytes:
        """One object."""
        for index in reversed(self.indexes):
            if raw in index.places:
                data = self._read(raw, index.places[raw])
                break
        else:
            data = self.path(raw).read_bytes()
        need(hashlib.new(self.algorithm, data).digest() == raw, "an object is not what its digest says")
        return data

    def path(self, raw: Raw) -> Path:
        """Where an object lies by itself."""
        return self.folder / "objects" / self.algorithm / raw.hex()[:2] / raw.hex()[2:]

    def tree(self, root: Raw) -> Tree:
        """The directory of a manifest."""
        found: Tree = {}
        for leaf, _ in read_tree(root, self.algorithm, self.get):
            if leaf.level:
                continue
            for path, kind, size, raw, target in zip(
                leaf.paths, leaf.kinds, leaf.sizes, leaf.raws, leaf.targets, strict=True
            ):
                content = self.get(raw) if kind in b"fx" else target
                need(len(content) == size if kind in b"fx" else not size and not any(raw), "an entry is not valid")
                found[path] = (KINDS[kind], content)
        return found

    def _read(self, raw: Raw, place: Place) -> bytes:
        if place.pack is not None:
            if place.pack not in self._packs:
                self._packs[place.pack] = (self.folder / "packs" / place.pack).read_bytes()
                read_pack(self._packs[place.pack], place.pack)
            stored = self._packs[place.pack][place.offset : place.offset + place.stored]
            return unfold(place.codec, stored, place.plain)
        if not place.segmented:
            return self.path(raw).read_bytes()
        path = self.path(raw)
        listed = read_text("segments", path.with_name(path.name + ".segments").read_bytes())
        need(listed["digest"] == f"{self.algorithm}:{raw.hex()}", "a segment list of another object")
        data = b"".join(self._segment(*one) for one in listed["segments"])
        need(len(data) == listed["size"] == place.plain, "segments do not add up")
        return data

    def _segment(self, digest: str, size: int) -> bytes:
        raw = parse_digest(digest)[1]
        data = self.path(raw).read_bytes()
        need(len(data) == size and hashlib.new(self.algorithm, data).digest() == raw, "a segment is damaged")
        return data


def parse_digest(text: str) -> tuple[str, Raw]:
    """Algorithm and raw bytes of a digest."""
    algorithm, _, hexadecimal = text.partition(":")
    return algorithm, bytes.fromhex(hexadecimal)


def open_version(remote: Path, digest: str) -> Store:
    """A version on a remote, found by its marker."""
    algorithm, raw = parse_digest(digest)
    marker = read_text("root", (remote / "roots" / algorithm / raw.hex()).read_bytes())
    need(marker["roots"] == [digest], "a marker of another version")
    return Store(remote, algorithm, marker["indexes"][algorithm])


def read_set(remote: Path, digests: list[str]) -> Any:
    """What a set says of some versions."""
    name = sha256("".join(f"{one}\n" for one in sorted(digests)).encode()).hex()
    value = read_text("set", (remote / "sets" / name).read_bytes())
    need(value["roots"] == sorted(digests), "a set of other versions")
    return value


def open_cache(cache: Path, algorithm: str) -> Store:
    """A cache."""
    need(json.loads((cache / "kist-cache").read_bytes()) == {"format": "kist-cache/1"}, "not a cache of version 1")
    return Store(cache, algorithm, sorted(path.name for path in (cache / "index").iterdir()))


def read_metafile(data: bytes) -> dict[str, Any]:
    """A metafile as kist writes new ones: ``key: value`` lines and lists of plain texts."""
    values: dict[str, Any] = {}
    key = ""
    for line in data.decode("utf-8").splitlines():
        if line.startswith("  - "):
            values[key].append(line[4:])
            continue
        key, _, text = line.partition(":")
        text = text.strip()
        simple = {"": [], "true": True, "false": False}
        values[key] = simple[text] if text in simple else int(text) if text.isdecimal() else text.strip('"')
    need(values["format"] == "kist/1", "not a metafile of version 1")
    encoded = values.get("path_b64")
    values["name"] = base64.b64decode(encoded) if encoded else values["path"].encode()
    return values
