"""Send versions to a remote; what is there is not sent again."""

from __future__ import annotations

import argparse
import time
from typing import Any

from kist.cli.repo import add_selection, add_transfer, finish, open_repo, tell_transfer, transfer_data, transfer_options
from kist.errors import TransferError
from kist.operations.transfers import TransferOptions

EXAMPLES = (
    ("kist push", "send all recorded versions to the default remote"),
    ("kist push -r store data", "one output, to the remote named store"),
    ("kist push -a -T", "the versions of all branches and tags too"),
    ("kist push --repair", "check what the remote has and replace what is damaged"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_transfer(parser)
    add_selection(parser)
    parser.add_argument("--repair", action="store_true", help="check the remote's objects and replace damaged ones")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Push, and tell what was sent."""
    repo = open_repo(args, "push")
    began = time.monotonic()
    try:
        reports = list(repo.push(args.targets, TransferOptions(repair=args.repair, **transfer_options(args))))
    except TransferError as error:
        args.data = {**transfer_data(error.reports), "dry_run": args.dry_run}
        tell_transfer(args, ("send", "sent"), error.reports, time.monotonic() - began)
        raise
    tell_transfer(args, ("send", "sent"), reports, time.monotonic() - began)
    if not reports and not repo.problems:
        args.output.line("nothing is recorded that could be pushed")
    finish(args, repo)
    return {**transfer_data(reports), "dry_run": args.dry_run}
