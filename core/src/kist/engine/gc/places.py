"""Choose where on a remote each living object shall lie, where its indexes know several places."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from kist.abc.remote import ObjectInfo
from kist.engine.storage.indexes import LOOSE, SEGMENTED, Index, PackEntry, Place
from kist.engine.transfer.remote_index import place_key
from kist.model.digest import Digest
from kist.util.slotted import slotted


@slotted(frozen=True)
class Chosen:
    """Where living objects lie.

    Attributes:
        places: one for each.
        packs: all packs that the indexes speak of.
        stale: whether the indexes speak of anything else.
    """

    places: dict[bytes, Place]
    packs: Mapping[str, PackEntry]
    stale: bool


def choose_places(
    algorithm: str, indexes: Iterable[Index], alive: Container[bytes], listed: Mapping[str, ObjectInfo]
) -> Chosen:
    """One place for each living object: where it was put last, and one that is gone only where there is no other.

    A pack may be lost or damaged and its objects sent again in another one, while the marker of a version that lacks
    something still names the index that speaks of the first. Nothing is read here, so what is newer is believed.

    Args:
        algorithm: the hash algorithm.
        indexes: what the living versions' markers name.
        alive: raw digests.
        listed: the remote's keys, and what they hold.
    """
    found: dict[tuple[bool, float, str], dict[bytes, Place]] = {}
    packs: dict[str, PackEntry] = {}
    stale = False
    for index in indexes:
        packs |= {entry.id: entry for entry in index.packs}
        ranks = {entry.id: _rank(listed.get(f"packs/{entry.id}"), entry.size) for entry in index.packs}
        for raw, place in index:
            if raw not in alive:
                stale = True
                continue
            if place.pack in (LOOSE, SEGMENTED):
                # Of no age: what is sent again under its own key stands in its own place.
                rank = place_key(place.pack, Digest.from_raw(algorithm, raw)) not in listed, 0.0
            else:
                rank = ranks[place.pack]
            found.setdefault((*rank, place.pack), {})[raw] = place
    places: dict[bytes, Place] = {}
    for _, members in sorted(found.items(), key=lambda item: (item[0][:2], -len(item[1]), item[0][2])):
        places |= {raw: place for raw, place in members.items() if raw not in places}
    unused = {pack for *_, pack in found} - {place.pack for place in places.values()}
    return Chosen(places, packs, stale or bool(unused))


def _rank(info: ObjectInfo | None, size: int) -> tuple[bool, float]:
    """Whether a pack is not there as it was put, and how old it is: what is less is better."""
    if info is None or info.size != size:
        return True, 0.0
    return False, -(info.mtime or 0.0)
