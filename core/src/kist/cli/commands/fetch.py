"""Bring versions from a remote into the cache; the workspace stays as it is."""

from __future__ import annotations

import argparse
import time
from typing import Any

from kist.cli.repo import add_selection, add_transfer, finish, open_repo, tell_transfer, transfer_data, transfer_options
from kist.errors import TransferError
from kist.operations.transfers import TransferOptions

EXAMPLES = (
    ("kist fetch", "bring all recorded versions into the cache"),
    ("kist fetch data/train", "bring just what this folder needs"),
    ("kist fetch --rev v1 data", "bring the version of the tag v1"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_transfer(parser)
    add_selection(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Fetch, and tell what came."""
    repo = open_repo(args, "fetch")
    began = time.monotonic()
    try:
        reports = list(repo.fetch(args.targets, TransferOptions(**transfer_options(args))))
    except TransferError as error:
        args.data = {**transfer_data(error.reports), "dry_run": args.dry_run}
        tell_transfer(args, ("fetch", "fetched"), error.reports, time.monotonic() - began)
        raise
    tell_transfer(args, ("fetch", "fetched"), reports, time.monotonic() - began)
    if not reports and not repo.problems:
        args.output.line("nothing is recorded that could be fetched")
    finish(args, repo)
    return {**transfer_data(reports), "dry_run": args.dry_run}
