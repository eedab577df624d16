"""Progress on a terminal, as lines in a log, or as JSON lines."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO

from kist.abc.progress import NullProgress, Progress
from kist.cli.streams import say
from kist.util.units import show_duration, show_size

_REDRAW = 0.1
_QUIET_START = 0.5
_LOG_EVERY = 10.0


class StreamProgress(Progress):
    """Shows the running phase: redrawn on a terminal, one line each 10 s elsewhere.

    Nothing is shown for work that takes less than half a second.

    Args:
        stream: where to show it.
        style: ``bar`` (redraw one line), ``log`` (lines) or ``json`` (JSON lines).
    """

    def __init__(self, stream: TextIO, style: str) -> None:
        self._stream = stream
        self._style = style
        # Before the first line is shown, and not for work that is over by then.
        self.total_after = 0.8 * (_LOG_EVERY if style == "log" else _QUIET_START)
        self._lock = threading.Lock()
        self._phase = ""
        self._total: int | None = None
        self._unit = "B"
        self._done = 0
        self._started = self._shown = 0.0
        self._visible = False

    def start(self, phase: str, *, total: int | None = None, unit: str = "B") -> None:
        """A phase begins; the one before it is over."""
        with self._lock:
            self._clear()
            self._phase, self._total, self._unit, self._done = phase, total, unit, 0
            self._started = time.monotonic()
            self._shown = self._started + (_QUIET_START if self._style != "log" else _LOG_EVERY) - self._interval()
            self._event("start")

    def expect(self, total: int) -> None:
        """The total is known now."""
        with self._lock:
            if self._phase and self._total is None:
                self._total = max(total, self._done)

    def advance(self, amount: int) -> None:
        """More is done."""
        with self._lock:
            self._done += amount
            now = time.monotonic()
            if self._phase and now - self._shown >= self._interval():
                self._shown = now
                self._draw(now)

    def message(self, text: str) -> None:
        """A line of its own."""
        with self._lock:
            self._clear()
            if self._style == "json":
                self._write_json({"event": "message", "text": text})
            else:
                say(text + "\n", self._stream)

    def finish(self) -> None:
        """The phase is over."""
        with self._lock:
            self._clear()
            self._event("finish")
            self._phase = ""

    def _interval(self) -> float:
        return _LOG_EVERY if self._style == "log" else _REDRAW

    def _draw(self, now: float) -> None:
        if self._style == "json":
            self._event("progress")
            return
        line = self._line(now)
        if self._style == "bar":
            say(f"\r\x1b[K{line}", self._stream)
            self._visible = True
        else:
            say(line + "\n", self._stream)

    def _line(self, now: float) -> str:
        seconds = max(now - self._started, 1e-6)
        rate = self._done / seconds
        show = show_size if self._unit == "B" else "{:,.0f}".format
        if not self._done and not self._total:
            return f"{self._phase}: looking"
        text = f"{self._phase}: {show(self._done)}"
        if self._total:
            text += f" of {show(self._total)} ({min(100, 100 * self._done // self._total)}%)"
        if self._unit != "B":
            text += f" {self._unit}"
        text += f", {show(int(rate))}/s"
        if self._total and rate > 0 and self._done < self._total:
            text += f", {show_duration((self._total - self._done) / rate)} left"
        return text

    def _clear(self) -> None:
        if self._visible:
            say("\r\x1b[K", self._stream)
            self._visible = False

    def _event(self, event: str) -> None:
        if self._style == "json":
            self._write_json(
                {"event": event, "phase": self._phase, "done": self._done, "total": self._total, "unit": self._unit}
            )

    def _write_json(self, data: dict[str, object]) -> None:
        import json

        say(json.dumps(data) + "\n", self._stream)


def make_progress(choice: str, *, quiet: bool) -> Progress:
    """The progress for ``--progress`` (auto, bar, log, json, none) on stderr."""
    if choice == "none" or (quiet and choice == "auto"):
        return NullProgress()
    if choice == "auto":
        choice = "bar" if sys.stderr.isatty() else "log"
    return StreamProgress(sys.stderr, choice)
