"""keeping: before files are tracked no more, make those that are links into the cache files of their own.

Nothing protects an object any more that no version needs: a link to it would lose its content with the next gc, and who
edits a hard link would edit the object.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kist.abc.link import LinkType
from kist.engine.checkout.write import group_by_folder
from kist.engine.process.syncing import sync_file_system
from kist.engine.workspace.folders import Folders, lstat_or_none, name_of
from kist.errors import ObjectMissing
from kist.model.columns import Columns
from kist.operations.checkout import single
from kist.operations.parts import part_of
from kist.repo.context import RepoContext
from kist.repo.targets import Target
from kist.util.atomic import OPEN_FOLDER, discard, storage_errors, temp_name
from kist.util.slotted import replace, slotted


@slotted(frozen=True)
class _Link:
    """A workspace file that is a link into the cache.

    Args:
        path: relative to the folder of its output.
        source: where its object lies below the cache's ``objects``; None for a hard link, which is the object.
    """

    path: bytes
    source: bytes | None


def own_files(context: RepoContext, targets: Iterable[Target]) -> int:
    """Replace links into the cache by copies, each as a whole; what is none stays as it is.

    Args:
        context: the repository, inside its ``writing()``.
        targets: what will be tracked no more and stays in the workspace.

    Returns:
        How many files were links.

    Raises:
        ObjectMissing: links whose objects are gone; nothing was changed.
        StorageError: the disk is full, read-only or failing; the rest are links still.
    """
    found = [(target, _find(context, target)) for target in targets]
    gone = {
        posixpath.join(_folder(context, target), os.fsdecode(link.path)): link.source
        for target, links in found
        for link in links
        if link.source is not None and not os.path.lexists(os.path.join(_objects(context), link.source))
    }
    if gone:
        algorithm, _, rest = os.fsdecode(next(iter(gone.values()))).partition("/")
        raise ObjectMissing(f"{algorithm}:{rest.replace('/', '')}", paths=list(gone), where="the cache")
    for target, links in found:
        if links:
            _replace(context, _folder(context, target), links)
    return sum(len(links) for _, links in found)


def _folder(context: RepoContext, target: Target) -> str:
    """The folder that paths count from, relative to the repository."""
    path = target.tracked.path
    place = context.root / path
    return path if place.is_dir() and not place.is_symlink() else posixpath.dirname(path)


def _objects(context: RepoContext) -> bytes:
    return os.fsencode(os.path.realpath(context.cache.objects_folder))


@contextmanager
def _opened(place: bytes) -> Iterator[int]:
    with storage_errors(place):
        descriptor = os.open(place, OPEN_FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _find(context: RepoContext, target: Target) -> list[_Link]:
    """The files of a target that are links into the cache now."""
    if not os.path.lexists(context.root / target.tracked.path):
        return []
    folder = _folder(context, target)
    current, recorded = _contents(context, target, folder)
    known: dict[bytes, set[bytes]] | None = None
    ours = _objects(context) + b"/"
    links: list[_Link] = []
    with _opened(os.fsencode(context.root / folder)) as root, Folders(root) as folders:
        for part in current:
            for parent, ranges in group_by_folder(part.paths).items():
                here = folders.open(parent)
                for path in (part.paths[at] for span in ranges for at in span):
                    state = lstat_or_none(name_of(path), here)
                    if state is None:
                        continue
                    if stat.S_ISLNK(state.st_mode):
                        to = os.readlink(name_of(path), dir_fd=here)
                        if to.startswith(ours):
                            links.append(_Link(path, to.removeprefix(ours)))
                    elif stat.S_ISREG(state.st_mode) and state.st_nlink > 1:
                        known = _digests([*current, *recorded]) if known is None else known
                        if _is_object(context, state, part.algorithm, known.get(path, ())):
                            links.append(_Link(path, None))
    return links


def _contents(context: RepoContext, target: Target, folder: str) -> tuple[list[Columns], list[Columns]]:
    """What stands there, and what is recorded."""
    output = target.tracked.output
    scanner = context.scanner(output.digest.algorithm)
    if folder == target.tracked.path:
        scan = scanner.scan(os.fsencode(folder), None, below=target.inside)
        view = context.view_if_present(output.digest) if output.is_directory else None
        recorded = [] if view is None else list(part_of(view, target.inside) if target.inside else view.leaves())
        return list(scan), recorded
    name = os.fsencode(posixpath.basename(target.tracked.path))
    entry = replace(scanner.scan_file(os.fsencode(target.tracked.path)), path=name)
    current = Columns.from_entries(output.digest.algorithm, len(output.digest.raw), [entry])
    return [current], [single(output, name)]


def _digests(parts: Iterable[Columns]) -> dict[bytes, set[bytes]]:
    """Path -> raw digests of what it holds and of what was recorded: one that was edited in place has two."""
    found: dict[bytes, set[bytes]] = {}
    for part in parts:
        for at, path in enumerate(part.paths):
            found.setdefault(path, set()).add(part.raw(at))
    return found


def _is_object(context: RepoContext, state: os.stat_result, algorithm: str, raws: Iterable[bytes]) -> bool:
    for raw in raws:
        try:
            other = os.lstat(os.path.join(_objects(context), context.cache.loose_name(algorithm, raw)))
        except FileNotFoundError:
            continue
        if os.path.samestat(state, other):
            return True
    return False


def _replace(context: RepoContext, folder: str, links: list[_Link]) -> None:
    """Put a copy in each link's place."""
    copy = context.plugins.link_type("copy")
    place = context.root / folder
    with (
        _opened(os.fsencode(place)) as root,
        _opened(_objects(context)) as objects,
        Folders(root) as folders,
        storage_errors(place),
    ):
        for parent, ranges in group_by_folder([link.path for link in links]).items():
            here = folders.open(parent)
            token = context.scratch.token_for(os.path.join(place, os.fsdecode(parent)))
            for at in (position for span in ranges for position in span):
                _copy(copy, objects, here, links[at], token)
    if context.sync:
        sync_file_system(place)


def _copy(copy: LinkType, objects: int, here: int, link: _Link, token: str) -> None:
    name = name_of(link.path)
    before = lstat_or_none(name, here)
    temporary = os.fsencode(temp_name(os.fsdecode(name), token))
    if link.source is None:
        copy.link_many(here, [name], here, [temporary])
    else:
        copy.link_many(objects, [link.source], here, [temporary])
    now = lstat_or_none(name, here)
    if before is None or now is None or (before.st_ino, before.st_mtime_ns) != (now.st_ino, now.st_mtime_ns):
        discard(temporary, here)  # somebody was faster: what stands there now is no link of ours
    else:
        os.rename(temporary, name, src_dir_fd=here, dst_dir_fd=here)
