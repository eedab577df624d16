"""What the commands share: opening the repository, and the JSON form of what operations return."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kist.api import Repo
from kist.cli.render import Output, text_of
from kist.util.paths import json_path
from kist.util.units import show_count, show_size

if TYPE_CHECKING:
    from kist.errors import KistError
    from kist.model.change import Change
    from kist.model.entry import Entry
    from kist.model.report import TransferReport
    from kist.repo.config_edit import EditedFile


def open_repo(args: argparse.Namespace, verb: str) -> Repo:
    """The repository of the current folder, with the options of the command line; tells what of it does not count."""
    settings = {}
    if args.lock_timeout is not None:
        settings["core.lock_timeout"] = args.lock_timeout
    settings |= _budget_settings(args)
    repo = Repo(settings=settings, progress=args.output.progress, verb=verb)
    args.repo = repo  # closed when the command ends
    if verb != "doctor":  # which has them among its findings
        for warning in repo.context.config.warnings:
            args.output.warn(warning)
    return repo


def finish(args: argparse.Namespace, repo: Repo) -> None:
    """Tell the errors that did not end the command, each once: pull, for one, reads the metafiles twice."""
    told: set[tuple[type[KistError], str, object]] = set()
    for error in repo.problems:
        key = (type(error), str(error), error.path)
        if key not in told:
            told.add(key)
            args.output.fail(error)


def change_data(change: Change) -> dict[str, Any]:
    """A change as ``status`` and ``diff`` print it in JSON, without the entries."""
    data: dict[str, Any] = {**json_path(change.path), "change": change.change}
    if change.old_path is not None:
        data["old_path"] = json_path(change.old_path)["path"]
    return data


def entry_data(entry: Entry | None) -> dict[str, Any] | None:
    """An entry as ``diff`` prints it in JSON."""
    if entry is None:
        return None
    data: dict[str, Any] = {
        "digest": str(entry.digest) if entry.digest else None,
        "size": entry.size,
        "kind": entry.kind,
    }
    if entry.target is not None:
        data["target"] = json_path(entry.target)["path"]
    return data


def written_data(written: Iterable[EditedFile]) -> dict[str, Any]:
    """Configuration files that a command wrote, or would, as JSON data; no remote is asked for that."""
    written = list(written)
    return {
        "files": [text_of(one.path) for one in written],
        "bytes": sum(one.bytes for one in written),
        "requests": 0,
    }


def written_text(written: Iterable[EditedFile]) -> str:
    """The same for people."""
    written = list(written)
    if not written:
        return "no file, no request"
    size = show_size(sum(one.bytes for one in written))
    return f"{show_count(len(written), 'file')} ({', '.join(one.path for one in written)}), {size}, no request"


def path_text(path: bytes) -> str:
    """A path for people."""
    return os.fsdecode(path)


def transfer_data(reports: Iterable[TransferReport]) -> dict[str, Any]:
    """Reports of transfers as one JSON object: totals, then one object a remote."""
    reports = list(reports)
    return {
        "objects": sum(report.objects for report in reports),
        "bytes": sum(report.bytes for report in reports),
        "bytes_saved": sum(report.bytes_saved for report in reports),
        "requests": sum(report.requests for report in reports),
        "requests_expected": _expected(reports),
        "failures": [
            {
                "object": text_of(name),
                "class": type(error).__name__,
                "message": text_of(str(error)),
                "paths": [text_of(path) for path in getattr(error, "paths", ())],
            }
            for report in reports
            for name, error in report.failures
        ],
        "remotes": [
            {
                "remote": report.remote,
                "objects": report.objects,
                "bytes": report.bytes,
                "requests": report.requests,
                "requests_expected": report.requests_expected,
                "roots": list(report.roots),
            }
            for report in reports
        ],
    }


def _expected(reports: Iterable[TransferReport]) -> int | None:
    """Requests that real transfers make in all, None where that cannot be told, or these were real."""
    told = [report.requests_expected for report in reports]
    return sum(one for one in told if one is not None) if None not in told else None


def _tell_foreseen(output: Output, verb: str, reports: Iterable[TransferReport]) -> None:
    """What a dry run of a transfer found, for people."""
    for report in reports:
        if not report.objects and not report.failures:
            output.line(f"{report.remote}: everything is there already ({show_count(report.requests, 'request')})")
            continue
        told = report.requests_expected
        requests = "an unknown number of requests" if told is None else f"about {show_count(told, 'request')}"
        output.line(
            f"{report.remote}: would {verb} {show_count(report.objects, 'object')}, {show_size(report.bytes)} in "
            + requests
            + (f", {show_size(report.bytes_saved)} need not move" if report.bytes_saved else "")
        )


def tell_transfer(
    args: argparse.Namespace, verbs: tuple[str, str], reports: Iterable[TransferReport], seconds: float
) -> None:
    """The summary of a transfer for people; *verbs* say what a dry run would do, and what was done."""
    output: Output = args.output
    if args.dry_run:
        _tell_foreseen(output, verbs[0], reports)
        return
    for report in reports:
        if not report.objects and not report.failures:
            output.line(f"{report.remote}: everything is there already ({show_count(report.requests, 'request')})")
            continue
        output.line(
            f"{report.remote}: {verbs[1]} {show_count(report.objects, 'object')}, {show_size(report.bytes)} in "
            f"{show_count(report.requests, 'request')} and {seconds:.1f} s"
            + (f", {show_size(report.bytes_saved)} did not need to move" if report.bytes_saved else "")
        )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """The options that choose versions from Git's history."""
    parser.add_argument("-a", "--all-branches", action="store_true", help="the versions of all branches")
    parser.add_argument("-T", "--all-tags", action="store_true", help="the versions of all tags")
    parser.add_argument("-A", "--all-commits", action="store_true", help="the versions of all commits")
    parser.add_argument("--rev", action="append", default=[], metavar="REV", help="the version of a Git revision")


def add_transfer(parser: argparse.ArgumentParser) -> None:
    """The options of push, fetch and pull."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="metafile, tracked path, path inside, or glob")
    parser.add_argument("-r", "--remote", metavar="NAME", help="the remote (default: the output's own, or the default)")
    add_budget(parser)
    parser.add_argument("--dry-run", action="store_true", help="tell what would move, and move nothing")


def add_budget(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that speaks to a remote: what all its calls may take together."""
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="how many requests at once (default 16)")
    parser.add_argument("--limit-rate", metavar="BYTES/s", help="most bytes a second, such as 10MiB/s")
    parser.add_argument("--max-requests", metavar="N", help="most requests a second")


def _budget_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that :func:`add_budget`'s options stand for.

    Raises:
        UsageError: a number of jobs below one.
    """
    from kist.errors import UsageError

    settings: dict[str, Any] = {}
    jobs = getattr(args, "jobs", None)
    if jobs is not None and jobs < 1:
        raise UsageError("--jobs must be at least 1")
    if (rate := getattr(args, "limit_rate", None)) is not None:
        settings["transfer.limit_rate"] = rate.removesuffix("/s")
    if (requests := getattr(args, "max_requests", None)) is not None:
        settings["transfer.max_requests"] = requests
    return settings


def transfer_options(args: argparse.Namespace) -> Mapping[str, Any]:
    """Keyword arguments for TransferOptions from the parsed options."""
    from kist.operations.selection import Selection

    select = Selection()
    if hasattr(args, "all_branches"):
        select = Selection(args.all_branches, args.all_tags, args.all_commits, tuple(args.rev))
    return {"remote": args.remote, "jobs": args.jobs, "dry_run": args.dry_run, "select": select}
