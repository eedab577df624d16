"""Fingerprint rows: what is known about one folder, as columns, and its two blobs.

The *state* of a segment is kinds, stats and names: comparing it with what a folder looks like now says in one step
whether anything may have changed. The *content* is digests and link targets. Both carry a CRC-32 (the content's covers
the state too), so a row that a power cut or another program tore is no row.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator

from kist.abc.kernel import OTHER, STAT_FIELDS, SUBDIRECTORY, Listing
from kist.model.entry import FILE, SYMLINK
from kist.util.slotted import field, slotted

SEGMENT = 16_384
"""Names in one segment at most."""

RACY = 2_000_000_000
"""Nanoseconds that a file must have been left alone before its fingerprint is trusted."""

_HEADER = struct.Struct("<II")
_STAT_BYTES = 8 * STAT_FIELDS
SMUDGED = array("q", [-1] * STAT_FIELDS)
"""Stats that no file ever has."""

_FOLDER = array("q", [0] * STAT_FIELDS)

_NEVER = (1 << 63) - 1


@slotted()
class Row:
    """What is known about one folder, or about one file that is an output of its own.

    Attributes:
        directory: the folder's path (or the file's), relative to the repository.
        algorithm: the hash algorithm of the digests.
        listing: names, kinds and stats as they were; a smudged entry has stats of -1, which no file ever has.
        digests: one raw digest a name, zeros where there is none.
        targets: the link targets, one a symlink.
        is_file: whether this is about a single file.
    """

    directory: bytes
    algorithm: str
    listing: Listing
    digests: bytes = b""
    targets: list[bytes] = field(default_factory=list)
    is_file: bool = False

    @property
    def key(self) -> bytes:
        """Where the row is kept; keys sort in the order of a walk."""
        return self.directory if self.is_file else folder_key(self.directory)

    def smudge(self, clock: int | None, margin: int = RACY) -> None:
        """Make entries that were changed too recently unknown: the next change might leave no trace in their stats.

        Args:
            clock: the time of the file system, in ns, before the entries were read; None if nobody knows, then no
                entry is trusted.
            margin: how many ns before it count as recent.
        """
        stats, kinds = self.listing.stats, self.listing.kinds
        if not kinds:
            return
        limit = -_NEVER if clock is None else clock - margin
        changed, renewed = stats[1::STAT_FIELDS], stats[2::STAT_FIELDS]
        if max(changed) < limit and max(renewed) < limit and OTHER not in kinds:
            return
        for at, kind in enumerate(kinds):
            recent = changed[at] >= limit or renewed[at] >= limit
            if kind == OTHER or (recent and kind != SUBDIRECTORY):
                stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS] = SMUDGED


@slotted()
class StoredRow:
    """A row as it is kept: blobs, one a segment.

    Attributes:
        key: ``Row.key``.
        algorithm: the hash algorithm of the digests.
        states: what the folder looked like.
        contents: digests and targets; empty if they were not asked for.
    """

    key: bytes
    algorithm: str
    states: list[bytes]
    contents: list[bytes]

    def row(self) -> Row | None:
        """The row in columns, None if it is damaged."""
        names: list[bytes] = []
        targets: list[bytes] = []
        stats = array("q")
        kinds, digests = [], []
        for state, content in zip(self.states, self.contents, strict=True):
            part = _unpack(state, content)
            if part is None:
                return None
            listing, part_digests, part_targets = part
            names += listing.names
            stats += listing.stats
            targets += part_targets
            kinds.append(listing.kinds)
            digests.append(part_digests)
        listing = Listing(names, b"".join(kinds), stats)
        is_file = bool(self.key) and not self.key.endswith(b"/")
        return Row(self.key.removesuffix(b"/"), self.algorithm, listing, b"".join(digests), targets, is_file)


def changed_places(old: bytes, new: bytes, width: int) -> list[int]:
    """Where two columns of one length differ, found by halves: what is equal costs almost nothing.

    Args:
        old: a column.
        new: another.
        width: bytes of one value.

    Returns:
        Positions of values, ascending.
    """
    places: list[int] = []
    waiting = [(0, len(new) // width)]
    while waiting:
        start, stop = waiting.pop()
        if old[start * width : stop * width] == new[start * width : stop * width]:
            continue
        if stop - start == 1:
            places.append(start)
        else:
            half = (start + stop) // 2
            waiting += [(half, stop), (start, half)]
    return places


def folder_key(directory: bytes) -> bytes:
    """The key of a folder's row: with ``/`` at its end, so that keys sort as folders are visited."""
    return directory + b"/" if directory else b""


