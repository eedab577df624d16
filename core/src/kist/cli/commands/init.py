"""Make a kist repository in the current folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kist.operations.init import init
from kist.util.units import show_size

EXAMPLES = (
    ("kist init", "make a repository here"),
    ("kist init --hash sha256", "with SHA-256 instead of the default hash"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", nargs="?", default=".", metavar="DIR", help="the folder (default: the current one)")
    parser.add_argument("--hash", metavar="ALGORITHM", help="hash algorithm of new outputs")
    parser.add_argument("--dry-run", action="store_true", help="check everything, make nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Make it."""
    made = init(Path(args.folder), algorithm=args.hash, dry_run=args.dry_run)
    args.output.line(f"{'would make' if args.dry_run else 'made'} a kist repository in {made.root}")
    for marker in made.hides:
        args.output.warn(f".kist goes before {marker} in this folder: what the metafiles of that one track is not seen")
    if args.dry_run:
        args.output.talk(f"1 file, {show_size(made.bytes)}")
    if not made.in_git:
        args.output.talk("there is no Git repository here: versions of the metafiles are yours to keep")
        args.output.talk("if Git comes later, the .gitignore files that kist writes keep the data out of it")
    else:
        args.output.talk("next: kist add DATA, then git add .kist and the new metafile, and git commit")
    return {
        "root": str(made.root),
        "id": made.id,
        "hash": made.algorithm,
        "files": 1,
        "bytes": made.bytes,
        "dry_run": args.dry_run,
    }
