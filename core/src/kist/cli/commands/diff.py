"""Compare two versions of the tracked data, file by file."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.commands.status import COLORS
from kist.cli.repo import change_data, entry_data, finish, open_repo, path_text
from kist.operations.diff import split_words
from kist.util.units import show_size

EXAMPLES = (
    ("kist diff", "from the last Git commit to the workspace"),
    ("kist diff v1", "from the tag v1 to the workspace"),
    ("kist diff v1 v2 -- data/train", "between two tags, one part only"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("old", nargs="?", metavar="OLD", help="a Git revision (default: HEAD)")
    parser.add_argument("new", nargs="?", metavar="NEW", help="a Git revision (default: the workspace)")
    parser.add_argument("targets", nargs="*", metavar="PATH", help="limit the comparison to these paths")
    parser.add_argument("--exit-code", action="store_true", help="return 20 when something differs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, and tell what differs."""
    repo = open_repo(args, "diff")
    words = [word for word in (args.old, args.new, *args.targets) if word is not None]
    old, new, paths = split_words(repo.context, words, getattr(args, "behind_dashes", None))
    report = repo.diff(old, new, paths)
    for change in report.changes:
        moved = f" (was {path_text(change.old_path)})" if change.old_path is not None else ""
        sizes = " -> ".join(show_size(entry.size) for entry in (change.old, change.new) if entry is not None)
        args.output.line(f"{change.change:<9} {path_text(change.path)}{moved}  {sizes}", color=COLORS[change.change])
    totals = report.totals()
    if report.changes:
        counted = ", ".join(f"{totals[kind]} {kind}" for kind in ("added", "modified", "deleted", "renamed"))
        args.output.talk(f"{report.old} -> {report.new}: {counted}")
    else:
        args.output.talk(f"{report.old} -> {report.new}: no difference")
    if args.exit_code and report.changes:
        args.output.exit_code = 20
    finish(args, repo)
    return {
        "old": report.old,
        "new": report.new,
        "changes": [
            {**change_data(change), "old": entry_data(change.old), "new": entry_data(change.new)}
            for change in report.changes
        ],
        "totals": totals,
    }
