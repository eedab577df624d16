"""Move or rename tracked data, whole outputs or parts of a tracked directory."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.repo import finish, open_repo
from kist.util.units import show_count, show_size

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
    report = repo.move(args.source, args.target, dry_run=args.dry_run)
    args.output.line(f"{'would move' if args.dry_run else 'moved'} {report.old} -> {report.new}")
    args.output.talk(f"{show_count(report.files, 'file')}, {show_size(report.bytes)}")
    finish(args, repo)
    return {
        "moved": [{"from": report.old, "to": report.new}],
        "files": report.files,
        "bytes": report.bytes,
        "dry_run": args.dry_run,
    }
