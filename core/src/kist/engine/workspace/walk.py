"""Walk a workspace directory by descriptors, in manifest order, never through a symlink."""

from __future__ import annotations

import errno
import os
from array import array
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from kist.abc.kernel import STAT_FIELDS, SUBDIRECTORY, Kernel, Listing
from kist.engine.workspace.ignore import IgnoreRules
from kist.engine.workspace.listings import (
    FILES_TOGETHER,
    TOGETHER,
    Ahead,
    child_path,
    cut,
    discard,
    entries_of,
    interleave,
    list_together,
    room_ahead,
)
from kist.errors import KistError, PathConflict
from kist.model.entry import DIRECTORY
from kist.util.atomic import OPEN_FOLDER, storage_error
from kist.util.paths import display
from kist.util.slotted import field, slotted

MAX_OPEN = 64
"""Folders of one walk that are open at a time; deeper ones close those at the top and open them again later. As many
again are open because they were listed ahead, but no more than an eighth of what the process may have open."""

Problems = list[tuple[bytes, KistError]]
"""What could not be read: path relative to the repository, and why."""


@slotted()
class Visit:
    """One folder of a walk.

    Attributes:
        path: relative to the repository.
        descriptor: the open folder, valid until the walk goes on.
        listing: what it holds, less what is ignored.
        empty: subfolders known to be empty already, because a sibling's name sorts between ``name`` and ``name/``.
        private: what it holds besides and no version can, such as a Git repository's own folder.
    """

    path: bytes
    descriptor: int
    listing: Listing
    empty: tuple[bytes, ...] = ()
    private: tuple[bytes, ...] = ()


@slotted()
class _Frame:
    path: bytes
    descriptor: int
    identity: tuple[int, int]
    rules: IgnoreRules
    waiting: list[bytes] = field(default_factory=list)
    ahead: deque[Ahead] = field(default_factory=deque)


def open_below(root: int | Path, path: bytes) -> int:
    """Open a folder part by part, through no symlink.

    Args:
        root: an open folder (stays open), or a path that may lead through symlinks itself.
        path: relative to it, b"" for the root.

    Returns:
        A new descriptor.

    Raises:
        FileNotFoundError: a part does not exist.
        PathConflict: a part is a symlink or no folder.
        StorageError: a part cannot be opened.
    """
    start = b"." if isinstance(root, int) else root
    here = _open_part(start, dir_fd=root if isinstance(root, int) else None, follow=True)
    done = b""
    try:
        for part in path.split(b"/") if path else ():
            done = child_path(done, part)
            below = _open_part(part, dir_fd=here, where=done)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here


def _open_part(part: bytes | Path, *, dir_fd: int | None, where: bytes = b"", follow: bool = False) -> int:
    try:
        return os.open(part, OPEN_FOLDER & ~os.O_NOFOLLOW if follow else OPEN_FOLDER, dir_fd=dir_fd)
    except FileNotFoundError:
        raise
    except OSError as exc:
        shown = display(where or os.fsencode(part))
        if exc.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise PathConflict(
                f"{shown} is a symbolic link or no folder; nothing is read through it",
                path=shown,
                hint="put a real folder there, or name another path",
            ) from exc
        raise storage_error(exc, where or os.fsencode(part)) from exc


def visit(
    root: int | Path,
    start: bytes,
    kernel: Kernel,
    ignore: IgnoreRules,
    problems: Problems | None = None,
    *,
    reading: bool = True,
) -> Iterator[Visit]:
    """Visit a folder and all below it, parents first, siblings in the order of ``name/``.

    Args:
        root: the repository, as a path or an open folder.
        start: the folder to begin with, relative to it; if it does not exist, nothing is visited.
        kernel: lists folders.
        ignore: the rules above the repository; its ignore files are read on the way.
        problems: receives what cannot be read; None: the first one is raised.
        reading: whether what a folder holds is read on the way, so that it is listed when the walk comes to it, and
            ``Visit.empty`` is told, which costs a peek into a few folders. False: many are listed at a time.

    Raises:
        PathConflict: *start* or a part of it is a symlink or no folder.
        ConfigError: an ignore file is not valid.
        StorageError: *start* cannot be opened.
    """
    try:
        descriptor, rules = enter(root, start, ignore)
    except FileNotFoundError:
        return
    walker = _Walker(kernel, problems, reading=reading)
    try:
        yield from walker.run(start, descriptor, rules)
    finally:
        walker.close()


