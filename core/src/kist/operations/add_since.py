"""add_since: record a directory by editing the version that its fingerprints are equal to, where little has changed."""

from __future__ import annotations

import os

from kist.abc.metafile import ManifestView
from kist.engine.workspace.scan import Scanner
from kist.errors import ObjectError
from kist.operations.parts import raise_problems
from kist.repo.complete import CompleteVersions
from kist.repo.context import RepoContext
from kist.repo.storing import Storing


def complete_versions(context: RepoContext) -> CompleteVersions:
    """Which versions are whole in the cache."""
    return CompleteVersions(context.place.own / "complete.json", context.cache)


def edited_since(context: RepoContext, storing: Storing, scanner: Scanner, path: str) -> ManifestView | None:
    """What a directory holds now, as an edit of the version that its fingerprints are equal to.

    Args:
        context: the repository.
        storing: what stores contents and nodes.
        scanner: of the algorithm to use; ``last`` is the scan that was made.
        path: the output's.

    Returns:
        The manifest; None if everything is to be scanned.

    Raises:
        WorkspaceError: something that is no file, link or folder is among what changed.
        StorageError: files that cannot be read.
    """
    from kist.engine.workspace.since import Since

    output = os.fsencode(path)
    base = scanner.fingerprints.base(output)
    if base is None or base.algorithm != scanner.hasher.name or not complete_versions(context).holds(path, base):
        return None
    since = Since(scanner, output, base, storing.view, storing.sink(base.algorithm))
    try:
        if not since.look(context.cache.pack_threshold):
            return None
        view = context.codec.edit(
            since.base,
            since.changes(),
            storing.put_node(base.algorithm),
            context.hasher(base.algorithm),
            storing.read_nodes(base.algorithm),
        )
    except ObjectError:  # a node is damaged: a scan of everything needs none
        return None
    since.keep()
    raise_problems(path, [*since.problems, *since.special])
    scanner.last = since
    return view
