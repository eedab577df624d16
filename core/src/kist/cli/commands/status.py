"""Show what changed in the workspace since it was recorded."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kist.cli.repo import change_data, finish, open_repo, path_text
from kist.util.paths import json_path

if TYPE_CHECKING:
    from kist.cli.render import Output
    from kist.operations.published import Publication

EXAMPLES = (
    ("kist status", "compare all tracked data with its recorded version"),
    ("kist status data/train", "compare just this part"),
    ("kist status --exit-code", "return 20 when something changed"),
    ("kist status --remote", "tell also what the remote has, since when, and when it was read back"),
)
CHANGED = 20
COLORS = {"added": "green", "modified": "yellow", "deleted": "red", "renamed": "blue", "missing": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="what to look at (default: all outputs)")
    parser.add_argument(
        "-r",
        "--remote",
        nargs="?",
        const="",
        metavar="NAME",
        help="ask also what this remote has (default: the output's own, or the default)",
    )
    parser.add_argument("--exit-code", action="store_true", help=f"return {CHANGED} when something changed")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, and tell what differs."""
    repo = open_repo(args, "status")
    report = repo.status(args.targets)
    changes = [change for one in report.outputs for change in one.changes]
    for change in changes:
        moved = f" (was {path_text(change.old_path)})" if change.old_path is not None else ""
        args.output.line(f"{change.change:<9} {path_text(change.path)}{moved}", color=COLORS[change.change])
    if not report.outputs and not repo.problems:
        args.output.line("nothing is tracked yet")
        args.output.talk("'kist add PATH' puts data under version control")
    elif not changes and not repo.problems:
        args.output.line("clean")
    elif any(change.change == "missing" for change in changes):
        args.output.talk("'kist checkout' brings missing data back from the cache, 'kist pull' from a remote")
    publications = [] if args.remote is None else list(repo.published(args.targets, remote=args.remote or None))
    _tell_published(args.output, publications)
    for warning in report.warnings:
        args.output.warn(warning)
    for section in report.sections:
        args.output.line(f"{section.title}:")
        for line in section.lines:
            args.output.line(f"  {line}")
    if args.exit_code and not report.clean:
        args.output.exit_code = CHANGED
    finish(args, repo)
    data = {
        "clean": report.clean and not repo.problems,
        "changes": [change_data(change) for change in changes],
        "outputs": [{"path": one.path, "metafile": one.metafile, "clean": not one.changes} for one in report.outputs],
        "warnings": list(report.warnings),
        "sections": [{"title": one.title, "lines": list(one.lines)} for one in report.sections],
    }
    if args.remote is not None:
        data["published"] = [_publication_data(one) for one in publications]
    return data


def _tell_published(output: Output, publications: Sequence[Publication]) -> None:
    """What remotes have, for people."""
    rows: list[tuple[str, ...]] = []
    for one in publications:
        standing = one.standing
        if standing is None:
            rows.append((one.path, one.remote, "not pushed: kist push"))
            continue
        since = f"complete since {_when(standing.since)}" if standing.since is not None else "complete"
        if standing.condemned:
            since = "condemned by gc: push it again to keep it"
        check = standing.check
        read = "never read back from here" if check is None else f"read back {_when(check.when)}"
        if check is not None and check.sample < 100:
            read += f" ({check.sample:g}% of it)"
        rows.append((one.path, one.remote, f"{since}, {read}"))
    output.table(rows)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _publication_data(one: Publication) -> dict[str, Any]:
    standing = one.standing
    check = standing.check if standing is not None else None
    return {
        **json_path(os.fsencode(one.path)),
        "digest": str(one.digest),
        "remote": one.remote,
        "complete": standing is not None,
        "condemned": standing is not None and standing.condemned,
        "since": standing.since if standing is not None else None,
        "checked": check.when if check is not None else None,
        "sample": check.sample if check is not None else None,
    }
