"""The part of a push that concerns one hash algorithm: contents, then nodes, then the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kist.abc.remote import Remote
from kist.engine.process.workers import Workers
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import SEGMENTED
from kist.engine.storage.located import Group, in_order, split_by_size
from kist.engine.storage.packs import DATA, NODES
from kist.engine.transfer import objects
from kist.engine.transfer.local_side import LocalSide
from kist.engine.transfer.merging import SMALL_PACK, worth_joining
from kist.engine.transfer.packing import Packer, Upload
from kist.engine.transfer.parts import (
    FATAL,
    ItemProgress,
    TransferSettings,
    Version,
    Walker,
    content_sizes,
    named_paths,
)
from kist.engine.transfer.push_plan import Side
from kist.engine.transfer.remote_index import keys_of
from kist.engine.transfer.remote_store import Published, RemoteStore
from kist.engine.transfer.segments import SEGMENTED_FROM, SegmentTransfer
from kist.errors import KistError, ObjectMissing, RemoteObjectNotFound
from kist.model.digest import Digest
from kist.util.slotted import field, slotted

ASK_FROM = 8 << 20
"""Before a file of at least this many bytes is sent we ask whether a killed push has sent it already."""


PART = 16 << 20
"""Bytes of a file that a backend holds in memory at most while it sends it."""


@slotted()
class PushState:
    """What the sides of one push share.

    Attributes:
        local: the cache.
        store: the remote.
        workers: run the calls.
        settings: how to transfer.
        resend: keys that are to be sent even if they are there.
        resent: those that were.
        relied: keys that the new markers rely on, beside what other markers name.
        failures: what did not go, and why; the rest goes on.
        unmarked: indexes that no marker names yet.
        objects: objects that arrived.
        moved: bytes that moved.
    """

    local: LocalSide
    store: RemoteStore
    workers: Workers
    settings: TransferSettings
    resend: frozenset[str] = frozenset()
    resent: list[str] = field(default_factory=list)
    relied: list[str] = field(default_factory=list)
    failures: dict[str, KistError] = field(default_factory=dict)
    unmarked: list[str] = field(default_factory=list)
    objects: int = 0
    moved: int = 0

    def note_put(self, key: str) -> None:
        """Remember a key that the versions rely on, and whether it was put although something stood there."""
        self.relied.append(key)
        if key in self.resend:
            self.resent.append(key)

    def note_sent(self, count: int, size: int) -> None:
        """Count what arrived."""
        self.objects += count
        self.moved += size


class SidePush:
    """The part of a push that concerns one hash algorithm: contents, then nodes, then the index.

    Args:
        push: what all sides of the push share.
        side: what is missing.
        scratch: a folder for new packs.
    """

    def __init__(self, push: PushState, side: Side, scratch: Path) -> None:
        self._push = push
        self._side = side
        self._scratch = scratch
        self._hasher = push.store.hashers(side.algorithm)
        self._packer = Packer(push.local, self._hasher, scratch)
        self._builder = IndexBuilder(side.algorithm, self._hasher.digest_size, lambda: scratch / "rows")
        self._rewritten: set[str] = set()
        self._failed: dict[bytes, KistError] = dict(side.closure.failed)

    def run(self) -> dict[Digest, Published]:
        """Send everything; returns what the markers of the complete versions are to say."""
        side, push = self._side, self._push
        data, nodes = self._to_pack_again()
        small, large = split_by_size(side.closure.contents.take(), push.store.pack_threshold)
        self._send(self._packer.small(small, side.closure.absent, data))
        self._send_large(large)
        self._failed |= self._packer.failed
        complete = self._complete_versions()
        chosen = self._nodes_of(complete)
        self._send(self._packer.nodes([*(raw for raw in chosen if raw in side.closure.nodes), *nodes]))
        self._failed |= self._packer.failed
        self._add_found(side.found.groups)
        self._add_found(side.found_nodes.only(set(chosen)))
        names = self._write_index()
        for raw, error in self._failed.items():
            push.failures[f"{side.algorithm}:{raw.hex()}"] = self._with_paths(raw, error)
        if self._failed:
            complete = self._complete_versions()
        lists = {side.algorithm: tuple(names)}
        return {version.root: Published((version.root,), lists) for version in complete}

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _send(self, uploads: Iterator[Upload]) -> None:
        """Send files as they are made, several at once; the number in flight bounds the space for new packs."""
        workers, progress = self._push.workers, self._push.settings.progress

        def send(upload: Upload) -> None:
            item = ItemProgress(workers.progress(progress), upload.plain)
            self._put(upload, item)
            item.complete()

        for upload, result in workers.run(send, uploads, weigh=_weight_of):
            if upload.temporary and upload.path is not None:
                upload.path.unlink(missing_ok=True)
            if isinstance(result, FATAL):
                raise result
            self._push.note_put(upload.key)
            if isinstance(result, KistError):
                self._failed |= dict.fromkeys(upload.raws, result)
            elif upload.pack is not None and upload.members is not None:
                self._builder.add_pack(upload.pack, upload.members)
                self._push.note_sent(len(upload.members), upload.pack.size)
            else:
                self._builder.add_loose([upload.raw], [upload.plain])
                self._push.note_sent(1, upload.plain)

    def _put(self, upload: Upload, item: ItemProgress) -> None:
        remote = self._push.store.remote
        if upload.path is not None:
            if not self._is_there(remote, upload.key, upload.path.stat().st_size):
                remote.put_file(upload.key, upload.path, progress=item)
            return
        digest = Digest.from_raw(self._hasher.name, upload.raw)
        with self._push.local.file_of(digest, self._scratch / f"object-{digest.hex}") as path:
            if not self._is_there(remote, upload.key, path.stat().st_size):
                remote.put_file(upload.key, path, progress=item)

    def _is_there(self, remote: Remote, key: str, size: int) -> bool:
        """Whether a killed push has sent this file."""
        if size < ASK_FROM or self._push.store.created or key in self._push.resend:
            return False
        try:
            return remote.stat(key).size == size
        except RemoteObjectNotFound:
            return False

    def _send_large(self, contents: dict[bytes, int]) -> None:
        name = self._hasher.name
        single = {raw: size for raw, size in contents.items() if size <= SEGMENTED_FROM}
        keys = {raw: objects.object_key(Digest.from_raw(name, raw)) for raw in single}
        self._send(self._packer.large(single, keys))
        for raw, size in contents.items():
            if raw not in single:
                self._send_segmented(raw, size)

    def _send_segmented(self, raw: bytes, size: int) -> None:
        push, digest = self._push, Digest.from_raw(self._hasher.name, raw)
        path = push.local.loose_file(digest)
        # A list that is damaged or condemned says that its segments may be too.
        fresh = push.store.created or objects.segments_key(digest) in push.resend
        resend = None if fresh else push.resend
        try:
            if path is None:
                raise ObjectMissing(str(digest), where="the cache")
            item = ItemProgress(push.settings.progress, size)
            transfer = SegmentTransfer(push.store.remote, self._hasher, push.workers, item, scratch=self._scratch)
            sent = transfer.put(path, digest, resend=resend, note=push.note_put)
        except FATAL:
            raise
        except KistError as exc:
            self._failed[raw] = exc
            return
        self._builder.add_loose([raw], [size], segmented=True)
        push.note_sent(1, sent)

    # ── what goes along, what stays out ──────────────────────────────────────────────────────────────────────────────

    def _to_pack_again(self) -> tuple[list[bytes], list[bytes]]:
        """Members of small packs on the remote that go into the new packs: data and nodes.

        A pack is packed again only if all of its members are in the cache, and only if that makes much larger ones.
        """
        merge, side = self._side.merge, self._side
        lists: dict[int, list[bytes]] = {DATA: [], NODES: []}
        for kind, raws in lists.items():
            packs = sorted((entry for entry in merge.packs.values() if entry.kind == kind), key=lambda one: one.size)
            if not packs:
                continue
            fresh = self._fresh(kind)
            sizes = sorted([fresh] * (0 < fresh < SMALL_PACK) + [entry.size for entry in packs])
            count = worth_joining(sizes)
            for entry in packs if count else ():
                members = merge.members[entry.id]
                if entry.size <= sizes[count - 1] and not self._push.local.cache.missing(side.algorithm, members):
                    self._rewritten.add(entry.id)
                    raws += members
        new = side.closure.contents.among(lists[DATA]) | side.closure.absent.keys()
        return [raw for raw in lists[DATA] if raw not in new], lists[NODES]

    def _fresh(self, kind: int) -> int:
        """Bytes of the small objects of one kind that the remote lacks."""
        closure, limit = self._side.closure, self._push.store.pack_threshold
        if kind == NODES:
            return sum(closure.nodes.values())
        here = (size for group in closure.contents.groups.values() for size in group.members.plains if size < limit)
        return sum(here) + sum(closure.absent.values())

    def _complete_versions(self) -> list[Version]:
        """Versions none of whose objects failed."""
        if not self._failed:
            return self._side.versions
        return [version for version in self._side.versions if not self._needs(version, self._failed.keys())]

    def _needs(self, version: Version, bad: Iterable[bytes]) -> bool:
        bad = set(bad)
        if not version.is_directory:
            return version.root.raw in bad
        walker = self._walker()
        needed = any(not bad.isdisjoint(content_sizes(columns)) for columns in walker.leaves([version.root.raw]))
        return needed or bool(walker.failed) or not bad.isdisjoint(walker.sizes)

    def _nodes_of(self, versions: Sequence[Version]) -> Iterable[bytes]:
        """The missing nodes of these versions: a node may stand in an index only if all below it is on the remote."""
        if len(versions) == len(self._side.versions):
            return [*self._side.closure.nodes, *in_order(self._side.found_nodes.groups.values())]
        walker = self._walker()
        for _ in walker.leaves(version.root.raw for version in versions if version.is_directory):
            pass
        return list(walker.sizes)

    def _walker(self) -> Walker:
        side = self._side
        read = self._push.local.nodes_of(side.algorithm)
        return Walker(self._push.settings.codec, side.algorithm, read, side.proven.covered)

    def _with_paths(self, raw: bytes, error: KistError) -> KistError:
        """The error, with the workspace paths that need the object where it can tell them."""
        if not isinstance(error, ObjectMissing):
            return error
        paths: list[str] = []
        for version in self._side.versions:
            if not version.is_directory and version.root.raw == raw:
                paths.append(version.path)
            elif version.is_directory:
                for columns in self._walker().leaves([version.root.raw]):
                    found = (path for _, path in named_paths(columns, {raw}))
                    paths += [f"{version.path}/{path.decode('utf-8', 'backslashreplace')}" for path in found]
        return ObjectMissing(error.digest, paths=paths, where=error.where, hint=error.hint)

    # ── the index ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _write_index(self) -> list[str]:
        """Write the new index and return what a marker is to name, the largest first."""
        side, store = self._side, self._push.store
        if self._packer.failed or self._failed:
            self._rewritten.clear()  # a member may not have gone along: the old packs stay in the index
        for index in side.merge.merged:
            self._builder.add_index(index, lambda name: name not in self._rewritten)
        if not len(self._builder):
            return side.merge.kept
        path = self._scratch / f"index-{side.algorithm}"
        name = self._builder.write(path)
        store.remote.put_file(f"index/{name}", path)
        self._push.note_put(f"index/{name}")
        store.hints.adopt(f"index/{name}", path)
        if name not in side.proven.names:
            self._push.unmarked.append(name)
        return [*side.merge.kept, name]

    def _add_found(self, found: Mapping[str, Group]) -> None:
        """Take over where objects lie that no marker knew of."""
        side = self._side
        packs = side.hinted.pack_entries() if side.hinted is not None and found else {}
        for name, group in found.items():
            for key in keys_of(name, side.algorithm, group):
                self._push.note_put(key)
            if name in packs:
                self._builder.add_pack(packs[name], group.members.by_digest())
            else:
                self._builder.add_loose(group.members.raws(), group.members.plains, segmented=name == SEGMENTED)


def _weight_of(upload: Upload) -> int:
    """Bytes that a backend may hold of a file that it sends: what is one part of a large upload for most."""
    return min(upload.pack.size if upload.pack is not None else upload.plain, PART)
