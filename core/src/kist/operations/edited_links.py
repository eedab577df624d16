"""Objects that were edited in place through a link: told by status, set aside by the next command that records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress

from kist.engine.workspace.walk import open_below
from kist.errors import KistError, PathConflict
from kist.model.digest import Digest
from kist.model.report import AddReport
from kist.repo.context import RepoContext
from kist.repo.linked import EditedLink
from kist.util.atomic import storage_errors, temp_name
from kist.util.paths import display
from kist.util.slotted import replace

_ATTEMPTS = 5


class ObjectsEdited(Exception):
    """Links of ``context.edited_links`` were edited in place: what was stored may rely on objects that are damaged."""


def setting_aside(context: RepoContext, record: Callable[[], AddReport]) -> AddReport:
    """Record new versions; edits through links that come to light are set aside first, and all is read again.

    Again, because another file may need the very object that turned out to be damaged.

    Args:
        context: the repository.
        record: what records; raises ObjectsEdited, having published nothing.

    Returns:
        Its report, with warnings that tell of the edits.

    Raises:
        PathConflict: something goes on editing.
    """
    told: list[str] = []
    before = len(context.problems)
    for _ in range(_ATTEMPTS):
        try:
            report = record()
        except ObjectsEdited:
            told += set_aside(context)
            del context.problems[before:]
        else:
            return replace(report, warnings=(*told, *findings(context), *report.warnings))
    raise PathConflict(
        "files that are links to the cache are being edited", hint="run the command again when nothing writes there"
    )


def findings(context: RepoContext) -> tuple[str, ...]:
    """What to say of the edits that were found, without changing anything."""
    return tuple(
        f"{_shown(links)} was edited in place through a link to the cache, so the object of the recorded version is "
        f"damaged ({digest}); 'kist add' records the new content and sets the damaged object aside"
        for digest, links in _grouped(context.edited_links).items()
    )


def set_aside(context: RepoContext) -> list[str]:
    """Take damaged objects out of the cache; what their links hold stays in the workspace, as the new content.

    Args:
        context: the repository, inside its ``writing()``.

    Returns:
        What to tell; nothing where no edit was found since the last call.

    Raises:
        StorageError: the cache or the workspace cannot be written.
    """
    told = []
    for digest, links in _grouped(context.edited_links).items():
        with context.write_lock():
            detach(context, digest, [os.fsdecode(one.path) for one in links if one.symbolic])
            places = context.cache.quarantine(digest)
        if places:
            told.append(
                f"{_shown(links)} was edited in place through a link, and with it the object of the version before: "
                f"{digest} is damaged and set aside ({', '.join(places)}); {_way_back(context, digest)}"
            )
    context.edited_links.clear()
    return told


def detach(context: RepoContext, digest: Digest, paths: Iterable[str]) -> None:
    """Make plain files of symbolic links to an object, so that what they show outlives the object.

    Args:
        context: the repository.
        digest: the object.
        paths: workspace paths; what is no link to that object stays as it is.

    Raises:
        StorageError: the workspace cannot be written.
    """
    objects = os.fsencode(os.path.realpath(context.cache.objects_folder))
    target = os.path.join(objects, context.cache.loose_name(digest.algorithm, digest.raw))
    for path in paths:
        folder, name = os.path.split(os.fsencode(path))
        try:
            here = open_below(context.root, folder)
        except (FileNotFoundError, KistError):
            continue
        try:
            with storage_errors(path):
                _detach(here, name, target)
        finally:
            os.close(here)


def _detach(here: int, name: bytes, target: bytes) -> None:
    try:
        if os.readlink(name, dir_fd=here) != target:
            return
    except OSError:
        return  # no link, or not there any more
    temporary = os.fsencode(temp_name(os.fsdecode(name)))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(target, "rb") as reader:
        try:
            with open(os.open(temporary, flags, 0o666, dir_fd=here), "wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
            os.rename(temporary, name, src_dir_fd=here, dst_dir_fd=here)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=here)
            raise


def _way_back(context: RepoContext, digest: Digest) -> str:
    if context.cache.has(digest):
        return "the cache has another good copy of it"
    if context.git is None:
        return "if it was pushed, 'kist fetch' of that version brings it back"
    return "if it was pushed, 'kist fetch --rev REVISION' brings it back"


def _grouped(links: Iterable[EditedLink]) -> dict[Digest, list[EditedLink]]:
    found: dict[Digest, list[EditedLink]] = {}
    for one in links:
        group = found.setdefault(one.digest, [])
        if one not in group:
            group.append(one)
    return found


def _shown(links: list[EditedLink]) -> str:
    more = f" (and {len(links) - 1} more)" if len(links) > 1 else ""
    return display(links[0].path) + more
