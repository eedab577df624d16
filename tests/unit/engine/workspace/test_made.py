"""What a checkout makes is noted in the rows of the folders that are there already."""

from array import array
from contextlib import closing

import pytest

from kist.abc.kernel import STAT_FIELDS, SUBDIRECTORY, Listing
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.made import note_made
from kist.engine.workspace.rows import SMUDGED, Row
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import FILE, Entry

DIGEST = Digest("sha256", "ab" * 32)


def row(directory, names, kinds):
    stats = array("q", range(STAT_FIELDS * len(names)))
    return Row(directory, "sha256", Listing(list(names), bytes(kinds), stats), bytes(32 * len(names)))


def made(*paths):
    entries = [Entry(path, "file", 1, DIGEST) for path in paths if not path.endswith(b"/")]
    entries += [Entry(path.removesuffix(b"/"), "directory") for path in paths if path.endswith(b"/")]
    return Columns.from_entries("sha256", 32, entries)


@pytest.fixture
def known(tmp_path):
    """Saves rows, and returns what is known then."""
    path = tmp_path / "fingerprints.sqlite"

    def known(rows=()):
        with closing(Fingerprints(path)) as fingerprints:
            fingerprints.put_many(rows)
            assert fingerprints.save()
        return Fingerprints(path)

    return known


def test_names_stand_in_the_order_of_a_listing_in_every_folder(known):
    rows = row(b"data", [b"b", b"z"], [SUBDIRECTORY] * 2), row(b"data/z", [b"k", b"m"], [FILE, SUBDIRECTORY])
    fingerprints = known(rows)
    assert note_made(fingerprints, b"data", made(b"a", b"z/c", b"z/l/one", b"z/n/"), "sha256")
    assert fingerprints.save()
    top, inner = fingerprints.get(b"data"), fingerprints.get(b"data/z")
    assert top.listing.names == [b"a", b"b", b"z"]
    assert inner.listing.names == [b"c", b"k", b"l", b"m", b"n"]
    assert list(inner.listing.kinds) == [FILE, FILE, SUBDIRECTORY, SUBDIRECTORY, SUBDIRECTORY]
    assert inner.listing.stats[:STAT_FIELDS] == SMUDGED
    assert list(inner.listing.stats[STAT_FIELDS : 2 * STAT_FIELDS]) == list(range(STAT_FIELDS))
    assert len(inner.digests) == 32 * 5


def test_rows_of_another_algorithm_are_left_alone(known):
    before = row(b"data", [b"b"], [FILE])
    fingerprints = known([before])
    assert not note_made(fingerprints, b"data", made(b"a"), "blake3")
    assert fingerprints.get(b"data") == before
