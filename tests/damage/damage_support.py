"""What the damage tests share: the template, every harm to every kind of stored file, and what must hold afterwards."""

import inspect
import io
import os
import shutil
import sqlite3
import textwrap
import zlib
from contextlib import chdir, redirect_stdout
from itertools import count as numbers
from pathlib import Path

import fields
import pytest
from cli_support import cache_of, commit, git, tree, write

from kist.cli.main import main
from kist.engine.storage.indexes import Index
from kist.engine.storage.members import decode
from kist.engine.storage.packs import DATA, NODES, PackReader
from kist.engine.transfer import push_side, remote_store, segments

WHOLE = os.environ.get("KIST_DAMAGE") == "whole"
SAMPLE = 2
"""How many harms to a kind of file an ordinary test tries; each test takes others."""

BIG, HUGE = 40_000, 150_000
_THRESHOLD, _SEGMENTED = 16_384, 65_536


def _names():
    """Names of which the manifest has two leaves, so that there is an inner node."""
    names = [f"part/{number:04}.txt" for number in range(256)]
    closing = next(name for name in (f"part/1{n}.txt" for n in range(100_000)) if not zlib.crc32(name.encode()) & 1023)
    return [*names, closing, "z/one.txt", "z/two.txt"]


CONTENT = {f"data/{name}": f"content of {name}\n".encode() * (1 + at % 3) for at, name in enumerate(_names())} | {
    "data/big.bin": bytes(range(256)) * (BIG // 256),
    "data/z/big.bin": bytes(at * at % 251 for at in range(BIG)),
    "data/z/huge.bin": bytes(at * at % 253 for at in range(HUGE)),
    "one.bin": b"a file that is an output\n",
}
LINK = "z/two.txt"
GONE = bytes(at * 7 % 251 for at in range(BIG))


def small_limits(patch):
    """Let objects of some KiB lie by themselves on a remote, and in segments."""
    patch.setattr(remote_store, "PACK_THRESHOLD", _THRESHOLD)
    patch.setattr(push_side, "SEGMENTED_FROM", _SEGMENTED)
    patch.setattr(segments, "segment_size", lambda size: _SEGMENTED)


def make_template(folder):
    """A repository with a tracked directory and a file, pushed, an older version condemned, and its data taken away."""
    work = folder / "work"
    work.mkdir()

    def run(*words):
        with redirect_stdout(io.StringIO()):
            assert main([str(word) for word in words]) == 0, words

    with chdir(work):
        git(work, "init", "-q", "-b", "main", "--template=")
        write(work, CONTENT | {"data/gone.bin": GONE})
        (work / "data" / "link").symlink_to(LINK)
        run("init")
        run("config", "--local", "cache.pack_threshold", _THRESHOLD)
        run("add", "data", "one.bin")
        run("remote", "add", "-d", "store", "../store")
        run("remote", "add", "second", "../second")
        run("push")
        (work / "data" / "gone.bin").unlink()
        run("commit")
        run("push")
        run("gc", "-r", "store", "-f", "-w")
        run("gc", "-f", "-w", "--now")
        commit(work, "v1")
    clear(work)
    return folder


def clear(work):
    """Take the data out of a workspace."""
    shutil.rmtree(work / "data", ignore_errors=True)
    (work / "one.bin").unlink(missing_ok=True)


class Site:
    """One copy of the template."""

    def __init__(self, template, folder, run):
        self.folder = folder
        shutil.copytree(template, folder, symlinks=True)
        self.work = folder / "work"
        self.cache = cache_of(self.work)
        self.store = folder / "store"
        self._run = run
        self.kist = run(self.work)

    def clone(self, name="clone"):
        """``kist`` in a Git clone beside the repository."""
        git(self.folder, "clone", "-q", "--template=", "work", name)
        return self._run(self.folder / name)

    def packs(self, kind, place=None):
        """Pack files of a kind, the largest first."""
        found = []
        for path in ((place or self.cache) / "packs").iterdir():
            with PackReader.open(path) as pack:
                if pack.kind == kind:
                    found.append(path)
        return sorted(found, key=lambda path: -path.stat().st_size)

    @property
    def root(self):
        """Algorithm and hex digits of the directory's root."""
        text = (self.work / "data.kist").read_text()
        return text.partition("manifest: ")[2].split("\n")[0].split(":")


def right(folder):
    """Whether the data is there as it was."""
    link = Path(folder, "data", "link")
    return only_right(folder, CONTENT) and link.is_symlink() and os.readlink(link) == LINK


def only_right(folder, least=()):
    """Whether nothing is there that has other content, and at least these paths are."""
    found = {f"data/{name}": content for name, content in tree(Path(folder, "data")).items()}
    if Path(folder, "one.bin").exists():
        found["one.bin"] = Path(folder, "one.bin").read_bytes()
    return all(CONTENT.get(name) == content for name, content in found.items()) and found.keys() >= set(least)


# ── where each kind of file is ───────────────────────────────────────────────────────────────────────────────────────


def loose(size):
    """The loose object of so many bytes."""
    return lambda site, place: next(
        path for path in (place / "objects").rglob("*") if path.is_file() and path.stat().st_size == size
    )


def packed(kind):
    """The pack with the directory's root, or the largest one of files."""

    def find(site, place):
        root = bytes.fromhex(site.root[1])
        for path in site.packs(kind, place):
            with PackReader.open(path) as pack:
                if kind == DATA or root in pack.members.raws():
                    return path
        raise AssertionError("the root is in no pack")

    return find


def index(site, place):
    """The index that has the directory's root."""
    return next(
        path
        for path in sorted(place.glob("index/*"))
        if bytes.fromhex(site.root[1]) in Index.load(path.read_bytes()).digests()
    )


def one(pattern):
    """The largest file of a pattern."""
    return lambda site, place: max(place.glob(pattern), key=lambda path: (path.stat().st_size, path))


def marker(site, place):
    """The marker of the directory."""
    return place.joinpath("roots", *site.root)


def ref(site, place):
    """The ref of the directory."""
    return next(place.glob("refs/*/{}/{}".format(*site.root)))


def unpack_nodes(site, level):
    """Make loose objects of the cache's nodes, and take their packs away: the path of one of that level."""
    found = []
    for path in site.packs(NODES):
        with PackReader.open(path) as pack:
            members = pack.members
            for position, stored in pack.read_many(members.in_offset_order(), members):
                data = decode(members.codecs[position], stored, members.plains[position])
                name = members.raws()[position].hex()
                place = site.cache / "objects" / pack.algorithm / name[:2] / name[2:]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
                place.chmod(0o444)
                found += [place] if data[9] == level else []
        path.unlink()
    live = site.root[1]
    return max(found, key=lambda path: (path.parent.name + path.name == live, path.stat().st_size))


CACHE = {
    "loose object": (loose(BIG // 256 * 256), fields.whole),
    "loose leaf": (lambda site, place: unpack_nodes(site, 0), fields.node),
    "loose inner node": (lambda site, place: unpack_nodes(site, 1), fields.node),
    "data pack": (packed(DATA), fields.pack),
    "node pack": (packed(NODES), fields.pack),
    "index": (index, fields.index),
}
REMOTE = {
    "loose object": (loose(BIG // 256 * 256), fields.whole),
    "segment": (loose(_SEGMENTED), fields.whole),
    "segment list": (one("objects/*/*/*.segments"), fields.tokens),
    "data pack": (packed(DATA), fields.pack),
    "node pack": (packed(NODES), fields.pack),
    "index": (index, fields.index),
    "marker": (marker, fields.tokens),
}
SMALL = {
    "kist-remote": (one("kist-remote"), fields.tokens),
    "set": (one("sets/*"), fields.tokens),
    "ref": (ref, fields.tokens),
    "condemned": (one("condemned"), fields.tokens),
}


# ── harm ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def put(path, data):
    """Give a file other bytes, or none: with None it goes."""
    path.chmod(0o644)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


class Damages:
    """Does harm after harm, each to a fresh copy of the template.

    Args:
        template: the template.
        folder: for the copies.
        run: folder -> ``kist`` there.
        name: of the test: an ordinary run takes some harms, others in each test.
        count: told how many harms were done.
    """

    def __init__(self, template, folder, run, name, count):
        self._template, self._folder, self._run, self._name = template, folder, run, name
        self._numbers = numbers()
        self.count = count

    def fresh(self):
        """A copy of the template."""
        return Site(self._template, self._folder / f"site{next(self._numbers)}", self._run)

    def chosen(self, harms):
        """All harms, or a few that depend on the test's name."""
        harms = list(harms)
        if WHOLE:
            return harms
        start = zlib.crc32(self._name.encode()) % len(harms)
        step = len(harms) // SAMPLE + 1
        return [harms[(start + number * step) % len(harms)] for number in range(min(SAMPLE, len(harms)))]

    def each(self, kind, check, place="store", prepare=None, only=None):
        """Harm a kind of file in every way and see what *check* says.

        Args:
            kind: (finds the file in a place, its fields).
            check: called with the harmed site and the harm's name; raises where something is not as it must be.
            place: where the file is: ``cache``, ``store`` or ``work``.
            prepare: called with each copy before it is harmed.
            only: the one harm to do, by the end of its name; None: those that are this test's.

        Raises:
            AssertionError: what was wrong after which harms.
        """
        find, layout = kind

        def begin():
            site = self.fresh()
            if prepare:
                prepare(site)
            return site, find(site, getattr(site, place))

        site, path = begin()
        data = path.read_bytes()
        harms = list(fields.harms(data, layout(data)))
        harms = self.chosen(harms) if only is None else [next(one for one in harms if one[0].endswith(only))]
        shutil.rmtree(site.folder)
        wrong = []
        for name, _ in harms:
            site, path = begin()
            # Not every file has the same bytes in each copy: what a harm does is found anew.
            now = path.read_bytes()
            damaged = dict(fields.harms(now, layout(now))).get(name, b"")
            put(path, damaged)
            try:
                check(site, name)
            except (AssertionError, Exception) as error:  # all of them are told together
                if isinstance(error, pytest.skip.Exception):
                    raise
                wrong.append(f"{name}: {type(error).__name__} {str(error)[:1500]}")
            shutil.rmtree(site.folder)
        self.count(len(harms))
        assert not wrong, f"{len(wrong)} of {len(harms)}:\n" + "\n".join(wrong)


def fine(result, *codes):
    """Whether a command ended as one of ours does: one of these exit codes, no traceback.

    Raises:
        AssertionError: it did not.
    """
    assert result.code in (0, *codes), f"exit {result.code}: {result.out}{result.err}"
    assert "Traceback" not in result.err
    return result


def blob(path, table, column, change):
    """Change one blob of a SQLite database."""
    with sqlite3.connect(path) as database:
        rows = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
        database.executemany(
            f"UPDATE {table} SET {column} = ? WHERE rowid = ?",
            [(change(bytes(value)), row) for row, value in rows],
        )
    database.close()


def patched(patch, owner, name, comparison):
    """Put a function in the place of another that takes a comparison for true.

    Args:
        patch: a ``pytest.MonkeyPatch``.
        owner: the class or module.
        name: of the function.
        comparison: as the source has it, "a == b", or "not a == b" for one that has "a != b".
    """
    old = comparison.removeprefix("not ").replace("==", "!=") if comparison.startswith("not ") else comparison
    new = str(old == comparison)
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    assert source.count(old) == 1, f"{name} no longer says {old!r}"
    space = dict(vars(inspect.getmodule(owner)))
    exec(compile("from __future__ import annotations\n" + source.replace(old, new), name, "exec"), space)
    patch.setattr(owner, name, space[name])
