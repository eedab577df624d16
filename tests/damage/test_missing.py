"""k of n objects are missing: the others arrive, exactly the paths of the k are listed, and the exit code is 8."""

import random

import pytest
from cli_support import cache_of, clone, commit, git, tree, write
from damage_support import WHOLE

from kist.engine.checkout.contents import Contents
from kist.engine.storage.packs import DATA, PackReader
from kist.engine.transfer import remote_store
from kist.repo.context import RepoContext

FILES = {f"data/{at % 5}/{at:02}.txt": b"file %d\n" % at * (at + 1) for at in range(24)}
FILES |= {"data/0/twin.txt": FILES["data/3/03.txt"], "data/large.bin": bytes(range(256)) * 200, "one.bin": b"alone\n"}
FILES |= {"data/segmented.bin": bytes(at * at % 251 for at in range(200_000)), "two.bin": b"another\n"}
COUNTS = [1, 5, 13, len(FILES)]
"""How many paths are chosen; all that have the same content go with them."""

SOME = COUNTS if WHOLE else COUNTS[1:2]


@pytest.fixture(params=["loose", "packed"])
def layout(request, monkeypatch):
    if request.param == "loose":
        monkeypatch.setattr(remote_store, "PACK_THRESHOLD", 1)
    return request.param


@pytest.fixture
def pushed(tmp_path, run, layout, monkeypatch):
    """``kist`` in a repository whose objects, here and on its remote, are loose or in packs."""
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", "--template=")
    kist = run(folder)
    kist("init")
    kist("config", "--local", "cache.pack_threshold", "1" if layout == "loose" else "100k")
    kist("remote", "add", "-d", "store", "../store")
    write(folder, FILES)
    kist("add", "data", "one.bin", "two.bin")
    kist("push")
    commit(folder, "v1")
    return kist


def chosen(count):
    """Paths that lose their content, and with them those that have the same content."""
    some = random.Random(count).sample(sorted(FILES), count)
    lost = {FILES[path] for path in some}
    return {path for path in FILES if FILES[path] in lost}


def digests_of(kist, paths):
    """Raw digests of contents."""
    context = RepoContext.find(kist.folder, settings={})
    hasher = context.hasher(context.algorithm)
    return {hasher.raw(FILES[path]) for path in paths}


def lose(place, raws):
    """Take objects out of a cache or a remote: loose ones go, members of packs and lists of segments become useless."""
    left = set(raws)
    for path in [path for path in (place / "objects").rglob("*") if path.is_file()]:
        name = path.name.removesuffix(".segments")
        if bytes.fromhex(path.parent.name + name) in raws:
            left.discard(bytes.fromhex(path.parent.name + name))
            path.unlink()
    for path in (place / "packs").iterdir():
        with PackReader.open(path) as pack:
            members = pack.members
            data = bytearray(path.read_bytes())
            for at, raw in enumerate(members.raws()):
                if pack.kind == DATA and raw in raws:
                    left.discard(raw)
                    start, size = members.offsets[at], members.stored[at]
                    data[start : start + size] = bytes(size)
        path.chmod(0o644)
        path.write_bytes(data)
    assert not left


def paths_of(records):
    return {path for record in records for path in record["paths"]}


def there(kist):
    return {f"data/{name}": data for name, data in tree(kist.folder / "data").items()} | {
        name: (kist.folder / name).read_bytes() for name in ("one.bin", "two.bin") if (kist.folder / name).exists()
    }


def rest(lost):
    return {path: content for path, content in FILES.items() if path not in lost}


def clear(kist):
    for path in FILES:
        (kist.folder / path).unlink()


def checkout_brings_the_rest(kist, lost):
    result = kist.json("checkout", code=8)
    assert paths_of(result.data["missing"]) == lost
    assert there(kist) == rest(lost)
    said = kist("checkout", code=8)
    assert all(path in said.out + said.err for path in list(lost)[:3])


@pytest.mark.parametrize("count", SOME)
def test_1_4_checkout_without_k_objects(pushed, count):
    lost = chosen(count)
    clear(pushed)
    lose(cache_of(pushed.folder), digests_of(pushed, lost))
    checkout_brings_the_rest(pushed, lost)
    pushed("fetch")
    pushed("checkout")
    assert there(pushed) == FILES


@pytest.mark.parametrize("count", SOME)
@pytest.mark.parametrize("verb", ["fetch", "pull"])
def test_1_4_fetch_and_pull_without_k_objects(pushed, run, verb, count):
    lost = chosen(count)
    lose(pushed.folder.parent / "store", digests_of(pushed, lost))
    other = run(clone(pushed))
    result = other.json(verb, code=8)
    assert paths_of([*result.data["failures"], *result.data.get("missing", ())]) == lost
    if verb == "pull":
        assert there(other) == rest(lost)
    checkout_brings_the_rest(other, lost)
    pushed("push", "--repair")
    other("pull")
    assert there(other) == FILES


@pytest.mark.parametrize("count", SOME)
def test_1_4_a_part_that_is_whole_is_fine(pushed, count):
    """Who asks for files that are there is told nothing of those that are not."""
    lost = chosen(count)
    clear(pushed)
    lose(cache_of(pushed.folder), digests_of(pushed, lost))
    whole = sorted(rest(lost))
    if whole:
        assert pushed.json("checkout", *whole).data["missing"] == []
    assert there(pushed) == rest(lost)


@pytest.mark.parametrize("layout", ["packed"], indirect=True)
def test_what_is_broken_is_caught(pushed, monkeypatch):
    """A checkout that forgets what it could not read."""
    lost = chosen(5)
    clear(pushed)
    lose(cache_of(pushed.folder), digests_of(pushed, lost))
    monkeypatch.setattr(Contents, "_fail", lambda _self, _raw, _error: None)
    with pytest.raises(AssertionError):
        checkout_brings_the_rest(pushed, lost)
