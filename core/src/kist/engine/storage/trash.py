"""Trash: what was displaced or collected, still to be had back; cleaned by age only.

<when>-<random>/record.json    what it is, where it was, why it went, written and durable before anything moves
<when>-<random>/0, 1, …        the files and folders themselves

<when>-<random>-displaced/…    workspace files that a forced command moved out of its way, under the path that they had
<when>-seen                    empty: a command looked here then
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kist.engine.storage.trash_age import counted_age, look_name, time_of_look, useless, worth_noting
from kist.engine.storage.trash_records import (
    RECORD,
    TrashEntry,
    TrashItem,
    dump_record,
    new_name,
    read_entry,
    time_of,
)
from kist.errors import PathConflict, PathNotTracked
from kist.util.atomic import storage_errors, sync_directory, temp_name, write_all

_DISPLACED = "-displaced"
_NO_LINK = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.EACCES})


class Trash:
    """The trash of one repository or cache.

    Args:
        folder: where it is kept; made when the first thing goes there.
        sync: whether to wait for the disk.
        shared: whether other users of the folder's group may bring back and empty what is here.
    """

    def __init__(self, folder: Path, *, sync: bool = True, shared: bool = False) -> None:
        self.folder = folder
        self._sync = sync
        self._shared = shared

    def put(self, path: Path, original: str, reason: str) -> TrashEntry:
        """Move one file or folder here.

        Args:
            path: where it is.
            original: the path that it is known by.
            reason: why it goes.

        Raises:
            StorageError: the disk is full, read-only or failing; it is still where it was.
        """
        return self.put_many([(path, original)], reason)

    def put_many(self, paths: Sequence[tuple[Path, str]], reason: str) -> TrashEntry:
        """Move several files or folders here as one entry.

        Args:
            paths: where each is, and the path that it is known by.
            reason: why they go.

        Raises:
            StorageError: the disk is full, read-only or failing; what was not moved is still where it was.
        """
        with storage_errors(self.folder):
            sources = [(path, original, _size(path)) for path, original in paths]
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            when = time.time()
            entry = self.folder / new_name(when)
            entry.mkdir(mode=0o700)
            if self._shared:
                entry.chmod(0o2775)  # past the umask, which may forbid the group to write
            items = tuple(TrashItem(str(n), original, size) for n, (_, original, size) in enumerate(sources))
            mode = 0o644 if self._shared else 0o600
            # Directly, for the entry is new: half a record is none, and then nothing was moved yet.
            _write_record(entry / RECORD, dump_record(items, reason, when), mode, sync=self._sync)
            if self._sync:
                sync_directory(self.folder)
            for (path, _, _), item in zip(sources, items, strict=True):
                _move(path, entry / item.name)
            if self._sync:
                for parent in {entry, *(path.parent for path, _, _ in sources)}:
                    with suppress(FileNotFoundError):
                        sync_directory(parent)
        return TrashEntry(entry.name, when, reason, items)

    def displaced_folder(self) -> Path:
        """A new folder for files that a command moves out of its way, each under its path; the command makes it."""
        return self.folder / (new_name(time.time()) + _DISPLACED)

    def list(self) -> Sequence[TrashEntry]:
        """What is here, the oldest first; folders without a record are left out.

        Raises:
            StorageError: the trash cannot be read.
        """
        with storage_errors(self.folder):
            try:
                names = sorted(os.listdir(self.folder))
            except FileNotFoundError:
                return []
            entries = (self._read(name) for name in names)
            return sorted((entry for entry in entries if entry and entry.items), key=lambda entry: entry.when)

    def restore(
        self,
        id: str,
        to: Path | None = None,
        *,
        base: Path | None = None,
        only: str | None = None,
        dry_run: bool = False,
    ) -> Sequence[Path]:
        """Take an entry's items back out; nothing is ever overwritten.

        Args:
            id: the entry's id.
            to: where its only item goes; None: each goes where it was.
            base: what paths that are not absolute are relative to.
            only: the name of the one item to restore, None for all.
            dry_run: check everything, move nothing.

        Returns:
            where they are now, or would be.

        Raises:
            PathNotTracked: no such entry or item.
            PathConflict: something is in the way, or there are several items for one place; nothing was moved.
            StorageError: the disk is full, read-only or failing.
        """
        entry = self._read(id) if id == os.path.basename(id) and id not in ("", ".", "..") else None
        items = [item for item in entry.items if only in (None, item.name)] if entry else []
        if not items:
            raise PathNotTracked(f"the trash has no entry {id}", hint="'kist trash list' shows what it has")
        if to is not None and len(items) != 1:
            raise PathConflict(f"entry {id} holds {len(items)} files, which cannot all go to one place")
        targets = [to if to is not None else _original(item, base) for item in items]
        for target in targets:
            if os.path.lexists(target):
                raise _in_the_way(target)
        if dry_run:
            return targets
        with storage_errors(self.folder):
            for item, target in zip(items, targets, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                _move_new(self.folder / id / item.name, target)
                if self._sync:
                    sync_directory(target.parent)
            if entry is not None and len(items) == len(entry.items):
                _remove(self.folder / id)
        return targets

    def bring_back(self, entry: TrashEntry, places: Mapping[str, Path]) -> Sequence[TrashItem]:
        """Take those of an entry's items back out whose places are free; the others stay.

        Args:
            entry: as :meth:`list` gave it.
            places: item's name -> where it goes.

        Returns:
            the items that are there now.

        Raises:
            StorageError: the disk is full, read-only or failing; what was moved is where it goes.
        """
        back = []
        with storage_errors(self.folder):
            for item in entry.items:
                place = places.get(item.name)
                if place is not None and not os.path.lexists(place):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with suppress(PathConflict):  # it came just now
                        _move_new(self.folder / entry.id / item.name, place)
                        back.append(item)
            if self._sync:
                for parent in {places[item.name].parent for item in back}:
                    sync_directory(parent)
            if len(back) == len(entry.items):
                _remove(self.folder / entry.id)
        return back

    def empty(self, older_than: float = 0.0) -> int:
        """Delete what has been here for a time by the clock as it stands, because somebody says so.

        Args:
            older_than: seconds; 0: everything.

        Returns:
            bytes that were freed.

        Raises:
            StorageError: the trash cannot be read or written.
        """
        return self._empty(older_than, counted=False)

    def clean(self, keep: float) -> int:
        """Delete what has been here for a time, as commands do by themselves: no single jump of the clock empties it.

        Args:
            keep: seconds; what passes between two looks at the trash counts for half of them at most.

        Returns:
            bytes that were freed.

        Raises:
            StorageError: the trash cannot be read or written.
        """
        return self._empty(keep, counted=True)

    def _empty(self, keep: float, *, counted: bool) -> int:
        now, freed = time.time(), 0
        with storage_errors(self.folder):
            try:
                names = os.listdir(self.folder)
            except FileNotFoundError:
                return 0
            seen = {name: when for name in names if (when := time_of_look(name)) is not None}
            entries = {name: self._read(name) for name in names if name not in seen}
            looks = [*seen.values(), *(entry.when for entry in entries.values() if entry)]
            left = []
            for name, entry in entries.items():
                path = self.folder / name
                # Without a record nothing was moved here yet: a put that was killed, or is at work right now.
                when = entry.when if entry else path.lstat().st_mtime + 3600
                age = counted_age(when, now, looks, keep) if counted and entry else now - when
                if age >= keep or (entry and not keep):
                    freed += entry.size if entry else 0
                    _remove(path)
                elif entry:
                    left.append(entry.when)
            for name in useless(seen, left, now):
                (self.folder / name).unlink(missing_ok=True)
            if counted and left and worth_noting(now, looks, keep):
                with suppress(OSError):  # what nobody can note makes the rest stay longer
                    (self.folder / look_name(now)).touch(mode=0o644)
        return freed

    def _read(self, name: str) -> TrashEntry | None:
        if name.endswith(_DISPLACED):
            return self._read_displaced(name)
        try:
            return read_entry(self.folder / name)
        except FileNotFoundError:
            return None  # restored or emptied meanwhile

    def _read_displaced(self, name: str) -> TrashEntry | None:
        """An entry whose items are the files below its folder; their names tell where they were."""
        when = time_of(name)
        if when is None:
            return None
        top = self.folder / name
        items = [
            TrashItem(path, path, (top / path).lstat().st_size)
            for here, folders, files in os.walk(top)
            for path in (os.path.relpath(os.path.join(here, one), top) for one in (*files, *folders))
            if path.rpartition("/")[2] in files or _is_leaf(top / path)
        ]
        return TrashEntry(name, when, "displaced by --force", tuple(sorted(items, key=lambda item: item.name)))


def _original(item: TrashItem, base: Path | None) -> Path:
    """Where an item was; never through a link that stands there by now."""
    if base is None:
        if not os.path.isabs(item.original):
            raise PathConflict(f"the path {item.original} is not absolute: say where it shall go", path=item.original)
        return Path(item.original)
    target = base / item.original
    for above in target.parents:
        if above == base or not above.is_relative_to(base):
            break
        if above.is_symlink() or (os.path.lexists(above) and not above.is_dir()):
            raise _in_the_way(above)
    return target


def _is_leaf(path: Path) -> bool:
    """Whether a folder's name stands for something by itself: a link to a folder, or an empty one."""
    return path.is_symlink() or not any(path.iterdir())