def pack_states(listing: Listing) -> list[bytes]:
    """The states of a folder, one a segment; one empty state for an empty folder.

    Args:
        listing: what the folder holds.

    Returns:
        Blobs that are equal if and only if the listings are.
    """
    names, kinds, stats = listing.names, listing.kinds, listing.stats.tobytes()
    states = []
    for start in range(0, max(len(names), 1), SEGMENT):
        stop = min(start + SEGMENT, len(names))
        body = b"".join(
            (kinds[start:stop], stats[start * _STAT_BYTES : stop * _STAT_BYTES], b"\0".join(names[start:stop]))
        )
        states.append(_HEADER.pack(stop - start, zlib.crc32(body)) + body)
    return states


def pack_contents(row: Row, states: list[bytes]) -> list[bytes]:
    """The contents of a row, one a segment.

    Args:
        row: the row.
        states: its states.

    Returns:
        As many blobs as there are states.
    """
    count = len(row.listing.names)
    width = len(row.digests) // count if count else 0
    contents = []
    first = 0
    for number, state in enumerate(states):
        start = number * SEGMENT
        stop = min(start + SEGMENT, count)
        last = first + row.listing.kinds.count(SYMLINK, start, stop)
        digests = row.digests[start * width : stop * width]
        body = digests + b"\0".join(row.targets[first:last])
        contents.append(_HEADER.pack(len(digests), zlib.crc32(body, zlib.crc32(state))) + body)
        first = last
    return contents


def _unpack(state: bytes, content: bytes) -> tuple[Listing, bytes, list[bytes]] | None:
    if len(state) < _HEADER.size or len(content) < _HEADER.size:
        return None
    count, state_crc = _HEADER.unpack_from(state)
    length, content_crc = _HEADER.unpack_from(content)
    body, digests_and_targets = state[_HEADER.size :], content[_HEADER.size :]
    if zlib.crc32(body) != state_crc or zlib.crc32(digests_and_targets, zlib.crc32(state)) != content_crc:
        return None
    if len(body) < count * (1 + _STAT_BYTES):
        return None
    kinds = body[:count]
    stats = array("q", body[count : count + count * _STAT_BYTES])
    names = body[count + count * _STAT_BYTES :].split(b"\0") if count else []
    targets = digests_and_targets[length:].split(b"\0") if SYMLINK in kinds else []
    if len(names) != count or len(stats) != count * STAT_FIELDS or len(targets) != kinds.count(SYMLINK):
        return None
    return Listing(names, kinds, stats), digests_and_targets[:length], targets


def only(row: Row, name: bytes) -> Row:
    """The part of a row that is about one name; it may be empty.

    Args:
        row: the row of a folder.
        name: a plain name that is no subfolder.

    Returns:
        A new row.
    """
    names, kinds = row.listing.names, row.listing.kinds
    at = next((at for at, one in enumerate(names) if one == name and kinds[at] != SUBDIRECTORY), None)
    if at is None:
        return Row(row.directory, row.algorithm, Listing())
    return _part(row, at, at + 1)


def single_rows(row: Row) -> Iterator[Row]:
    """The rows of the names of a folder as if each were a file that is an output of its own.

    Args:
        row: of a folder without subfolders.

    Yields:
        One row a name.
    """
    for at, name in enumerate(row.listing.names):
        one = _part(row, at, at + 1)
        one.directory = row.directory + b"/" + name if row.directory else name
        one.is_file = True
        yield one


