"""list: outputs, and what is inside them, at any revision."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence

from kist.abc.metafile import ManifestView
from kist.errors import PathNotTracked
from kist.model.entry import Entry
from kist.operations.absent import asked_by
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.util.slotted import slotted


@slotted(frozen=True)
class Listed:
    """One line of a listing.

    Args:
        path: relative to the repository.
        kind: file, executable, symlink, directory.
        size: bytes; of a directory, all below it.
        files: entries at or below it.
        digest: its name, None for symlinks and folders inside an output.
        output: whether it is a tracked output itself.
    """

    path: bytes
    kind: str
    size: int
    files: int = 1
    digest: str | None = None
    output: bool = False


def list_entries(
    context: RepoContext, text: str | None = None, *, revision: str | None = None, recursive: bool = False
) -> Iterator[Listed]:
    """What is tracked at or below a path.

    Args:
        context: the repository.
        text: a path or glob as typed; None for the whole repository.
        revision: a Git revision, None for the workspace's metafiles.
        recursive: every entry, not only the first level.

    Raises:
        PathNotTracked: nothing tracked is there.
        ObjectMissing: the manifest is not on this machine.
    """
    with asked_by(revision):
        yield from _listed(context, text, context.tracked(revision=revision), recursive=recursive)


def _listed(context: RepoContext, text: str | None, outputs: Sequence[Tracked], *, recursive: bool) -> Iterator[Listed]:
    path = "" if text is None else targets.repository_path(context, text)
    if path.endswith(context.metafile_names.suffixes):
        path = path.rpartition(".")[0]
    found = False
    for target in targets.fitting(context, path, outputs) if targets.is_glob(path) else ():
        found = True
        if target.inside or recursive:
            yield from _inside(context, target.tracked, target.inside, recursive=recursive)
        else:
            yield _output(target.tracked)
    for tracked in outputs if not found else ():
        if not path or tracked.path == path or tracked.path.startswith(path + "/"):
            found = True
            inside_asked = tracked.path == path
            if recursive or inside_asked:
                yield from _inside(context, tracked, b"", recursive=recursive)
            else:
                yield _output(tracked)
        elif path.startswith(tracked.path + "/"):
            found = True
            yield from _inside(context, tracked, os.fsencode(path[len(tracked.path) + 1 :]), recursive=recursive)
    if path and not found:
        raise targets.not_tracked(context, text or "", path)


def _output(tracked: Tracked) -> Listed:
    output = tracked.output
    kind = "directory" if output.is_directory else "executable" if output.executable else "file"
    return Listed(os.fsencode(tracked.path), kind, output.size, output.files, str(output.digest), output=True)


def _inside(context: RepoContext, tracked: Tracked, inside: bytes, *, recursive: bool) -> Iterator[Listed]:
    if not tracked.output.is_directory:
        if inside:
            raise PathNotTracked(f"{tracked.path} is a file", path=tracked.path)
        yield _output(tracked)
        return
    view = context.view(tracked.output.digest)
    place = os.fsencode(tracked.path)
    entry = view.find(inside) if inside else None
    if entry is not None:
        yield _entry(place, entry)
        return
    found = False
    for listed in _entries(view, place, inside) if recursive else _first_level(view, place, inside):
        found = True
        yield listed
    if inside and not found:
        shown = posixpath.join(tracked.path, os.fsdecode(inside))
        raise PathNotTracked(f"{shown} is not tracked", path=shown, hint=f"'kist list {tracked.path}' shows what is")


def _entries(view: ManifestView, place: bytes, inside: bytes) -> Iterator[Listed]:
    """Every entry below a folder of an output."""
    for part in view.leaves(inside):
        for position in range(len(part)):
            yield _entry(place, part.entry(position))


def _first_level(view: ManifestView, place: bytes, inside: bytes) -> Iterator[Listed]:
    """What stands directly in a folder of an output; the folders in it with the totals of what is below them."""
    start = len(inside) + 1 if inside else 0
    folder: Listed | None = None
    for part in view.leaves(inside):
        for position, path in enumerate(part.paths):
            end = path.find(b"/", start)
            name = place + b"/" + path[:end]
            if folder is not None and (end < 0 or folder.path != name):
                yield folder
                folder = None
            if end < 0:
                yield _entry(place, part.entry(position))
                continue
            files, size = (folder.files, folder.size) if folder is not None else (0, 0)
            folder = Listed(name, "directory", size + part.sizes[position], files + 1)
    if folder is not None:
        yield folder


def _entry(place: bytes, entry: Entry) -> Listed:
    return Listed(place + b"/" + entry.path, entry.kind, entry.size, digest=str(entry.digest) if entry.digest else None)