def enter(root: int | Path, start: bytes, ignore: IgnoreRules) -> tuple[int, IgnoreRules]:
    """Open *start* and collect the ignore rules of the folders that it lies in.

    Args:
        root: the repository, as a path or an open folder.
        start: a folder, relative to it.
        ignore: the rules above the repository.

    Returns:
        A new descriptor, and the rules that are in force in the folder above *start*.

    Raises:
        FileNotFoundError: *start* does not exist.
        PathConflict: a part of it is a symlink or no folder.
        ConfigError: an ignore file is not valid.
        StorageError: it cannot be opened.
    """
    here = open_below(root, b"")
    rules, done = ignore, b""
    try:
        for part in start.split(b"/") if start else ():
            rules = rules.for_directory(done, here)
            done = child_path(done, part)
            below = _open_part(part, dir_fd=here, where=done)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here, rules


class _Walker:
    """The state of one walk: the chain of folders from the start to the current one."""

    def __init__(self, kernel: Kernel, problems: Problems | None, *, reading: bool) -> None:
        self._kernel = kernel
        self._problems = problems
        self._reading = reading
        self._chain: list[_Frame] = []
        self._closed = 0  # how many frames at the top of the chain have no descriptor now
        self._together, self._growing, self._room = TOGETHER, 1, room_ahead(MAX_OPEN)

    def run(self, path: bytes, descriptor: int, rules: IgnoreRules) -> Iterator[Visit]:
        """Visit the open folder *path* and what is below."""
        found = self._push(path, descriptor, rules)
        if found is not None:
            yield found
        while self._chain:
            frame = self._chain[-1]
            if not frame.waiting:
                self._pop()
                continue
            found = self._descend(frame, frame.waiting.pop())
            if found is not None:
                yield found

    def close(self) -> None:
        """Close every folder that is open."""
        while self._chain:
            frame = self._chain.pop()
            discard(frame.ahead)
            if frame.descriptor >= 0:
                os.close(frame.descriptor)

    def _push(self, path: bytes, descriptor: int, rules: IgnoreRules, ahead: Ahead | None = None) -> Visit | None:
        """Put an open folder at the end of the chain and list it, if it was not listed ahead."""
        try:
            found = os.fstat(descriptor) if ahead is None else ahead.found
            listing = self._kernel.list_directory(descriptor) if ahead is None else ahead.listing
            if isinstance(listing, OSError):
                raise listing
        except OSError as exc:
            os.close(descriptor)
            self._problem(path, storage_error(exc, path))
            return None
        files = len(listing.names) - listing.kinds.count(SUBDIRECTORY)
        self._together = min(self._together, FILES_TOGETHER // max(1, files))
        frame = _Frame(path, descriptor, (found.st_dev, found.st_ino), rules)
        self._chain.append(frame)
        try:
            frame.rules = rules.for_directory(path, descriptor, listing.names)
        except KistError as error:
            self._problem(path, error)
        everything, listing = listing, frame.rules.apply(path, listing)
        private = frame.rules.private(everything.names) if listing is not everything else ()
        self._limit_open()
        if SUBDIRECTORY not in listing.kinds:
            return Visit(path, descriptor, listing, (), private)
        pairs = zip(listing.names, listing.kinds, strict=True)
        frame.waiting = [name for name, kind in pairs if kind == SUBDIRECTORY]
        empty = self._peek(frame, listing) if self._reading else ()
        frame.waiting.reverse()
        return Visit(path, descriptor, listing, empty, private)

    def _descend(self, frame: _Frame, name: bytes) -> Visit | None:
        path = child_path(frame.path, name)
        if not frame.ahead and not self._reading:
            self._list_ahead(frame, name)
        if frame.ahead:
            ahead = frame.ahead.popleft()
            self._room += 1
            return self._push(path, ahead.descriptor, frame.rules, ahead)
        try:
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=frame.descriptor)
        except FileNotFoundError:
            return None  # removed since the listing: then it is not there
        except OSError as exc:
            replaced = exc.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
            self._problem(path, changed(path) if replaced else storage_error(exc, path))
            return None
        return self._push(path, descriptor, frame.rules)

    def _list_ahead(self, frame: _Frame, name: bytes) -> None:
        """List a subfolder and those that come after it together, few as long as nobody knows how large they are."""
        if not frame.waiting:
            return
        most = min(self._growing, self._together, self._room)
        self._growing = min(2 * self._growing, TOGETHER)
        if most > 1:
            names = [name, *frame.waiting[:-most:-1]]
            frame.ahead.extend(list_together(self._kernel, frame.descriptor, frame.identity[0], names))
            self._room -= len(frame.ahead)

    def _pop(self) -> None:
        """Leave the last folder; if the one above was closed to save descriptors, open it again through ``..``."""
        frame = self._chain.pop()
        try:
            while self._chain and self._chain[-1].descriptor < 0:
                above = self._chain[-1]
                descriptor = os.open(b"..", OPEN_FOLDER, dir_fd=frame.descriptor)
                os.close(frame.descriptor)
                frame.descriptor = descriptor
                found = os.fstat(descriptor)
                self._closed -= 1
                if (found.st_dev, found.st_ino) == above.identity:
                    above.descriptor, frame.descriptor = descriptor, -1
                    return
                # Somebody moved the folder meanwhile, so the rest of the chain's closed part cannot be trusted.
                self._abandon()
        except OSError as exc:
            self._problem(frame.path, storage_error(exc, frame.path))
            self._abandon()
        finally:
            if frame.descriptor >= 0:
                os.close(frame.descriptor)

    def _abandon(self) -> None:
        """Give up every folder that has no descriptor any more."""
        self._problem(self._chain[-1].path, changed(self._chain[-1].path))
        for frame in self._chain:
            if frame.descriptor < 0:
                discard(frame.ahead)
                self._room += len(frame.ahead)
        self._chain = [frame for frame in self._chain if frame.descriptor >= 0]
        self._closed = 0

    def _limit_open(self) -> None:
        if len(self._chain) - self._closed > MAX_OPEN:
            frame = self._chain[self._closed]
            os.close(frame.descriptor)
            frame.descriptor = -1
            self._closed += 1

    def _peek(self, frame: _Frame, listing: Listing) -> tuple[bytes, ...]:
        """Subfolders that are empty and have a sibling whose name sorts between theirs and theirs + ``/``.

        In a manifest an empty folder sorts as its plain name, one that has entries as name + ``/``: for nearly all
        the place is the same, and only these must be known before the sibling.
        """
        names = listing.names
        return tuple(
            names[at]
            for at, kind in enumerate(listing.kinds)
            if kind == SUBDIRECTORY and at and names[at - 1] > names[at] and self._is_empty(frame, names[at])
        )

    def _is_empty(self, frame: _Frame, name: bytes) -> bool:
        path = child_path(frame.path, name)
        try:
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=frame.descriptor)
        except OSError:
            return False  # the visit will say what is wrong
        try:
            rules = frame.rules.for_directory(path, descriptor)
            with os.scandir(descriptor) as entries:
                return all(
                    rules.hides_name(path + b"/", os.fsencode(one.name), is_directory=one.is_dir(follow_symlinks=False))
                    for one in entries
                )
        except (OSError, KistError):
            return False
        finally:
            os.close(descriptor)

    def _problem(self, path: bytes, error: KistError) -> None:
        if self._problems is None:
            raise error
        self._problems.append((path, error))


