"""KIST_TRACE_PLUGINS=1: each plugin that is loaded and each hook that is called, with its time, on standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pluggy import PluginManager

_LONGEST = 120


def switched_on(variable: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(variable, "").lower() not in {"", "0", "false", "no", "off"}


@contextmanager
def traced_load(module: str, distribution: str, reason: str) -> Iterator[None]:
    """Tell that *module* of *distribution* was loaded for *reason*, and how long it took."""
    if not switched_on("KIST_TRACE_PLUGINS"):
        yield
        return
    start = time.perf_counter()
    outcome = "failed after"
    try:
        yield
        outcome = "in"
    finally:
        _tell(f"load {module} ({distribution}) for {reason} {outcome} {_since(start)}")


def trace_hooks(manager: PluginManager) -> None:
    """Make *manager* tell of every hook call, if the user asked for that."""
    if not switched_on("KIST_TRACE_PLUGINS"):
        return
    starts: list[float] = []

    def before(hook: str, implementations: Any, arguments: Mapping[str, Any]) -> None:  # noqa: ARG001 - pluggy's form
        starts.append(time.perf_counter())

    def after(outcome: Any, hook: str, implementations: Any, arguments: Mapping[str, Any]) -> None:
        given = ", ".join(f"{name}={value!r:.{_LONGEST}}" for name, value in arguments.items())
        try:
            result = f"-> {outcome.get_result()!r:.{_LONGEST}}"
        except BaseException as exc:
            result = f"raised {type(exc).__name__}"
        names = ", ".join(one.plugin_name for one in implementations) or "nobody"
        _tell(f"hook {hook}({given}) {result} by {names} in {_since(starts.pop())}")

    manager.add_hookcall_monitoring(before, after)


def _since(start: float) -> str:
    return f"{(time.perf_counter() - start) * 1000:.2f} ms"


def _tell(text: str) -> None:
    print(f"kist: plugins: {text}", file=sys.stderr)  # noqa: T201 - the one place that shows a trace
