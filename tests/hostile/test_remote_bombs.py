"""The same bombs pulled from a hostile remote, and those that only a remote can hold: bounded time and memory."""

import hashlib
import json
import os
import struct
from array import array
from itertools import islice
from pathlib import Path

import pytest
from bombs import CODES, HUGE, WIDTH, WRONG, Forge, limited, numbered
from cli_support import tree

from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.members import Members
from kist.engine.storage.packs import DATA, NODES
from kist.engine.transfer import objects
from kist.engine.transfer.published import Published, dump_published
from kist.engine.transfer.segments import SegmentList
from kist.model.digest import Digest
from kist.repo.context import RepoContext


class RemoteForge(Forge):
    """Puts everything on the remote: nodes and contents in packs, an index that lists them, a marker and a ref."""

    def __init__(self, kist):
        self.small = {}
        super().__init__(kist)
        self.owner = RepoContext.find(kist.folder, settings={}).id
        self.cache = self.store = kist.folder.parent / "store"
        self.index = None
        self.marker = None

    def loose(self, data, name=None):
        raw = self.raw(data) if name is None else name
        self.small.setdefault(raw, data)
        return raw

    def put(self, key, data):
        path = self.store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def key_of(self, raw):
        return objects.object_key(Digest.from_raw(self.algorithm, raw))

    def built(self, loose=(), segmented=()):
        """An index of all that was forged; *loose*, *segmented*: pairs of raw digest and length."""
        builder = IndexBuilder(self.algorithm, WIDTH)
        for entry, listed in self.packs:
            builder.add_pack(entry, listed)
        for pairs, kind in ((loose, False), (segmented, True)):
            builder.add_loose([raw for raw, _ in pairs], [size for _, size in pairs], segmented=kind)
        return builder.build()

    def output(self, raw, files=1, size=4, **others):
        super().output(raw, files, size)
        for kind, magic in ((NODES, True), (DATA, False)):
            rows = [
                (raw, 0, data, len(data)) for raw, data in self.small.items() if data.startswith(b"KISTNODE") == magic
            ]
            if rows:
                self.pack(kind, rows)
        index = self.index or self.built(**others)
        name = hashlib.sha256(index).hexdigest()
        self.put(f"index/{name}", index)
        root = Digest.from_raw(self.algorithm, raw)
        text = dump_published("root", Published((root,), {self.algorithm: (name,)}, (self.owner,)))
        self.put(objects.root_key(root), self.marker or text)
        value = {"repository": self.owner, "root": str(root)}
        self.put(objects.ref_key(self.owner, root), objects.dump_text("ref", value))


# ── what only a remote can hold ──────────────────────────────────────────────────────────────────────────────────────


def one_file(forge, raw=None, **others):
    forge.content = forge.content if raw is None else raw
    forge.output(forge.loose(forge.leaf([b"a"])), **others)


def lies_beyond_the_end(forge):
    """An index that says that a member begins and ends where no pack has anything."""
    forge.pack(DATA, [(b"\x55" * WIDTH, 0, b"abcd", 4)])
    entry, _ = forge.packs[-1]
    forge.packs[-1] = entry, Members.from_rows(WIDTH, [b"\x55" * WIDTH], [HUGE], [HUGE], [HUGE], [0])
    one_file(forge, b"\x55" * WIDTH)


def nodes_that_lie_beyond_the_end(forge):
    forge.pack(NODES, [(b"\x55" * WIDTH, 0, b"abcd", 4)])
    entry, _ = forge.packs[-1]
    forge.packs[-1] = entry, Members.from_rows(WIDTH, [b"\x55" * WIDTH], [64], [HUGE], [HUGE], [1])
    forge.output(b"\x55" * WIDTH)


def a_pack_that_says_it_is_huge(forge):
    forge.pack(DATA, [(forge.raw(b"evil"), 0, b"evil", 4)])
    entry, listed = forge.packs[-1]
    forge.packs[-1] = entry._replace(size=HUGE), listed
    one_file(forge)


def loose_and_huge(forge):
    raw = b"\x66" * WIDTH
    forge.put(forge.key_of(raw), b"abcd")
    one_file(forge, raw, loose=[(raw, HUGE)])


def segments(forge, parts, size=None):
    raw = b"\x77" * WIDTH
    pairs = tuple((Digest.from_raw(forge.algorithm, part), length) for part, length in parts)
    said = SegmentList(Digest.from_raw(forge.algorithm, raw), size or sum(length for _, length in parts), pairs)
    forge.put(f"{forge.key_of(raw)}.segments", said.dump())
    one_file(forge, raw, segmented=[(raw, said.size)])