def changed(path: bytes) -> KistError:
    """The error for what changed while it was read."""
    return PathConflict(
        f"{display(path)} changed while it was read",
        path=display(path),
        hint="run the command again when nothing writes there",
    )


def walk(
    root: int | Path, start: bytes, kernel: Kernel, ignore: IgnoreRules, problems: Problems | None = None
) -> Iterator[tuple[bytes, Listing]]:
    """Yield what a folder holds, all levels, so that the concatenated entries come in manifest order.

    Args:
        root: the repository, as a path or an open folder.
        start: the folder, relative to the repository; if it does not exist, nothing comes.
        kernel: lists folders.
        ignore: the rules above the repository.
        problems: receives what cannot be read; None: the first one is raised.

    Returns:
        Runs of entries: the folder's path relative to the repository, and a listing of kinds f, x, l, o and d (an
        empty folder). A folder comes in several runs if subfolders sort between its entries.

    Raises:
        PathConflict: *start* or a part of it is a symlink or no folder.
        ConfigError: an ignore file is not valid.
        StorageError: *start* cannot be opened.
    """
    early: set[bytes] = set()

    def parts() -> Iterator[tuple[bytes, list[bytes] | None, Listing]]:
        for found in visit(root, start, kernel, ignore, problems):
            early.update(child_path(found.path, name) for name in found.empty)
            listing = entries_of(found.listing, found.empty)
            if found.listing.names or found.path == start:
                yield found.path, listing.names, listing
            elif found.path not in early:
                yield found.path, None, listing

    for path, listing, first, last in interleave(parts()):
        if last == 0:
            above, _, name = path.rpartition(b"/")
            yield above, Listing([name], bytes([DIRECTORY]), array("q", bytes(8 * STAT_FIELDS)))
        else:
            whole = first == 0 and last == len(listing.names)
            yield path, listing if whole else cut(listing, first, last)
