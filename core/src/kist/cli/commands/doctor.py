"""Find what is wrong with this machine or repository."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from kist.cli.repo import open_repo
from kist.errors import KistError, NotARepo, PluginError
from kist.util.units import show_count

if TYPE_CHECKING:
    from kist.repo.context import RepoContext

EXAMPLES = (
    ("kist doctor", "look at links, cache, clock, locks, configuration and more"),
    ("kist doctor --remote store", "also write to, read from, list and delete on a remote"),
    ("kist doctor --fix", "mend what can be made anew: indexes, fingerprints, left-overs"),
)
_COLORS = {"ok": "green", "note": "blue", "warning": "yellow", "error": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-r", "--remote", metavar="NAME", help="try this remote with an object, and check its indexes")
    parser.add_argument("--fix", action="store_true", help="mend what can be mended without losing anything")
    parser.add_argument(
        "--dry-run", action="store_true", help="tell what --fix would mend, change nothing, here and on the remote"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Look, and tell."""
    from kist.operations.doctor import doctor

    try:
        opened: RepoContext | KistError = open_repo(args, "doctor").context
    except (NotARepo, PluginError) as error:  # of the dialect: which plugin does not work is to be told
        if args.remote is not None or args.fix:
            raise
        opened = error
    findings = []
    for one in doctor(opened, remote=args.remote, fix=args.fix, dry_run=args.dry_run):
        findings.append(one)
        if one.state != "ok" or not args.quiet:
            args.output.line(f"{one.state:<8} {one.label}: {one.detail}", color=_COLORS.get(one.state))
        if one.fix and one.state != "ok":
            args.output.line(f"{'':<8} {one.fix}")
    counts = {state: sum(one.state == state for one in findings) for state in _COLORS}
    args.output.talk(", ".join(f"{count} {state}" for state, count in counts.items() if count))
    mendable = [one.label for one in findings if one.state != "ok" and (one.fix or "").startswith("kist doctor --fix")]
    if args.dry_run:
        what = f"would mend: {', '.join(mendable)}" if mendable else "would mend nothing"
        args.output.line(what + (" (how many bytes that takes is known when it is done)" if mendable else ""))
    args.data = {
        "findings": [
            {"label": one.label, "state": one.state, "detail": one.detail, "fix": one.fix} for one in findings
        ],
        "counts": counts,
        "mendable": mendable,
        "dry_run": args.dry_run,
    }
    if counts["error"]:
        raise KistError(
            f"{show_count(counts['error'], 'thing is', 'things are')} wrong", hint="the lines above say what mends each"
        )
    return dict(args.data)
