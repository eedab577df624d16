"""gc --plan FILE and --apply FILE: plans that are looked at before they are carried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kist.engine.process.scratch import write_alone
from kist.errors import UsageError
from kist.operations.gc import GcOptions, GcReport
from kist.operations.selection import Selection
from kist.repo.context import RepoContext
from kist.util.atomic import storage_errors
from kist.util.json_text import load_json
from kist.util.slotted import field, slotted

FORMAT = "kist-gc-plan/1"
_LARGEST_PLAN = 1 << 30


@slotted(frozen=True)
class SavedPlan:
    """A plan that was written to a file, to be looked at and carried out later.

    Args:
        options: what must live, where.
        names: what may go.
    """

    options: GcOptions
    names: frozenset[str] = field(default_factory=frozenset)


def save_plan(path: Path, context: RepoContext, options: GcOptions, report: GcReport) -> None:
    """Write a plan to a file.

    Args:
        path: the file.
        context: the repository.
        options: with which it was made.
        report: the plan.

    Raises:
        UsageError: something else than a file is there.
        StorageError: it cannot be written.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file: nothing is written there", hint="name a new file for the plan")
    select = options.select
    document = {
        "format": FORMAT,
        "repository": context.id,
        "remote": options.remote,
        "workspace": options.workspace,
        "branches": select.branches,
        "tags": select.tags,
        "commits": select.commits,
        "revisions": list(select.revisions),
        "without": list(options.without),
        "candidates": report.candidates,
        "bytes": report.bytes,
        "plan": [{"name": one.name, "bytes": one.bytes, "reason": one.reason} for one in report.plan],
    }
    write_alone(path, json.dumps(document, indent=1).encode() + b"\n")


def load_plan(path: Path, context: RepoContext) -> SavedPlan:
    """Read a plan from a file.

    Args:
        path: the file.
        context: the repository.

    Returns:
        The plan.

    Raises:
        UsageError: it is none, or one of another repository.
        StorageError: it cannot be read.
    """
    with storage_errors(path), open(path, "rb") as stream:
        data = stream.read(_LARGEST_PLAN)
    try:
        document: Any = load_json(data)
        if document["format"] != FORMAT:
            raise ValueError(FORMAT)
        select = Selection(
            bool(document["branches"]),
            bool(document["tags"]),
            bool(document["commits"]),
            tuple(map(str, document["revisions"])),
        )
        remote = None if document["remote"] is None else str(document["remote"])
        without = tuple(map(str, document.get("without", ())))
        names = frozenset(str(one["name"]) for one in document["plan"])
        owner, workspace = document["repository"], bool(document["workspace"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is no plan of gc", hint="'kist gc --plan FILE' writes one", path=str(path)) from None
    if owner != context.id:
        raise UsageError(f"{path} is a plan for another repository ({owner})", path=str(path))
    return SavedPlan(GcOptions(select, workspace, remote, only=names, without=without), names)
