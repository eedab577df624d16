"""What kist keeps privately has the form that the page on the formats describes.

There are no golden files of these: they speak of one machine and moment.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from array import array
from pathlib import Path
from types import SimpleNamespace

from kist.abc.kernel import Listing
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.engine.cache.cache import Cache
from kist.engine.gc.roots import GcRoot
from kist.engine.process.journal import Journal
from kist.engine.process.scratch import Scratch
from kist.engine.storage.trash import Trash
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.rows import Row
from kist.model.digest import Digest
from kist.repo import cache_refs

_spec = importlib.util.spec_from_file_location("compat_private", Path(__file__).with_name("private_reader.py"))
reader = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reader)

DIGEST = Digest("sha256", "5f" * 32)


def make_cache(folder: Path) -> Cache:
    return Cache(folder, lambda name: HashlibHasher("sha256"), pack_threshold=10, sync="off")


def test_record_of_verified_objects(tmp_path):
    cache = make_cache(tmp_path / "cache")
    contents = [b"a large object", b"another large object"]
    raws = [hashlib.sha256(data).digest() for data in contents]
    with cache.session("sha256") as session:
        session.put_small(b"".join(raws), contents)
        session.commit()
    [record] = (tmp_path / "cache/verified").iterdir()
    assert len(record.name.partition("-")[0]) == 16
    algorithm, looks = reader.read_verified(record.read_bytes())
    assert (algorithm, looks.keys()) == ("sha256", set(raws))
    for raw in raws:
        facts = os.stat(tmp_path / "cache/objects/sha256" / raw.hex()[:2] / raw.hex()[2:])
        expected = facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_nlink
        assert looks[raw] == expected


def test_fingerprints(tmp_path):
    path = tmp_path / "fingerprints.sqlite"
    names, kinds = [b"a", b"b", b"sub", b"x\xff"], b"flsx"
    stats = array("q", [5, 10**18, 10**18 + 1, 7, 3, 1, 2, 8, 0, 0, 0, 0, -1, -1, -1, -1])
    digests = b"1" * 32 + bytes(64) + b"2" * 32
    row = Row(b"data/in", "sha256", Listing(names, kinds, stats), digests, [b"to/a"])
    many = [b"%05d" % number for number in range(20_000)]
    large = Row(b"", "sha256", Listing(many, b"f" * 20_000, array("q", bytes(32 * 20_000))), b"3" * 32 * 20_000)
    single = Row(b"one.bin", "sha256", Listing([b"one.bin"], b"f", array("q", [1, 2, 3, 4])), b"4" * 32, is_file=True)
    known = Fingerprints(path)
    known.put_many([row, large, single])
    known.set_base(b"data", DIGEST)
    assert known.save()
    known.close()
    folders, bases = reader.read_fingerprints(path)
    assert folders.keys() == {b"data/in/", b"", b"one.bin"}
    assert folders[b"data/in/"] == [
        "sha256",
        [
            (b"a", "f", (5, 10**18, 10**18 + 1, 7), b"1" * 32, b""),
            (b"b", "l", (3, 1, 2, 8), bytes(32), b"to/a"),
            (b"sub", "s", (0, 0, 0, 0), bytes(32), b""),
            (b"x\xff", "x", (-1, -1, -1, -1), b"2" * 32, b""),
        ],
    ]
    assert [len(part) for part in folders[b""][1:]] == [16_384, 20_000 - 16_384]
    assert [name for part in folders[b""][1:] for name, *_ in part] == many
    assert bases == {b"data": (str(DIGEST), 1, 1)}


def test_journal(tmp_path):
    journal = Journal(tmp_path / "journal", sync=False)
    header = {"verb": "checkout", "output": "data", "target": str(DIGEST)}
    record = journal.begin(header, b"\0data\0data/in", token="host-1-00000000")
    data = (tmp_path / "journal/host-1-00000000/record").read_bytes()
    assert reader.read_journal(data) == (header, [b"", b"data", b"data/in"])
    record.done()
    assert list((tmp_path / "journal").iterdir()) == []


def test_trash(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    Trash(tmp_path / "trash", sync=False).put(tmp_path / "a", "data/a", "a test")
    assert reader.read_trash(tmp_path / "trash") == {"data/a": b"content"}


def test_refs_of_a_cache(tmp_path):
    place = SimpleNamespace(own=tmp_path / "own")
    context = SimpleNamespace(
        place=place, id="0123456789abcdef", root=tmp_path, sync=False, cache=make_cache(tmp_path / "cache")
    )
    other = Digest("sha256", "60" * 32)
    cache_refs.record(context, [GcRoot(DIGEST, True)])
    cache_refs.record(context, [GcRoot(DIGEST, True), GcRoot(other, False)])
    name = hashlib.sha256(os.fsencode(place.own) + b"\0" + str(os.geteuid()).encode()).hexdigest()[:24]
    [path] = (tmp_path / "cache/refs/0123456789abcdef").iterdir()
    assert path.name == name
    assert reader.read_refs(path.read_bytes()) == {str(DIGEST): "directory", str(other): "file"}


def test_scratch(tmp_path):
    with Scratch(tmp_path / "tmp", verb="add") as scratch:
        scratch.register([b"/some/folder\xff", b"/other"])
        holder, folders = reader.read_scratch((tmp_path / "tmp" / f"{scratch.token}.lock").read_bytes())
        assert (holder["pid"], holder["verb"]) == (os.getpid(), "add")
        assert holder.keys() == {"host", "machine", "pid", "since", "verb"}
        assert folders == [b"/some/folder\xff", b"/other"]
