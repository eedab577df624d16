"""What a push sends: packs of the cache as they are, new packs, large objects by themselves."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kist.abc.hasher import Hasher
from kist.engine.manifest.format import dense_part
from kist.engine.storage.indexes import PackEntry
from kist.engine.storage.located import Group, Located, in_order
from kist.engine.storage.members import Members, encode
from kist.engine.storage.pack_writer import PackWriter
from kist.engine.storage.packs import DATA, NODES, PACK_LIMIT, PackReader
from kist.engine.transfer.local_side import UNREADABLE, LocalSide
from kist.engine.transfer.merging import SMALL_PACK
from kist.errors import KistError
from kist.util.slotted import slotted

_FLUSH = 1 << 20
"""Bytes of members that are written at a time."""

_COPIED_FROM, _COPIED_SHARE = PACK_LIMIT // 4, 0.5
"""A pack of so many bytes, of which so large a part of the members is to be sent, is copied without the others."""


def is_sent_as_a_pack(reader: PackReader, kind: int, count: int) -> bool:
    """Whether a pack of the cache goes as it is, or copied without what is not sent.

    Args:
        reader: the pack.
        kind: of the objects that are to be sent; of nodes only large packs go so, that there are few.
        count: how many of its members are to be sent.
    """
    members = len(reader.members)
    if reader.kind != kind or members == 1 or (kind == NODES and reader.size < SMALL_PACK):
        return False
    return members == count or (reader.size >= _COPIED_FROM and count >= _COPIED_SHARE * members)


@slotted()
class Upload:
    """One file to send.

    Args:
        key: where it goes.
        path: the file; None for a large object, whose file is looked for when its turn comes.
        plain: plain bytes of the objects in it, as they count in the progress.
        raw: the object that it is, b"" for a pack.
        pack: what the index says of it, None for an object by itself.
        members: likewise.
        temporary: whether the file is to be removed afterwards.
    """

    key: str
    path: Path | None
    plain: int
    raw: bytes = b""
    pack: PackEntry | None = None
    members: Members | None = None
    temporary: bool = False

    @property
    def raws(self) -> list[bytes]:
        """The objects in it."""
        return self.members.raws() if self.members is not None else [self.raw]


class Packer:
    """Turns objects of the cache into files to send.

    Args:
        local: the cache.
        hasher: of the objects' algorithm.
        scratch: a folder for new packs.
        pack_limit: bytes after which a pack is closed.

    Attributes:
        failed: objects that are missing or damaged here, and why.
    """

    def __init__(self, local: LocalSide, hasher: Hasher, scratch: Path, *, pack_limit: int = PACK_LIMIT) -> None:
        self._local = local
        self._hasher = hasher
        self._scratch = scratch
        self._limit = pack_limit
        self._numbers = itertools.count()
        self.failed: dict[bytes, KistError] = {}

    def small(self, groups: dict[str, Group], absent: Iterable[bytes], extra: Iterable[bytes]) -> Iterator[Upload]:
        """Files for small objects.

        Args:
            groups: objects to send, by where they lie in the cache; used up. Packs of it that hold nothing else go as
                they are.
            absent: objects to send that are not there.
            extra: objects of small packs on the remote that are packed again with them.
        """
        yield from self._whole(DATA, groups)
        yield from self._pack(DATA, itertools.chain(in_order(groups.values()), absent, extra))

    def nodes(self, raws: Iterable[bytes]) -> Iterator[Upload]:
        """Packs of manifest nodes.

        Args:
            raws: the nodes, each of which may be absent.
        """
        located = Located(self._hasher.digest_size)
        absent = self._local.locate(self._hasher.name, raws, located)
        groups = located.take()
        yield from self._whole(NODES, groups)
        yield from self._pack(NODES, itertools.chain(in_order(groups.values()), absent))

    def _whole(self, kind: int, groups: dict[str, Group]) -> Iterator[Upload]:
        """Packs of the cache of which all that counts is to be sent; their objects are taken out of *groups*."""
        for reader, group in self._local.packs_of(groups):
            if not is_sent_as_a_pack(reader, kind, len(group)):
                continue
            with suppress(*UNREADABLE):  # what cannot be read here is read one by one
                upload, rest = self._taken(reader, group)
                if rest:
                    groups[reader.id] = group.pick(rest)
                else:
                    del groups[reader.id]
                if upload is not None:
                    yield upload

    def _taken(self, reader: PackReader, group: Group) -> tuple[Upload | None, Sequence[int]]:
        """A pack of the cache as it is, or a copy with just what is to be sent, and positions of what is not in it."""
        members = reader.members
        if len(members) == len(group):
            if not reader.is_whole(self._hasher):
                return None, range(len(group))
            pack = PackEntry(reader.id, reader.size, reader.kind)
            path = self._local.cache.folder.packs / pack.id
            return Upload(f"packs/{pack.id}", path, sum(members.plains), pack=pack, members=members), ()
        wanted = set(group.members.raws())
        chosen = reader.in_order.pick([at for at, raw in enumerate(reader.in_order.raws()) if raw in wanted])
        writer = self._writer(reader.kind)
        try:
            for part, good in reader.check_parts(self._hasher, chosen):
                if any(good):
                    writer.append_part(part, good)
                wanted.difference_update(itertools.compress(part.members.raws(), good))
            rest = [position for position, raw in enumerate(group.members.raws()) if raw in wanted]
            if len(writer):
                return self._finish(writer), rest
        except BaseException:
            writer.path.unlink(missing_ok=True)
            raise
        finally:
            writer.close()
        writer.path.unlink()
        return None, rest

    def large(self, contents: Mapping[bytes, int], key_of: Mapping[bytes, str]) -> Iterator[Upload]:
        """One file an object."""
        for raw, size in contents.items():
            yield Upload(key_of[raw], None, size, raw)

    def _pack(self, kind: int, raws: Iterable[bytes]) -> Iterator[Upload]:
        writer: PackWriter | None = None
        try:
            for batch_raws, buffers in self._batches(raws):
                length = sum(map(len, buffers))
                if writer is not None and writer.size + length > self._limit:
                    yield self._finish(writer)
                    writer = None
                if writer is None:
                    writer = self._writer(kind)
                if kind == NODES:
                    for raw, data in zip(batch_raws, buffers, strict=True):
                        codec, stored = encode(data, dense_part(data))
                        writer.append(raw, stored, len(data), codec)
                else:
                    writer.append_many(batch_raws, buffers)
            if writer is not None:
                yield self._finish(writer)
                writer = None
        finally:
            if writer is not None:
                writer.close()

    def _writer(self, kind: int) -> PackWriter:
        path = self._scratch / f"pack-{next(self._numbers)}"
        return PackWriter(path, kind, self._hasher.name, self._hasher.digest_size)

    def _batches(self, raws: Iterable[bytes]) -> Iterator[tuple[list[bytes], list[bytes]]]:
        batch: list[bytes] = []
        buffers: list[bytes] = []
        length = 0
        for raw, data in self._local.contents(self._hasher.name, raws):
            if isinstance(data, KistError):
                self.failed[raw] = data
                continue
            if length + len(data) > _FLUSH and batch:
                yield batch, buffers
                batch, buffers, length = [], [], 0
            batch.append(raw)
            buffers.append(data)
            length += len(data)
        if batch:
            yield batch, buffers

    @staticmethod
    def _finish(writer: PackWriter) -> Upload:
        members = writer.finish()
        writer.close()
        pack = PackEntry(writer.id, writer.size, writer.kind)
        size = sum(members.plains)
        return Upload(f"packs/{pack.id}", writer.path, size, pack=pack, members=members, temporary=True)
