"""How much time passes, the sleep of the machine included."""

from __future__ import annotations

import time

# A laptop that sleeps for a fortnight in the middle of a push must know it when it wakes up: `time.monotonic` stands
# still meanwhile on Linux and macOS, these clocks go on. Windows has no `clock_gettime`; there `monotonic` goes on.
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def steady() -> float:
    """Seconds since some moment; they only ever grow, also while the machine sleeps."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
