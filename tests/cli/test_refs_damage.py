"""What a shared cache knows of the needs of others: damage there never lets gc take what somebody needs."""

import pytest
from cli_support import DATA, clone, commit, damage, git, tree, write

from kist.engine.gc.roots import GcRoot
from kist.model.digest import Digest
from kist.repo import cache_refs

ROOTS = [GcRoot(Digest("blake3", f"{number:02x}" * 32), number % 2 == 0) for number in range(3)]
TEXT = b"kist-cache-refs/1\n" + cache_refs._sealed(b'{"host": "laptop", "root": "/home/me"}')
TEXT += b"".join(cache_refs._line(root) for root in ROOTS)


def test_1_1_every_damaged_byte_is_noticed():
    assert cache_refs.parse(TEXT) == ROOTS
    noticed = 0
    for at in range(len(TEXT)):
        for bit in range(8):
            data = bytearray(TEXT)
            data[at] ^= 1 << bit
            try:
                assert cache_refs.parse(bytes(data)) == ROOTS, f"bit {bit} of byte {at}"
            except ValueError:
                noticed += 1
    assert noticed == 8 * len(TEXT)


def test_1_1_what_a_kill_left_counts_for_nothing_and_hides_nothing():
    for end in range(len(TEXT)):
        kept = cache_refs.parse(TEXT[:end])
        assert kept == ROOTS[: len(kept)]
    whole = TEXT.split(b"\n")
    for length in range(1, len(whole[-2]) + 1):
        torn = whole[-2][:length]
        data = TEXT + torn
        more = cache_refs.parse(data + cache_refs._end_of_line(torn) + cache_refs._line(ROOTS[0]))
        assert more[:3] == ROOTS
        assert more[-1] == ROOTS[0]


@pytest.fixture
def two(repo, tmp_path):
    """Two clones on one cache; the second one has a version that only it needs."""
    folder = tmp_path / "shared cache"
    repo("config", "--local", "cache.dir", str(folder))
    write(repo.folder, DATA)
    repo("add", "data")
    commit(repo.folder, "first")
    other = clone(repo)
    repo("config", "--local", "cache.dir", str(folder), folder=other)
    write(other, {"data/a.txt": "only here\n"})
    repo("add", "data", folder=other)
    git(other, "commit", "-q", "-a", "-m", "second")
    repo.other, repo.cache = other, folder
    return repo


def ref_of(two, folder):
    """The file that says what a clone needs."""
    [found] = [path for path in two.cache.glob("refs/*/*") if str(folder).encode() + b'"' in path.read_bytes()]
    return found


def test_1_1_gc_refuses_and_names_it_until_its_owner_has_written_it_anew(two):
    before = tree(two.cache / "packs") | tree(two.cache / "objects")
    path = ref_of(two, two.other)
    damage(path, at=len(path.read_bytes()) - 30)
    result = two.json("gc", "-f", code=8)
    assert result.classes == ["ObjectCorrupt"]
    assert path.name in result.err or path.name in result.out
    assert str(two.other) in result.err + result.out
    assert tree(two.cache / "packs") | tree(two.cache / "objects") == before
    assert "cache refs" in two("doctor", code=None).out
    two("doctor", "--fix", code=None)  # another's is not ours to write
    two("gc", "-f", code=8)
    assert "mended" in two("doctor", "--fix", folder=two.other, code=None).out
    two("gc", "-f")
    two("verify", folder=two.other)


def test_1_1_the_next_command_of_its_owner_writes_it_anew(two):
    path = ref_of(two, two.other)
    known = set(cache_refs.parse(path.read_bytes()))
    damage(path, at=len(path.read_bytes()) - 30)
    write(two.other, {"data/a.txt": "third\n"})
    two("add", "data", folder=two.other)
    now = set(cache_refs.parse(path.read_bytes()))
    assert len(now) == 3
    assert now > known
    two("gc", "-f")
    two("verify", folder=two.other)
    two("checkout", "--rev", "HEAD", "-f", folder=two.other)
