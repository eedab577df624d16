"""Check whole packs on a remote: every member and the header before it, the pack's own header, footer and trailer."""

from __future__ import annotations

from kist.abc.hasher import Hasher
from kist.engine.storage.indexes import PackEntry
from kist.engine.storage.members import REQUEST_LIMIT
from kist.engine.storage.packs import PackReader
from kist.engine.transfer import objects
from kist.engine.transfer.remote_store import RemoteStore
from kist.errors import ObjectCorrupt, RepoFormatError
from kist.util.slotted import slotted


@slotted(frozen=True)
class PackJob:
    """One pack to check.

    Args:
        entry: what the index says of it.
    """

    entry: PackEntry

    @property
    def weight(self) -> int:
        """Bytes that checking it holds in memory."""
        return 2 * min(self.entry.size, REQUEST_LIMIT)


def is_whole(store: RemoteStore, hasher: Hasher, job: PackJob) -> bool:
    """Whether a pack is what its name says, so that it can also be read without an index; called in worker threads.

    Args:
        store: the remote.
        hasher: of the pack's algorithm.
        job: the pack.

    Raises:
        RemoteObjectNotFound: it is not there.
        RemoteError: the remote refused or failed.
    """
    return _is_whole(store, hasher, job.entry) or _is_whole(store, hasher, job.entry)  # a line does damage too


def _is_whole(store: RemoteStore, hasher: Hasher, entry: PackEntry) -> bool:
    key = f"packs/{entry.id}"
    whole: bytes | None = None
    if entry.size <= REQUEST_LIMIT:
        try:
            whole = _to_end(store, key, 0, entry.size)
        except ObjectCorrupt:
            return False

    def read(offset: int, length: int) -> bytes:
        length = min(length, entry.size - offset)
        if whole is not None:
            return whole[offset : offset + length]
        if offset + length == entry.size:
            return _to_end(store, key, offset, length)
        return objects.get_range(store.remote, key, offset, length)

    try:
        pack = PackReader(read, entry.size, key, reach=REQUEST_LIMIT)
        named = pack.algorithm == hasher.name and pack.id == entry.id
        return named and pack.is_whole(hasher)
    except (ObjectCorrupt, RepoFormatError):
        return False


def _to_end(store: RemoteStore, key: str, start: int, length: int) -> bytes:
    """Read the last *length* bytes of an object.

    Raises:
        ObjectCorrupt: it ends earlier, or later: nothing follows a pack's trailer.
    """
    with store.remote.open(key, start=start, length=length + 1) as reader:
        data = objects.read_exactly(reader, length + 1)
    if len(data) != length:
        raise ObjectCorrupt(key, actual=f"other than {start + length} bytes", where="the remote")
    return data
