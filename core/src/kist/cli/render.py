"""Output: results on stdout, talk on stderr, one JSON envelope, colours where a person looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from kist.abc.progress import NullProgress, Progress
from kist.cli.streams import say
from kist.errors import KistError, TransferError
from kist.util.paths import display
from kist.util.slotted import field, slotted

_COLORS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}


@slotted()
class Output:
    """Where a command's words go.

    Attributes:
        json: whether the result is one JSON envelope, so that ``line`` is silent.
        quiet: whether ``talk`` is silent.
        verbose: whether ``detail`` speaks.
        color: whether colours are used on stdout.
        progress: receives progress.
        exit_code: what the process returns when the command ends without an error.
        errors: errors that did not end the command; they make the envelope not ok.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = False
    progress: Progress = field(default_factory=NullProgress)
    exit_code: int = 0
    errors: list[KistError] = field(default_factory=list)

    def line(self, text: str = "", *, color: str | None = None) -> None:
        """Print one line of the result; every control character in it is made harmless."""
        if not self.json:
            text = display(text)
            if color and self.color:
                text = f"\x1b[{_COLORS[color]}m{text}\x1b[0m"
            sys.stdout.write(text + "\n")

    def table(self, rows: list[tuple[str, ...]], *, header: tuple[str, ...] | None = None) -> None:
        """Print rows in aligned columns; the last column is left as it is."""
        everything = ([header] if header else []) + rows
        if not everything:
            return
        widths = [max(len(display(row[column])) for row in everything) for column in range(len(everything[0]) - 1)]
        for row in everything:
            cells = [display(cell).ljust(width) for cell, width in zip(row, widths, strict=False)]
            self.line("  ".join([*cells, row[-1]]).rstrip())

    def talk(self, text: str) -> None:
        """Say something to the person: to stderr, unless quiet."""
        if not self.quiet:
            say(display(text) + "\n")

    def detail(self, text: str) -> None:
        """Say something only with --verbose."""
        if self.verbose:
            self.talk(text)

    def warn(self, text: str) -> None:
        """Warn: to stderr, also when quiet."""
        say(f"warning: {display(text)}\n")

    def fail(self, error: KistError) -> None:
        """Tell an error that does not end the command; the command will not end well."""
        self.errors.append(error)
        print_error(error)


def print_error(error: KistError, stream: TextIO | None = None) -> None:
    """Print ``error:`` and ``hint:`` lines."""
    lines = str(error).splitlines() or [type(error).__name__]
    if error.remote and error.remote not in lines[0]:
        lines[0] = f"{error.remote}: {lines[0]}"
    say(f"error: {display(lines[0])}\n", stream)
    for line in lines[1:]:
        say(f"       {display(line)}\n", stream)
    if isinstance(error, TransferError):
        for name, cause in error.failures[:20]:
            paths = getattr(cause, "paths", ())
            needed = f" ({', '.join(paths[:3])}{', …' if len(paths) > 3 else ''})" if paths else ""
            say(f"  {display(name)}{display(needed)}: {display(str(cause))}\n", stream)
        if len(error.failures) > 20:
            say(f"  … and {len(error.failures) - 20} more (--json lists all)\n", stream)
    if error.hint:
        say(f"hint: {display(error.hint)}\n", stream)


def error_data(error: KistError) -> dict[str, Any]:
    """An error as the JSON envelope has it."""
    data: dict[str, Any] = {
        "class": type(error).__name__,
        "exit_code": error.exit_code,
        "message": str(error),
        "hint": error.hint,
    }
    if error.path is not None:
        data["path"] = error.path  # whoever prints it makes it text, with the exact bytes beside it
    if error.remote is not None:
        data["remote"] = error.remote
    return data


def text_of(text: str) -> str:
    """Text that JSON can hold: surrogates of undecodable bytes become visible escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def envelope(command: str, data: Mapping[str, Any] | None, errors: list[KistError]) -> str:
    """The one JSON document that ``--json`` prints."""
    import json

    document = {
        "kist": 1,
        "command": command,
        "ok": not errors,
        "data": data,
        "errors": [error_data(error) for error in errors],
    }
    text = json.dumps(document, ensure_ascii=True, default=str)
    return json.dumps(_decodable(document), ensure_ascii=True, default=str) if "\\udc" in text else text


def _decodable(value: Any) -> Any:
    """The same with bytes that are not UTF-8 escaped: strict readers refuse lone surrogates."""
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, list | tuple):
        return [_decodable(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    found = {_decodable(key): _decodable(one) for key, one in value.items()}
    path = value.get("path")
    if isinstance(path, str) and found["path"] != path:
        from base64 import b64encode

        found["path_b64"] = b64encode(os.fsencode(path)).decode("ascii")
    return found


def wants_color(choice: str, stream: TextIO) -> bool:
    """Whether to colour: ``always``, ``never``, or ``auto`` (a terminal, and NO_COLOR not set)."""
    if choice == "auto":
        return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return choice == "always"
