"""What the damage tests share: the template, ways to harm a file, and what must hold afterwards."""

import os
import shutil
import zlib
from pathlib import Path

from cli_support import cache_of, commit, git, tree, write

from kist.cli.main import main
from kist.engine.storage.packs import DATA, NODES, PackReader

BIG = 40_000
_THRESHOLD = 16_384


def _names():
    """Names of which the manifest has two leaves, so that there is an inner node."""
    names = [f"part/{number:04}.txt" for number in range(256)]
    closing = next(name for name in (f"part/1{n}.txt" for n in range(100_000)) if not zlib.crc32(name.encode()) & 1023)
    return [*names, closing, "z/one.txt", "z/two.txt"]


CONTENT = {name: f"content of {name}\n".encode() * (1 + at % 3) for at, name in enumerate(_names())} | {
    "big.bin": bytes(range(256)) * (BIG // 256),
    "z/big.bin": bytes(at * at % 251 for at in range(BIG)),
}


def make_template(folder):
    """A repository with one tracked directory of small and large files, pushed, and its data taken away."""
    work = folder / "work"
    work.mkdir()
    before = os.getcwd()
    os.chdir(work)
    try:
        git(work, "init", "-q", "-b", "main")
        write(work, {f"data/{name}": content for name, content in CONTENT.items()})
        for words in (
            ["init"],
            ["config", "--local", "cache.pack_threshold", str(_THRESHOLD)],
            ["add", "data"],
            ["remote", "add", "-d", "store", "../store"],
            ["remote", "add", "second", "../second"],
            ["push"],
        ):
            assert main(words) == 0, words
        commit(work, "v1")
    finally:
        os.chdir(before)
    shutil.rmtree(work / "data")
    return folder


class Site:
    """One copy of the template."""

    def __init__(self, template, folder, run):
        self.folder = folder / "site"
        shutil.copytree(template, self.folder, symlinks=True)
        self.work = self.folder / "work"
        self.cache = cache_of(self.work)
        self.store = self.folder / "store"
        self._run = run
        self.kist = run(self.work)

    def clone(self, name="clone"):
        """``kist`` in a Git clone beside the repository."""
        git(self.folder, "clone", "-q", "work", name)
        return self._run(self.folder / name)

    def packs(self, kind, place=None):
        """Pack files of a kind, the largest first."""
        found = []
        for path in ((place or self.cache) / "packs").iterdir():
            with PackReader.open(path) as pack:
                if pack.kind == kind:
                    found.append(path)
        return sorted(found, key=lambda path: -path.stat().st_size)


def right(folder):
    """Whether the data is there as it was."""
    return tree(Path(folder, "data")) == CONTENT


def only_right(folder):
    """Whether nothing is there that has other content."""
    return all(CONTENT.get(name) == content for name, content in tree(Path(folder, "data")).items())


# ── harms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _writable(path):
    path.chmod(0o644)


def flip(path, at):
    """Change one bit of one byte; a negative position counts from the end."""
    _writable(path)
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def cut(path, _at=None):
    """Keep the first half."""
    _writable(path)
    os.truncate(path, path.stat().st_size // 2)


def empty(path, _at=None):
    """Keep the name only."""
    _writable(path)
    os.truncate(path, 0)


def remove(path, _at=None):
    """Take the file away."""
    path.unlink()


def member(path, *, header):
    """A position in a pack: in the header before its second member, or in that member's bytes."""
    with PackReader.open(path) as pack:
        order = pack.members.in_offset_order()
        offset = pack.members.offsets[order[min(1, len(order) - 1)]]
        return offset - 10 if header else offset + 2


def footer(path):
    """A position in a pack's footer."""
    with PackReader.open(path) as pack:
        members = pack.members
        last = members.in_offset_order()[-1]
        return members.offsets[last] + members.stored[last] + 20


def _loose(site, place):
    return min(path for path in (place / "objects").rglob("*") if path.is_file())


def _pack(kind, at):
    def find(site, place):
        path = site.packs(kind, place)[0]
        return path, at(path) if callable(at) else at

    return find


def _one(pattern, at):
    def find(_site, place):
        path = max(place.glob(pattern), key=lambda path: path.stat().st_size)
        size = path.stat().st_size
        return path, int(at * size) if isinstance(at, float) else at

    return find


PACK_PARTS = {
    "header magic": 2,
    "header version": 8,
    "header kind": 9,
    "header name": 14,
    "member header": lambda path: member(path, header=True),
    "member digest": lambda path: member(path, header=True) - 30,
    "member": lambda path: member(path, header=False),
    "footer": footer,
    "trailer": -40,
    "trailer check": -5,
}

FILES = {
    "loose object": {"start": (lambda site, place: (_loose(site, place), 0)),
                     "end": (lambda site, place: (_loose(site, place), -1))},
    "data pack": {part: _pack(DATA, at) for part, at in PACK_PARTS.items()},
    "node pack": {part: _pack(NODES, at) for part, at in PACK_PARTS.items()},
    "index": {
        "magic": _one("index/*", 3),
        "version": _one("index/*", 8),
        "count": _one("index/*", 50),
        "digests": _one("index/*", 0.5),
        "places": _one("index/*", -20),
    },
}  # fmt: skip
REMOTE_FILES = {name: FILES[name] for name in ("data pack", "node pack", "index")} | {
    "marker": {"head": _one("roots/*/*", 3), "body": _one("roots/*/*", 0.5), "seal": _one("roots/*/*", -5)},
}
HARMS = {"cut": cut, "emptied": empty, "removed": remove}


def cases(files):
    """(file, harm) -> what does it."""
    found = {}
    for name, parts in files.items():
        for part, find in parts.items():
            found[f"{name}: {part} flipped"] = (find, flip)
        first = next(iter(parts.values()))
        for harm, do in HARMS.items():
            found[f"{name}: {harm}"] = (first, do)
    return found