def a_segment_without_end(forge):
    segments(forge, [(b"\x78" * WIDTH, HUGE)])


def one_segment_again_and_again(forge):
    data = bytes(1 << 20)
    forge.put(forge.key_of(forge.raw(data)), data)
    segments(forge, [(forge.raw(data), len(data))] * 4_000)


def very_many_segments(forge):
    segments(forge, [(b"\x78" * WIDTH, 1)] * 300_000)


def segments_of_less_than_nothing(forge):
    segments(forge, [(b"\x78" * WIDTH, -(1 << 70)), (b"\x79" * WIDTH, 1 << 70)], size=4)


def an_index_of_very_many(forge):
    name = forge.algorithm.encode()
    forge.index = struct.pack("<8sBBB37sQI4x", b"KISTINDX", 1, WIDTH, len(name), name, HUGE, 0xFFFFFFFF) + bytes(2000)
    one_file(forge)


def an_index_that_counts_up(forge):
    name = forge.algorithm.encode()
    head = struct.pack("<8sBBB37sQI4x", b"KISTINDX", 1, WIDTH, len(name), name, 1, 0)
    forge.index = head + array("I", [at * 16_000_000 for at in range(257)]).tobytes() + bytes(2 << 20)
    one_file(forge)


def a_marker_without_end(forge):
    forge.marker = b"kist-root/1\n" + b"[" * (256 << 20)
    one_file(forge)


def a_marker_that_is_deep(forge):
    forge.marker = sealed("root", b"[" * 500_000 + b"]" * 500_000)
    one_file(forge)


def a_marker_of_very_many_indexes(forge):
    names = [hashlib.sha256(name).hexdigest() for name in numbered(20_000)]
    root = Digest.from_raw(forge.algorithm, forge.raw(forge.leaf([b"a"])))
    value = {"indexes": {forge.algorithm: names}, "repositories": [], "roots": [str(root)]}
    forge.marker = sealed("root", json.dumps(value).encode())
    one_file(forge)


def a_list_of_condemned_keys_that_is_deep(forge):
    forge.put("condemned", sealed("condemned", b'{"keys":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_001))
    one_file(forge)


def sealed(what, text):
    """A text with the check that its form asks for."""
    body = f"kist-{what}/1\n".encode() + text + b"\n"
    return body + f"sha256:{hashlib.sha256(body).hexdigest()}\n".encode()


ONLY_REMOTE = [lies_beyond_the_end, nodes_that_lie_beyond_the_end, loose_and_huge,
               a_segment_without_end, one_segment_again_and_again, very_many_segments, segments_of_less_than_nothing,
               an_index_of_very_many, an_index_that_counts_up, a_marker_without_end, a_marker_that_is_deep,
               a_marker_of_very_many_indexes]  # fmt: skip
HARMLESS = [a_pack_that_says_it_is_huge, a_list_of_condemned_keys_that_is_deep]
"""What a pull has no need of."""

COMMANDS = [("fetch", "evil"), ("verify", "--remote", "store"), ("push",), ("push", "--repair"), ("gc", "-r", "store", "-f"),
            ("doctor", "--fix", "--remote", "store"), ("checkout", "evil"), ("status", "--remote", "store")]  # fmt: skip


@pytest.fixture
def forge(shared):
    return RemoteForge(shared)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limits need what Linux tells of a process")
@pytest.mark.parametrize("bomb", [*WRONG, *ONLY_REMOTE, *HARMLESS])
def test_4_2_bombs_that_are_pulled(forge, bomb, tried):
    """Whatever they say, what was there stays, and of the version nothing arrives that its manifest does not name."""
    before = tree(forge.folder / "data")
    bomb(forge)
    some = tried(COMMANDS) if os.environ.get("KIST_HOSTILE") == "whole" else islice(tried(COMMANDS), 1)
    for words in (("pull", "evil"), *some):
        code, said = limited(forge.folder, *words)
        assert code in CODES, (words, code, said)
        assert tree(forge.folder / "data") == before
        if words[0] == "pull":
            assert (code == 0) == (bomb in HARMLESS), said
        assert tree(forge.folder / "evil") in ({}, {"a": b"evil"} if bomb in HARMLESS else {})


def test_what_is_forged_well_arrives(forge):
    """The forge can do it right, so that a bomb is refused for what is wrong with it."""
    one_file(forge)
    code, said = limited(forge.folder, "pull", "evil")
    assert code == 0, said
    assert tree(forge.folder / "evil") == {"a": b"evil"}
