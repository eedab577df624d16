"""The options of the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.operations import OPERATIONS
from benchmarks.tools import TOOLS
from benchmarks.workloads import WORKLOADS


def parse() -> argparse.Namespace:
    """Read the command line; lists are lists of known names."""
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks",
        description="Times kist and its peers as whole processes on seeded data, in one run, on one disk. Nothing passes "
        "or fails by a time: the figures are for people, and only those of one run compare.",
        epilog="workloads: " + "; ".join(f"{one.name}: {one.title}" for one in WORKLOADS.values()),
    )
    add = parser.add_argument
    add("-w", "--workloads", type=names(WORKLOADS), default=["w1"], help="separated by commas, or 'all' (default w1)")
    add("-o", "--operations", type=names(OPERATIONS), default=list(OPERATIONS), help=", ".join(OPERATIONS))
    add("-t", "--tools", type=names(TOOLS), default=list(TOOLS), help=", ".join(TOOLS))
    add("-s", "--scale", type=float, default=1.0, help="a factor for the number of files, of single files for the size")
    add("-r", "--rounds", type=int, default=3, help="how often each tool has its turn (default 3)")
    add("--repeats", type=int, default=3, help="how often in each turn what changes nothing is done (default 3)")
    add("--timeout", type=float, default=3600, help="seconds after which a command is killed (default 3600)")
    add("--rest", type=float, default=3, help="seconds to wait after data was written (default 3)")
    add("--folder", type=Path, default=Path(), help="an existing folder with room for six times the data")
    add(
        "--image",
        nargs="?",
        const="60G",
        help="make an ext4 of this size in the folder and mount it (default 60G; root)",
    )
    add("--any-disk", action="store_true", help="work on a file system without a journal too")
    add("--json", type=Path, help="write all figures there, after each turn")
    add("--load", type=Path, nargs="+", help="measure nothing, show what --json wrote; of several files all workloads")
    add("--markdown", action="store_true", help="print the tables of the documentation")
    add("--docs", type=Path, help="write them between the marker lines of this document")
    options = parser.parse_args()
    if min(options.rounds, options.repeats) < 1 or options.scale <= 0:
        parser.error("--rounds and --repeats are 1 or more, --scale is more than 0")
    return options


def names(known):
    """A reader of lists of names.

    Args:
        known: what there is.
    """

    def read(value: str) -> list[str]:
        chosen = list(known) if value == "all" else value.split(",")
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
        return chosen

    return read
