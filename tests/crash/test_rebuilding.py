"""What can be found out again may be deleted: fingerprints, indexes of the cache and of a remote."""

import pytest
import rebuilding


def test_deleting_the_fingerprints_loses_nothing(pool):
    pool.call(rebuilding.without_fingerprints, "versioned")


@pytest.mark.parametrize("place", ["cache", "remote"])
def test_deleting_the_indexes_loses_nothing(place, pool):
    pool.call(rebuilding.without_indexes, "versioned", place)
