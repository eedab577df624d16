"""Which link types work between cache and workspace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kist.engine.process.scratch import Scratch
from kist.model.report import Finding
from kist.repo.context import RepoContext
from kist.util.atomic import use_token


def links(context: RepoContext) -> Iterator[Finding]:
    """Try each link type with a small file.

    Args:
        context: the repository.

    Yields:
        Whether it works, and which one is used.
    """
    if not os.access(context.root, os.W_OK):
        yield Finding("links", "note", "the workspace is read-only")
        return
    context.cache.ensure()
    wanted = tuple(context.config.get("cache.type"))
    names = tuple(dict.fromkeys((*wanted, "reflink", "hardlink", "symlink", "copy")))
    with _trying(context):
        reasons = {name: context.plugins.link_type(name).probe(context.cache.root, context.root) for name in names}
    chosen = next((name for name in names if reasons[name] is None and name in (*wanted, "copy")), None)
    for name, reason in reasons.items():
        if reason is None:
            use = "works, in use" if name == chosen else "works"
            yield Finding(f"link type {name}", "ok", use)
        else:
            asked = name in wanted and name != "reflink"
            yield Finding(f"link type {name}", "warning" if asked else "note", f"does not work here: {reason}")


@contextmanager
def _trying(context: RepoContext) -> Iterator[None]:
    """A scratch folder that tells the next command of files in cache and workspace, should this one be killed."""
    with Scratch(context.place.scratch, verb=context.verb) as scratch:
        scratch.register([os.fsencode(folder) for folder in (context.cache.root, context.root)], sync=False)
        use_token(scratch.token)
        try:
            yield
        finally:
            use_token("")
