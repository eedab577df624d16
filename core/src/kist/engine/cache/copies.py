"""Copies: large objects written twice as they arrive, so that the checkout of a pull renames where it would copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from kist.model.digest import Digest
from kist.util.copying import copy_range

_DEFAULT_ACL = "system.posix_acl_default"
_ROOM = 2.125
"""Free bytes for each byte of an object: for itself, for its copy, and some to spare."""


class Copy:
    """A copy that grows behind an object, in a thread of its own: the kernel copies while others receive and hash.

    What goes wrong with it is no failure of the object: it is given up.

    Args:
        path: the new file; None: no copy is made.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._ends: SimpleQueue[int | None] = SimpleQueue()
        self._thread: Thread | None = None

    def follow(self, source: int, reached: int) -> None:
        """Copy as far as the object has come.

        Args:
            source: descriptor of the object's file, the same one each time.
            reached: bytes that are complete from its beginning on; no more than the time before, if they are others
                than it was told then.
        """
        if self._path is None:
            return
        if self._thread is None:
            # A descriptor of its own: the object's may be closed, for an error, while the kernel still copies.
            words = (os.dup(source), self._path)
            self._thread = Thread(target=self._run, args=words, name="kist-copy", daemon=True)
            self._thread.start()
        self._ends.put(reached)

    def close(self) -> Path | None:
        """Wait until all is copied; the file, None if there is none."""
        if self._thread is not None:
            self._ends.put(None)
            self._thread.join()
            self._thread = None
        return self._path

    def discard(self) -> None:
        """Remove the file."""
        if (path := self.close()) is not None:
            with suppress(OSError):
                path.unlink()
        self._path = None

    def _run(self, reader: int, path: Path) -> None:
        done, complete = 0, False
        try:
            # The mode is the one that the system gives a new file of the workspace.
            writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                while (reached := self._ends.get()) is not None:
                    if reached <= done:
                        done = os.lseek(writer, 0, os.SEEK_SET)
                    copy_range(reader, writer, done, reached - done)
                    done = reached
            finally:
                os.close(writer)
            complete = True
        except OSError:
            pass  # a full disk, say: the object is what counts
        finally:
            os.close(reader)
            if not complete:
                self._path = None
                with suppress(OSError):
                    path.unlink(missing_ok=True)


class Copies:
    """The copies of one pull.

    Args:
        folder: where they stand until they are taken, on the workspace's file system, removed by its owner; None: none
            are made.
        wanted: tells whether a checkout would copy; asked once, for the first object.
    """

    def __init__(self, folder: Path | None = None, wanted: Callable[[], bool] = bool) -> None:
        self._folder = folder
        self._wanted = cache(wanted)
        self._made: dict[tuple[str, bytes], Path] = {}

    @contextmanager
    def making(self, digest: Digest, size: int) -> Iterator[Copy]:
        """Make a copy of an object in a block, if one is wanted and there is room; kept if the block ends well.

        Args:
            digest: the object.
            size: its bytes.
        """
        copy = Copy(self._place(digest, size))
        try:
            yield copy
        except BaseException:
            copy.discard()
            raise
        if (path := copy.close()) is not None:
            self._made[digest.algorithm, digest.raw] = path

    def ready(self, algorithm: str) -> frozenset[bytes]:
        """The raw digests of the objects of which there are copies."""
        return frozenset(raw for name, raw in self._made if name == algorithm)

    def take(self, algorithm: str, raw: bytes, name: bytes, here: int) -> int:
        """Give the copy of an object its name in the workspace; it serves once.

        Args:
            algorithm: the hash algorithm.
            raw: the raw digest.
            name: plain name, that nothing has yet.
            here: descriptor of the folder.

        Returns:
            Its bytes; -1 if there is none, or a file made in that folder would belong to another group or have other
            rights.
        """
        path = self._made.pop((algorithm, raw), None)
        if path is None:
            return -1
        try:
            found = path.stat()
            if os.fstat(here).st_gid == found.st_gid and not _has_default_acl(here):
                os.rename(path, name, dst_dir_fd=here)
                return found.st_size
        except OSError:  # another file system, or anything else: it is copied as always
            pass
        with suppress(OSError):
            path.unlink()
        return -1

    def _place(self, digest: Digest, size: int) -> Path | None:
        if self._folder is None:
            return None
        with suppress(OSError):
            disk = os.statvfs(self._folder)
            room = disk.f_bavail * disk.f_frsize >= size * _ROOM
            if room and not _has_default_acl(self._folder) and self._wanted():
                return self._folder / f"copy-{digest.algorithm}-{digest.hex}"
        return None


def _has_default_acl(folder: Path | int) -> bool:
    """Whether new files of a folder get rights from it."""
    if not hasattr(os, "getxattr"):
        return False
    try:
        return bool(os.getxattr(folder, _DEFAULT_ACL))
    except OSError:
        return False
