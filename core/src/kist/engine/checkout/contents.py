"""Where the contents of files come from: memory for small ones, streams and links for large ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from kist.abc.link import LinkType
from kist.abc.progress import NullProgress
from kist.engine.checkout.shares import Check, Tally, in_pieces, in_shares, share_out
from kist.engine.checkout.tools import CheckoutTools
from kist.engine.workspace.folders import lstat_or_none
from kist.errors import LinkUnsupported, ObjectError
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import FILE
from kist.util.atomic import OPEN_FOLDER, storage_error, write_all
from kist.util.copying import copy_rest
from kist.util.gathering import cut
from kist.util.slotted import slotted

if TYPE_CHECKING:
    from kist.engine.cache.cache import Write

_BLOCK = 1 << 20
_MARK_AT = 1 << 16
"""Objects that are made ready to be linked together; of so many it is held that they may be linked."""

_PIECE = 4096
"""Objects that are made loose until a helper looks whether it is still waited for."""

_LOOKED_UP_ALONE = 4096
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@slotted(frozen=True)
class Wanted:
    """One large file to be made: its object, the plain (perhaps temporary) name, and whether it is executable."""

    raw: bytes
    name: bytes
    executable: bool


class Contents:
    """Reads and links objects; what cannot be had is collected, never raised.

    Args:
        tools: the cache, the link types, the hasher.
        algorithm: of all digests.

    Attributes:
        failed: raw digests of objects that are missing or damaged, with what is wrong.
        linked: link type -> files made with it.
    """

    def __init__(self, tools: CheckoutTools, algorithm: str) -> None:
        self._tools = tools
        self._algorithm = algorithm
        self._source_dir = -1
        self._trusted: set[bytes] = set()
        self._unmarked: set[bytes] = set()
        self.failed: dict[bytes, str] = {}
        self.linked: dict[str, int] = {}

    def close(self) -> None:
        """Record what was hashed, and close the cache's folder."""
        self.record()
        if self._source_dir >= 0:
            os.close(self._source_dir)
            self._source_dir = -1

    def by_link(self, size: int, *, executable: bool) -> bool:
        """Whether a file is made through its loose object (linked or streamed) rather than from memory."""
        if size >= self._tools.small:
            return True
        return bool(size) and not executable and not self._tools.links.plain.isolated

    def count(self, name: str, files: int) -> None:
        """Count files made in one way."""
        if files:
            self.linked[name] = self.linked.get(name, 0) + files

    def begin(self, wanted: Columns, groups: Iterable[Sequence[range]]) -> None:
        """Begin a turn: nothing of the one before is held, and what many small batches will read is looked up at once.

        Args:
            wanted: the entries.
            groups: positions of those that are written in this turn.
        """
        self.record()
        self._trusted.clear()
        order = [at for ranges in groups for positions in ranges for at in positions]
        if len(order) > _LOOKED_UP_ALONE:
            self._tools.objects.expect(self._algorithm, [wanted.raw(at) for at in order])
        if not self._tools.links.plain.isolated:
            kinds, sizes = wanted.kinds, wanted.sizes
            # Together, and before helpers are forked, so that they need not meet in the cache.
            linked = [at for at in order[:_MARK_AT] if kinds[at] == FILE and self.by_link(sizes[at], executable=False)]
            self.prepare_links({wanted.raw(at): sizes[at] for at in linked})

    def read(self, raws: Iterable[bytes]) -> dict[bytes, bytes]:
        """The verified bytes of many small objects; those that fail are left out."""
        wanted = list(dict.fromkeys(raws))
        if not wanted:
            return {}
        return dict(self._tools.objects.read_iter(self._algorithm, wanted, self._fail))

    def _fail(self, raw: bytes, error: ObjectError) -> None:
        self.failed[raw] = error.message

    def prepare_links(self, sizes: Mapping[bytes, int | None]) -> None:
        """Make sure that objects are loose, and that their bytes were hashed since they last changed.

        Args:
            sizes: raw digest -> size of what will be linked, None where it is not known.
        """
        objects, algorithm = self._tools.objects, self._algorithm
        wanted = [raw for raw in sizes if raw not in self._trusted and raw not in self.failed]
        if not wanted:
            return
        if len(self._trusted) >= _MARK_AT:
            self.record()
            self._trusted.clear()
            wanted = [raw for raw in sizes if raw not in self.failed]
        loose = objects.has_loose_many(algorithm, wanted)
        packed = [raw for raw, here in zip(wanted, loose, strict=True) if not here]
        if packed:
            objects.unpack(algorithm, packed, self._fail, self._divide)
        checked = [raw for raw in packed if raw not in self.failed]  # hashed on the way from pack to file
        there = [raw for raw, here in zip(wanted, loose, strict=True) if here]
        unknown = [raw for raw, good in zip(there, objects.is_verified_many(algorithm, there), strict=True) if not good]
        if unknown:
            small = self._tools.small
            good = self._hash_small([raw for raw in unknown if (sizes[raw] or small) < small])
            checked += [raw for raw in unknown if raw in good or self._hash(raw)]
        self._trusted.update(there, checked)
        self._trusted.difference_update(self.failed)
        self._unmarked.update(checked)

    def forget(self) -> None:
        """Forget what was done so far, but not what may be trusted: another process goes on."""
        self.failed.clear()
        self.linked.clear()
        self._unmarked.clear()

    def record(self) -> None:
        """Record which objects were hashed: once they are linked, for that changes how they look, and many at once."""
        if self._unmarked:
            self._tools.objects.mark_verified(self._algorithm, list(self._unmarked))
            self._unmarked.clear()

    def _divide(self, raws: Sequence[bytes], write: Write) -> None:
        """Have objects written, with helpers where they repay their start."""
        parts = in_shares(raws)
        helps = [partial(_write_part, part, write) for part in parts[1:]]

        def mine(check: Check) -> None:
            for piece in in_pieces(parts[0], _PIECE):
                write(piece, self._fail)
                check()

        for failed in share_out(helps, mine, NullProgress()):
            self.failed.update(failed)

    def _hash_small(self, raws: list[bytes]) -> set[bytes]:
        """Those of some small loose objects that are good, many hashed at once."""
        shards: dict[bytes, list[tuple[bytes, bytes]]] = {}
        for raw in raws:
            shard, _, name = self._tools.objects.loose_name(self._algorithm, raw).rpartition(b"/")
            shards.setdefault(shard, []).append((name, raw))
        good: set[bytes] = set()
        for shard, group in shards.items():
            try:
                folder = os.open(shard, OPEN_FOLDER, dir_fd=self._source())
            except OSError:  # what is wrong with them is said when they are read one by one
                continue
            try:
                found = self._tools.kernel.read_small(folder, [name for name, _ in group], self._tools.hasher)
            finally:
                os.close(folder)
            digests = cut(found.digests, self._tools.hasher.digest_size)
            good.update(raw for (_, raw), digest in zip(group, digests, strict=True) if digest == raw)
        return good

    def _hash(self, raw: bytes) -> bool:
        """Whether an object is good, as reading it to its end tells."""
        try:
            for _ in self._blocks(raw):
                pass
        except ObjectError as exc:
            self._fail(raw, exc)
            return False
        return True

    def _blocks(self, raw: bytes) -> Iterator[memoryview]:
        """The bytes of an object, each block valid until the next one is asked for."""
        buffer = memoryview(bytearray(_BLOCK))
        with self._tools.objects.open(Digest.from_raw(self._algorithm, raw)) as reader:
            while count := reader.readinto(buffer):
                yield buffer[:count]

    def make(self, here: int, files: Sequence[Wanted]) -> list[bool]:
        """Make large files, absent so far, in the open folder.

        Args:
            here: descriptor of the folder.
            files: what to make.

        Returns:
            Whether each was made; those that were not are among :attr:`failed`.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        links = self._tools.links
        done = [False] * len(files)
        by_type: dict[str, tuple[LinkType, list[int]]] = {}
        for at, file in enumerate(files):
            link = links.executable if file.executable else links.plain
            by_type.setdefault(link.name, (link, []))[1].append(at)
        for link, positions in by_type.values():
            if not link.verified:
                self.prepare_links(dict.fromkeys((files[at].raw for at in positions), None))
                usable = [at for at in positions if files[at].raw in self._trusted]
                refused = self._link(link, here, [files[at] for at in usable])
                for index, at in enumerate(usable):
                    done[at] = index not in refused
                positions = [usable[index] for index in sorted(refused)]
            for at in positions:
                done[at] = self._copy(here, files[at])
        return done

    def _link(self, link: LinkType, here: int, files: list[Wanted]) -> set[int]:
        """Link what can be linked; the positions of those that the system refuses are returned."""
        refused: set[int] = set()
        source = self._source()
        names = [self._tools.objects.loose_name(self._algorithm, file.raw) for file in files]
        start = 0
        while start < len(files):
            targets = [file.name for file in files[start:]]
            try:
                link.link_many(source, names[start:], here, targets)
                break
            except LinkUnsupported as exc:
                # One object at its limit of links, or of another user: that one is copied.
                refused.add(start + exc.done)
                start += exc.done + 1
        for at, file in enumerate(files):
            if at not in refused and file.executable:
                set_executable(file.name, here, executable=True)
        self.count(link.name, len(files) - len(refused))
        return refused

    def _source(self) -> int:
        if self._source_dir < 0:
            self._source_dir = os.open(self._tools.objects.objects_folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._source_dir

    def _copy(self, here: int, file: Wanted) -> bool:
        """Copy one object, hashed on the way unless this process hashed it when it stored it."""
        objects = self._tools.objects
        ready = objects.copies.take(self._algorithm, file.raw, file.name, here)
        if ready >= 0:
            if file.executable:
                set_executable(file.name, here, executable=True)
            self._tools.progress.advance(ready)
            self.count("copy", 1)
            return True
        source = objects.open_known(self._algorithm, file.raw)
        try:
            writer = os.open(file.name, _NEW_FILE, 0o777 if file.executable else 0o666, dir_fd=here)
            try:
                if source >= 0:
                    copy_rest(source, writer, self._tools.progress.advance)
                else:
                    self._stream(file.raw, writer)
            except BaseException:
                os.unlink(file.name, dir_fd=here)
                raise
            finally:
                os.close(writer)
        except ObjectError as exc:
            self._fail(file.raw, exc)
            return False
        except OSError as exc:
            raise storage_error(exc, file.name) from exc
        finally:
            if source >= 0:
                os.close(source)
        self.count("copy", 1)
        return True

    def _stream(self, raw: bytes, writer: int) -> None:
        for block in self._blocks(raw):
            write_all(writer, block)
            self._tools.progress.advance(len(block))


def _write_part(raws: Sequence[bytes], write: Write, _tally: Tally, check: Check) -> dict[bytes, str]:
    """In a helper: write some objects; those that failed, with what is wrong."""
    failed: dict[bytes, str] = {}

    def fail(raw: bytes, error: ObjectError) -> None:
        failed[raw] = error.message

    for piece in in_pieces(raws, _PIECE):
        write(piece, fail)
        check()
    return failed


def set_executable(name: bytes, here: int, *, executable: bool) -> bool:
    """Set or clear the executable bits of a regular file of one name.

    Args:
        name: plain name.
        here: descriptor of its folder.
        executable: whoever may read may then execute; else nobody.

    Returns:
        False if it is no regular file, or has other names that would change with it.
    """
    found = lstat_or_none(name, here)
    if found is None or not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        return False
    mode = stat.S_IMODE(found.st_mode)
    wanted = mode | (mode & 0o444) >> 2 if executable else mode & ~0o111
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    try:
        os.fchmod(descriptor, wanted)
    finally:
        os.close(descriptor)
    return True