def _size(path: Path) -> int:
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    with os.scandir(path) as entries:
        return sum(_size(Path(entry.path)) for entry in entries)


def _move(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        # The copy gets its name when it is whole and durable; only then the original goes.
        temporary = target.with_name(temp_name(target.name))
        try:
            _copy(source, temporary)
            os.rename(temporary, target)
        except BaseException:
            _remove(temporary)
            raise
        sync_directory(target.parent)
        _remove(source)


def _move_new(source: Path, target: Path) -> None:
    """Move without ever replacing what somebody put there meanwhile."""
    if stat.S_ISDIR(os.lstat(source).st_mode):
        try:
            # A folder made here first cannot be somebody else's, and rename only replaces an empty one.
            os.mkdir(target)
            _move(source, target) if _same_device(source, target) else _copy_into(source, target)
        except FileExistsError:
            raise _in_the_way(target) from None
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise _in_the_way(target) from None
    except OSError as exc:
        if exc.errno not in _NO_LINK:
            raise
        try:
            _copy(source, target)
        except FileExistsError:
            raise _in_the_way(target) from None
    os.unlink(source)


def _same_device(source: Path, target: Path) -> bool:
    return os.lstat(source).st_dev == os.lstat(target).st_dev


def _copy_into(source: Path, target: Path) -> None:
    for name in os.listdir(source):
        _copy(source / name, target / name)
    shutil.copystat(source, target)
    sync_directory(target)
    _remove(source)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, symlink or folder to a new name, durably."""
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISDIR(mode):
        os.mkdir(target, 0o700)
        for name in os.listdir(source):
            _copy(source / name, target / name)
        shutil.copystat(source, target)
        sync_directory(target)
    else:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as reader, open(target, "xb") as writer:
            try:
                shutil.copyfileobj(reader, writer, 1 << 20)
                writer.flush()
                shutil.copystat(source, target, follow_symlinks=False)
                os.fsync(writer.fileno())
            except BaseException:
                os.unlink(target)
                raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_record(path: Path, data: bytes, mode: int, *, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, data)
        os.fchmod(descriptor, mode)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if sync:
        sync_directory(path.parent)


def _in_the_way(target: Path) -> PathConflict:
    return PathConflict(
        f"{target} exists: nothing is overwritten", hint="move it away, or restore to another path", path=str(target)
    )
