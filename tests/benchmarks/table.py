"""Results as text: for the terminal, and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import limits
from benchmarks.operations import OPERATIONS
from benchmarks.remotes import FOLDER
from benchmarks.results import Cell, Results
from benchmarks.workloads import START, WORKLOADS

NONE = "–"
KINDS = {"kist-durable": ", durable", "kist-pure": ", without the compiled kernel"}
"""How the rows of kist differ from one another."""


def text(results: Results) -> str:
    """Every cell in a line of its own."""
    lines = []
    for workload, operation, tool, cell in cells(results):
        head = f"{workload:11} {operation:18} {tool:13}"
        lines.append(f"{head} {details(cell)}" if cell.samples else f"{head} {cell.error}")
    for workload, kinds in results.limits.items():
        for kind in kinds:
            value = results.limit(workload)[kind]
            shown = f"{value:.4f} s" if isinstance(value, float) else value
            lines.append(f"{workload:11} limit {kind:12} {shown}  {limits.KINDS[kind]}")
    return "\n".join(lines)


def cells(results: Results) -> Iterator[tuple[str, str, str, Cell]]:
    """All cells, in order."""
    for workload, operations in results.cells.items():
        for operation in OPERATIONS:
            for tool, cell in operations.get(operation, {}).items():
                yield workload, operation, tool, cell


def details(cell: Cell) -> str:
    """What one cell has, in one line."""
    seconds = cell.all()
    parts = [
        f"{seconds_of(cell.median())} s ({seconds_of(min(seconds))}–{seconds_of(max(seconds))})",
        f"cpu {seconds_of(cell.median('cpu'))} s",
        f"{megabytes(cell.median('memory'))} MB",
        f"read {megabytes(cell.median('read'))} MB",
        f"written {megabytes(cell.median('written'))} MB",
    ]
    requests = cell.median("requests")
    parts += [f"{requests:.0f} requests"] if requests is not None else []
    parts += [f"stored {megabytes(cell.stored)} MB"] if cell.stored is not None else []
    return ", ".join(parts) + (f" [{cell.error}]" if cell.error else "")


def seconds_of(value: float | None) -> str:
    """Seconds with as many digits as mean something."""
    if value is None:
        return NONE
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def megabytes(value: float | None) -> str:
    """Megabytes."""
    if value is None:
        return NONE
    return f"{value / 1e6:.0f}" if value >= 1e7 else f"{value / 1e6:.1f}"


def ratio(above: float | None, below: float | None) -> str:
    """How many times the second the first is."""
    if not above or not below:
        return NONE
    value = above / below
    return f"{value:.0f}×" if value >= 10 else f"{value:.1f}×" if value >= 1 else f"{value:.2f}×"


def markdown(results: Results) -> dict[str, str]:
    """The tables for the documentation, under the names of the marker lines between which they belong."""
    found: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for workload, title in results.workloads.items():
        if workload in results.cells:
            name = "benchmarks" if WORKLOADS.get(workload, START).remote == FOLDER else "remotes"
            lines, blank = found.setdefault(name, about(results)), missing.setdefault(name, [])
            lines += ["", f"### {title[0].upper()}{title[1:]}", ""]
            if name == "remotes":
                lines += transfers(results, workload, blank)
            else:
                lines += [*comparison(results, workload, blank), "", *own(results, workload)]
    for name, blank in missing.items():
        found[name] += ["", "Blank cells:", "", *sorted(set(blank))] if blank else []
    return {name: "\n".join(lines) for name, lines in found.items()}


def about(results: Results) -> list[str]:
    """On which machine, when, with which versions and how."""
    found = results.about
    how = (
        f"Measured on {found['date']} by `{found['command']}`: {found['rounds']} rounds, in which the tools take turns."
    )
    lines = [
        f"{how} {found['machine']}. Seconds are medians of whole processes.",
        "",
        "| tool | version | how it was run |",
        "|---|---|---|",
    ]
    lines += [f"| {tool} | {one['version']} | {one['flags']} |" for tool, one in found["tools"].items()]
    return lines


def comparison(results: Results, workload: str, missing: list[str]) -> list[str]:
    """All tools side by side on one workload, in seconds, and how kist compares."""
    operations = results.cells[workload]
    tools = [tool for tool in results.about["tools"] if any(tool in row for row in operations.values())]
    heads = ["operation", *tools, "limit", "kist to best peer", "DVC to kist", "kist to limit"]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for operation in OPERATIONS:
        if operation not in operations:
            continue
        row = operations[operation]
        seconds = {tool: row[tool].median() if tool in row else None for tool in tools}
        best = results.best_peer(workload, operation)
        least = limits.of(operation, results.limit(workload))
        ours = seconds.get("kist")
        missing += reasons(results, workload, operation)
        shown = [
            OPERATIONS[operation].title,
            *(seconds_of(seconds[tool]) for tool in tools),
            seconds_of(least),
            f"{ratio(ours, best[1])} {best[0]}" if best else NONE,
            ratio(seconds.get("dvc"), ours),
            ratio(ours, least),
        ]
        lines.append("| " + " | ".join(shown) + " |")
    return lines


def reasons(results: Results, workload: str, operation: str) -> list[str]:
    """Why cells of one operation are blank."""
    return [
        f"- {tool}, {OPERATIONS[operation].title}, {results.workloads[workload]}: {cell.error}"
        for tool, cell in results.cells[workload][operation].items()
        if cell.error and cell.error != "no counterpart"
    ]


def transfers(results: Results, workload: str, missing: list[str]) -> list[str]:
    """What every tool took on a workload with a server, one line each."""
    lines = [
        "| operation | tool | median (least–most), s | kist to it | processor, s | memory, MB | requests |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    operations = results.cells[workload]
    for operation in operations:
        missing += reasons(results, workload, operation)
    for _, operation, tool, cell in cells(Results(cells={workload: operations})):
        if cell.error == "no counterpart":
            continue
        seconds, requests = cell.all(), cell.median("requests")
        ours = operations[operation]["kist"].median() if "kist" in operations[operation] else None
        shown = [
            OPERATIONS[operation].title,
            tool,
            f"{seconds_of(cell.median())} ({seconds_of(min(seconds))}–{seconds_of(max(seconds))})" if seconds else NONE,
            ratio(ours, cell.median()) if tool != "kist" else NONE,
            seconds_of(cell.median("cpu")),
            megabytes(cell.median("memory")),
            NONE if requests is None else f"{requests:.0f}",
        ]
        lines.append("| " + " | ".join(shown) + " |")
    return lines


def own(results: Results, workload: str) -> list[str]:
    """What kist took beside time on one workload."""
    lines = [
        "| kist | median (least–most), s | processor, s | memory, MB | read, MB | written, MB | requests | stored, MB |",
        "|---" + "|--:" * 7 + "|",
    ]
    for _, operation, tool, cell in cells(Results(cells={workload: results.cells[workload]})):
        if not tool.startswith("kist") or not cell.samples:
            continue
        seconds, requests = cell.all(), cell.median("requests")
        shown = [
            OPERATIONS[operation].title + KINDS.get(tool, ""),
            f"{seconds_of(cell.median())} ({seconds_of(min(seconds))}–{seconds_of(max(seconds))})",
            seconds_of(cell.median("cpu")),
            *(megabytes(cell.median(name)) for name in ("memory", "read", "written")),
            NONE if requests is None else f"{requests:.0f}",
            megabytes(cell.stored),
        ]
        lines.append("| " + " | ".join(shown) + " |")
    return lines


def write_between(path: Path, name: str, added: str) -> None:
    """Replace what stands between two marker lines of a document.

    Args:
        path: the document.
        name: of the marker lines.
        added: what is to stand there.

    Raises:
        ValueError: it has no such lines.
    """
    begin, end = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
    before, first, rest = path.read_text().partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise ValueError(f"{path} has no lines '{begin}' and '{end}'")
    path.write_text(f"{before}{begin}\n\n{added}\n\n{end}{after}")
