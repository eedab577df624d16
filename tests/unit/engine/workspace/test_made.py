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
from kist.model.entry import FILE, SYMLINK, Entry

DIGEST = Digest("sha256", "ab" * 32)


def row(directory, names, kinds):
    stats = array("q", range(STAT_FIELDS * len(names)))
    targets = [b"to-" + name for name, kind in zip(names, kinds, strict=True) if kind == SYMLINK]
    return Row(directory, "sha256", Listing(list(names), bytes(kinds), stats), b"\1" * 32 * len(names), targets)


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
    assert note_made(fingerprints, b"data", [made(b"a", b"z/c", b"z/l/one", b"z/n/")], made(), "sha256")
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
    assert not note_made(fingerprints, b"data", [made(b"a")], made(), "blake3")
    assert fingerprints.get(b"data") == before


def test_2_2_nothing_is_known_any_more_of_what_is_replaced(known):
    fingerprints = known([row(b"data", [b"a", b"b", b"c"], [SYMLINK, FILE, SYMLINK])])
    assert note_made(fingerprints, b"data", [made(b"a"), made(b"b")], made(), "sha256")
    assert fingerprints.save()
    top = fingerprints.get(b"data")
    assert top.listing.names == [b"a", b"b", b"c"]
    assert top.listing.stats[: 2 * STAT_FIELDS] == SMUDGED * 2
    assert top.digests == bytes(64) + b"\1" * 32
    assert top.targets == [b"to-c"]


def test_2_2_what_goes_stands_in_no_row_nor_do_folders_that_are_empty_by_it(known):
    rows = (
        row(b"data", [b"a", b"e", b"z"], [FILE, SUBDIRECTORY, SUBDIRECTORY]),
        row(b"data/e", [], []),
        row(b"data/z", [b"k", b"y"], [FILE, SUBDIRECTORY]),
        row(b"data/z/y", [b"one"], [FILE]),
    )
    fingerprints = known(rows)
    assert note_made(fingerprints, b"data", [], made(b"e/", b"z/k", b"z/y/one"), "sha256")
    assert fingerprints.save()
    assert fingerprints.get(b"data").listing.names == [b"a"]
    assert [fingerprints.get(b"data/" + name) for name in (b"e", b"z", b"z/y")] == [None, None, None]


def test_2_2_a_folder_that_is_recorded_as_empty_keeps_its_row(known):
    fingerprints = known([row(b"data", [b"z"], [SUBDIRECTORY]), row(b"data/z", [b"k"], [FILE])])
    assert note_made(fingerprints, b"data", [made(b"z/")], made(b"z/k"), "sha256")
    assert fingerprints.save()
    assert fingerprints.get(b"data").listing.names == [b"z"]
    assert fingerprints.get(b"data/z").listing.names == []


def test_what_goes_from_a_folder_without_a_row_cannot_be_noted(known):
    fingerprints = known([row(b"data", [b"z"], [SUBDIRECTORY])])
    assert not note_made(fingerprints, b"data", [], made(b"z/k"), "sha256")
