"""Manifests, packs and indexes that say they are far more than they are, and how commands are run on them with little."""

import contextlib
import io
import os
import resource
import struct
import zlib
from array import array
from pathlib import Path

from cli_support import cache_of, write

from children import code_of, forked
from kist.cli.main import main
from kist.engine.storage import members, packs
from kist.engine.storage.indexes import PackEntry
from kist.engine.storage.members import Members
from kist.engine.storage.packs import DATA, NODES, file_header, member_header, trailer
from kist.model.digest import Digest
from kist.repo.context import RepoContext

SECONDS, MEMORY = 40, 3 << 29
"""Processor time and address space that no command may need beyond what the process has: the bombs ask for far more."""
HUGE = 1 << 40
WIDTH = 32


# ── what is forged ───────────────────────────────────────────────────────────────────────────────────────────────────


class Forge:
    """Puts nodes, packs and indexes into a repository's cache that kist itself would never write."""

    def __init__(self, kist):
        self.folder = kist.folder
        self.packs = []
        context = RepoContext.find(kist.folder, settings={})
        self.algorithm = context.algorithm
        self._hasher = context.hasher(self.algorithm)
        self.cache = cache_of(kist.folder)
        self.content = self.loose(b"evil")

    def raw(self, data):
        return self._hasher.raw(data)

    def loose(self, data, name=None):
        """A loose object, under its own digest or another's; returns the raw digest."""
        raw = self.raw(data) if name is None else name
        path = self.cache / "objects" / self.algorithm / raw.hex()[:2] / raw.hex()[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(data)
        return raw

    def head(self, level, count, paths, targets=0):
        name = self.algorithm.encode()
        return (
            struct.pack("<8sBBBB", b"KISTNODE", 1, level, WIDTH, len(name))
            + name
            + struct.pack("<III", count, paths, targets)
        )

    def leaf(self, paths, kind=b"f"):
        joined = b"\0".join(paths)
        count = len(paths)
        size, raw = (4, self.content) if kind == b"f" else (0, bytes(WIDTH))
        return (
            self.head(0, count, len(joined))
            + kind * count
            + array("Q", [size] * count).tobytes()
            + raw * count
            + joined
        )

    def inner(self, level, children):
        """*children*: (last path, raw digest, entries, bytes)."""
        joined = b"\0".join(child[0] for child in children)
        columns = b"".join(child[1] for child in children)
        columns += (
            array("Q", [child[2] for child in children]).tobytes()
            + array("Q", [child[3] for child in children]).tobytes()
        )
        return self.head(level, len(children), len(joined)) + columns + joined

    def output(self, raw, files=1, size=4):
        """A metafile that names it."""
        digest = Digest.from_raw(self.algorithm, raw)
        write(
            self.folder,
            {"evil.kist": f"format: kist/1\npath: evil\nmanifest: {digest}\nfiles: {files}\nsize: {size}\n"},
        )

    def pack(self, kind, rows):
        """A pack of (raw digest, codec, stored bytes, length that it says it has when unfolded)."""
        head = file_header(kind, self.algorithm, WIDTH)
        body, columns = head, []
        for raw, codec, stored, plain in rows:
            body += member_header(raw, len(stored), plain, codec)
            columns.append((raw, len(body), len(stored), plain, codec))
            body += stored
        listed = Members.from_rows(WIDTH, *zip(*columns, strict=True))
        footer = listed.dump()
        data = body + footer + trailer(head, footer, len(body))
        path = self.cache / "packs" / packs.pack_id(footer)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.packs.append((PackEntry(path.name, len(data), kind), listed))
        return path


def numbered(count, start=0):
    return [b"%09d" % number for number in range(start, start + count)]


def deep_chain(forge):
    """As many levels as may be, each with one child: a root that needs no node above its child."""
    raw, path = forge.loose(forge.leaf([b"a"])), b"a"
    for level in range(1, 17):
        raw = forge.loose(forge.inner(level, [(path, raw, 1, 4)]))
    forge.output(raw)


def deeper_than_may_be(forge):
    raw = forge.loose(forge.leaf([b"a"]))
    for level in range(1, 60):
        raw = forge.loose(forge.inner(min(level, 255), [(b"a", raw, 1, 4)]))
    forge.output(raw)


def names_itself(forge):
    """An object under the name that it gives its child: no bytes have that digest."""
    raw = b"\x11" * WIDTH
    forge.loose(forge.inner(1, [(b"a", raw, 1, 4)]), raw)
    forge.output(raw)


def names_itself_by_a_detour(forge):
    """Two objects that name one another."""
    one, other = b"\x11" * WIDTH, b"\x22" * WIDTH
    forge.loose(forge.inner(2, [(b"a", other, 1, 4)]), one)
    forge.loose(forge.inner(1, [(b"a", one, 1, 4)]), other)
    forge.output(one)


def laughs(forge):
    """Sixteen levels of a thousand children each that are all the same: 10^48 entries."""
    raw, files = forge.loose(forge.leaf([b"a"])), 1
    for level in range(1, 17):
        files = min(files, (1 << 52))
        raw = forge.loose(forge.inner(level, [(name, raw, files, files) for name in numbered(1024)]))
        files *= 1024
    forge.output(raw, files=1 << 40)


def laughs_that_fit(forge):
    """The same with last paths that are what the child has: only the second child shows that it cannot be."""
    raw = forge.loose(forge.leaf([b"a"]))
    for level in range(1, 17):
        raw = forge.loose(forge.inner(level, [(b"a", raw, 1, 4)] + [(b"b%04d" % n, raw, 1, 4) for n in range(1023)]))
    forge.output(raw)


def more_entries_than_said(forge):
    raw = forge.loose(forge.leaf(numbered(4096)))
    forge.output(forge.loose(forge.inner(1, [(b"%09d" % 4095, raw, 1 << 62, 1 << 62)])), files=1 << 62, size=1 << 62)


def more_entries_than_a_leaf_holds(forge):
    forge.output(forge.loose(forge.leaf(numbered(200_000))), files=200_000)


def lengths_of_a_leaf(forge):
    forge.output(forge.loose(forge.head(0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) + b"f"))


def lengths_of_an_inner_node(forge):
    forge.output(forge.loose(forge.head(1, 0xFFFFFFFF, 0xFFFFFFFF) + bytes(100)))


def one_long_path(forge):
    forge.output(forge.loose(forge.leaf([b"a" * (64 << 20)])))


def very_many_parts(forge):
    forge.output(forge.loose(forge.leaf([b"/".join([b"a"] * 2000)])))


def zeros(size):
    """A zlib stream of so many zeros, a number of MiB, made without a look at each."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + piece * (size >> 20) + b"\x03\x00" + (size % 65521 << 16 | 1).to_bytes(4, "big")


def deflated(forge, size, said):
    """A node pack with one member that unfolds to *size* zeros and says that it has *said* bytes."""
    raw = b"\x33" * WIDTH
    forge.pack(NODES, [(raw, 1, zeros(size), said)])
    forge.output(raw)


def unfolds_to_what_it_says(forge):
    deflated(forge, 6 << 30, 6 << 30)


def unfolds_to_more_than_it_says(forge):
    deflated(forge, 6 << 30, 5000)


def says_far_more(forge):
    deflated(forge, 1 << 20, HUGE)


def many_members_that_unfold(forge):
    """A hundred members that each unfold to as much as one may."""
    stored = zlib.compress(bytes(members.MAX_UNFOLDED), 9)
    rows = [
        (bytes([1, number >> 8, number & 255]) + bytes(29), 1, stored, members.MAX_UNFOLDED) for number in range(300)
    ]
    forge.pack(NODES, rows)
    paths = [(b"%09d" % at, raw, 1, 4) for at, (raw, *_) in enumerate(rows)]
    forge.output(forge.loose(forge.inner(1, paths)))


def content_that_unfolds(forge):
    """A file's content in a pack, of which the index says little and the stream gives much."""
    forge.pack(DATA, [(b"\x44" * WIDTH, 1, zeros(4 << 30), 4 << 30)])
    forge.content = b"\x44" * WIDTH
    forge.output(forge.loose(forge.leaf([b"a"])))


def a_member_beyond_the_end(forge):
    path = forge.pack(DATA, [(b"\x55" * WIDTH, 0, b"abcd", 4)])
    data = bytearray(path.read_bytes())
    head, footer = data[:64], bytearray(data[-(8 + WIDTH + 25) - 48 : -48])
    for column in range(3):  # offsets, stored lengths, plain lengths
        footer[8 + WIDTH + 8 * column : 16 + WIDTH + 8 * column] = (HUGE << column).to_bytes(8, "little")
    body = bytes(data[: -len(footer) - 48])
    path.unlink()
    path.with_name(packs.pack_id(bytes(footer))).write_bytes(
        body + footer + trailer(bytes(head), bytes(footer), len(body))
    )
    forge.content = b"\x55" * WIDTH
    forge.output(forge.loose(forge.leaf([b"a"])))


def a_footer_beyond_the_end(forge):
    path = forge.pack(DATA, [(b"\x55" * WIDTH, 0, b"abcd", 4)])
    data = bytearray(path.read_bytes())
    data[-40:-24] = (64).to_bytes(8, "little") + HUGE.to_bytes(8, "little")
    path.write_bytes(data)
    forge.output(forge.loose(forge.leaf([b"a"])))


def an_index_of_very_many(forge):
    name = forge.algorithm.encode()
    head = struct.pack("<8sBBB37sQI4x", b"KISTINDX", 1, WIDTH, len(name), name, HUGE, 0xFFFFFFFF)
    write_index(forge, head + bytes(2000))


def an_index_that_counts_up(forge):
    """A fan-out that says that there are billions of digests."""
    name = forge.algorithm.encode()
    head = struct.pack("<8sBBB37sQI4x", b"KISTINDX", 1, WIDTH, len(name), name, 1, 0)
    fan_out = array("I", [at * 16_000_000 for at in range(257)]).tobytes()
    write_index(forge, head + fan_out + bytes(WIDTH + 29))


def write_index(forge, data):
    import hashlib

    path = forge.cache / "index" / hashlib.sha256(data).hexdigest()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    forge.output(forge.loose(forge.leaf([b"a"])))


def a_record_of_very_many(forge):
    name = forge.algorithm.encode()
    data = struct.pack("<8sBBB37sQ8x", b"KISTVERI", 1, WIDTH, len(name), name, HUGE) + bytes(500)
    (forge.cache / "verified").mkdir(exist_ok=True)
    (forge.cache / "verified" / f"{1:016x}-abcd").write_bytes(data)
    forge.output(forge.loose(forge.leaf([b"a"])))


WRONG = [deep_chain, deeper_than_may_be, names_itself, names_itself_by_a_detour, laughs, laughs_that_fit, more_entries_than_said,
         more_entries_than_a_leaf_holds, lengths_of_a_leaf, lengths_of_an_inner_node, one_long_path, very_many_parts,
         unfolds_to_what_it_says, unfolds_to_more_than_it_says, says_far_more, many_members_that_unfold,
         content_that_unfolds, a_member_beyond_the_end]  # fmt: skip
HARMLESS = [a_footer_beyond_the_end, an_index_of_very_many, an_index_that_counts_up, a_record_of_very_many]
COMMANDS = [("checkout",), ("status",), ("diff",), ("list", "-R", "evil"), ("verify",), ("push",), ("gc", "-f", "--now"),
            ("fetch",), ("add", "evil"), ("move", "evil", "other"), ("doctor",)]  # fmt: skip
CODES = (0, 1, 2, 5, 6, 7, 8, 10, 11)


# ── how it is run ────────────────────────────────────────────────────────────────────────────────────────────────────


def limited(folder, *words):
    """Run a command in a child with little time and memory: (exit code, what it said)."""
    told, tell = os.pipe()

    def work():
        os.chdir(folder)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + SECONDS, int(spent) + SECONDS))
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(list(words))
        os.write(tell, f"{code} {said.getvalue()[:3000]}".encode())

    child = forked(work, patience=15 * SECONDS)  # by the wall's clock, on a machine that is busy
    os.close(tell)
    with open(told, "rb") as answers:
        heard = answers.read()
    assert code_of(child) == 0, f"kist {words} took too much, or ended in a traceback"
    code, _, said = heard.decode().partition(" ")
    return int(code), said
