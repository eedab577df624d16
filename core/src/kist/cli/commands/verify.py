"""Check that data is there and undamaged, in the cache or on a remote, and repair it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from kist.cli.render import text_of
from kist.cli.repo import add_budget, finish, open_repo
from kist.errors import ObjectError, UsageError
from kist.util.units import show_count

if TYPE_CHECKING:
    from kist.operations.verify import BadObject, VerifyReport

EXAMPLES = (
    ("kist verify", "hash the whole cache, and look whether all outputs are complete"),
    ("kist verify data/train", "just what this folder needs"),
    ("kist verify --remote store --sample 5", "read back every twentieth object from a remote"),
    ("kist verify --repair", "bring back what is damaged or missing, from any place that has it"),
)
_MOST_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="what to check (default: everything)")
    parser.add_argument("-r", "--remote", metavar="NAME", help="read back from this remote instead of the cache")
    parser.add_argument("--sample", default="100", metavar="PCT", help="percent of the objects to hash (default 100)")
    parser.add_argument("--repair", action="store_true", help="bring back what is damaged or missing")
    add_budget(parser)
    parser.add_argument("--dry-run", action="store_true", help="with --repair: tell what is wrong, repair nothing")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Check, and tell what is wrong."""
    from kist.operations.verify import VerifyOptions

    try:
        sample = float(args.sample.removesuffix("%"))
    except ValueError:
        raise UsageError(f"--sample takes a percentage, not '{args.sample}'") from None
    repo = open_repo(args, "verify")
    report = repo.verify(args.targets, VerifyOptions(args.remote, sample, args.repair and not args.dry_run, args.jobs))
    _tell(args, report, sample)
    finish(args, repo)
    args.data = _data(args, report)
    if not report.good:
        raise ObjectError(
            f"{show_count(len(report.damaged), 'object is', 'objects are')} damaged, "
            f"{show_count(len(report.missing), 'is', 'are')} missing",
            hint=_hint(args),
        )
    return dict(args.data)


def _hint(args: argparse.Namespace) -> str:
    if args.repair and not args.dry_run:
        where = (
            "run 'kist push --repair' where the data was added"
            if args.remote
            else "no place had a good copy ('kist fetch -A' looks for what older versions need)"
        )
        return f"{where}; 'kist log' tells which versions need it"
    if args.remote:
        return f"'kist verify --remote {args.remote} --repair' sends it again from the cache"
    return "'kist verify --repair' brings it back from the workspace or a remote, 'kist pull' what was never here"


def _tell(args: argparse.Namespace, report: VerifyReport, sample: float) -> None:
    where = f" on {args.remote}" if args.remote else ""
    for title, found in (("damaged", report.damaged), ("missing", report.missing), ("repaired", report.repaired)):
        for one in found[:_MOST_SHOWN]:
            needed = ", ".join(one.paths[:3]) + (", …" if len(one.paths) > 3 else "")
            color = "green" if title == "repaired" else "red"
            args.output.line(f"{title:<9} {one.digest}  {needed or '(no recorded output needs it)'}", color=color)
        if len(found) > _MOST_SHOWN:
            args.output.line(f"… and {len(found) - _MOST_SHOWN} more {title} (--json lists all)")
    if args.repair and args.dry_run and not report.good:
        count = show_count(len(report.damaged) + len(report.missing), "object")
        source = "the cache" if args.remote else "the workspace or a remote"
        args.output.line(f"would bring back {count} from {source}; bytes and requests are known when it is done")
    state = "not good" if not report.good else "all good" if sample >= 100 else f"nothing wrong in {sample:g}% of them"
    if sample < 100 and report.good and not report.checked:
        state = f"none is in a sample of {sample:g}%"
    args.output.line(f"checked {show_count(report.checked, 'object')}{where}: {state}")


def _data(args: argparse.Namespace, report: VerifyReport) -> dict[str, Any]:
    return {
        "checked": report.checked,
        "damaged": _list(report.damaged),
        "missing": _list(report.missing),
        "repaired": _list(report.repaired),
        "requests": report.requests,
        "remote": args.remote,
        "dry_run": args.dry_run,
    }


def _list(found: tuple[BadObject, ...]) -> list[dict[str, Any]]:
    return [{"digest": one.digest, "paths": [text_of(path) for path in one.paths]} for one in found]
