"""Put files or directories under version control, or record their changes."""

from __future__ import annotations

import argparse
import time
from typing import Any

from kist.cli.repo import finish, open_repo
from kist.model.report import AddReport
from kist.util.units import show_count, show_size

EXAMPLES = (
    ("kist add data", "track the directory data, or record its changes"),
    ("kist add data/new.csv", "record just this file of a tracked directory"),
    ("kist add 'models/*.bin'", "track each file that fits"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="+", metavar="PATH", help="file, directory, part of a tracked one, or glob")
    parser.add_argument("--description", metavar="TEXT", help="keep a description in the metafile")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be recorded, and record nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Add, and tell what was added."""
    repo = open_repo(args, "add")
    began = time.monotonic()
    report = repo.add(args.targets, description=args.description, dry_run=args.dry_run)
    tell(args, report, time.monotonic() - began)
    finish(args, repo)
    return data_of(report, dry_run=args.dry_run)


def tell(args: argparse.Namespace, report: AddReport, seconds: float) -> None:
    """The result for people."""
    verb = "would record" if args.dry_run else "recorded"
    for one in report.outputs:
        args.output.line(f"{verb} {one.path}: {show_count(one.files, 'file')}, {show_size(one.size)}")
    for warning in report.warnings:
        args.output.warn(warning)
    if report.outputs:
        stored = "would store" if args.dry_run else "stored"
        args.output.talk(
            f"read {show_size(report.bytes_read)}, {stored} {show_size(report.bytes_stored)} in {seconds:.1f} s"
        )


def data_of(report: AddReport, *, dry_run: bool) -> dict[str, Any]:
    """The result as JSON data."""
    return {
        "outputs": [
            {"path": one.path, "metafile": one.metafile, "digest": one.digest, "files": one.files, "size": one.size}
            for one in report.outputs
        ],
        "bytes_read": report.bytes_read,
        "bytes_stored": report.bytes_stored,
        "warnings": list(report.warnings),
        "dry_run": dry_run,
    }
