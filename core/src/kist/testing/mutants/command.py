"""Broken verbs of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kist.testing.command import CommandContract
from kist.testing.mutants.running import Kind

if TYPE_CHECKING:
    import argparse


class CountCommand:
    """A verb that keeps the contract: it counts the letters of a word."""

    word = "count"
    summary = "count the letters of a word"
    example = "example: kist count apple"

    @classmethod
    def configure(cls, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.epilog = cls.example
        parser.add_argument("text", help="the word")

    @classmethod
    def run(cls, args: argparse.Namespace) -> object:
        """Count."""
        return {"letters": len(args.text)}


def _fixtures(subject: type[CountCommand], _folder: Path) -> Mapping[str, object]:
    return {"word": subject.word, "summary": subject.summary, "module": subject, "arguments": ["apple"]}


COMMAND = Kind("command", CommandContract, CountCommand, _fixtures)


@COMMAND.mutant
class ShoutedWord(CountCommand):
    """Is typed in upper case."""

    word = "Count"
    example = "example: kist Count apple"


@COMMAND.mutant
class EndlessHelp(CountCommand):
    """Tells its whole story in the list of verbs."""

    summary = "count the letters of a word, and then, for those who are still here, tell how that is done and why"


@COMMAND.mutant
class HelpOfTwoLines(CountCommand):
    """Breaks the list of verbs by a second line."""

    summary = "count letters\nof a word"


@COMMAND.mutant
class SilentArgument(CountCommand):
    """Has an option that nobody explains."""

    @classmethod
    def configure(cls, parser: argparse.ArgumentParser) -> None:
        """Declare one option too many."""
        super().configure(parser)
        parser.add_argument("--twice", action="store_true")


@COMMAND.mutant
class NoExample(CountCommand):
    """Shows no call of itself."""

    example = "count letters as often as you like"


@COMMAND.mutant
class OwnQuiet(CountCommand):
    """Gives a common option a meaning of its own."""

    @classmethod
    def configure(cls, parser: argparse.ArgumentParser) -> None:
        """Take ``-q``."""
        super().configure(parser)
        parser.add_argument("-q", "--question", action="store_true", help="ask back")


@COMMAND.mutant
class ReturnsAnObject(CountCommand):
    """Returns what no JSON can show."""

    @classmethod
    def run(cls, args: argparse.Namespace) -> object:
        """Count, into a set."""
        return {"letters": set(args.text)}
