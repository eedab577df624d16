"""Bring the workspace to the recorded version, or to that of a Git revision."""

from __future__ import annotations

import argparse
import time
from typing import Any

from kist.cli.render import Output
from kist.cli.repo import finish, open_repo
from kist.errors import ObjectMissing
from kist.model.report import CheckoutReport
from kist.operations.absent import fetch_hint
from kist.util.units import show_count, show_size

EXAMPLES = (
    ("kist checkout", "after git switch: bring all data to the recorded version"),
    ("kist checkout data/train/a.png", "bring back one file"),
    ("kist checkout --rev v1 data", "bring data to the version of the tag v1"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="metafile, tracked path, path inside, or glob")
    parser.add_argument("--rev", metavar="REV", help="the version of this Git revision")
    parser.add_argument("-f", "--force", action="store_true", help="move unsaved changes in the way to the trash")
    parser.add_argument("--dry-run", action="store_true", help="tell what would change, and change nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Check out, and tell what changed."""
    repo = open_repo(args, "checkout")
    began = time.monotonic()
    report = repo.checkout(args.targets, revision=args.rev, force=args.force, dry_run=args.dry_run)
    tell(
        args.output,
        report,
        time.monotonic() - began,
        dry_run=args.dry_run,
        complete=not repo.problems,
        revision=args.rev,
    )
    finish(args, repo)
    return {**data_of(report), "dry_run": args.dry_run}


def tell(
    output: Output,
    report: CheckoutReport,
    seconds: float,
    *,
    dry_run: bool = False,
    complete: bool = True,
    revision: str | None = None,
) -> None:
    """The result for people; objects that are missing become errors."""
    for path in report.trashed:
        output.line(f"{'would move' if dry_run else 'moved'} to the trash: {path}")
    for path in report.kept:
        output.detail(f"left as it is (not tracked): {path}")
    for warning in report.warnings:
        output.warn(warning)
    verb = "would write" if dry_run else "wrote"
    if report.files or report.deleted:
        kinds = ", ".join(f"{count:,} by {name}" for name, count in sorted(report.links.items()))
        output.line(
            f"{verb} {show_count(report.files, 'file')} ({show_size(report.bytes)}){', ' + kinds if kinds else ''}, "
            f"{'remove' if dry_run else 'removed'} {report.deleted:,}, {seconds:.1f} s"
        )
    elif complete and not report.missing:
        output.line("the workspace is as recorded")
    hint = None if revision is None else fetch_hint(revision)
    for digest, paths in report.missing:
        output.fail(ObjectMissing(digest, paths=paths, where="the cache", hint=hint))


def data_of(report: CheckoutReport) -> dict[str, Any]:
    """The result as JSON data."""
    return {
        "files": report.files,
        "deleted": report.deleted,
        "bytes": report.bytes,
        "links": report.links,
        "missing": [{"digest": digest, "paths": list(paths)} for digest, paths in report.missing],
        "trashed": list(report.trashed),
        "kept": list(report.kept),
        "warnings": list(report.warnings),
    }
