"""Print a tracked file of any version to standard output."""

from __future__ import annotations

import argparse
import base64
import sys
from typing import Any

from kist.cli.repo import open_repo

EXAMPLES = (
    ("kist cat data/labels.csv", "the recorded version"),
    ("kist cat --rev v1 data/labels.csv", "the version of the tag v1"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("target", metavar="PATH", help="a tracked file, or one inside a tracked directory")
    parser.add_argument("--rev", metavar="REV", help="as of this Git revision")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print it; with --json its bytes are in ``content_b64``."""
    repo = open_repo(args, "cat")
    blocks = repo.cat(args.target, revision=args.rev)
    if args.json:
        return {"content_b64": base64.b64encode(b"".join(blocks)).decode("ascii")}
    sys.stdout.flush()
    for block in blocks:
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    return {}
