"""Look at, restore or empty the trash: what forced commands moved out of the workspace."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from kist.cli.render import text_of
from kist.cli.repo import finish, open_repo
from kist.cli.subverbs import Subverbs, add_dry_run
from kist.errors import UsageError
from kist.util.units import parse_duration, show_count, show_size

EXAMPLES = (
    ("kist trash list", "what is there, the oldest first"),
    ("kist trash restore data/a.csv", "bring back what was at that path last"),
    ("kist trash restore data/a.csv --to old.csv", "to another place"),
    ("kist trash empty", "delete what is older than trash.keep (14 days)"),
    ("kist trash empty --older-than 0s --dry-run", "tell how much all of it is"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = Subverbs(parser, run_list)
    verbs.add("list", "show what is in the trash", run_list, EXAMPLES[:1])
    restore = verbs.add("restore", "bring something back; nothing is overwritten", run_restore, EXAMPLES[1:3])
    restore.add_argument("name", metavar="ID|PATH", help="an id of the list, or the path that it had")
    restore.add_argument("--to", metavar="PATH", help="where it goes (default: where it was)")
    empty = verbs.add("empty", "delete what is old enough", run_empty, EXAMPLES[3:])
    empty.add_argument("--older-than", metavar="AGE", help="such as 12h or 3d (default: trash.keep)")
    add_dry_run(restore)
    add_dry_run(empty)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do what the sub-verb says."""
    data: dict[str, Any] = args.subverb(args)
    return data


def run_list(args: argparse.Namespace) -> dict[str, Any]:
    """Show what is there."""
    repo = open_repo(args, "trash list")
    found = list(repo.trash())
    args.output.table(
        [
            (one.id, f"{datetime.fromtimestamp(one.when).astimezone():%Y-%m-%d %H:%M}", show_size(one.size), one.path)
            for one in found
        ]
    )
    if not found:
        args.output.talk("the trash is empty")
    finish(args, repo)
    return {
        "entries": [
            {"id": one.id, "path": one.path, "size": one.size, "when": one.when, "reason": one.reason} for one in found
        ]
    }


def run_restore(args: argparse.Namespace) -> dict[str, Any]:
    """Bring something back."""
    repo = open_repo(args, "trash restore")
    report = repo.restore(args.name, args.to, dry_run=args.dry_run)
    for place in report.places:
        args.output.line(f"{'would restore' if args.dry_run else 'restored'} {place}")
    args.output.talk(f"{show_count(report.files, 'file')}, {show_size(report.bytes)}")
    finish(args, repo)
    return {
        "restored": [text_of(place) for place in report.places],
        "files": report.files,
        "bytes": report.bytes,
        "dry_run": args.dry_run,
    }


def run_empty(args: argparse.Namespace) -> dict[str, Any]:
    """Delete what is old enough."""
    age = None
    if args.older_than is not None:
        try:
            age = parse_duration(args.older_than)
        except ValueError as exc:
            raise UsageError(f"--older-than: {exc}") from None
    repo = open_repo(args, "trash empty")
    entries, size = repo.empty_trash(older_than=age, dry_run=args.dry_run)
    args.output.line(
        f"{'would delete' if args.dry_run else 'deleted'} {show_count(entries, 'entry', 'entries')}, {show_size(size)}"
    )
    finish(args, repo)
    return {"entries": entries, "bytes": size, "dry_run": args.dry_run}
