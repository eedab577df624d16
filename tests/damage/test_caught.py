"""Products that are broken on purpose: each check of a digest that is left out is caught by the tests of this folder."""

import cache_flows
import pytest
import remote_flows
from damage_support import CACHE, REMOTE, patched

from kist.engine.cache import hashing, read
from kist.engine.storage import packs
from kist.engine.transfer import fetch_data, remote_read

MEMBER = "the stored bytes (member 1): first byte flipped"
CONTENT = "bytes: first byte flipped"
MUTANTS = {
    "packed objects are read unchecked": (
        [(read.CacheReader, "_check", "actual == members.digests")],
        (CACHE, "data pack", MEMBER, cache_flows.found_by_checkout),
    ),
    "loose objects are read unchecked": (
        [(read.CacheReader, "_read_loose", "not actual == raw")],
        (CACHE, "loose object", CONTENT, cache_flows.found_by_checkout),
    ),
    "verify takes members for good": (
        [(packs.PackReader, "_all_plain", "hasher.raw_many(contents) == members.digests")],
        (CACHE, "data pack", MEMBER, cache_flows.named_and_mended),
    ),
    "verify takes loose objects for good": (
        [(hashing, "is_good", "digest_of(descriptor, hasher, progress) == raw")],
        (CACHE, "loose object", CONTENT, cache_flows.named_and_mended),
    ),
    "what a remote sends is stored unchecked": (
        [(fetch_data.DataFetch, "_bring_loose", "self._digest_of(path) == raw")],
        (REMOTE, "loose object", CONTENT, remote_flows.found_by_pull),
    ),
    "members of a remote's packs are stored unchecked": (
        [(remote_read.RemoteReader, "check", "self._hasher.raw(content) == raw")],
        (REMOTE, "data pack", MEMBER, remote_flows.found_by_pull),
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_what_is_broken_is_caught(damages, mutant, monkeypatch):
    changes, (kinds, kind, harm, flow) = MUTANTS[mutant]
    place = "cache" if kinds is CACHE else "store"
    damages.each(kinds[kind], flow, place, only=harm)
    for owner, name, comparison in changes:
        patched(monkeypatch, owner, name, comparison)
    with pytest.raises(AssertionError, match="1 of 1"):
        damages.each(kinds[kind], flow, place, only=harm)
