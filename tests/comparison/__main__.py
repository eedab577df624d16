"""Do the same harm to kist and to DVC, print what came of it, and write it as a table into the documentation.

    python tests/comparison --dvc PROGRAM [--harms NAME,…] [--write]

``tox run -e compare`` installs the DVC that the table speaks of into an environment of its own.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harms import HARMS, run
from tools import Dvc, Kist

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "integrity.md"
BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"


def main():
    """Run what was asked for; exit code 1 if kist failed anywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dvc", default="dvc", help="the program")
    parser.add_argument("--kist", default=str(Path(sys.executable).with_name("kist")), help="the program")
    parser.add_argument("--harms", help="names of harms, separated by commas; all without it")
    parser.add_argument("--write", action="store_true", help="write the table into docs/explanation/integrity.md")
    args = parser.parse_args()
    chosen = [one for one in HARMS if not args.harms or one.__name__ in args.harms.split(",")]
    rows, failed = [], 0
    for harm in chosen:
        answers = {
            kind: run(harm, lambda place, kind=kind: kind(getattr(args, kind.__name__.lower()), place))
            for kind in (Kist, Dvc)
        }
        failed += sum(one is not None for one in answers[Kist])
        rows.append((harm.__doc__, *(cell(answers[kind]) for kind in (Kist, Dvc))))
        print(*rows[-1], sep="\n    ", flush=True)
    if args.write:
        write(rows)
    return 1 if failed else 0


def cell(answers):
    """How many of how many failed, and how."""
    if not answers:
        return "not tried"
    how = Counter(one for one in answers if one is not None)
    total = f"{sum(how.values())} of {len(answers)}"
    return f"{total}: {'; '.join(f'{text.strip()} ({count})' for text, count in how.items())}" if how else total


def write(rows):
    """Put the table between its marks."""
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    lines = [
        "| what is done | kist failed | DVC 3.67.1 failed |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    PAGE.write_text("\n".join([head + BEGIN, *lines, END]) + tail)


if __name__ == "__main__":
    sys.exit(main())
