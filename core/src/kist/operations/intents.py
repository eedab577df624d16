"""Intents: what the journal says of a change of the workspace, so that the next command can plan it again."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kist.errors import MetafileError
from kist.model.digest import Digest
from kist.model.tracked import Metafile, TrackedOutput
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.repo.targets import Target


def intent_of(verb: str, target: Target, **more: Any) -> dict[str, Any]:
    """The journal's header for a change of one target.

    Args:
        verb: who finishes it.
        target: what is changed.
        more: further JSON values that the verb needs.
    """
    output = target.tracked.output
    return {
        "verb": verb,
        "output": target.tracked.path,
        "metafile": target.tracked.metafile,
        "target": str(output.digest),
        "inside": os.fsdecode(target.inside),
        "is_directory": output.is_directory,
        "executable": output.executable,
        "size": output.size,
        **more,
    }


def intent_of_many(verb: str, found: Sequence[Target]) -> dict[str, Any]:
    """The journal's header for one change of many targets.

    Args:
        verb: who finishes it.
        found: what is changed, at least one.
    """
    paths = [target.tracked.path for target in found]
    output = paths[0] if len(paths) == 1 else posixpath.commonpath(paths)
    return {"verb": verb, "output": output, "targets": [intent_of(verb, target) for target in found]}


def targets_of(header: Mapping[str, Any]) -> list[Target]:
    """The targets that a header made by :func:`intent_of` or :func:`intent_of_many` is about.

    Raises:
        MetafileError: a digest is none, or it is no such header.
    """
    many = header.get("targets")
    if many is None:
        return [target_of(header)]
    if not isinstance(many, list) or not many or not all(isinstance(one, dict) for one in many):
        raise MetafileError("a journal whose header makes no sense")
    return [target_of(one) for one in many]


def target_of(header: Mapping[str, Any]) -> Target:
    """The target that a header made by :func:`intent_of` is about.

    Raises:
        MetafileError: its digest is none, or it is no such header.
    """
    try:
        output = TrackedOutput(
            posixpath.basename(str(header["output"])),
            Digest.parse(str(header["target"])),
            is_directory=bool(header["is_directory"]),
            executable=bool(header.get("executable")),
            size=int(header.get("size") or 0),
        )
        tracked = Tracked(str(header["metafile"]), str(header["output"]), output, Metafile((output,)), b"")
    except (KeyError, ValueError, TypeError) as exc:
        raise MetafileError("a journal whose header makes no sense") from exc
    return Target(tracked, os.fsencode(str(header.get("inside") or "")))


def saved_in_cache(context: RepoContext, algorithm: str) -> Callable[[list[bytes]], list[bool]]:
    """What tells for raw digests whether their content is kept in the cache."""

    def saved(raws: list[bytes]) -> list[bool]:
        lost = set(context.cache.missing(algorithm, raws))
        return [raw not in lost for raw in raws]

    return saved
