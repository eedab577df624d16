"""The second half of verify: set damage aside in the cache, and bring good copies from any place that has them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from kist.engine.cache.mend import unindexed
from kist.errors import KistError, WorkspaceError
from kist.model.digest import Digest
from kist.operations.edited_links import detach
from kist.operations.verify import STRUCTURES, BadObject, VerifyOptions, VerifyReport
from kist.repo.context import RepoContext
from kist.repo.remotes import open_remote
from kist.repo.targets import Target


def repair(
    context: RepoContext, chosen: Sequence[Target], before: VerifyReport, options: VerifyOptions
) -> VerifyReport:
    """Put damage aside, then bring good copies: from the workspace first, then from every remote.

    Args:
        context: the repository.
        chosen: what was verified.
        before: what is wrong.
        options: how many requests at once.

    Returns:
        What is still wrong, and what is good now.

    Raises:
        StorageError: the cache or the workspace cannot be written.
    """
    with context.writing(), context.using_cache():
        structures = [one for one in before.damaged if one.digest.partition(":")[0] in STRUCTURES]
        objects = [one for one in before.damaged if one not in structures]
        for one in objects:
            detach(context, Digest.parse(one.digest), one.paths)  # an edit through a link shall stay in the workspace
            context.cache.quarantine(Digest.parse(one.digest))
        if structures or (before.missing and unindexed(context.cache)):
            context.cache.rebuild_indexes()
        wanted = {one.digest: one for one in (*objects, *before.missing) if not _is_here(context, one)}
        _from_workspace(context, [one for one in wanted.values() if one.paths])
        _manifests_from_workspace(context, chosen, [one for one in wanted.values() if not _is_here(context, one)])
        left = [one for one in wanted.values() if not _is_here(context, one)]
        if left:
            _from_remotes(context, chosen, left, options)
    still = {one.digest for one in (*objects, *before.missing) if not _is_here(context, one)}
    everything = (*before.damaged, *before.missing)
    return VerifyReport(
        before.checked,
        tuple(one for one in objects if one.digest in still),
        tuple(one for one in before.missing if one.digest in still),
        tuple(one for one in everything if one.digest not in still),
    )


def _is_here(context: RepoContext, one: BadObject) -> bool:
    return context.cache.has(Digest.parse(one.digest))


def _from_workspace(context: RepoContext, wanted: Sequence[BadObject]) -> None:
    """Store workspace files again whose content is what is wanted."""
    with context.storing() as storing:
        for one in wanted:
            digest = Digest.parse(one.digest)
            sink = storing.sink(digest.algorithm)
            for path in one.paths:
                if _holds(context, path, digest):
                    with open(context.root / path, "rb") as stream:
                        size = os.fstat(stream.fileno()).st_size
                        sink.put_stream(stream.fileno(), size, progress=context.progress)
                    break
        storing.commit()


def _holds(context: RepoContext, path: str, digest: Digest) -> bool:
    """Whether a workspace file is a regular one with exactly that content."""
    running = context.hasher(digest.algorithm).new()
    try:
        descriptor = os.open(context.root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            while data := stream.read(1 << 20):
                running.update(data)
    except OSError:
        return False
    return bool(running.digest() == digest.raw)


def _manifests_from_workspace(context: RepoContext, chosen: Sequence[Target], wanted: Sequence[BadObject]) -> None:
    """Write the manifests again of directories that are in the workspace as they were recorded.

    What lay below a node that cannot be read nobody could miss: it is stored with it.
    """
    lacking = {path for one in wanted for path in one.paths}
    for path, output in {target.tracked.path: target.tracked.output for target in chosen}.items():
        if path not in lacking or not output.is_directory or not (context.root / path).is_dir():
            continue
        algorithm = output.digest.algorithm
        with context.storing() as storing, suppress(WorkspaceError):  # no copy there, then
            scan = context.scanner(algorithm).scan(os.fsencode(path), storing.sink(algorithm))
            view = context.codec.write(
                scan, storing.put_node(algorithm), context.hasher(algorithm), storing.read_nodes(algorithm)
            )
            if view.root == output.digest:
                storing.commit()


def _from_remotes(
    context: RepoContext, chosen: Sequence[Target], wanted: Sequence[BadObject], options: VerifyOptions
) -> None:
    """Fetch the outputs that lack something, from one remote after the other until nothing is lacking."""
    from kist.engine.transfer.fetch import fetch_versions
    from kist.engine.transfer.parts import Want
    from kist.repo.remotes import remote_names

    wants = [
        Want(
            target.tracked.output.digest,
            is_directory=target.tracked.output.is_directory,
            inside=(target.inside,) if target.inside else None,
            size=target.tracked.output.size,
            path=target.tracked.path,
        )
        for target in chosen
    ]
    for name in remote_names(context):
        if all(_is_here(context, one) for one in wanted):
            return
        try:
            opened = open_remote(context, name)
            try:
                jobs = options.jobs or context.jobs
                fetch_versions(
                    context.cache, opened.store, wants, codec=context.codec, jobs=jobs, progress=context.progress
                )
            finally:
                opened.close()
        except KistError as error:
            context.progress.message(f"{name}: {error}")
