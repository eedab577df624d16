"""LooseWriter: writes many small loose objects where nobody sees them, and puts them into their places together.

They are written into folders of a scratch folder that are named as those of the cache, ``<2 hex>/<rest>``. A folder
that the cache does not have yet comes into its place whole, by one rename; else each file is renamed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from kist.engine.cache.folder import CacheFolder
from kist.engine.cache.moving import move
from kist.engine.process.syncing import Syncer
from kist.util.atomic import OPEN_FOLDER, storage_error, storage_errors, write_all

_MODE = 0o444
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LooseWriter:
    """Writes small loose objects of one algorithm. What was written is kept in no list: the scratch folder is one.

    So a process that is forked from the one that began may write too, and only that one puts all into their places.

    Args:
        folder: the cache's folder.
        algorithm: the hash algorithm.
        place: a folder on the cache's file system, made by :meth:`begin`.
        syncer: with mode ``each`` each file is made durable as it is written.
    """

    def __init__(self, folder: CacheFolder, algorithm: str, place: Path, syncer: Syncer) -> None:
        self._folder = folder
        self._algorithm = algorithm
        self._place = place
        self._syncer = syncer
        self._shards: set[str] = set()
        self._torn: list[str] = []
        self._changed: set[Path] = set()
        self._plain: bool | None = None
        self._descriptor = -1

    def begin(self) -> None:
        """Make the folder in which files wait; costs nothing when repeated.

        Raises:
            StorageError: the disk is full, read-only or failing.
        """
        if self._descriptor < 0:
            with storage_errors(self._place):
                self._place.mkdir(mode=0o700)
                self._descriptor = os.open(self._place, OPEN_FOLDER)

    def close(self) -> None:
        """Let go of the folder; whoever gave it removes it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, objects: Iterable[tuple[bytes, bytes]]) -> int:
        """Write objects that are not in the cache; one that waits already is left as it is.

        Args:
            objects: raw digests and contents, already hashed.

        Returns:
            Bytes of those that are new here.

        Raises:
            StorageError: the disk is full, read-only or failing; what was written before waits.
        """
        self.begin()
        self._remove_torn()
        size = 0
        for raw, data in objects:
            text = raw.hex()
            shard = text[:2]
            if shard not in self._shards:
                self._make(shard)
            name = f"{shard}/{text[2:]}"
            try:
                size += self._write(name, data)
            except FileExistsError:
                continue
            except OSError as exc:
                raise storage_error(exc, self._place / name) from exc
        return size

    def paths(self) -> Iterator[Path]:
        """The files that wait."""
        if self._descriptor >= 0:
            for shard in sorted(os.listdir(self._descriptor)):
                for name in os.listdir(self._place / shard):
                    yield self._place / shard / name

    def put_in_place(self) -> tuple[list[bytes], set[Path]]:
        """Give all files that wait, which are durable, their places in the cache.

        Returns:
            The raw digests of those that are new there, sorted, and the folders that changed, also in an attempt that
            failed before: until :meth:`settled` is called.

        Raises:
            StorageError: the disk is full, read-only or failing; those without a place wait on.
        """
        new: list[bytes] = []
        if self._descriptor < 0:
            return new, set()
        self._shards.clear()
        top = self._folder.objects / self._algorithm
        self._remove_torn()
        with storage_errors(self._place):
            if self._folder.make(top):
                self._changed.add(self._folder.objects)
            for shard in sorted(os.listdir(self._descriptor)):
                names = sorted(os.listdir(self._place / shard))
                if not names:
                    continue
                self._changed |= {top, top / shard}
                if not self._rename_whole(shard, top):
                    names = self._rename_each(shard, names, top)
                new += [bytes.fromhex(shard + name) for name in names]
        return new, set(self._changed)

    def settled(self) -> None:
        """Be told that the folders that changed are durable."""
        self._changed.clear()

    def _remove_torn(self) -> None:
        with storage_errors(self._place):
            while self._torn:
                with suppress(FileNotFoundError):
                    os.unlink(self._torn[-1], dir_fd=self._descriptor)
                self._torn.pop()

    def _make(self, shard: str) -> None:
        path = self._place / shard
        with storage_errors(path):
            with suppress(FileExistsError):
                path.mkdir(mode=0o700)
                self._folder.set_mode(path)
        self._shards.add(shard)

    def _write(self, name: str, data: bytes) -> int:
        # Half of it must never come into a place: it counts as torn from before it is there until it is closed, for an
        # interruption may come between any two steps, and what came before one is committed.
        self._torn.append(name)
        try:
            descriptor = os.open(name, _NEW_FILE, _MODE, dir_fd=self._descriptor)
        except FileExistsError:
            self._torn.pop()
            raise
        try:
            if os.write(descriptor, data) != len(data):
                os.lseek(descriptor, 0, os.SEEK_SET)
                write_all(descriptor, data)
            if not self._plain:
                # The umask, or an access list of the cache, may take rights away: then of each file, else of none.
                if self._plain is None:
                    self._plain = stat.S_IMODE(os.fstat(descriptor).st_mode) == _MODE
                if not self._plain:
                    os.fchmod(descriptor, _MODE)
            if self._syncer.mode == "each":
                self._syncer.sync(descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._descriptor)
            raise
        finally:
            os.close(descriptor)
        self._torn.pop()
        return len(data)

    def _rename_whole(self, shard: str, top: Path) -> bool:
        # Refused also for what binds folders alone: one that stands there and is another user's, in a sticky folder or
        # in one that we may not change. Files then come one by one, and what really is wrong is said of them.
        try:
            os.rename(self._place / shard, top / shard)
        except OSError:
            return False
        return True

    def _rename_each(self, shard: str, names: list[str], top: Path) -> list[str]:
        """Rename files one by one; what is there already has the same bytes, and stays, for links to it may exist."""
        self._folder.make(top / shard)
        here = set(os.listdir(top / shard))
        new = []
        for name in names:
            source, target = f"{self._place}/{shard}/{name}", f"{top}/{shard}/{name}"
            if name in here:
                os.unlink(source)
            elif move(source, target):
                new.append(name)
        return new
