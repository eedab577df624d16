"""Collect objects that nothing needs, in the cache or on a remote."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kist.api import Repo
from kist.cli.repo import add_budget, add_selection, finish, open_repo
from kist.errors import UsageError
from kist.util.units import show_count, show_size

if TYPE_CHECKING:
    from kist.operations.gc import GcOptions, GcReport

EXAMPLES = (
    ("kist gc --plan", "list what neither the workspace nor any commit needs, and why"),
    ("kist gc", "the same, and ask before it goes to the trash"),
    ("kist gc -w -f", "keep only what the workspace needs, without a question"),
    ("kist gc -a -T --plan dead.json", "keep what branches and tags need, write a plan"),
    ("kist gc --apply dead.json", "carry out a plan"),
    ("kist gc --undo", "bring back what the last gc took"),
    ("kist gc -r store -f", "condemn on a remote what nobody needs; deleted after 14 days"),
)
_MOST_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-w", "--workspace", action="store_true", help="only the workspace's versions must live")
    add_selection(parser)
    parser.add_argument("-r", "--remote", metavar="NAME", help="collect on this remote instead of the cache")
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    parser.add_argument("--plan", nargs="?", const="", metavar="FILE", help="only list what would go, and why")
    parser.add_argument("--apply", metavar="FILE", help="carry out a plan that --plan FILE wrote")
    parser.add_argument("--undo", action="store_true", help="bring back what the last gc took away")
    parser.add_argument(
        "--forget",
        metavar="ID|FOLDER",
        help="no longer spare what a repository, or a clone, needs that is gone for good",
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="REV", help="go on though metafiles of REV cannot be read"
    )
    parser.add_argument("--now", action="store_true", help="delete at once instead of moving to the trash")
    add_budget(parser)
    parser.add_argument("--dry-run", action="store_true", help="tell what would happen, change nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Plan, ask, collect."""
    if sum((args.undo, args.forget is not None, args.apply is not None, args.plan is not None)) > 1:
        raise UsageError("--plan, --apply, --undo and --forget do not go together")
    repo = open_repo(args, "gc")
    if args.undo:
        return _undo(args, repo)
    if args.forget is not None:
        return _forget(args, repo)
    from kist.operations import gc

    options = _options(args, repo)
    collection = gc.plan(repo.context, options)
    report = collection.report
    args.data = _data(args, report)
    _tell(args, report)
    if args.plan:
        from kist.operations.gc_plans import save_plan

        save_plan(Path(args.plan), repo.context, options, report)
        args.output.line(f"'kist gc --apply {args.plan}' carries it out")
    wanted = args.plan is None and not args.dry_run
    # On a remote, what was condemned earlier may be due, or be needed again, though nothing new is dead.
    if wanted and (report.candidates or args.remote is not None):
        if not (args.force or args.apply) and report.candidates:
            _confirm(args, report)
        report = collection.apply()
        _told(args, report)
    finish(args, repo)
    return _data(args, report)


def _options(args: argparse.Namespace, repo: Repo) -> GcOptions:
    from kist.operations.gc import GcOptions
    from kist.operations.gc_plans import load_plan
    from kist.operations.selection import Selection
    from kist.util.slotted import replace

    if args.apply is not None:
        saved = load_plan(Path(args.apply), repo.context).options
        return replace(saved, now=args.now, dry_run=args.dry_run, jobs=args.jobs)
    select = Selection(args.all_branches, args.all_tags, args.all_commits, tuple(args.rev))
    return GcOptions(select, args.workspace, args.remote, args.now, args.dry_run, None, args.jobs, tuple(args.without))


def _confirm(args: argparse.Namespace, report: GcReport) -> None:
    """Ask a person; nothing goes without a yes.

    Raises:
        UsageError: nobody is there to ask, or the answer is no.
    """
    what = f"{show_count(report.candidates, 'object')}, {show_size(report.bytes)}"
    if not args.json and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write(f"Collect {what}? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
        raise UsageError("nothing was collected", hint="'kist gc --plan' tells why each object would go")
    raise UsageError(
        f"nothing was collected: {what} would go, and nobody is here to ask",
        hint="repeat with -f, or look at the plan first: kist gc --plan FILE",
    )


def _tell(args: argparse.Namespace, report: GcReport) -> None:
    for note in report.notes:
        args.output.talk(note)
    if not report.candidates:
        args.output.line("nothing to collect")
        return
    if args.plan is not None or args.dry_run or args.verbose:
        most = len(report.plan) if args.verbose else _MOST_SHOWN
        for one in report.plan[:most]:
            args.output.line(f"{show_size(one.bytes):>10}  {one.name}  {one.reason}")
        if len(report.plan) > most:
            args.output.line(f"… and {len(report.plan) - most} more (--verbose or --json lists all)")
    args.output.line(f"{show_count(report.candidates, 'object')} that nothing needs, {show_size(report.bytes)}")
    if args.remote is not None and (args.plan is not None or args.dry_run):
        made, more = report.requests, report.requests_expected - report.requests
        args.output.talk(f"{show_count(made, 'request')} so far; carrying it out takes about {more} more")


def _told(args: argparse.Namespace, report: GcReport) -> None:
    if args.remote is not None:
        condemned = report.collected - report.deleted
        what = show_count(condemned, "key is condemned", "keys are condemned")
        args.output.line(f"{what}, {show_count(report.deleted, 'was', 'were')} deleted")
    elif report.deleted:
        args.output.line(f"deleted {show_count(report.deleted, 'object')}, {show_size(report.bytes)}")
    elif report.collected:
        args.output.line(
            f"moved {show_count(report.collected, 'object')} to the trash; 'kist gc --undo' brings them back"
        )


def _data(args: argparse.Namespace, report: GcReport) -> dict[str, Any]:
    return {
        "candidates": report.candidates,
        "bytes": report.bytes,
        "plan": [{"name": one.name, "bytes": one.bytes, "reason": one.reason} for one in report.plan],
        "collected": report.collected,
        "deleted": report.deleted,
        "remote": args.remote,
        "requests": report.requests,
        "requests_expected": report.requests_expected if args.dry_run or args.plan is not None else None,
        "dry_run": bool(args.dry_run or args.plan is not None),
    }


def _undo(args: argparse.Namespace, repo: Repo) -> dict[str, Any]:
    from kist.operations.gc_undo import undo

    back = undo(repo.context, args.remote, dry_run=args.dry_run)
    verb = "would bring back" if args.dry_run else "brought back"
    size = "" if back.size is None else f", {show_size(back.size)}"
    what = show_count(back.count, "key") if args.remote else show_count(back.count, "file") + " of the cache"
    args.output.line(f"{verb} {what}{size}")
    finish(args, repo)
    return {"restored": back.count, "bytes": back.size, "remote": args.remote, "dry_run": args.dry_run}


def _forget(args: argparse.Namespace, repo: Repo) -> dict[str, Any]:
    from kist.operations.gc_undo import forget

    count = forget(repo.context, args.forget, args.remote, dry_run=args.dry_run)
    args.output.line(f"{'would forget' if args.dry_run else 'forgot'} {show_count(count, 'ref')} of {args.forget}")
    finish(args, repo)
    return {"forgotten": args.forget, "refs": count, "remote": args.remote, "dry_run": args.dry_run}
