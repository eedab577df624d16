"""Where each field of a stored file lies: the lengths are here, the fields' names come from docs/reference/formats.md.

A format of ours is a row of tables in that page. ``SIZES`` says how long the rows of each table are in a given file; a
table that got another row there, and not here, is an error, so no field is left out of the harm.
"""

import re
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"


@cache
def documented():
    """Section ("Packs/Trailer") -> what the last column of its first table says of each row."""
    found, chapter, section, open_table = {}, "", "", False
    for line in PAGE.read_text().splitlines():
        heading = re.match(r"(#+) (.*)|\*\*([\w ]+)\.?\*\*", line)
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            # A heading may have several tables; the second one is known by its first cell, as "`state`" is.
            if not open_table:
                open_table, name = True, section if section not in found else f"{section}: {cells[0]}"
                found[name] = []
            elif not set(line) <= set("|- "):
                found[name].append(cells[-1])
            continue
        open_table = False
        if heading:
            depth, title = len(heading[1] or "###"), heading[2] or heading[3]
            chapter = title if depth == 2 else chapter
            section = title if depth == 2 else f"{chapter}/{title}"
    return found


def u32(data, at):
    return int.from_bytes(data[at : at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at : at + 8], "little")


def rows(section, at, sizes):
    """(name, start, end) of each row of a table of the page that lies at *at*."""
    found = []
    for text, size in zip(documented()[section], sizes, strict=True):
        found.append((f"{section}: {text}", at, at + size))
        at += size
    return found, at


# ── the formats ──────────────────────────────────────────────────────────────────────────────────────────────────────


def node(data):
    """A manifest node, plain."""
    level, width, name = data[9], data[10], data[11]
    count, paths, targets = (u32(data, 12 + name + 4 * number) for number in range(3))
    found, at = rows("Manifest nodes/Header", 0, [8, 1, 1, 1, 1, name, 4, 4, 4])
    if level:
        columns, at = rows("Manifest nodes/Inner node", at, [width * count, 8 * count, 8 * count, paths])
    else:
        columns, at = rows("Manifest nodes/Leaf", at, [count, 8 * count, width * count, paths, targets])
    assert at == len(data)
    return found + columns


def pack(data):
    """A pack: header, the first two members and the last one, footer, trailer."""
    width, name = data[10], data[11]
    found, at = rows("Packs/Header", 0, [8, 1, 1, 1, 1, name, 52 - name])
    footer, end = u64(data, len(data) - 40), len(data) - 48
    members = []
    while at < footer:
        one, at = rows("Packs/Member", at, [width, 1, 7, 8, 8, u64(data, at + width + 8)])
        members.append(one)
    for number in sorted({0, min(1, len(members) - 1), len(members) - 1}):
        found += [(f"{text} (member {number})", *place) for text, *place in members[number]]
    count, at = len(members), footer
    for text, size in (("n", 8), ("digests", width * count), ("offsets", 8 * count), ("stored", 8 * count),
                       ("plain", 8 * count), ("codecs", count)):  # fmt: skip
        found.append((f"Packs/Footer: {text}", at, at + size))
        at += size
    assert at == end
    return found + rows("Packs/Trailer", end, [8, 8, 8, 1, 7, 16])[0]


def index(data):
    """An index file."""
    width, count, packs = data[9], u64(data, 48), u32(data, 56)
    columns = [width * count, 4 * count, 8 * count, 8 * count, 8 * count, count]
    found, at = rows("Index files", 0, [8, 1, 1, 1, 37, 8, 4, 4, 41 * packs, 1028, *columns])
    assert at == len(data)
    return found


def verified(data):
    """A record of verified objects."""
    width, count = data[9], u64(data, 48)
    found, at = rows("Cache/Record of verified objects", 0, [8, 1, 1, 1, 37, 8, 8, width * count, 40 * count, 16])
    assert at == len(data)
    return found


def state(data):
    """The blob ``state`` of a fingerprint."""
    count = u32(data, 0)
    return rows("Fingerprints", 0, [4, 4, count, 32 * count, len(data) - 8 - 33 * count])[0]


def content(data):
    """The blob ``content`` of a fingerprint."""
    size = u32(data, 0)
    return rows("Fingerprints: bytes of `content`", 0, [4, 4, size, len(data) - 8 - size])[0]


def tokens(data):
    """Each word of a text: what a JSON or YAML reader takes for one."""
    return [(f"word {match.start()}", *match.span()) for match in re.finditer(rb'[^\s{}\[\],:"]+', data)]


def whole(data):
    """A file without fields: plain bytes."""
    return [("bytes", 0, len(data))]


# ── harms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def harms(data, fields):
    """Every harm to a file, as (name, what it holds then; None: it is gone).

    Each field has its first and its last byte changed, and the file ends where the field begins.
    """
    yield "removed", None
    yield "emptied", b""
    yield "a byte more", data + b"\0"
    for text, start, end in fields:
        if start == end:
            continue
        for name, at in (("first", start), ("last", end - 1)):
            if name == "first" or end - start > 1:
                yield f"{text}: {name} byte flipped", data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        if start:
            yield f"cut before {text}", data[:start]
