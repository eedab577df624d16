"""Fetch what is missing from a remote, then bring the workspace to the recorded version."""

from __future__ import annotations

import argparse
import time
from typing import Any

from kist.cli.commands import checkout
from kist.cli.repo import add_transfer, finish, open_repo, tell_transfer, transfer_data, transfer_options
from kist.errors import TransferError
from kist.operations.transfers import TransferOptions

EXAMPLES = (
    ("kist pull", "after git pull: bring all data to the recorded version"),
    ("kist pull data/train", "just this part of a tracked directory"),
    ("kist pull --dry-run", "tell how much would move"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_transfer(parser)
    parser.add_argument("-f", "--force", action="store_true", help="move unsaved changes in the way to the trash")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Pull, and tell what came."""
    repo = open_repo(args, "pull")
    began = time.monotonic()
    try:
        reports, placed = repo.pull(args.targets, TransferOptions(**transfer_options(args)), force=args.force)
    except TransferError as error:
        args.data = {**transfer_data(error.reports), "dry_run": args.dry_run}
        if error.placed is not None:
            args.data = {**checkout.data_of(error.placed), **args.data}
        tell_transfer(args, ("fetch", "fetched"), error.reports, time.monotonic() - began)
        raise
    seconds = time.monotonic() - began
    tell_transfer(args, ("fetch", "fetched"), reports, seconds)
    checkout.tell(args.output, placed, seconds, dry_run=args.dry_run, complete=not repo.problems)
    finish(args, repo)
    return {**checkout.data_of(placed), **transfer_data(reports), "dry_run": args.dry_run}
