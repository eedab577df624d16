"""Show what changed in the workspace since it was recorded."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.repo import change_data, finish, open_repo, path_text

EXAMPLES = (
    ("kist status", "compare all tracked data with its recorded version"),
    ("kist status data/train", "compare just this part"),
    ("kist status --exit-code", "return 20 when something changed"),
)
CHANGED = 20
COLORS = {"added": "green", "modified": "yellow", "deleted": "red", "renamed": "blue", "missing": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="what to look at (default: all outputs)")
    parser.add_argument("--exit-code", action="store_true", help=f"return {CHANGED} when something changed")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, and tell what differs."""
    repo = open_repo(args, "status")
    report = repo.status(args.targets)
    changes = [change for one in report.outputs for change in one.changes]
    for change in changes:
        moved = f" (was {path_text(change.old_path)})" if change.old_path is not None else ""
        args.output.line(f"{change.change:<9} {path_text(change.path)}{moved}", color=COLORS[change.change])
    if not report.outputs and not repo.problems:
        args.output.line("nothing is tracked yet")
        args.output.talk("'kist add PATH' puts data under version control")
    elif not changes and not repo.problems:
        args.output.line("clean")
    elif any(change.change == "missing" for change in changes):
        args.output.talk("'kist checkout' brings missing data back from the cache, 'kist pull' from a remote")
    for warning in report.warnings:
        args.output.warn(warning)
    for section in report.sections:
        args.output.line(f"{section.title}:")
        for line in section.lines:
            args.output.line(f"  {line}")
    if args.exit_code and not report.clean:
        args.output.exit_code = CHANGED
    finish(args, repo)
    return {
        "clean": report.clean and not repo.problems,
        "changes": [change_data(change) for change in changes],
        "outputs": [{"path": one.path, "metafile": one.metafile, "clean": not one.changes} for one in report.outputs],
        "warnings": list(report.warnings),
        "sections": [{"title": one.title, "lines": list(one.lines)} for one in report.sections],
    }
