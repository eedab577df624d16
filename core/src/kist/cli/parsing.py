"""Argument parsers: the options that every verb has, and errors that name the nearest option."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from kist.cli.progress import make_progress
from kist.cli.render import Output, wants_color
from kist.errors import UsageError

_UNKNOWN_WIDTH = 78


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError and suggests the nearest option or choice.

    Attributes:
        verbs: the parsers of its sub-verbs, by their words.
    """

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        self.verbs: dict[str, Parser] = {}

    def error(self, message: str) -> NoReturn:
        """Raise instead of exit, so that --json holds for usage errors too."""
        hint = f"'{self.prog} --help' lists the options"
        unknown = re.search(r"unrecognized arguments: (\S+)", message)
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if unknown:
            known = [word for one in (self, *self.verbs.values()) for word in one.option_words()]
            hint = self._nearest(unknown[1].partition("=")[0], known) or hint
        elif choice:
            hint = self._nearest(choice[1], re.findall(r"[\w.-]+", choice[2])) or hint
        raise UsageError(f"{self.prog}: {message}", hint=hint)

    def option_words(self) -> dict[str, bool]:
        """Every option, and whether it takes a value; for completion."""
        return {name: action.nargs != 0 for name, action in self._option_string_actions.items()}

    @staticmethod
    def _nearest(word: str, known: list[str]) -> str | None:
        from difflib import get_close_matches

        close = get_close_matches(word, known, n=1)
        return f"did you mean '{close[0]}'?" if close else None


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Finds the terminal's width only where help is printed; argparse makes one formatter an option before."""

    def __init__(self, prog: str, **facts: Any) -> None:
        super().__init__(prog, **({"width": _UNKNOWN_WIDTH} | facts))

    def format_help(self) -> str:
        """The help, as wide as the terminal."""
        from shutil import get_terminal_size

        self._width = get_terminal_size().columns - 2
        self._max_help_position = max(min(self._max_help_position, self._width - 20), self._indent_increment * 2)
        return super().format_help()


def make_parser(word: str, module: Any) -> Parser:
    """The parser of one verb, with the options that all have."""
    parser = Parser(
        prog=f"kist {word}",
        description=(module.__doc__ or "").strip().split("\n")[0],
        epilog=examples(module),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    add_common(parser)
    return parser


def add_common(parser: argparse.ArgumentParser, *, nested: bool = False) -> None:
    """Declare the options of every verb.

    Args:
        parser: the parser of a verb, or of one of its sub-verbs.
        nested: it is a sub-verb's, whose defaults must not hide what was given before it.
    """
    common = parser.add_argument_group("options of every verb")

    def add(*names: str, default: object = None, **facts: Any) -> None:
        common.add_argument(*names, default=argparse.SUPPRESS if nested else default, **facts)

    add("--json", action="store_true", default=False, help="print the result as one JSON document")
    add("-q", "--quiet", action="store_true", default=False, help="say nothing but results, warnings and errors")
    add("-v", "--verbose", action="store_true", default=False, help="say more")
    add("--debug", action="store_true", default=False, help="show tracebacks of errors")
    add("--color", choices=("auto", "always", "never"), default="auto", help="when to use colours")
    add(
        "--progress",
        choices=("auto", "bar", "log", "json", "none"),
        default="auto",
        help="how to show progress on stderr",
    )
    add("-C", dest="directory", metavar="DIR", help="run as if started in DIR")
    add("--lock-timeout", metavar="TIME", help="how long to wait for another process (default 5min)")


def examples(module: Any) -> str:
    """The examples of a verb's help: its ``EXAMPLES``, (command line, what it does) pairs."""
    pairs = getattr(module, "EXAMPLES", ())
    if not pairs:
        return ""
    width = max(len(command) for command, _ in pairs)
    return "examples:\n" + "\n".join(f"  {command:<{width}}  {text}" for command, text in pairs)


def make_output(args: argparse.Namespace) -> Output:
    """The output that the common options ask for."""
    return Output(
        json=args.json,
        quiet=args.quiet,
        verbose=args.verbose,
        color=wants_color(args.color, sys.stdout),
        progress=make_progress(args.progress, quiet=args.quiet),
    )
