"""Move or rename tracked data, whole outputs or parts of a tracked directory."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.repo import finish, open_repo

EXAMPLES = (
    ("kist move data datasets/data", "move an output with its metafile"),
    ("kist move data/a.csv data/b.csv", "rename a file inside a tracked directory"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", metavar="FROM", help="what to move")
    parser.add_argument("target", metavar="TO", help="new path, or an existing folder")
    parser.add_argument("--dry-run", action="store_true", help="tell what would move, and move nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Move, and tell what moved."""
    repo = open_repo(args, "move")
    moved = repo.move(args.source, args.target, dry_run=args.dry_run)
    for old, new in moved:
        args.output.line(f"{'would move' if args.dry_run else 'moved'} {old} -> {new}")
    finish(args, repo)
    return {"moved": [{"from": old, "to": new} for old, new in moved], "dry_run": args.dry_run}
