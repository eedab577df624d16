"""Make the golden files: a tiny repository's stored bytes, the same on every machine.

``python tests/compat/make_golden.py`` writes them to ``tests/compat/golden``. Do that only when a format gets a new
version, and keep the files of the old one: what a release has written, every later release reads.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

from kist.builtin.hashlib_hasher import HashlibHasher
from kist.builtin.node_manifest import NodeManifestCodec
from kist.builtin.yaml_metafile import YamlMetafile
from kist.engine.cache.cache import Cache
from kist.engine.transfer import objects, push_side
from kist.engine.transfer.parts import Version
from kist.engine.transfer.push import push_versions
from kist.engine.transfer.remote_store import FORMAT_KEY, Condemned, RemoteStore
from kist.engine.transfer.segments import SegmentTransfer
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.model.tracked import Metafile, TrackedOutput
from kist.repo.config_edit import set_values
from kist_local.remote import LocalRemote

GOLDEN = Path(__file__).parent / "golden"
ALGORITHM = "sha256"  # a reader needs nothing but a standard library
REPOSITORY = "0123456789abcdef0123456789abcdef"
OTHER_REPOSITORY = "fedcba9876543210fedcba9876543210"
PACK_THRESHOLD = 8 << 10
SEGMENTED_FROM = 16 << 10
SEGMENT_SIZE = 8 << 10
CONDEMNED = {f"packs/{'0' * 64}": 1700000000.5}

_HASHER = HashlibHasher(ALGORITHM)
_KINDS = {0o100644: "file", 0o100755: "executable", 0o120000: "symlink", 0o040000: "directory"}
Tree = dict[bytes, tuple[int, bytes]]
"""Path -> (mode as Git has it, content or link target)."""


def noise(name: str, size: int) -> bytes:
    """Bytes that no codec makes shorter, the same ones everywhere."""
    return hashlib.shake_128(name.encode()).digest(size)


def first_tree() -> Tree:
    """All kinds, and enough entries for several leaves; few contents, so that the files stay small."""
    tree: Tree = {
        b"readme.txt": (0o100644, b"What this is.\n"),
        b"empty.bin": (0o100644, b""),
        b"run.sh": (0o100755, b"#!/bin/sh\nexit 0\n"),
        b"latest": (0o120000, b"many/00000"),
        b"link to nothing": (0o120000, b"../\xff/gone"),
        b"nothing here": (0o040000, b""),
        b"a/b/c/deep": (0o100644, b"deep\n"),
        b"a-b": (0o100644, b"sorts before a/\n"),
        b"a0": (0o100644, b"sorts behind a/\n"),
        "größe.txt".encode(): (0o100644, b"UTF-8 name\n"),
        b"not-\xff\xfe-utf8": (0o100644, b"a name of bytes\n"),
        b"line\nbreak": (0o100644, b"a name with a line break\n"),
        b"loose.bin": (0o100644, noise("loose", 10_000)),
        b"segmented.bin": (0o100644, noise("segmented", 20_000)),
    }
    tree |= {b"many/%05d" % number: (0o100644, b"content %d\n" % (number % 40)) for number in range(4_000)}
    return tree


def second_tree() -> Tree:
    """The next version: one file more, one gone, one changed."""
    tree = first_tree()
    del tree[b"a0"]
    tree[b"new.txt"] = (0o100644, b"new in the second version\n")
    tree[b"many/02000"] = (0o100644, b"changed\n")
    return tree


SINGLE = b"a file that is an output of its own\n"


def add_tree(cache: Cache, tree: Tree) -> Version:
    """Store a directory in the cache."""
    entries, contents = [], {}
    for path, (mode, data) in sorted(tree.items()):
        kind = _KINDS[mode]
        if kind == "symlink":
            entries.append(Entry(path, kind, target=data))
        elif kind == "directory":
            entries.append(Entry(path, kind))
        else:
            digest = _HASHER.digest(data)
            contents[digest.raw] = data
            entries.append(Entry(path, kind, len(data), digest))
    with cache.session(ALGORITHM) as session:
        session.put_small(b"".join(contents), list(contents.values()))
        columns = Columns.from_entries(ALGORITHM, _HASHER.digest_size, entries)
        view = NodeManifestCodec().write([columns], session.put_node, _HASHER, session.read_nodes)
        session.commit()
    return Version(view.root, True, view.size, view.files, "data")


def add_file(cache: Cache, data: bytes) -> Version:
    """Store a single file in the cache."""
    with cache.session(ALGORITHM) as session:
        session.put_small(_HASHER.raw(data), [data])
        session.commit()
    return Version(_HASHER.digest(data), False, len(data), 1, "single.bin")


@contextmanager
def small_segments() -> Iterator[None]:
    """Cut objects into segments that are small enough for golden files."""
    transfer = partial(SegmentTransfer, length=SEGMENT_SIZE)
    with (
        mock.patch.object(push_side, "SEGMENTED_FROM", SEGMENTED_FROM),
        mock.patch.object(push_side, "SegmentTransfer", transfer),
    ):
        yield


def open_cache(folder: Path) -> Cache:
    """A cache as the golden one was made."""
    return Cache(folder, lambda name: _HASHER, pack_threshold=PACK_THRESHOLD, sync="off")


def open_store(folder: Path) -> RemoteStore:
    """A remote in a folder."""
    return RemoteStore(LocalRemote(folder), hashers=lambda name: _HASHER)


def push(cache: Cache, store: RemoteStore, versions: list[Version], bases: list[Digest], repository: str) -> None:
    """Push, one call after the other."""
    codec = NodeManifestCodec()
    with small_segments():
        report = push_versions(cache, store, versions, bases, repository_id=repository, codec=codec, jobs=1)
    if report.failures:
        raise RuntimeError(f"the push failed: {report.failures}")


def make_metafiles(folder: Path, first: Version, single: Version) -> None:
    """Metafiles of a directory, and of an executable file whose name is not UTF-8."""
    folder.mkdir()
    formats = YamlMetafile()
    directory = TrackedOutput("data", first.root, True, files=first.files, size=first.size)
    file = TrackedOutput(
        b"single-\xff.bin".decode("utf-8", "surrogateescape"),
        single.root,
        False,
        executable=True,
        size=single.size,
        remote="archive",
        links=("hardlink", "copy"),
    )
    (folder / "data.kist").write_bytes(formats.dumps(Metafile((directory,), {"description": "an example"})))
    (folder / "single.kist").write_bytes(formats.dumps(Metafile((file,))))


def make_config(path: Path) -> None:
    """A tracked configuration."""
    path.parent.mkdir()
    settings = {
        "core.hash": ALGORITHM,
        "repository.id": REPOSITORY,
        "core.remote": "archive",
        "remote.archive.url": "/srv/archive",
    }
    for key, value in settings.items():
        set_values(path, "tracked", {key: value})


def make(folder: Path) -> None:
    """Write all golden files.

    Args:
        folder: a folder that does not exist yet.
    """
    folder.mkdir(parents=True)
    cache = open_cache(folder / "cache")
    first, single = add_tree(cache, first_tree()), add_file(cache, SINGLE)
    (folder / "remote").mkdir()
    store = open_store(folder / "remote")
    store.put_bytes(FORMAT_KEY, objects.dump_text("remote", {"pack_threshold": PACK_THRESHOLD}))
    push(cache, store, [first, single], [], REPOSITORY)
    second = add_tree(cache, second_tree())
    push(cache, store, [second], [first.root], REPOSITORY)
    push(cache, store, [single], [], OTHER_REPOSITORY)
    store.write_condemned(Condemned(CONDEMNED))
    make_metafiles(folder / "metafiles", first, single)
    make_config(folder / "repository" / "config.yaml")
    roots = {"first": str(first.root), "second": str(second.root), "single": str(single.root)}
    (folder / "roots.json").write_text(json.dumps(roots, indent=2, sort_keys=True) + "\n", "ascii")
    remove_private(folder / "cache")


def remove_private(cache: Path) -> None:
    """Leave out of a cache what is about this machine and moment only."""
    for name in ("verified", "tmp", "gc.lock", "merge.lock"):
        path = cache / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    if GOLDEN.exists():
        raise SystemExit(f"{GOLDEN} is there already: formats get a new version, not new bytes")
    make(GOLDEN)
