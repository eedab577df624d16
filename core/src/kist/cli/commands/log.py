"""Show the versions of tracked data that Git's history knows, the newest first."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.repo import finish, open_repo
from kist.errors import UsageError
from kist.util.units import show_count, show_size

EXAMPLES = (
    ("kist log", "all versions of all outputs"),
    ("kist log data -n 5", "the last five versions of one output"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="outputs (default: all)")
    parser.add_argument("-n", dest="most", type=int, metavar="N", help="at most N versions")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Tell the versions."""
    if args.most is not None and args.most < 0:
        raise UsageError("-n cannot be negative")
    repo = open_repo(args, "log")
    versions = []
    for one in repo.log(args.targets, most=args.most):
        what = f"{show_count(one.files, 'file')}, {show_size(one.size)}" if one.digest else "removed"
        args.output.line(f"{one.revision[:10]}  {one.date[:10]}  {one.path}  {what}  {one.subject}")
        versions.append(
            {
                "revision": one.revision,
                "date": one.date,
                "author": one.author,
                "subject": one.subject,
                "path": one.path,
                "digest": one.digest,
                "files": one.files,
                "size": one.size,
            }
        )
    if not versions and not repo.problems:
        args.output.talk("no commit has a version yet: git commit keeps them")
    finish(args, repo)
    return {"versions": versions}
