"""Stop tracking data and take it out of the workspace; recorded versions stay in the cache."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.repo import finish, open_repo
from kist.util.units import show_count, show_size

EXAMPLES = (
    ("kist remove data", "stop tracking data and remove it from the workspace"),
    ("kist remove --keep data", "stop tracking it, leave the files"),
    ("kist remove data/old.csv", "remove one file of a tracked directory"),
)

_MOST_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="metafile, tracked path, path inside, or glob")
    parser.add_argument("--keep", action="store_true", help="leave the files in the workspace")
    parser.add_argument("-f", "--force", action="store_true", help="move unsaved changes to the trash")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be removed, and remove nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Remove, and tell what was removed."""
    repo = open_repo(args, "remove")
    report = repo.remove(args.targets, keep=args.keep, force=args.force, dry_run=args.dry_run)
    for path in report.trashed:
        args.output.line(f"{'would move' if args.dry_run else 'moved'} to the trash: {path}")
    for path in report.paths:
        args.output.line(f"{'would remove' if args.dry_run else 'removed'} {path}")
    if report.files:
        args.output.talk(f"{show_count(report.files, 'file')}, {show_size(report.bytes)}")
    for path in report.kept[:_MOST_SHOWN]:
        args.output.talk(f"left as it is (not tracked): {path}")
    if len(report.kept) > _MOST_SHOWN:
        args.output.talk(f"… and {len(report.kept) - _MOST_SHOWN:,} more (--json lists all)")
    finish(args, repo)
    return {
        "removed": list(report.paths),
        "files": report.files,
        "bytes": report.bytes,
        "trashed": list(report.trashed),
        "kept": list(report.kept),
        "kept_files": args.keep,
        "dry_run": args.dry_run,
    }
