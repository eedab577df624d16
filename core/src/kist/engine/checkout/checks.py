"""What refuses a checkout before its first change: names, unsaved work, obstacles, space."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator

from kist.engine.checkout.plan import CheckoutPlan, pick
from kist.engine.checkout.tools import ObjectSource
from kist.engine.workspace.folders import Folders, lstat_or_none, name_of, parent_of
from kist.errors import MetafileError, PathConflict, StorageError, UnsavedChanges
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import DIRECTORY, EXECUTABLE, FILE, SYMLINK
from kist.util.paths import check_paths, collisions, display

_KINDS = frozenset({FILE, EXECUTABLE, SYMLINK, DIRECTORY})
_TURN = 1 << 16


def full_path(output: bytes, path: bytes) -> bytes:
    """*path* of an output, relative to the repository."""
    return os.path.join(output, path) if path else output


def check_names(plan: CheckoutPlan) -> None:
    """Refuse names that could lead out of the directory, and kinds that no manifest has.

    Raises:
        MetafileError: naming the first one.
    """
    for part in (plan.create, plan.replace, plan.modes):
        check_paths(part.paths)
        if not _KINDS.issuperset(part.kinds):
            raise MetafileError("the manifest holds an entry of a kind that this version does not know")
        for target in part.targets:
            if not target or b"\0" in target:
                raise MetafileError("the manifest holds a symlink without a valid target")


def check_unsaved(output: bytes, plan: CheckoutPlan, *, force: bool) -> None:
    """Refuse to lose what is saved nowhere; with *force* only what cannot be moved to the trash.

    Raises:
        UnsavedChanges: with all the paths.
        PathConflict: a FIFO, socket or device stands in the way.
    """
    for part in (plan.replaced, plan.delete):
        if _KINDS.issuperset(part.kinds):
            continue
        path = next(path for path, kind in zip(part.paths, part.kinds, strict=True) if kind not in _KINDS)
        raise special_file(full_path(output, path))
    if plan.unsaved and not force:
        raise unsaved_changes([full_path(output, path) for path in plan.unsaved])


def special_file(path: bytes) -> PathConflict:
    """The error for a FIFO, socket or device in the way."""
    shown = display(path)
    return PathConflict(
        f"{shown} is a FIFO, socket or device and stands in the way", path=shown, hint="move it away and repeat"
    )


def unsaved_changes(paths: list[bytes]) -> UnsavedChanges:
    """The error for *paths*, relative to the repository, whose content would be lost."""
    shown = [display(path) for path in paths]
    more = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
    return UnsavedChanges(f"{shown[0]}{more} would be lost: the content is saved nowhere", paths=shown)


def drop_missing(plan: CheckoutPlan, objects: ObjectSource) -> dict[bytes, list[bytes]]:
    """Take out of the plan what cannot be written because its object is not there.

    What stands at such a path stays there.

    Args:
        plan: is changed.
        objects: the cache.

    Returns:
        Raw digest to the paths that need it.
    """
    absent = {raw for part in (plan.create, plan.replace) for raw in _missing_of(part, objects)}
    found: dict[bytes, list[bytes]] = {}
    if not absent:
        return found
    flags = {}
    for name, part in (("create", plan.create), ("replace", plan.replace)):
        here = flags[name] = [
            not (kind in (FILE, EXECUTABLE) and raw in absent)
            for raw, kind in zip(part.raws(), part.kinds, strict=True)
        ]
        for path, raw, keep in zip(part.paths, part.raws(), here, strict=True):
            if not keep:
                found.setdefault(raw, []).append(path)
    plan.create = pick(plan.create, flags["create"])
    plan.replaced = pick(plan.replaced, flags["replace"])
    plan.replace = pick(plan.replace, flags["replace"])
    going = {*plan.replaced.paths, *plan.delete.paths}
    plan.unsaved = [path for path in plan.unsaved if path in going]
    return found


def _missing_of(part: Columns, objects: ObjectSource) -> Iterator[bytes]:
    """The objects of some entries that are not there, asked for in turns: a digest by itself takes 150 bytes."""
    step = max(_TURN, len(part) // 8)
    for start in range(0, len(part), step):
        if wanted := set(part.slice(start, start + step).content_raws()):
            yield from objects.missing(part.algorithm, sorted(wanted))


def missing_report(
    algorithm: str, output: bytes, missing: dict[bytes, list[bytes]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """*missing* as a report shows it: names of objects, and paths relative to the repository."""
    return tuple(
        (str(Digest.from_raw(algorithm, raw)), tuple(display(full_path(output, path)) for path in sorted(paths)))
        for raw, paths in sorted(missing.items(), key=lambda item: min(item[1]))
    )


def check_case(root: int, target: Columns) -> None:
    """Refuse names that clash where the file system takes no account of case.

    Args:
        root: descriptor of the directory, or of the nearest folder above that exists.
        target: what is going to be written.

    Raises:
        PathConflict: naming the first pair.
    """
    if not target.paths or not _ignores_case(root):
        return
    for one, other in collisions(target.paths):
        raise PathConflict(
            f"{display(one)} and {display(other)} are one name on this file system",
            path=display(other),
            hint="check it out on a file system that tells upper and lower case apart",
        )


def _ignores_case(root: int) -> bool:
    """Whether names that differ by case are one name: asked of a name that exists, so nothing is written."""
    with os.scandir(root) as entries:
        for entry in entries:
            other = entry.name.swapcase()
            if other != entry.name:
                try:
                    return os.path.samestat(
                        os.stat(other, dir_fd=root, follow_symlinks=False),
                        os.stat(entry.name, dir_fd=root, follow_symlinks=False),
                    )
                except OSError:
                    return False
    return False


def check_space(
    root: int, plan: CheckoutPlan, *, linked_from: int | None, ready: frozenset[bytes] = frozenset()
) -> None:
    """Refuse a checkout that cannot fit.

    Args:
        root: descriptor of a folder on the file system.
        plan: what will be written.
        linked_from: size from which files take no space because they are links; None where all are copied.
        ready: raw digests of contents that lie there already and only need their names.

    Raises:
        StorageError: not enough room, or not enough free inodes.
    """
    left = set(ready)
    needed = sum(_taken(plan.create, linked_from, left))
    largest = 0
    for new, old in zip(_taken(plan.replace, linked_from, left), plan.replaced.sizes, strict=True):
        needed += max(new - old, 0)
        largest = max(largest, new)
    free = os.fstatvfs(root)
    room = free.f_bavail * free.f_frsize
    if needed + largest > room:
        raise StorageError(
            f"the checkout needs {needed + largest:,} bytes and the disk has {room:,}",
            errno=errno.ENOSPC,
            hint="free some space and run the command again",
        )
    if free.f_files and len(plan.create) > free.f_favail:
        raise StorageError(
            f"the checkout needs {len(plan.create):,} new names and the file system has room for {free.f_favail:,}",
            errno=errno.ENOSPC,
            hint="remove files that nobody needs and run the command again",
        )


def _taken(part: Columns, linked_from: int | None, ready: set[bytes]) -> Iterable[int]:
    """The bytes that each file takes; what lies there already serves one of them."""
    sizes: Iterable[int] = part.sizes
    if linked_from is not None:
        sizes = (size if size < linked_from else 0 for size in sizes)
    if not ready:
        return sizes
    left = list(sizes)
    for at, raw in enumerate(part.raws()):
        if raw in ready:
            ready.remove(raw)
            left[at] = 0
    return left


def survey(folders: Folders, output: bytes, plan: CheckoutPlan, *, force: bool) -> list[bytes]:
    """Look at every folder and new name of the plan, through no symlink.

    Args:
        folders: opens folders of the directory.
        output: the directory, for messages.
        plan: what will be changed.
        force: whether unknown files in the way may go to the trash.

    Returns:
        Paths that hold something which the plan does not know; they must be displaced first.

    Raises:
        PathConflict: a symlink or special file stands in the way, or a folder with things in it that kist ignores.
        UnsavedChanges: files stand in the way that were not there when the plan was made.
    """
    strangers: list[bytes] = []
    for part in (plan.replace, plan.delete, plan.modes):
        last = None
        for path in part.paths:
            if (parent := parent_of(path)) != last:
                last = parent
                _try_open(folders, parent, plan)
    last, here = None, None
    for path, kind in zip(plan.create.paths, plan.create.kinds, strict=True):
        if (parent := parent_of(path)) != last:
            last, here = parent, _try_open(folders, parent, plan)
        if here is None or path in plan.blocking:
            continue
        found = lstat_or_none(name_of(path), here)
        if found is not None and _is_stranger(found, path, kind, plan, (folders, output)):
            strangers.append(path)
            last = None  # the folder above may have been closed meanwhile
    if strangers and not force:
        raise unsaved_changes([full_path(output, path) for path in strangers])
    return strangers


def _try_open(folders: Folders, parent: bytes, plan: CheckoutPlan) -> int | None:
    try:
        return folders.open(parent)
    except FileNotFoundError:
        return None
    except PathConflict:
        # A file or symlink that the plan removes first is no obstacle.
        above = parent
        while above:
            if above in plan.blocking:
                return None
            above = parent_of(above)
        raise


def _is_stranger(
    found: os.stat_result, path: bytes, kind: int, plan: CheckoutPlan, place: tuple[Folders, bytes]
) -> bool:
    folders, output = place
    mode = found.st_mode
    if stat.S_ISDIR(mode):
        if kind != DIRECTORY:
            _check_folder_is_known(folders, path, plan, output)
        return False
    if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
        return True
    raise special_file(full_path(output, path))


def _check_folder_is_known(folders: Folders, path: bytes, plan: CheckoutPlan, output: bytes) -> None:
    """Where a file replaces a folder, everything in that folder must be something that the plan removes."""
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folders.open(folder)) as entries:
            found = [(os.fsencode(one.name), one.is_dir(follow_symlinks=False)) for one in entries]
        for name, is_folder in found:
            below = folder + b"/" + name
            if is_folder:
                waiting.append(below)
            elif below not in plan.blocking:
                shown = display(full_path(output, below))
                raise PathConflict(
                    f"{shown} is not tracked, and a file shall stand where its folder is",
                    path=shown,
                    hint="move it away and repeat",
                )
