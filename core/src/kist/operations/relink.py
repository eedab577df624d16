"""relink: after a version is recorded, make its workspace files links to the cache, where links are configured."""

from __future__ import annotations

import os
import posixpath
from array import array
from collections.abc import Iterator, Sequence

from kist.abc.kernel import STAT_FIELDS
from kist.abc.link import LinkType
from kist.engine.workspace.folders import Folders, name_of
from kist.model.columns import Columns
from kist.model.entry import FILE
from kist.operations.publish import Edit
from kist.repo.context import RepoContext
from kist.repo.link_types import ISOLATED
from kist.util.atomic import storage_errors


def relink(context: RepoContext, edits: Sequence[Edit]) -> int:
    """Replace workspace files by links to their objects; nothing happens where links are copies.

    What a file holds is durable in the cache by now, and a file that was edited since is left as it is.

    Args:
        context: the repository, inside its ``writing()``.
        edits: the versions that were just recorded.

    Returns:
        number of files that are links now and were not before.

    Raises:
        StorageError: the disk is full or fails; the versions are recorded, and the next ``add`` goes on.
    """
    if {name for edit in edits for name in _order(context, edit)} <= ISOLATED:
        return 0
    return sum(_relink(context, edit) for edit in edits)


def _order(context: RepoContext, edit: Edit) -> Sequence[str]:
    return edit.output.links or tuple(context.config.get("cache.type"))


def _relink(context: RepoContext, edit: Edit) -> int:
    from kist.engine.checkout.apply import apply_checkout
    from kist.engine.checkout.plan import CheckoutPlan
    from kist.operations.checkout import tools_for

    output = edit.output
    tools = tools_for(context, output)
    if tools.links.trouble is not None:  # copies would do for a checkout; here they are what there is
        raise tools.links.trouble
    link = tools.links.plain
    if link.isolated:
        return 0
    folder = edit.path if output.is_directory else posixpath.dirname(edit.path)
    files = 0
    for recorded in _turns(context, edit):
        chosen, looks = _unlinked(context, folder, recorded, link)
        if not len(chosen):
            continue
        nothing = Columns(recorded.algorithm, recorded.width)
        plan = CheckoutPlan(nothing, replace=chosen, replaced=chosen, modes=nothing, delete=nothing, looks=looks)
        intent = {"verb": "relink", "output": edit.path}
        with context.write_lock():
            files += apply_checkout(context.root, os.fsencode(folder), plan, tools, intent=intent).files
            context.save_fingerprints()
    return files


def _turns(context: RepoContext, edit: Edit) -> Iterator[Columns]:
    """What is recorded, so many files at a time that they take little memory."""
    from kist.engine.checkout.shares import TURN
    from kist.operations.checkout import single

    output = edit.output
    if not output.is_directory:
        yield single(output, os.fsencode(posixpath.basename(edit.path)))
        return
    hasher = context.hasher(output.digest.algorithm)
    parts: list[Columns] = []
    for part in context.view(output.digest).leaves():
        parts.append(part)
        if sum(map(len, parts)) >= TURN:
            yield Columns.concat(hasher.name, hasher.digest_size, parts)
            parts.clear()
    if parts:
        yield Columns.concat(hasher.name, hasher.digest_size, parts)


def _unlinked(context: RepoContext, folder: str, recorded: Columns, link: LinkType) -> tuple[Columns, array[int]]:
    """Plain files with content that are not links to their objects yet, and how each looked when it was read."""
    from kist.engine.checkout.plan import pick
    from kist.engine.checkout.write import group_by_folder

    flags = [kind == FILE and size > 0 for kind, size in zip(recorded.kinds, recorded.sizes, strict=True)]
    cache = context.cache
    place = context.root / folder
    with storage_errors(place):
        objects = os.open(cache.objects_folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with Folders(root) as folders:
            for parent, ranges in group_by_folder(recorded.paths).items():
                here = folders.open(parent)
                for at in (position for span in ranges for position in span if flags[position]):
                    name = cache.loose_name(recorded.algorithm, recorded.raw(at))
                    flags[at] = not link.is_linked(objects, name, here, name_of(recorded.paths[at]))
    finally:
        os.close(root)
        os.close(objects)
    chosen = pick(recorded, flags)
    return chosen, _looks(context, folder, chosen)


def _looks(context: RepoContext, folder: str, chosen: Columns) -> array[int]:
    """How each file looked when it was read, as far as that is known: then it need not be read once more."""
    from kist.engine.checkout.shares import TURN
    from kist.engine.checkout.write import group_by_folder
    from kist.engine.workspace.rows import SMUDGED

    looks = SMUDGED * len(chosen)
    for parent, ranges in group_by_folder(chosen.paths).items():
        if sum(map(len, ranges)) >= TURN:  # perhaps far more files than those of this turn: a row would hold them all
            continue
        row = context.fingerprints.get(os.path.join(os.fsencode(folder), parent) if parent else os.fsencode(folder))
        if row is None or row.algorithm != chosen.algorithm:
            continue
        width, stats = chosen.width, row.listing.stats
        places = {name: at for at, name in enumerate(row.listing.names)}
        for at in (position for span in ranges for position in span):
            place = places.get(name_of(chosen.paths[at]), -1)
            if place >= 0 and row.digests[place * width : (place + 1) * width] == chosen.raw(at):
                known = stats[place * STAT_FIELDS : (place + 1) * STAT_FIELDS]
                looks[at * STAT_FIELDS : (at + 1) * STAT_FIELDS] = known
    return looks