def with_entry(row: Row, name: bytes, entry: Row) -> Row:
    """A row with one name replaced, put in or taken out.

    Args:
        row: the row of a folder.
        name: a plain name.
        entry: what is known about it now: a row of that name alone, or an empty one if there is nothing.

    Returns:
        A new row.
    """
    names, kinds = row.listing.names, row.listing.kinds
    keys = [one + b"/" if kind == SUBDIRECTORY else one for one, kind in zip(names, kinds, strict=True)]
    before = bisect_left(keys, name)
    # The name may have been a folder, which stands a little further on.
    place = next((at for at in range(before, len(names)) if names[at] == name), None)
    pieces = [_part(row, 0, before), entry]
    if place is None:
        pieces.append(_part(row, before, len(names)))
    else:
        pieces += [_part(row, before, place), _part(row, place + 1, len(names))]
    listing = Listing(
        [one for piece in pieces for one in piece.listing.names],
        b"".join(piece.listing.kinds for piece in pieces),
        array("q", b"".join(piece.listing.stats.tobytes() for piece in pieces)),
    )
    digests = b"".join(piece.digests for piece in pieces)
    return Row(row.directory, row.algorithm, listing, digests, [one for piece in pieces for one in piece.targets])


def without(row: Row, names: Container[bytes]) -> Row:
    """A row with some names taken out.

    Args:
        row: the row of a folder.
        names: plain names, also of subfolders.

    Returns:
        A new row, or the same one where it has none of them.
    """
    listing = row.listing
    kept = [at for at, name in enumerate(listing.names) if name not in names]
    if len(kept) == len(listing.names):
        return row
    width = len(row.digests) // len(listing.names)
    stats, targets = array("q"), iter(row.targets)
    leads = {at: next(targets) for at, kind in enumerate(listing.kinds) if kind == SYMLINK}
    for at in kept:
        stats += listing.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS]
    return Row(
        row.directory,
        row.algorithm,
        Listing([listing.names[at] for at in kept], bytes([listing.kinds[at] for at in kept]), stats),
        b"".join(row.digests[at * width : (at + 1) * width] for at in kept),
        [leads[at] for at in kept if at in leads],
        row.is_file,
    )


def with_keys(listing: Listing, digests: bytes, width: int, keys: Iterable[bytes]) -> tuple[Listing, bytes]:
    """A folder's listing and digests with some names more, in their places.

    Args:
        listing: what the folder holds.
        digests: one raw digest a name.
        width: bytes of a digest.
        keys: the new names, a subfolder's with ``/`` at its end, as they sort. Nothing is known of the files.

    Returns:
        A new listing and its digests.
    """
    old = {
        name + b"/" if kind == SUBDIRECTORY else name: at
        for at, (name, kind) in enumerate(zip(listing.names, listing.kinds, strict=True))
    }
    whole, kinds, parts = Listing(), bytearray(), []
    for key in sorted([*old, *keys]):
        at = old.get(key)
        if at is not None:
            whole.names.append(listing.names[at])
            kinds.append(listing.kinds[at])
            whole.stats += listing.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS]
            parts.append(digests[at * width : (at + 1) * width])
            continue
        is_folder = key.endswith(b"/")
        whole.names.append(key.removesuffix(b"/"))
        kinds.append(SUBDIRECTORY if is_folder else FILE)
        whole.stats += _FOLDER if is_folder else SMUDGED
        parts.append(bytes(width))
    whole.kinds = bytes(kinds)
    return whole, b"".join(parts)


def _part(row: Row, first: int, last: int) -> Row:
    names, kinds, stats = row.listing.names, row.listing.kinds, row.listing.stats
    width = len(row.digests) // len(names) if names else 0
    before = kinds.count(SYMLINK, 0, first)
    return Row(
        row.directory,
        row.algorithm,
        Listing(names[first:last], kinds[first:last], stats[first * STAT_FIELDS : last * STAT_FIELDS]),
        row.digests[first * width : last * width],
        row.targets[before : before + kinds.count(SYMLINK, first, last)],
    )
