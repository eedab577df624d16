"""Results as text: for the terminal, and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import limits
from benchmarks.operations import OPERATIONS
from benchmarks.results import Cell, Results

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
NONE = "–"


def text(results: Results) -> str:
    """Every cell in a line of its own."""
    lines = []
    for workload, operation, tool, cell in cells(results):
        head = f"{workload:6} {operation:18} {tool:13}"
        lines.append(f"{head} {details(cell)}" if cell.samples else f"{head} {cell.error}")
    for workload, kinds in results.limits.items():
        for kind in kinds:
            value = results.limit(workload)[kind]
            shown = f"{value:.4f} s" if isinstance(value, float) else value
            lines.append(f"{workload:6} limit {kind:12} {shown}  {limits.KINDS[kind]}")
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


def markdown(results: Results) -> str:
    """The tables for the documentation."""
    lines = [*about(results)]
    missing: list[str] = []
    for workload, title in results.workloads.items():
        if workload in results.cells:
            lines += ["", f"### {title[0].upper()}{title[1:]}", "", *comparison(results, workload, missing)]
            lines += ["", *own(results, workload)]
    if missing:
        lines += ["", "Blank cells:", "", *sorted(set(missing))]
    return "\n".join(lines)


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
        missing += [
            f"- {tool}, {OPERATIONS[operation].title}, {results.workloads[workload]}: {row[tool].error}"
            for tool in tools
            if tool in row and row[tool].error and row[tool].error != "no counterpart"
        ]
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
            OPERATIONS[operation].title + (", durable" if tool == "kist-durable" else ""),
            f"{seconds_of(cell.median())} ({seconds_of(min(seconds))}–{seconds_of(max(seconds))})",
            seconds_of(cell.median("cpu")),
            *(megabytes(cell.median(name)) for name in ("memory", "read", "written")),
            NONE if requests is None else f"{requests:.0f}",
            megabytes(cell.stored),
        ]
        lines.append("| " + " | ".join(shown) + " |")
    return lines


def write_between(path: Path, added: str) -> None:
    """Replace what stands between the two marker lines of a document.

    Raises:
        ValueError: it has no such lines.
    """
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no lines '{BEGIN}' and '{END}'")
    path.write_text(f"{before}{BEGIN}\n\n{added}\n\n{END}{after}")
