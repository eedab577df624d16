"""Hash files of a cache, in any process: all that a call needs is sent along with it."""

from __future__ import annotations

import os
import threading
from array import array
from pathlib import Path

from kist.abc.hasher import Hasher
from kist.abc.progress import NullProgress, Progress
from kist.engine.cache.folder import open_regular
from kist.engine.storage.members import Members
from kist.engine.storage.packs import PackReader
from kist.errors import ObjectCorrupt, StorageError
from kist.util.slotted import field, slotted

_BLOCK = 1 << 20


class Sample:
    """Chooses objects by a part of their digest that is mixed with a new random number each time.

    Args:
        percent: how many of all.
    """

    def __init__(self, percent: float) -> None:
        self._limit = int(percent / 100 * (1 << 32))
        self._salt = int.from_bytes(os.urandom(4), "big")

    def __call__(self, raw: bytes) -> bool:
        """Whether an object is one of them."""
        return (int.from_bytes(raw[:4], "big") ^ self._salt) < self._limit


@slotted(frozen=True)
class StoredFile:
    """A file of a cache: where it is, and the loose object that it is to hold; None for a pack."""

    path: Path
    raw: bytes | None = None


@slotted()
class HashedFile:
    """What a file holds.

    Attributes:
        file: the file.
        raws: the objects that were hashed.
        good: whether each of them is what its name says.
        readable: whether it says itself what it holds.
        whole: whether its structure is good.
        members: all objects of a pack whose structure is not.
        untold: bytes that were read while nobody could be told so.
    """

    file: StoredFile
    raws: list[bytes] = field(default_factory=list)
    good: list[bool] = field(default_factory=list)
    readable: bool = True
    whole: bool = True
    members: list[bytes] = field(default_factory=list)
    untold: int = 0


class Told(Progress):
    """Tells of bytes when they are read, from any thread; in another process there is nobody to tell.

    Args:
        outer: who is told.
    """

    def __init__(self, outer: Progress) -> None:
        self._outer = outer
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        """Tell."""
        with self._lock:
            self._outer.advance(amount)

    def __reduce__(self) -> tuple[type[Progress], tuple[()]]:
        return NullProgress, ()


def hash_file(hasher: Hasher, choose: Sample, progress: Progress, file: StoredFile) -> HashedFile:
    """Hash the objects of one file.

    Args:
        hasher: of their algorithm.
        choose: which members of a pack.
        progress: advanced by bytes; what a NullProgress is told is counted in the result.
        file: which.

    Raises:
        StorageError: it cannot be read.
    """
    found = HashedFile(file)
    counted = _Counted(progress)
    if file.raw is not None:
        found.raws, found.good = [file.raw], [is_good(hasher, file.path, file.raw, counted)]
    else:
        _hash_pack(hasher, choose, counted, found)
    counted.flush()
    if isinstance(progress, NullProgress):
        found.untold = counted.total
    return found


def is_good(hasher: Hasher, path: Path, raw: bytes, progress: Progress = NullProgress()) -> bool:
    """Whether a file is a loose object, whole.

    Args:
        hasher: of the object's algorithm.
        path: the file.
        raw: the object.
        progress: advanced by bytes.

    Raises:
        StorageError: it cannot be opened.
    """
    descriptor = open_regular(path)
    if descriptor < 0:
        return False
    try:
        return digest_of(descriptor, hasher, progress) == raw
    finally:
        os.close(descriptor)


def digest_of(descriptor: int, hasher: Hasher, progress: Progress = NullProgress()) -> bytes | None:
    """Hash an open file in bounded memory.

    Args:
        descriptor: the file, read from where it stands.
        hasher: of the algorithm.
        progress: advanced by bytes.

    Returns:
        The raw digest; None if it cannot be read: a bad sector is damage, not a reason to stop looking.
    """
    running = hasher.new()
    block = bytearray(_BLOCK)
    view = memoryview(block)
    try:
        while count := os.readv(descriptor, [block]):
            running.update(view[:count])
            progress.advance(count)
    except OSError:
        return None
    return running.digest()


class _Counted(Progress):
    """Passes progress on by the megabyte, and counts it."""

    def __init__(self, outer: Progress) -> None:
        self._outer = outer
        self._new = self.total = 0

    def advance(self, amount: int) -> None:
        self._new += amount
        if self._new >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        self.total += self._new
        self._outer.advance(self._new)
        self._new = 0


def _hash_pack(hasher: Hasher, choose: Sample, progress: Progress, found: HashedFile) -> None:
    try:
        pack = PackReader.open(found.file.path)
    except FileNotFoundError:
        return
    except ObjectCorrupt:
        found.readable = False
        return
    with pack:
        try:
            members = pack.members
            found.whole = pack.id == found.file.path.name
        except (ObjectCorrupt, StorageError):
            members, found.whole = pack.scan(), False
        if not found.whole:
            found.members = members.raws()
        chosen = _choose(members, choose)
        raws = chosen.raws()
        for position, fine in pack.check(hasher, chosen):
            found.raws.append(raws[position])
            found.good.append(fine)
            progress.advance(chosen.stored[position])
        if len(raws) == len(members):  # what lies between the members was read too
            progress.advance(pack.size - sum(members.stored))


def _choose(members: Members, choose: Sample) -> Members:
    raws = members.raws()
    kept = [position for position, raw in enumerate(raws) if choose(raw)]
    if len(kept) == len(raws):
        return members
    return Members(
        members.width,
        b"".join([raws[position] for position in kept]),
        array("Q", [members.offsets[position] for position in kept]),
        array("Q", [members.stored[position] for position in kept]),
        array("Q", [members.plains[position] for position in kept]),
        bytes(members.codecs[position] for position in kept),
    )
