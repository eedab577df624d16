"""What the tests of push, fetch and gc share: a clone with a cache, versions made of dictionaries."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from pathlib import Path

import pytest

from kist.abc.remote import Remote
from kist.builtin.node_manifest import NodeManifestCodec
from kist.builtin.pool_executor import PoolExecutor
from kist.engine.cache.cache import Cache
from kist.engine.transfer.fetch import fetch_versions
from kist.engine.transfer.parts import Version, Want
from kist.engine.transfer.push import push_versions
from kist.engine.transfer.remote_store import RemoteStore
from kist.errors import TransferError
from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.entry import Entry
from kist.remotes.wrapping import WrappedRemote
from kist_blake3.hasher import Blake3Hasher

REPOSITORY = "0123456789abcdef"


class Clone:
    """A cache, and a remote as this clone sees it."""

    codec = NodeManifestCodec()

    def __init__(self, folder: Path, remote: Remote, *, memory: bool = True, pack_threshold: int = 1 << 20):
        self.folder = folder
        self.remote = remote
        self.memory = folder / "memory" if memory else None
        self.hasher = Blake3Hasher()
        self.cache = Cache(folder / "cache", lambda name: self.hasher, pack_threshold=pack_threshold, sync="off")

    def store(self) -> RemoteStore:
        return RemoteStore(
            self.remote,
            hashers=lambda name: self.hasher,
            memory=self.memory,
            executors=lambda jobs: PoolExecutor("threads", jobs),
        )

    def add(self, files: dict[str, bytes], path: str = "data") -> Version:
        """Store a directory."""
        hasher = self.hasher
        with self.cache.session("blake3") as session:
            for names in _batched(files, 5000):
                buffers = [files[name] for name in names]
                session.put_small(hasher.raw_many(buffers), buffers)
            entries = [Entry(name.encode(), "file", len(data), hasher.digest(data)) for name, data in files.items()]
            columns = Columns.from_entries("blake3", 32, entries)
            view = self.codec.write([columns], session.put_node, hasher)
            session.commit()
        return Version(view.root, True, sum(map(len, files.values())), len(files), path)

    def edit(self, version: Version, name: str, data: bytes) -> Version:
        """Change one file of a directory."""
        digest = self.hasher.digest(data)
        get = lambda raws: self.cache.read_many("blake3", raws)  # noqa: E731
        with self.cache.session("blake3") as session:
            session.put_small(digest.raw, [data])
            entry = Entry(name.encode(), "file", len(data), digest)
            change = Change(entry.path, "modified", new=entry)
            view = self.codec.edit(
                self.codec.open(version.root, get), [change], session.put_node, self.hasher, session.read_nodes
            )
            session.commit()
        return Version(view.root, True, view.size, view.files, version.path)

    def add_file(self, data: bytes, path: str = "file") -> Version:
        """Store one file."""
        with self.cache.session("blake3") as session:
            source = session.file()
            source.write_bytes(data)
            digest = self.hasher.digest(data)
            session.put_loose_file(source, digest)
            session.commit()
        return Version(digest, False, len(data), 1, path)

    def push(self, *versions: Version, bases=(), **options):
        report = push_versions(
            self.cache,
            options.pop("store", None) or self.store(),
            versions,
            [getattr(base, "root", base) for base in bases],
            repository_id=options.pop("repository_id", REPOSITORY),
            codec=self.codec,
            **options,
        )
        return raise_failures(report)

    def fetch(self, *versions: Version, inside=None, **options):
        wants = [Want(one.root, one.is_directory, inside, one.size, one.path) for one in versions]
        store = options.pop("store", None) or self.store()
        return raise_failures(fetch_versions(self.cache, store, wants, codec=self.codec, **options))

    def files(self, version: Version) -> dict[str, bytes]:
        """Read a version back out of the cache."""
        if not version.is_directory:
            with self.cache.open(version.root) as reader:
                return {version.path: reader.read()}
        view = self.codec.open(version.root, lambda raws: self.cache.read_many("blake3", raws))
        found = {}
        for leaf in view.leaves():
            raws = leaf.raws()
            contents = dict(self.cache.read_iter("blake3", raws))
            found |= {path.decode(): contents[raw] for path, raw in zip(leaf.paths, raws, strict=True)}
        return found


def raise_failures(report):
    if report.failures:
        raise TransferError("failed", report.failures)
    return report


def _batched(items, size):
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


@pytest.fixture
def clone(tmp_path):
    """Makes clones with caches of their own."""
    numbers = itertools.count()

    def make(remote: Remote, **options) -> Clone:
        folder = tmp_path / f"clone{next(numbers)}"
        folder.mkdir()
        return Clone(folder, remote, **options)

    return make


@pytest.fixture
def newer_text():
    """Turns one of a remote's small texts into one of the next version, sealed as such: a flipped byte is damage."""

    def newer(data: bytes) -> bytes:
        body = data[: data.rindex(b"sha256:")].replace(b"/1\n", b"/2\n", 1)
        return body + f"sha256:{hashlib.sha256(body).hexdigest()}\n".encode()

    return newer


class LaggingRemote(WrappedRemote):
    """Lists what it had some changes ago: keys that were put meanwhile are absent, deleted ones still there."""

    def __init__(self, inner, lag):
        super().__init__(inner)
        self._lag, self._past = lag, [{}]

    def _changed(self):
        self._past = [*self._past, {info.key: info for info in self.inner.list()}][-self._lag - 1 :]

    def put_file(self, key, source, **options):
        self.inner.put_file(key, source, **options)
        self._changed()

    def delete(self, key):
        self.inner.delete(key)
        self._changed()

    def settle(self):
        """Let the listing come up to date, as it does in time."""
        self._past = [{info.key: info for info in self.inner.list()}]

    def list(self, prefix=""):
        return iter([info for key, info in sorted(self._past[0].items()) if key.startswith(prefix)])


@pytest.fixture
def lagging():
    """Makes remotes whose listings are old: of a remote, and by how many changes."""
    return LaggingRemote


@pytest.fixture
def other_file_system(tmp_path):
    """A folder on another file system than the test's own."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine offers one file system only")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
