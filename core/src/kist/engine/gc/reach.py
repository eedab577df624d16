"""What roots reach: the objects that must live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from kist.abc.metafile import ManifestCodec
from kist.engine.gc.roots import GcRoot
from kist.engine.storage.digest_set import DigestSet
from kist.engine.storage.indexes import SEGMENTED, Place
from kist.engine.storage.members import MAX_UNFOLDED
from kist.engine.transfer.parts import ReadNodes, Walker
from kist.errors import KistError, MetafileError, ObjectMissing
from kist.model.digest import Digest
from kist.util.slotted import field, replace, slotted


@slotted()
class Reached:
    """What some roots reach.

    Attributes:
        alive: algorithm -> raw digests, of nodes and of contents.
        unknown: nodes that are not here, so that what lies below them could not be followed.
        malformed: objects that stand where a node should, whole but none, as a forged metafile can name them.
    """

    alive: dict[str, DigestSet] = field(default_factory=dict)
    unknown: list[Digest] = field(default_factory=list)
    malformed: list[Digest] = field(default_factory=list)

    def has(self, algorithm: str, raw: bytes) -> bool:
        """Whether an object is reached."""
        return raw in self.alive.get(algorithm, ())


def telling_large_files(roots: Iterable[GcRoot], place_of: Callable[[Digest], Place | None]) -> Iterator[GcRoot]:
    """The same roots; of which nobody knew what they are, those that are too large for a node are files.

    Args:
        roots: what must live.
        place_of: where an object lies, None where it is not there.
    """
    for root in roots:
        place = place_of(root.digest) if root.is_directory is None else None
        large = place is not None and (place.pack == SEGMENTED or place.plain > MAX_UNFOLDED)
        yield replace(root, is_directory=False) if large else root


def reach(roots: Iterable[GcRoot], codec: ManifestCodec, read: dict[str, ReadNodes]) -> Reached:
    """Follow roots to all that they reach.

    Args:
        roots: where to start.
        codec: reads manifests.
        read: algorithm -> what brings nodes.

    Returns:
        What must live.

    Raises:
        ObjectCorrupt: a node is damaged, so that nobody can tell what it needs.
        RemoteError: the remote refused or failed.
    """
    reached = Reached()
    groups: dict[str, list[GcRoot]] = {}
    for root in dict.fromkeys(roots):
        groups.setdefault(root.digest.algorithm, []).append(root)
        reached.alive.setdefault(root.digest.algorithm, DigestSet()).update((root.digest.raw,))
    for algorithm, group in groups.items():
        walker = Walker(codec, algorithm, read[algorithm])
        alive = reached.alive[algorithm]
        for columns in walker.leaves(_directories(group, codec, read[algorithm], reached)):
            alive.update(columns.content_raws())
        alive.update(walker.sizes)
        alive.update(walker.failed)
        reached.malformed += [Digest.from_raw(algorithm, raw) for raw in sorted(walker.malformed)]
        for raw, error in walker.failed.items():
            if raw in walker.malformed:
                continue  # whole, and no node: nothing is named in it, and nobody can make a version of it
            if not isinstance(error, ObjectMissing):
                raise error
            reached.unknown.append(Digest.from_raw(algorithm, raw))
    return reached


def _directories(roots: Sequence[GcRoot], codec: ManifestCodec, read: ReadNodes, reached: Reached) -> Iterator[bytes]:
    """The roots that are manifests; one that is not here could be one, so what it needs is unknown."""
    for root in roots:
        if root.is_directory:
            yield root.digest.raw
        elif root.is_directory is None:
            [data] = read([root.digest.raw])
            if isinstance(data, ObjectMissing):
                reached.unknown.append(root.digest)
            elif isinstance(data, KistError):
                raise data
            elif _is_manifest(data, codec, root.digest.algorithm):
                yield root.digest.raw


def _is_manifest(data: bytes, codec: ManifestCodec, algorithm: str) -> bool:
    try:
        codec.children(data, algorithm)
    except MetafileError:
        return False
    return True
