"""List tracked data, of the workspace's metafiles or of a Git revision."""

from __future__ import annotations

import argparse
import itertools
from typing import Any

from kist.cli.repo import finish, open_repo, path_text
from kist.operations.list_ import Listed
from kist.util.paths import json_path
from kist.util.units import show_size

EXAMPLES = (
    ("kist list", "the tracked outputs"),
    ("kist list -R --size data", "every file of data with its size"),
    ("kist list --rev v1 data/train", "one folder as it was in v1"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("target", nargs="?", metavar="PATH", help="what to list (default: the outputs)")
    parser.add_argument("-R", "--recursive", action="store_true", help="every file, not only the first level")
    parser.add_argument("--size", action="store_true", help="show sizes and numbers of files")
    parser.add_argument("--rev", metavar="REV", help="as of this Git revision")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """List."""
    repo = open_repo(args, "list")
    listed = repo.list(args.target, revision=args.rev, recursive=args.recursive)
    entries: list[dict[str, Any]] = []
    if args.json:
        entries = [_data(one) for one in listed]
    else:
        for batch in iter(lambda: list(itertools.islice(listed, 5000)), []):
            _print(args, batch)
    finish(args, repo)
    return {"entries": entries}


def _print(args: argparse.Namespace, batch: list[Listed]) -> None:
    marks = {"directory": "/", "symlink": "@", "executable": "*"}
    names = [path_text(one.path) + marks.get(one.kind, "") for one in batch]
    if args.size:
        rows = [(show_size(one.size), f"{one.files:,}", name) for one, name in zip(batch, names, strict=True)]
        args.output.table(rows)
    else:
        for name in names:
            args.output.line(name)


def _data(one: Listed) -> dict[str, Any]:
    return {
        **json_path(one.path),
        "kind": one.kind,
        "size": one.size,
        "files": one.files,
        "digest": one.digest,
        "output": one.output,
    }
