"""Verbs of a verb, such as ``kist remote add``: each with its own options, examples and function."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from kist.cli.parsing import Parser, add_common

Run = Callable[[argparse.Namespace], Any]


class Subverbs:
    """The second words of one verb.

    Args:
        parser: the verb's parser.
        default: what runs where no second word is given.
    """

    def __init__(self, parser: argparse.ArgumentParser, default: Run) -> None:
        self._parser = parser
        parser.set_defaults(subverb=default)
        self._verbs = parser.add_subparsers(metavar="VERB", title="verbs", parser_class=Parser)

    def add(self, word: str, help: str, run: Run, examples: Sequence[tuple[str, str]] = ()) -> argparse.ArgumentParser:
        """Add a second word.

        Args:
            word: what is typed.
            help: one line.
            run: what it does with the parsed arguments; returns the JSON data.
            examples: (command line, what it does) pairs.

        Returns:
            Its parser, for its options.
        """
        width = max((len(command) for command, _ in examples), default=0)
        lines = [f"  {command:<{width}}  {text}" for command, text in examples]
        parser = self._verbs.add_parser(
            word,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog="\n".join(["examples:", *lines]) if lines else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parser.set_defaults(subverb=run)
        add_common(parser, nested=True)
        if isinstance(self._parser, Parser):
            self._parser.verbs[word] = parser
        return parser


def add_levels(parser: argparse.ArgumentParser, *, system: bool = False) -> None:
    """The options that choose a level of configuration."""
    levels = parser.add_mutually_exclusive_group()
    levels.add_argument("--local", dest="level", action="store_const", const="local", help="only this clone's")
    levels.add_argument("--global", dest="level", action="store_const", const="user", help="the user's, everywhere")
    if system:
        levels.add_argument("--system", dest="level", action="store_const", const="system", help="the machine's")
    levels.add_argument(
        "--tracked", dest="level", action="store_const", const="tracked", help="the repository's, kept in Git"
    )


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """The option that every sub-verb has which writes."""
    parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
