"""What was measured, and what follows from it: medians, spread, ratios."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OWN = ("kist", "kist-durable", "kist-pure")


@dataclass
class Cell:
    """All samples of one operation of one tool on one workload.

    Args:
        samples: the figures of each run, as in ``measure.Sample``.
        stored: bytes kept beside the data afterwards, where that was looked at.
        error: why there are none.
    """

    samples: list[dict[str, Any]] = field(default_factory=list)
    stored: int | None = None
    error: str | None = None

    def median(self, name: str = "seconds") -> float | None:
        """The median of a figure, None where there is none."""
        found = self.all(name)
        return statistics.median(found) if found else None

    def all(self, name: str = "seconds") -> list[float]:
        """A figure of all runs."""
        return [one[name] for one in self.samples if one[name] is not None]


@dataclass
class Results:
    """Everything that a run of the suite found.

    Args:
        about: machine, date, command line, versions and the like.
        workloads: name -> title.
        cells: workload -> operation -> tool -> cell.
        limits: workload -> kind -> the figures of each round, or the reasons why there are none.
    """

    about: dict[str, Any] = field(default_factory=dict)
    workloads: dict[str, str] = field(default_factory=dict)
    cells: dict[str, dict[str, dict[str, Cell]]] = field(default_factory=dict)
    limits: dict[str, dict[str, list[float | str]]] = field(default_factory=dict)

    def recorder(self, workload: str, tool: str) -> Callable[[str, Any, int | None], None]:
        """A function that takes the figures of one tool on one workload."""

        def record(operation: str, sample: Any, stored: int | None) -> None:
            cell = self.cells.setdefault(workload, {}).setdefault(operation, {}).setdefault(tool, Cell())
            cell.stored = stored if stored is not None else cell.stored
            if isinstance(sample, str):
                cell.error = sample
            elif sample is None:
                cell.error = "no counterpart"
            else:
                cell.samples.append(asdict(sample))

        return record

    def limit(self, workload: str) -> dict[str, float | str]:
        """Kind -> the median of a limit, or why there is none."""
        found: dict[str, float | str] = {}
        for kind, values in self.limits.get(workload, {}).items():
            numbers = [one for one in values if isinstance(one, float)]
            found[kind] = statistics.median(numbers) if numbers else str(values[0])
        return found

    def best_peer(self, workload: str, operation: str) -> tuple[str, float] | None:
        """The fastest tool that is not kist, and its seconds."""
        found = [
            (seconds, tool)
            for tool, cell in self.cells[workload][operation].items()
            if tool not in OWN and (seconds := cell.median()) is not None
        ]
        return (min(found)[1], min(found)[0]) if found else None

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, paths: list[Path]) -> Results:
        """Read some files back into one; workloads of later files replace those of earlier ones."""
        whole = cls()
        for path in paths:
            found = json.loads(path.read_text())
            tools = whole.about.get("tools", {}) | found["about"]["tools"]
            commands = dict.fromkeys([*whole.about.get("command", "").split("`, `"), found["about"]["command"]])
            whole.about = found["about"] | {"tools": tools, "command": "`, `".join(filter(None, commands))}
            whole.workloads |= found["workloads"]
            whole.limits |= found["limits"]
            for workload, operations in found["cells"].items():
                whole.cells[workload] = {
                    operation: {tool: Cell(**cell) for tool, cell in tools.items()}
                    for operation, tools in operations.items()
                }
        return whole
