"""Choose where on a remote each living object shall lie, where its indexes know several places."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from kist.engine.storage.indexes import LOOSE, SEGMENTED, Index, PackEntry, Place
from kist.engine.transfer.remote_index import place_key
from kist.model.digest import Digest


@dataclass(frozen=True, slots=True)
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
    algorithm: str, indexes: Iterable[Index], alive: AbstractSet[bytes], listed: Container[str]
) -> Chosen:
    """One place for each living object, in as few packs as will do; one that is gone only where there is no other.

    A pack may be lost and its objects sent again in another one, while the marker of a version that lacks something
    still names the index that speaks of the lost one.

    Args:
        algorithm: the hash algorithm.
        indexes: what the living versions' markers name.
        alive: raw digests.
        listed: the remote's keys.
    """
    found: dict[tuple[bool, str], dict[bytes, Place]] = {}
    packs: dict[str, PackEntry] = {}
    stale = False
    for index in indexes:
        lost = {entry.id for entry in index.packs if f"packs/{entry.id}" not in listed}
        for raw, place in index:
            if raw not in alive:
                stale = True
                continue
            gone = place.pack in lost
            if place.pack in (LOOSE, SEGMENTED):
                gone = place_key(place.pack, Digest.from_raw(algorithm, raw)) not in listed
            found.setdefault((gone, place.pack), {})[raw] = place
        packs |= {entry.id: entry for entry in index.packs}
    places: dict[bytes, Place] = {}
    for _, members in sorted(found.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1])):
        places |= {raw: place for raw, place in members.items() if raw not in places}
    unused = {pack for _, pack in found} - {place.pack for place in places.values()}
    return Chosen(places, packs, stale or bool(unused))
