"""Index files of a remote that were lost or damaged: found cheaply, put back from a copy or made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from kist.abc.remote import ObjectInfo
from kist.engine.process.workers import Workers
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import PackEntry, index_id
from kist.engine.storage.packs import PackReader
from kist.engine.transfer import objects
from kist.engine.transfer.remote_store import Published, RemoteStore, named_by_content
from kist.engine.transfer.segments import SegmentList
from kist.errors import KistError, ObjectError, RemoteObjectNotFound, RemotePermissionError, RepoFormatError
from kist.model.digest import Digest
from kist.util.slotted import field, slotted


def lost_indexes(store: RemoteStore, published: Iterable[Published], workers: Workers) -> set[str]:
    """Which index files that markers name are not there, or are not as long as our copy; for one request mostly.

    Args:
        store: the remote.
        published: what the markers say.
        workers: run the calls where the remote cannot list cheaply.

    Returns:
        Their keys.

    Raises:
        RemoteError: the remote failed.
    """
    keys = sorted({key for one in published for key in one.index_keys()})
    sizes = _sizes(store, keys, workers)
    return {key for key in keys if sizes.get(key) != (store.hints.size(key) or sizes.get(key, -1))}


def _sizes(store: RemoteStore, keys: list[str], workers: Workers) -> dict[str, int]:
    """Key -> size; what must not be looked at counts as good."""
    if len(keys) > 1 and store.remote.capabilities.cheap_list:
        try:
            return {one.key: one.size for one in store.remote.list("index/")}
        except RemotePermissionError:
            pass  # without the right to list, each is asked for
    sizes = {}
    for key, result in workers.run(store.remote.stat, keys):
        if isinstance(result, RemotePermissionError):
            sizes[key] = store.hints.size(key) or 0
        elif isinstance(result, KistError) and not isinstance(result, RemoteObjectNotFound):
            raise result
        elif not isinstance(result, KistError):
            sizes[key] = result.size
    return sizes


def damaged_indexes(store: RemoteStore, keys: Iterable[str], workers: Workers) -> set[str]:
    """Which index files are not there or hold other bytes than their names promise; reads all of them.

    Raises:
        RemoteError: the remote failed.
    """

    def read(key: str) -> None:
        def read_once() -> None:
            named_by_content(key, objects.get_bytes(store.remote, key, limit=1 << 32), store.name)

        objects.insist(read_once, store.remote, key)

    bad = set()
    for key, result in workers.run(read, sorted(set(keys))):
        if isinstance(result, RemoteObjectNotFound | ObjectError):
            bad.add(key)
        elif isinstance(result, KistError):
            raise result
    return bad


def put_back(store: RemoteStore, keys: Iterable[str]) -> set[str]:
    """Send index files again of which this machine has a good copy.

    Args:
        store: the remote.
        keys: what is lost or damaged there.

    Returns:
        Those of which it has none.
    """
    left = set()
    for key in keys:
        data = store.hints.recall(key)
        if data is not None and hashlib.sha256(data).hexdigest() == key.rpartition("/")[2]:
            store.put_bytes(key, data)
        else:
            left.add(key)
    return left


def rebuild_index(store: RemoteStore, algorithm: str, workers: Workers) -> str | None:
    """Make one index of all packs and objects of an algorithm that lie on the remote, from the packs' own footers.

    Args:
        store: the remote; it must allow listing.
        algorithm: the hash algorithm.
        workers: run the calls.

    Returns:
        The new index's name; None where there is nothing.

    Raises:
        RemoteError: the remote refused or failed.
    """
    builder = IndexBuilder(algorithm, store.hashers(algorithm).digest_size)
    for info, result in workers.run(lambda info: _pack(store, info), store.remote.list("packs/")):
        if isinstance(result, RemoteObjectNotFound | ObjectError | RepoFormatError):
            continue  # gone or damaged: what was in it is missing then, and verify tells
        if isinstance(result, KistError):
            raise result
        if result.algorithm == algorithm and result.id == info.key.rpartition("/")[2]:
            builder.add_pack(PackEntry(result.id, info.size, result.kind), result.members)
    _add_objects(store, algorithm, builder)
    if not len(builder):
        return None
    data = builder.build()
    name = index_id(data)
    store.put_bytes(f"index/{name}", data)
    store.hints.remember(f"index/{name}", data)
    return name


def _pack(store: RemoteStore, info: ObjectInfo) -> PackReader:
    """A pack on the remote, its footer read."""

    def read(offset: int, length: int) -> bytes:
        with store.remote.open(info.key, start=offset, length=length) as reader:
            return objects.read_exactly(reader, length)

    reader = PackReader(read, info.size, info.key)
    assert reader.members is not None
    return reader


def _add_objects(store: RemoteStore, algorithm: str, builder: IndexBuilder) -> None:
    """Add what lies in no pack."""
    whole: dict[bytes, int] = {}
    cut: dict[bytes, int] = {}
    for info in store.remote.list(f"objects/{algorithm}/"):
        digest = objects.parse_object_key(info.key)
        if digest is None or digest.algorithm != algorithm:
            continue
        if not info.key.endswith(objects.SEGMENTS_SUFFIX):
            whole[digest.raw] = info.size
            continue
        try:
            cut[digest.raw] = SegmentList.of(objects.get_text(store.remote, "segments", info.key), digest).size
        except (ObjectError, RemoteObjectNotFound):
            continue
    for found, segmented in ((whole, False), (cut, True)):
        if found:
            builder.add_loose(list(found), list(found.values()), segmented=segmented)


@slotted()
class IndexFindings:
    """What a look at all indexes of a remote found.

    Attributes:
        checked: how many index files markers name.
        bad: keys of those that are lost or damaged.
        mended: of those, how many are good again, or no marker names any more.
    """

    checked: int = 0
    bad: set[str] = field(default_factory=set)
    mended: int = 0


def check_indexes(store: RemoteStore, workers: Workers, *, mend: bool = False) -> IndexFindings:
    """Read every index file that a marker names, whoever wrote it.

    Args:
        store: the remote; it must allow listing.
        workers: run the calls.
        mend: put back what is bad, or make it anew and let the markers name the new one.

    Returns:
        What is wrong.

    Raises:
        RemoteError: the remote refused or failed.
    """
    published = dict(_markers(store, workers))
    names = {key for one in published.values() for key in one.index_keys()}
    found = IndexFindings(len(names), damaged_indexes(store, names, workers))
    if not mend or not found.bad:
        return found
    left = put_back(store, found.bad)
    if left:
        _replace(store, published, left, workers)
    found.mended = len(found.bad)
    return found


def _markers(store: RemoteStore, workers: Workers) -> Iterator[tuple[Digest, Published]]:
    roots = [root for one in store.remote.list("roots/") if (root := objects.parse_root_key(one.key)) is not None]
    for root, result in workers.run(store.read_marker, roots):
        if isinstance(result, KistError):
            raise result
        if result is not None:
            yield root, result


def _replace(store: RemoteStore, published: Mapping[Digest, Published], bad: set[str], workers: Workers) -> None:
    """Make new indexes and let the markers name them; sets that name a bad one go, the next push writes them."""
    fresh: dict[str, str | None] = {}
    for one in published.values():
        if bad.isdisjoint(one.index_keys()):
            continue
        indexes = {}
        for algorithm, names in one.indexes.items():
            kept = tuple(name for name in names if f"index/{name}" not in bad)
            if len(kept) < len(names):
                if algorithm not in fresh:
                    fresh[algorithm] = rebuild_index(store, algorithm, workers)
                new = fresh[algorithm]
                kept = kept if new is None else (new, *(name for name in kept if name != new))
            indexes[algorithm] = kept
        store.write_marker(Published(one.roots, indexes, one.repositories))
    bad = bad - {f"index/{name}" for name in fresh.values()}  # made anew to the last bit
    for info in list(store.remote.list("sets/")):
        spoken = store.read_any_set(info.key)
        if spoken is not None and not bad.isdisjoint(spoken.index_keys()):
            store.remote.delete(info.key)
    for key in bad:
        store.remote.delete(key)
