"""Explain a command or a topic."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.catalog import ALIASES, COMMANDS, module_of, overview
from kist.cli.topics import TOPICS
from kist.errors import UsageError

EXAMPLES = (
    ("kist help", "all commands and topics"),
    ("kist help push", "the options and examples of a command"),
    ("kist help exit-codes", "what a command returns"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("topic", nargs="?", metavar="VERB|TOPIC", help="a command, or one of: " + ", ".join(TOPICS))


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Explain."""
    text = _text(args.topic)
    for line in text.splitlines():
        args.output.line(line)
    return {"topic": args.topic, "text": text}


def _text(topic: str | None) -> str:
    if topic is None:
        from kist.api import plugin_help

        lines = [f"  {name:<12}{about}" for name, (about, _) in TOPICS.items()]
        return "\n".join([overview(plugin_help()), "", "topics:", *lines])
    if topic in TOPICS:
        return TOPICS[topic][1]()
    return _verb_help(ALIASES.get(topic, topic))


def _verb_help(word: str) -> str:
    from importlib import import_module

    from kist.cli.parsing import make_parser
    from kist.cli.plugin_verbs import load_verb

    module: Any
    try:
        others = [*COMMANDS, *ALIASES, *TOPICS]
        module = import_module(module_of(word)) if word in COMMANDS else load_verb(word, others, "kist help")
    except UsageError as error:
        raise UsageError(f"there is no command or topic '{word}'", hint=error.hint) from None
    return make_parser(word, module).format_help().rstrip()
