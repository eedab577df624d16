"""Add every tracked output that changed."""

from __future__ import annotations

import argparse
import time
from typing import Any

from kist.cli.commands.add import data_of, tell
from kist.cli.repo import finish, open_repo

EXAMPLES = (
    ("kist commit", "record all changes of tracked data"),
    ("kist commit data", "record the changes of one output"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="outputs to look at (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be recorded, and record nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Commit, and tell what was recorded."""
    repo = open_repo(args, "commit")
    began = time.monotonic()
    report = repo.commit(args.targets, dry_run=args.dry_run)
    if not report.outputs:
        args.output.line("nothing changed")
    tell(args, report, time.monotonic() - began)
    finish(args, repo)
    return data_of(report, dry_run=args.dry_run)
