"""Read the files of one folder: each byte once, hashed and handed to the sink from the same buffer."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from array import array
from collections.abc import Iterator, Sequence

from kist.abc.kernel import OTHER, STAT_FIELDS, Listing
from kist.engine.workspace.folder_state import FolderState
from kist.engine.workspace.listings import child_path, signed
from kist.engine.workspace.rows import Row, changed_places
from kist.engine.workspace.scan_tools import Links, Sink, Tools, Totals
from kist.engine.workspace.walk import changed
from kist.errors import KistError, MetafileError, ObjectCorrupt, ObjectMissing, PathConflict, WorkspaceError
from kist.model.entry import EXECUTABLE, FILE, SYMLINK
from kist.util.atomic import storage_error
from kist.util.paths import check_path, check_paths, display

BATCH_BYTES = 8 << 20
BATCH_FILES = 1024
BLOCK = 1 << 20

_FILES = (FILE, EXECUTABLE)
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_STAT_BYTES = 8 * STAT_FIELDS


class FolderReader:
    """Finds out what one folder holds: digests from what is known, else by reading.

    Args:
        tools: what to work with.
        totals: is added to.
        sink: receives every content that is read, and those that it does not have; None: they are only hashed.
        output: path of the output, relative to the repository.
    """

    def __init__(self, tools: Tools, totals: Totals, sink: Sink | None, output: bytes) -> None:
        self._tools = tools
        self._totals = totals
        self._sink = sink
        self._output = output
        self._width = tools.hasher.digest_size

    def read(self, path: bytes, descriptor: int, listing: Listing, known: Row | None) -> FolderState:
        """Read one folder.

        Args:
            path: relative to the repository.
            descriptor: the open folder.
            listing: what it holds; its stats become those of the contents read.
            known: what was known about it, of the same algorithm.

        Returns:
            What it holds.
        """
        state = FolderState(path, descriptor, listing, self._width)
        unread = self._reuse(state, known)
        if self._sink is not None:
            unread = self._add_missing(self._sink, state, unread)
        if SYMLINK in state.kinds:
            self._read_links(state)
        if OTHER in state.kinds:
            self._leave_out_others(state)
        if unread:
            self._read_files(state, unread)
        if self._tools.links is not None:
            self._tools.links.look(state)
        self._check_names(state)
        return state

    # ── what is known ────────────────────────────────────────────────────────────────────────────────────────────

    def _reuse(self, state: FolderState, known: Row | None) -> list[int]:
        """Take over digests of unchanged files; returns the positions of the others."""
        if known is not None and known.listing.names == state.names and known.listing.kinds == state.kinds:
            return self._reuse_most(state, known)
        files = [at for at, kind in enumerate(state.kinds) if kind in _FILES]
        if known is None or not known.listing.names:
            return files
        old_stats, new_stats = known.listing.stats.tobytes(), state.stats.tobytes()
        places = {
            name: at
            for at, (name, kind) in enumerate(zip(known.listing.names, known.listing.kinds, strict=True))
            if kind in _FILES
        }
        unread = []
        for at in files:
            old = places.get(state.names[at])
            if old is not None:
                raw = known.digests[old * self._width : (old + 1) * self._width]
                was = old_stats[old * _STAT_BYTES : (old + 1) * _STAT_BYTES]
                now = new_stats[at * _STAT_BYTES : (at + 1) * _STAT_BYTES]
                if was == now or self._only_linked(raw, was, now):
                    state.digests[at * self._width : (at + 1) * self._width] = raw
                    continue
            unread.append(at)
        return unread

    def _reuse_most(self, state: FolderState, known: Row) -> list[int]:
        """The same where a folder has the entries that it had: only those are looked at whose stats differ."""
        unread = []
        state.digests[:] = known.digests
        old_stats, new_stats = known.listing.stats.tobytes(), state.stats.tobytes()
        for at in changed_places(old_stats, new_stats, _STAT_BYTES):
            place = slice(at * self._width, (at + 1) * self._width)
            stats = slice(at * _STAT_BYTES, (at + 1) * _STAT_BYTES)
            if state.kinds[at] in _FILES and not self._only_linked(
                known.digests[place], old_stats[stats], new_stats[stats]
            ):
                state.digests[place] = bytes(self._width)
                unread.append(at)
        return unread

    def _only_linked(self, raw: bytes, was: bytes, now: bytes) -> bool:
        links = self._tools.links
        if links is None or was[:16] != now[:16] or was[24:] != now[24:]:
            return False
        return links.is_hard_link(raw, tuple(array("q", now)))

    def _add_missing(self, sink: Sink, state: FolderState, unread: list[int]) -> list[int]:
        """The positions to read, with those of known files whose object the sink does not have."""
        again = set(unread)
        known = [at for at, kind in enumerate(state.kinds) if kind in _FILES and at not in again]
        if not known:
            return unread
        width, digests = self._width, bytes(state.digests)
        raws = [digests[at * width : at * width + width] for at in known]
        missing = set(sink.missing(raws))
        if not missing:
            return unread
        return sorted(again.union(at for at, raw in zip(known, raws, strict=True) if raw in missing))

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read_files(self, state: FolderState, unread: list[int]) -> None:
        sizes = state.stats[0::STAT_FIELDS]
        small = self._tools.small
        for batch in _batches([at for at in unread if sizes[at] <= small], sizes):
            for at in self._read_batch(state, batch):
                self._read_again(state, at)
        for at in unread:
            if sizes[at] > small and not self._stream(state, at):
                self._read_again(state, at)

    def _read_batch(self, state: FolderState, batch: list[int]) -> Iterator[int]:
        """Read small files; returns the positions of those that failed."""
        first, last = batch[0], batch[-1] + 1
        names = state.names[first:last] if last - first == len(batch) else [state.names[at] for at in batch]
        result = self._tools.kernel.read_small(state.descriptor, names, self._tools.hasher)
        buffers = result.buffers
        if result.failed:
            positions = [at for at, buffer in zip(batch, buffers, strict=True) if buffer is not None]
            for number, at in enumerate(batch):
                if buffers[number] is not None:
                    stats = result.stats[number * STAT_FIELDS : (number + 1) * STAT_FIELDS]
                    state.set(at, result.digests[number * self._width : (number + 1) * self._width], stats)
            self._store(b"".join([state.raw(at) for at in positions]), buffers)
        elif last - first == len(batch):
            state.digests[first * self._width : last * self._width] = result.digests
            state.stats[first * STAT_FIELDS : last * STAT_FIELDS] = result.stats
            self._store(result.digests, buffers)
        else:
            for number, at in enumerate(batch):
                stats = result.stats[number * STAT_FIELDS : (number + 1) * STAT_FIELDS]
                state.set(at, result.digests[number * self._width : (number + 1) * self._width], stats)
            self._store(result.digests, buffers)
        return (batch[number] for number in result.failed)

    def _store(self, raws: bytes, buffers: Sequence[bytes | None]) -> None:
        whole = [buffer for buffer in buffers if buffer is not None]
        size = sum(map(len, whole))
        self._totals.bytes_read += size
        self._tools.progress.advance(size)
        if self._sink is not None and whole:
            self._sink.put_small(raws, whole)

    def _read_again(self, state: FolderState, at: int) -> None:
        """Once more, one file that failed or changed while it was read: as what it is now."""
        name = state.names[at]
        path = child_path(state.path, name)
        try:
            found = os.stat(name, dir_fd=state.descriptor, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                self._now_a_link(state, at)
                return
            if not stat.S_ISREG(found.st_mode) or not self._stream(state, at, final=True):
                raise changed(path)
        except FileNotFoundError:
            state.drop(at)  # removed meanwhile: then it is not there
        except OSError as exc:
            self._problem(state, at, storage_error(exc, path))
        except KistError as error:
            self._problem(state, at, error)

    def _now_a_link(self, state: FolderState, at: int) -> None:
        kinds = bytearray(state.kinds)
        kinds[at] = SYMLINK
        state.kinds = bytes(kinds)
        state.digests[at * self._width : (at + 1) * self._width] = bytes(self._width)  # of the file that was known
        state.recent.add(at)
        self._read_link(state, at)

    def _stream(self, state: FolderState, at: int, *, final: bool = False, follow: bool = False) -> bool:
        """Read one file in blocks; False if it changed meanwhile.

        Raises:
            OSError: it cannot be read, and this is the final attempt.
        """
        try:
            flags = _OPEN if follow else _OPEN | os.O_NOFOLLOW
            descriptor = os.open(state.names[at], flags, dir_fd=state.descriptor)
            try:
                before = os.fstat(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    return False
                raw = self._hash_or_put(descriptor, before.st_size)
                after = os.fstat(descriptor)
            finally:
                os.close(descriptor)
        except WorkspaceError:
            return False
        except OSError:
            if final:
                raise
            return False
        if _values(before) != _values(after):
            return False
        self._totals.bytes_read += after.st_size
        state.set(at, raw, signed(*_values(after)))
        return True

    def _hash_or_put(self, descriptor: int, size: int) -> bytes:
        progress = self._tools.progress
        if self._sink is not None:
            return self._sink.put_stream(descriptor, size, progress=progress)
        running = self._tools.hasher.new()
        buffer = bytearray(min(BLOCK, size + 1))
        view = memoryview(buffer)
        while count := os.readv(descriptor, [buffer]):
            running.update(view[:count])
            progress.advance(count)
        return running.digest()

    # ── links and the rest ───────────────────────────────────────────────────────────────────────────────────────

    def _read_links(self, state: FolderState) -> None:
        for at, kind in enumerate(state.kinds):
            if kind == SYMLINK:
                self._read_link(state, at)

    def _read_link(self, state: FolderState, at: int) -> None:
        name = state.names[at]
        path = child_path(state.path, name)
        try:
            target = os.readlink(name, dir_fd=state.descriptor)
        except FileNotFoundError:
            state.drop(at)
            return
        except OSError as exc:  # EINVAL: it is no link any more
            self._problem(state, at, changed(path) if exc.errno == errno.EINVAL else storage_error(exc, path))
            return
        state.targets[at] = target
        if self._tools.links is not None and self._read_object(self._tools.links, state, at):
            return
        if self._leads_outside(path, target):
            self._totals.outside.append(path)
        if self._tools.symlinks == "refuse":
            self._problem(state, at, PathConflict(
                f"{display(path)} is a symbolic link", path=display(path),
                hint="replace it by what it leads to, or set core.symlinks to keep or follow",
            ))  # fmt: skip
        elif self._tools.symlinks == "follow":
            self._follow(state, at, path)

    def _read_object(self, links: Links, state: FolderState, at: int) -> bool:
        """Take a link to an object of the cache for the file that it stands for; False: it is no such link."""
        path = child_path(state.path, state.names[at])
        try:
            held = links.resolve(state.targets[at], path)
        except ObjectCorrupt:  # edited through the link: what the object holds now is the file's new content
            self._follow(state, at, path)
            return True
        except ObjectMissing as error:
            if self._sink is not None:  # else it is shown as what it is, and a checkout replaces it
                self._problem(state, at, error)
            return self._sink is not None
        if held is not None:
            state.as_file[at] = (FILE, *held)
        return held is not None

    def _leads_outside(self, path: bytes, target: bytes) -> bool:
        if target.startswith(b"/"):
            return True
        end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        return end != self._output and bool(self._output) and not end.startswith(self._output + b"/")

    def _follow(self, state: FolderState, at: int, path: bytes) -> None:
        """Read the file that a link leads to, each time: what is known about the link says nothing about it."""
        own = state.stats[at * STAT_FIELDS : (at + 1) * STAT_FIELDS]
        try:
            found = os.stat(state.names[at], dir_fd=state.descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise PathConflict(
                    f"{display(path)} is a symbolic link to something that is no file", path=display(path)
                )
            if not self._stream(state, at, follow=True) and not self._stream(state, at, final=True, follow=True):
                raise changed(path)
        except OSError as exc:
            self._problem(state, at, storage_error(exc, path))
        except KistError as error:
            self._problem(state, at, error)
        else:
            kind = EXECUTABLE if found.st_mode & stat.S_IXUSR else FILE
            state.as_file[at] = (kind, state.raw(at), state.stats[at * STAT_FIELDS])
            state.set(at, bytes(self._width), own)
            state.recent.add(at)

    def _leave_out_others(self, state: FolderState) -> None:
        for at, kind in enumerate(state.kinds):
            if kind == OTHER:
                path = child_path(state.path, state.names[at])
                self._totals.special.append((path, PathConflict(
                    f"{display(path)} is {_what(state, at)}", path=display(path),
                    hint="remove it, or hide it by a line in .kistignore",
                )))  # fmt: skip
                state.drop(at)

    def _check_names(self, state: FolderState) -> None:
        """Refuse names that no checkout would write."""
        if not state.names:
            return
        inner = state.path[len(self._output) + 1 :] if self._output else state.path
        prefix = inner + b"/" if inner else b""
        try:
            check_paths([prefix + name for name in state.names] if prefix else state.names)
        except MetafileError:
            for at, name in enumerate(state.names):
                try:
                    check_path(prefix + name)
                except MetafileError as error:
                    self._problem(state, at, PathConflict(error.message, path=error.path, hint="rename it"))

    def _problem(self, state: FolderState, at: int, error: KistError) -> None:
        self._totals.problems.append((child_path(state.path, state.names[at]), error))
        state.drop(at)


def _batches(positions: list[int], sizes: array[int]) -> Iterator[list[int]]:
    """Cut positions into batches that are bounded in files and bytes."""
    batch: list[int] = []
    total = 0
    for at in positions:
        if batch and (total + sizes[at] > BATCH_BYTES or len(batch) >= BATCH_FILES):
            yield batch
            batch, total = [], 0
        batch.append(at)
        total += sizes[at]
    if batch:
        yield batch


def _values(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _what(state: FolderState, at: int) -> str:
    """What something is that is neither file, link nor folder."""
    try:
        mode = os.stat(state.names[at], dir_fd=state.descriptor, follow_symlinks=False).st_mode
    except OSError:
        return "no file"
    if stat.S_ISFIFO(mode):
        return "a FIFO (named pipe), which has no content to keep"
    if stat.S_ISSOCK(mode):
        return "a socket, which has no content to keep"
    return "a device, which has no content to keep"
