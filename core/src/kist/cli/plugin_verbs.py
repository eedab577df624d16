"""Verbs of plugins, run as the core's own are; what goes wrong in one is told as its plugin's defect."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from kist.cli.parsing import Parser, add_common
from kist.errors import KistError, PluginBroken
from kist.plugins.blame import violation


class PluginVerb:
    """A verb's module of a plugin, with the face that the modules of the core's verbs have.

    Args:
        word: the verb.
        module: its module.
        distribution: the distribution that brings it.

    Raises:
        ContractViolation: it lacks ``configure`` or ``run``, or its ``EXAMPLES`` are no pairs of texts.
    """

    def __init__(self, word: str, module: ModuleType, distribution: str) -> None:
        self._word, self._module, self._distribution = word, module, distribution
        self.__doc__ = module.__doc__
        for name in ("configure", "run"):
            if not callable(getattr(module, name, None)):
                raise violation(self._distribution, f"{module.__name__} has no function '{name}'")
        self.EXAMPLES = getattr(module, "EXAMPLES", ())
        try:
            texts = all(isinstance(one, str) for command, about in self.EXAMPLES for one in (command, about))
        except (TypeError, ValueError):
            texts = False
        if not texts:
            raise violation(
                self._distribution, f"EXAMPLES of {module.__name__} are no pairs of a command line and what it does"
            )

    def configure(self, parser: Parser) -> None:
        """Let the plugin declare its options, and find out what would fail only later.

        Raises:
            PluginBroken: it cannot declare them, or their help cannot be shown.
            ContractViolation: it takes an option that every verb has.
        """
        with _blamed(self._distribution, f"configure of {self._word}"):
            self._module.configure(parser)
            parser.format_help()
        common = Parser(add_help=False)
        add_common(common)
        taken = sorted(common.option_words().keys() & parser.option_words().keys())
        if taken:
            raise violation(self._distribution, f"'kist {self._word}' takes {', '.join(taken)}, which every verb has")

    def run(self, args: argparse.Namespace) -> Any:
        """Run it.

        Raises:
            PluginBroken: it raised what is no KistError.
            ContractViolation: its result is nothing that ``--json`` can show.
        """
        with _blamed(self._distribution, f"run of {self._word}"):
            data = self._module.run(args)
        if args.output.json:
            import json

            try:
                json.dumps(data)
            except (TypeError, ValueError, RecursionError) as exc:
                raise violation(self._distribution, f"'kist {self._word}' gave what is no JSON: {exc}") from exc
        return data


def load_verb(word: str, known: Sequence[str], asked: str = "kist") -> PluginVerb:
    """The verb of a plugin.

    Args:
        word: the verb.
        known: the core's verbs, for a suggestion.
        asked: what was typed before the word.

    Raises:
        UsageError: nobody brings it, with the nearest verb.
        PluginError: the plugin that brings it does not work.
    """
    from kist.api import plugin_command

    name, distribution = plugin_command(word, known, asked)
    with _blamed(distribution, f"import of {name}"):
        module = import_module(name)
    return PluginVerb(word, module, distribution)


@contextmanager
def _blamed(distribution: str, where: str) -> Iterator[None]:
    """Turn what a plugin's code raises into an error that names it; a file that cannot be used is the user's matter."""
    try:
        yield
    except KistError:
        raise
    except OSError as exc:
        if exc.filename is not None or isinstance(exc, BrokenPipeError):
            raise
        raise PluginBroken(distribution, exc, where=where) from exc
    except (Exception, SystemExit) as exc:
        raise PluginBroken(distribution, exc, where=where) from exc
