"""Write the files of a checkout: many at a time, each complete before it gets its name.

A folder that does not exist yet is filled under a temporary name beside its place and appears whole; in an existing one
each file is complete under a temporary name before it is renamed over the old.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

from kist.engine.checkout.contents import Contents, Wanted
from kist.engine.checkout.guard import Guard
from kist.engine.checkout.rows import RowCollector
from kist.engine.checkout.shares import Check, Groups, Tally, divide, in_turns, share_out
from kist.engine.checkout.tools import CheckoutTools
from kist.engine.workspace.folders import (
    Folders,
    lstat_or_none,
    make_folder,
    name_of,
    parent_of,
    remove_if_empty,
)
from kist.errors import PathConflict
from kist.model.columns import Columns
from kist.model.entry import DIRECTORY, EXECUTABLE, SYMLINK
from kist.util.atomic import OPEN_FOLDER, storage_error, temp_name
from kist.util.paths import display
from kist.util.slotted import field, slotted

_BATCH_BYTES = 8 << 20
_BATCH_FILES = 4096
_LINKED_FILES = 1 << 14  # of links no contents are held, and each batch looks into all that is known of objects

Piece = tuple[bytes, list[int], bool]
"""A folder, positions of entries in it, and whether they are its last ones."""


@slotted()
class Place:
    """An open folder that receives files.

    Attributes:
        folder: its path, relative to the output.
        descriptor: the open folder.
        temporary: its temporary name while it is new and not in its place; None for an existing folder.
        parent: descriptor of the folder above, for a new one.
        written: positions and stats of the small files written so far; None once others are among them.
    """

    folder: bytes
    descriptor: int
    temporary: bytes | None = None
    parent: int = -1
    written: list[tuple[list[int], array[int]]] | None = field(default_factory=list)


@slotted()
class Written:
    """What was done.

    Attributes:
        files: entries that are in their places.
        size: bytes of content written, links aside.
        spared: paths that held something unexpected and were left alone.
    """

    files: int = 0
    size: int = 0
    spared: list[bytes] = field(default_factory=list)


def group_by_folder(paths: Sequence[bytes]) -> Groups:
    """Positions of sorted *paths* by their folder, as ranges; subfolders may sort between the files of a folder."""
    groups: Groups = {}
    start, last = 0, parent_of(paths[0]) if paths else b""
    for at, path in enumerate(paths):
        parent = parent_of(path)
        if parent != last:
            groups.setdefault(last, []).append(range(start, at))
            start, last = at, parent
    if paths:
        groups.setdefault(last, []).append(range(start, len(paths)))
    return groups


class FileWriter:
    """Writes entries into a workspace directory.

    Args:
        tools: what a checkout works with.
        place: descriptor of the repository, and the output's path in it.
        wanted: the entries to write, sorted.
        guard: has a last look at what must give way.
        token: for temporary names.
    """

    def __init__(
        self, tools: CheckoutTools, place: tuple[int, bytes], wanted: Columns, guard: Guard, token: str
    ) -> None:
        self._tools = tools
        self._root, self._output = place
        self._wanted = wanted
        self._guard = guard
        self._token = token
        self._folders = Folders(self._root)
        self._building: Place | None = None
        self.contents = Contents(tools, wanted.algorithm)
        self.rows = RowCollector(tools, wanted, self._output, token)
        self.done = Written()
        # Then nobody need ask file by file.
        self._all_small = (
            tools.links.plain.isolated
            and SYMLINK not in wanted.kinds
            and DIRECTORY not in wanted.kinds
            and max(wanted.sizes, default=0) < tools.small
        )

    def close(self) -> None:
        """Close every descriptor."""
        self._folders.close()
        self.contents.close()
        if self._building is not None:
            os.close(self._building.descriptor)
            os.close(self._building.parent)
            self._building = None

    def write(self, groups: Groups, children: dict[bytes, list[bytes]]) -> Written:
        """Write everything.

        Args:
            groups: the positions by folder.
            children: names of subfolders by folder, for the fingerprints.

        Returns:
            What was done; objects that could not be had are in ``contents.failed``.

        Raises:
            PathConflict: a folder is none, or appeared meanwhile.
            StorageError: the disk is full, read-only or failing.
        """
        for turn in in_turns(groups):
            self._write_turn(turn)
            self.rows.flush(self._root, children)
        self.rows.flush(self._root, children, last=True)
        return self.done

    def _write_turn(self, groups: Groups) -> None:
        """Write some folders, with helpers where they repay their start."""
        self.contents.begin(self._wanted, groups.values())
        first, shares = divide(groups, self._wanted.sizes)
        if len(shares) > 1 and not self._only_copies():
            first, shares = groups, [{}]
        self._write_groups(first)
        helps = [partial(self._help, share) for share in shares[1:]]
        for done in share_out(helps, partial(self._write_groups, shares[0]), self._tools.progress):
            self._take_over(*done)

    def _only_copies(self) -> bool:
        """Whether nothing but memory is needed, so that processes do not meet in the cache."""
        return self._tools.links.always_copies or max(self._wanted.sizes, default=0) < self._tools.small

    def _help(self, share: Groups, tally: Tally, check: Check) -> tuple[Any, ...]:
        """In a helper: write one share."""
        self._tools.progress = tally
        self._token += f"-{os.getpid()}"  # still swept with the parent's, but never the same name
        self.done = Written()
        self.contents.forget()
        self.rows.clear()
        self._write_groups(share, check)
        self.contents.record()
        done = self.done
        return done.files, done.size, done.spared, self.contents.failed, self.contents.linked, self.rows.take()

    def _take_over(
        self,
        files: int,
        size: int,
        spared: list[bytes],
        failed: dict[bytes, str],
        linked: dict[str, int],
        rows: list[Any],
    ) -> None:
        self.done.files += files
        self.done.size += size
        self.done.spared += spared
        self.contents.failed.update(failed)
        for name, count in linked.items():
            self.contents.count(name, count)
        self.rows.give(rows)

    def _write_groups(self, groups: Groups, check: Check | None = None) -> None:
        for batch in self._batches(groups):
            found = self._read_batch(batch)
            for folder, positions, ends in batch:
                place = self._enter(folder)
                try:
                    self._write_piece(place, positions, found)
                except OSError as exc:
                    raise storage_error(exc, self._full(folder)) from exc
                if ends and place.temporary is not None:
                    self._finish(place)
            found = {}  # else these contents would stay in memory while the next ones are read
            if check is not None:
                check()

    def _read_batch(self, batch: list[Piece]) -> dict[bytes, bytes]:
        """The contents that a batch writes from memory; those that it links are made ready."""
        if self._all_small:
            raw = self._wanted.raw
            return self.contents.read([raw(at) for _, positions, _ in batch for at in positions])
        memory: list[bytes] = []
        large: dict[bytes, int | None] = {}
        for _, positions, _ in batch:
            for at in positions:
                kind = self._wanted.kinds[at]
                if kind not in (SYMLINK, DIRECTORY):
                    size = self._wanted.sizes[at]
                    if self.contents.by_link(size, executable=kind == EXECUTABLE):
                        large[self._wanted.raw(at)] = size
                    else:
                        memory.append(self._wanted.raw(at))
        if large and not self._tools.links.plain.verified:
            self.contents.prepare_links(large)
        return self.contents.read(memory)

    def _full(self, folder: bytes) -> bytes:
        return os.path.join(self._output, folder) if folder and self._output else folder or self._output

    def _batches(self, groups: Groups) -> Iterator[list[Piece]]:
        """Pieces of folders whose contents fit into memory: folder, positions, and whether the folder ends there."""
        batch: list[Piece] = []
        files, size, most = 0, 0, _BATCH_FILES if self._tools.links.plain.isolated else _LINKED_FILES
        for folder in sorted(groups):
            piece: list[int] = []
            for positions in groups[folder]:
                for at in positions:
                    if files >= most or size >= _BATCH_BYTES:
                        batch.append((folder, piece, False))
                        yield batch
                        batch, piece, files, size = [], [], 0, 0
                    piece.append(at)
                    files += 1
                    size += min(self._wanted.sizes[at], self._tools.small)
            batch.append((folder, piece, True))
        if batch:
            yield batch

    # ── folders ──

    def _enter(self, folder: bytes) -> Place:
        if self._building is not None and self._building.folder == folder:
            return self._building
        full = self._full(folder)
        try:
            return Place(folder, self._folders.open(full))
        except FileNotFoundError:
            pass
        above = self._folders.open(parent_of(full), make=True)
        temporary = temp_name("", self._token).encode()
        try:
            os.mkdir(temporary, 0o777, dir_fd=above)
            descriptor = os.open(temporary, OPEN_FOLDER, dir_fd=above)
        except OSError as exc:
            raise storage_error(exc, full) from exc
        self._building = Place(folder, descriptor, temporary, os.dup(above))
        return self._building

    def _finish(self, place: Place) -> None:
        """Put a new folder into its place, whole."""
        full = self._full(place.folder)
        self.rows.folder(place.folder, place.descriptor, place.written)
        try:
            os.rename(cast("bytes", place.temporary), name_of(full), src_dir_fd=place.parent, dst_dir_fd=place.parent)
        except OSError as exc:
            if exc.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                shown = display(full)
                raise PathConflict(f"{shown} appeared while it was made", path=shown, hint="repeat") from exc
            raise storage_error(exc, full) from exc
        os.close(place.descriptor)
        os.close(place.parent)
        self._building = None

    # ── files ──

    def _write_piece(self, place: Place, positions: list[int], found: dict[bytes, bytes]) -> None:
        if self._all_small:
            if positions:
                self._write_small(place, positions, found)
            return
        kinds, sizes = self._wanted.kinds, self._wanted.sizes
        small, large, others = [], [], []
        for at in positions:
            kind = kinds[at]
            if kind in (SYMLINK, DIRECTORY):
                others.append(at)
            elif self.contents.by_link(sizes[at], executable=kind == EXECUTABLE):
                large.append(at)
            else:
                small.append(at)
        if large or others:
            place.written = None
        if small:
            self._write_small(place, small, found)
        if large:
            self._write_large(place, large)
        for at in others:
            self._make_other(place, at)

    def _names(self, place: Place, positions: list[int]) -> list[bytes]:
        """The names under which files are written: the final ones in a new folder, temporary ones elsewhere."""
        if place.temporary is not None:
            cut = len(place.folder) + 1 if place.folder else 0
            paths = self._wanted.paths
            return [paths[at][cut:] for at in positions]
        return [temp_name("", self._token).encode() for _ in positions]

    def _write_small(self, place: Place, positions: list[int], found: dict[bytes, bytes]) -> None:
        wanted, width, digests = self._wanted, self._wanted.width, self._wanted.digests
        raws = [digests[at * width : (at + 1) * width] for at in positions]
        if not found.keys() >= set(raws):
            positions = [at for at, raw in zip(positions, raws, strict=True) if raw in found]
            raws = [raw for raw in raws if raw in found]
        names = self._names(place, positions)
        buffers = [found[raw] for raw in raws]
        executable = bytes([wanted.kinds[at] == EXECUTABLE for at in positions])
        stats = self._tools.kernel.write_small(place.descriptor, names, buffers, executable)
        size = sum(map(len, buffers))
        self._tools.progress.advance(size)
        self.done.size += size
        if place.temporary is not None:
            self.done.files += len(positions)
            self.contents.count("copy", len(positions))
            if place.written is not None:
                place.written.append((positions, stats))
            return
        for at, name in zip(positions, names, strict=True):
            self.contents.count("copy", int(self._settle(place, at, name)))

    def _write_large(self, place: Place, positions: list[int]) -> None:
        wanted = self._wanted
        names = self._names(place, positions)
        files = [
            Wanted(wanted.raw(at), name, wanted.kinds[at] == EXECUTABLE)
            for at, name in zip(positions, names, strict=True)
        ]
        before = self.contents.linked.get("copy", 0)
        for at, name, made in zip(positions, names, self.contents.make(place.descriptor, files), strict=True):
            if made and place.temporary is not None:
                self.done.files += 1
            elif made:
                self._settle(place, at, name)
        if self.contents.linked.get("copy", 0) > before:
            self.done.size += sum(wanted.sizes[at] for at in positions if wanted.raw(at) not in self.contents.failed)

    def _make_other(self, place: Place, at: int) -> None:
        """Make a symlink or an empty folder."""
        here, name = place.descriptor, name_of(self._wanted.paths[at])
        if self._wanted.kinds[at] == SYMLINK:
            (temporary,) = self._names(place, [at])
            os.symlink(self._wanted.entry(at).target or b"", temporary, dir_fd=here)
            if place.temporary is None:
                self._settle(place, at, temporary)
            else:
                self.done.files += 1
            return
        found = lstat_or_none(name, here)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            if not self._guard.clear(here, name, self._wanted.paths[at]):
                self.done.spared.append(self._wanted.paths[at])
                return
            os.unlink(name, dir_fd=here)
        make_folder(name, here)
        self.done.files += 1

    def _settle(self, place: Place, at: int, temporary: bytes) -> bool:
        """Rename one complete file over what stands in its place; unexpected things are spared."""
        here, path = place.descriptor, self._wanted.paths[at]
        name = name_of(path)
        found = lstat_or_none(name, here)
        clear = found is None or self._guard.clear(here, name, path, found)
        if clear and found is not None and stat.S_ISDIR(found.st_mode):
            self._folders.forget(self._full(path))
            clear = remove_if_empty(name, here)
        if not clear:
            os.unlink(temporary, dir_fd=here)
            self.done.spared.append(path)
            return False
        os.rename(temporary, name, src_dir_fd=here, dst_dir_fd=here)
        if found is not None and found.st_nlink > 1 and lstat_or_none(temporary, here) is not None:
            os.unlink(temporary, dir_fd=here)  # Both were names of one file: then a rename does nothing.
        self.done.files += 1
        return True
