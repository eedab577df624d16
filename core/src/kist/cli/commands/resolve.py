"""Merge what two branches recorded, where Git left a conflict in a metafile."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.repo import finish, open_repo
from kist.errors import PathConflict
from kist.operations.resolve import ResolveReport
from kist.util.units import show_count, show_size

EXAMPLES = (
    ("kist resolve", "after a git merge that left conflicts: merge both sides of each directory"),
    ("kist resolve --theirs data", "where both sides changed a file, take the other side's"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="outputs, metafiles or folders (default: all)")
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--ours", action="store_const", const="ours", dest="take", help="decide for our side")
    side.add_argument("--theirs", action="store_const", const="theirs", dest="take", help="decide for the other side")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be merged, and write nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Resolve, and tell what was merged and what somebody must decide."""
    repo = open_repo(args, "resolve")
    report = repo.resolve(args.targets, take=args.take, dry_run=args.dry_run)
    _tell(args, report, nothing=not repo.problems)
    finish(args, repo)
    return {
        "outputs": [
            {
                "path": one.path,
                "metafile": one.metafile,
                "digest": str(one.output.digest),
                "files": one.output.files,
                "size": one.output.size,
                "taken": one.taken,
            }
            for one in report.outputs
        ],
        "clashes": [{"path": one.path, "ours": one.ours, "theirs": one.theirs} for one in report.clashes],
        "written": list(report.written),
        "settled": list(report.settled),
        "dry_run": args.dry_run,
    }


def _tell(args: argparse.Namespace, report: ResolveReport, *, nothing: bool) -> None:
    output = args.output
    verb = "would merge" if args.dry_run else "merged"
    for one in report.outputs:
        size = f"{show_count(one.output.files, 'file')}, {show_size(one.output.size)}"
        output.line(f"{verb} {one.path}: {size}, {show_count(one.taken, 'change')} taken over")
    for clash in report.clashes:
        output.line(f"both changed {clash.path}: {clash.ours} by us, {clash.theirs} by them")
    if nothing and not (report.outputs or report.clashes or report.written or report.settled):
        output.line("no metafile has a conflict")
    waiting = [*report.written, *report.settled]
    if waiting and not args.dry_run:
        output.talk(f"next: git add {' '.join(waiting)}, then kist pull")
    if report.clashes:
        count = show_count(len(report.clashes), "path")
        hint = (
            "'kist resolve --ours' or '--theirs' decides; 'git rm' or 'git add' where one side deleted the whole output"
        )
        output.fail(PathConflict(f"both sides changed {count}", hint=hint))
