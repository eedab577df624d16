from bisect import bisect_left

import pytest

from kist.model import columns, path_list
from kist.model.columns import Columns
from kist.model.path_list import PathList, place_of


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9, 12])
def test_is_what_a_list_is(monkeypatch, count):
    monkeypatch.setattr(path_list, "_BLOCK", 4)
    paths = [b"folder%02d/name" % (2 * number) for number in range(count)]
    found = PathList(paths[:5])
    found.extend(paths[5:])
    assert len(found) == count
    assert list(found) == paths
    assert found == paths
    assert found != [*paths, b"z"]
    for start in range(-count - 1, count + 2):
        for stop in range(-count - 1, count + 2):
            assert found[start:stop] == paths[start:stop]
            assert found[start:stop:2] == paths[start:stop:2]
            assert found[start:stop:-1] == paths[start:stop:-1]
    assert [found[at] for at in range(-count, count)] == paths + paths
    for name in [*paths, b"", b"z", *(b"folder%02d/name" % number for number in range(2 * count + 2))]:
        assert found.place_of(name) == place_of(paths, name) == bisect_left(paths, name)
    with pytest.raises(IndexError):
        found[count]


@pytest.mark.parametrize("many", [5, 1000])
def test_columns_of_many_paths_are_those_of_few(monkeypatch, many):
    monkeypatch.setattr(columns, "MANY", many)
    monkeypatch.setattr(path_list, "_BLOCK", 4)
    count = 23
    paths = [b"%03d/x" % number for number in range(count)]
    parts = []
    for first in range(0, count, 3):
        some = paths[first : first + 3]
        sizes = columns.array("Q", range(first, first + len(some)))
        parts.append(Columns("sha256", 2, some, b"f" * len(some), sizes, b"ab" * len(some)))
    whole = Columns.concat("sha256", 2, parts)
    assert isinstance(whole.paths, PathList) == (many < count)
    assert list(whole.paths) == paths
    assert list(Columns.concat("sha256", 2, [whole.slice(0, 20), whole.slice(20, count)]).paths) == paths
    assert whole.slice(2, 9).paths == paths[2:9]
    assert (whole.find(b"007/x"), whole.find(b"007/y"), whole.span(b"011")) == (7, None, (11, 12))
    assert whole.entry(22).path == paths[22]
