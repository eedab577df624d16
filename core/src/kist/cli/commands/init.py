"""Make a kist repository in the current folder."""

from __future__ import annotations

import argparse
from typing import Any

from kist.api import Repo

EXAMPLES = (
    ("kist init", "make a repository here"),
    ("kist init --hash sha256", "with SHA-256 instead of the default hash"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", nargs="?", default=".", metavar="DIR", help="the folder (default: the current one)")
    parser.add_argument("--hash", metavar="ALGORITHM", help="hash algorithm of new outputs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Make it."""
    repo = Repo.init(args.folder, algorithm=args.hash)
    args.output.line(f"made a kist repository in {repo.root}")
    if repo.context.git is None:
        args.output.talk("there is no Git repository here: versions of the metafiles are yours to keep")
        args.output.talk("if Git comes later, the .gitignore files that kist writes keep the data out of it")
    else:
        args.output.talk("next: kist add DATA, then git add .kist and the new metafile, and git commit")
    return {"root": str(repo.root), "id": repo.context.id, "hash": repo.context.algorithm}
