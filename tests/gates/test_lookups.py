"""How much of a large index is read to find objects in it: little for few, all of it a few times for all."""

import os
from math import isqrt

import pytest

from gates.support import make_files
from kist.api import Repo
from kist.engine.cache import catalog
from kist.engine.storage import indexes
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import Index, PackEntry
from kist.engine.storage.members import Members, memory_reader, to_column
from kist.engine.transfer import local_side, parts
from kist.util.gathering import cut

WIDTH, ROW = 32, 32 + 29
TURNS = 14
"""How often what an index says may be read, if all that it names is looked up."""


def index_of(count):
    """An index of many objects on a local disk, and the lengths of what was read of it."""
    digests = b"".join(sorted(cut(os.urandom(WIDTH * count), WIDTH)))
    numbers = to_column("Q", bytes(8 * count))
    builder = IndexBuilder("sha256", WIDTH)
    builder.add_pack(PackEntry("0" * 64, 1, 0), Members(WIDTH, digests, numbers, numbers, numbers, bytes(count)))
    data = builder.build()
    read, lengths = memory_reader(data), []

    def counted(offset, length):
        lengths.append(length)
        return read(offset, length)

    index = Index(counted, len(data), hold=True)
    index._until_held = 1 << 63
    lengths.clear()
    return index, cut(digests, WIDTH), lengths


@pytest.mark.parametrize("count", [60_000, 240_000])
def test_few_objects_read_little_of_an_index(count):
    index, raws, lengths = index_of(count)
    some = raws[5 :: count // 32]
    assert all(index.lookup_many(some))
    assert sum(lengths) <= len(some) * (4 * isqrt(count >> 8) + 40) * ROW


@pytest.fixture
def counted(monkeypatch):
    """Bytes that were read of indexes, none of which is held in memory."""
    found = []
    reading = Index._range

    def counting(index, offset, length):
        found.append(length)
        return reading(index, offset, length)

    monkeypatch.setattr(Index, "_range", counting)
    monkeypatch.setattr(indexes, "WHOLE_LIMIT", 1 << 14)
    monkeypatch.setattr(indexes, "_HOLD_LIMIT", 0)
    monkeypatch.setattr(catalog, "LARGE", 0)
    monkeypatch.setattr(parts, "BLOCK", 64)
    monkeypatch.setattr(local_side, "_BATCH", 64)
    return found


def test_an_index_is_not_read_again_and_again(tmp_path, monkeypatch, counted):
    for name in [name for name in os.environ if name.startswith("KIST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KIST_FSYNC", "off")
    files = 6000
    folder = tmp_path / "work"
    make_files(folder / "data", files, 60)
    repo = Repo.init(folder)
    monkeypatch.chdir(folder)
    repo.add("data")
    counted.clear()
    assert repo.verify("data").good
    assert files * ROW <= sum(counted) <= TURNS * files * ROW
