"""CommandContract: what a verb that a plugin adds must keep."""

from __future__ import annotations

import argparse
import json
import re
from abc import abstractmethod
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import pytest

from kist.plugins.registry import Plugins
from kist.testing.base import ContractBase

_COMMON = frozenset(
    ("--json", "--quiet", "-q", "--verbose", "-v", "--debug", "--color", "--progress", "-C", "--lock-timeout")
)
"""What every verb takes, beside ``--help``."""


class Heard:
    """What a verb gets as ``args.output`` here: it takes in what is said.

    Attributes:
        lines: what was said, in its order.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str = "") -> None:
        """A line of the result."""
        self.lines.append(text)

    def talk(self, text: str) -> None:
        """Something for the person."""
        self.lines.append(text)

    def warn(self, text: str) -> None:
        """A warning."""
        self.lines.append(text)


class CommandContract(ContractBase):
    """Subclass it as ``Test…`` and provide the fixture ``word``; the distribution must be installed.

    ``arguments`` may be overridden with a command line on which the verb succeeds; None skips running it. The verb gets
    what was parsed, with an ``output`` that has ``line``, ``talk`` and ``warn``.
    """

    __test__ = False

    @pytest.fixture
    @abstractmethod
    def word(self) -> str:
        """What is typed after ``kist``."""

    @pytest.fixture
    def arguments(self) -> Sequence[str] | None:
        """What is typed after the word, None where the verb cannot run in a test."""
        return None

    @pytest.fixture
    def summary(self, word: str) -> str:
        """The help in the list of verbs."""
        return Plugins().commands(word).commands[word][1]

    @pytest.fixture
    def module(self, word: str) -> ModuleType:
        """The verb's module."""
        return import_module(Plugins().commands(word).commands[word][0])

    @pytest.fixture
    def parser(self, word: str, module: ModuleType) -> argparse.ArgumentParser:
        """A parser as the command line makes it, with the module's ``EXAMPLES`` in its help."""
        examples = "\n".join(f"{command}  {about}" for command, about in getattr(module, "EXAMPLES", ()))
        parser = argparse.ArgumentParser(prog=f"kist {word}", description=module.__doc__, epilog=examples)
        module.configure(parser)
        return parser

    def test_word_is_plain(self, word: str) -> None:
        """The word is lower case, of letters, digits and hyphens."""
        assert re.fullmatch(r"[a-z][a-z0-9-]*", word)

    def test_help_is_one_line(self, summary: str) -> None:
        """The help in the list of verbs is one line of at most 80 characters."""
        assert summary.strip()
        assert "\n" not in summary
        assert len(summary) <= 80

    def test_shows_its_help(self, parser: argparse.ArgumentParser) -> None:
        """``--help`` works and explains every argument."""
        assert parser.format_help()
        for action in parser._actions:  # noqa: SLF001 - argparse tells its arguments nowhere else
            assert action.help, f"{'/'.join(action.option_strings) or action.dest} has no help"

    def test_has_an_example(self, parser: argparse.ArgumentParser, word: str) -> None:
        """The help shows at least one example of a call, out of ``EXAMPLES`` or of the parser's own text."""
        assert f"kist {word}" in (parser.epilog or "") + (parser.description or "")

    def test_leaves_the_common_options_alone(self, parser: argparse.ArgumentParser) -> None:
        """Options that every verb has keep their meaning."""
        taken = {text for action in parser._actions for text in action.option_strings}  # noqa: SLF001 - as above
        assert not taken & _COMMON

    def test_result_is_json(
        self, parser: argparse.ArgumentParser, module: ModuleType, arguments: Sequence[str] | None
    ) -> None:
        """``run`` returns what ``--json`` can show, or None."""
        if arguments is None:
            pytest.skip("the author gave no arguments to run it with")
        args = parser.parse_args(list(arguments))
        args.output = Heard()
        json.dumps(module.run(args))
