"""What could come next on a command line: verbs, options, targets, remotes, keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from kist.cli.catalog import ALIASES, COMMANDS, module_of
from kist.errors import KistError

if TYPE_CHECKING:
    from kist.api import Repo

_REMOTE_OPTIONS = ("-r", "--remote")
_REMOTE_VERBS = {"modify", "remove", "rename", "default", "trust"}
_MOST = 500


def candidates(words: Sequence[str]) -> list[str]:
    """What fits the last word of a line.

    Args:
        words: the words after ``kist``, the last one perhaps empty or begun.

    Returns:
        Words that begin with it, sorted; none where the shell's own completion of files is best.
    """
    *before, last = words or [""]
    verb = next((word for word in before if not word.startswith("-")), None)
    if verb is None and not last.startswith("-"):
        return _fitting(_verbs(), last)
    try:
        found = _after(ALIASES.get(verb or "", verb or ""), before, last)
    except (KistError, OSError):
        return []
    return _fitting(found, last)


def _fitting(found: Iterable[str], last: str) -> list[str]:
    return sorted({one for one in found if one.startswith(last)})[:_MOST]


def _verbs() -> list[str]:
    from kist.api import plugin_commands

    return [*COMMANDS, *plugin_commands()]


def _after(verb: str, before: list[str], last: str) -> Iterable[str]:
    if last.startswith("-"):
        return _options(verb, before)
    if before and before[-1] in _REMOTE_OPTIONS:
        return _remotes()
    words = _WORDS.get(verb)
    return words(before) if words is not None else _targets(last)


def _topics(_: Sequence[str]) -> Iterable[str]:
    from kist.cli.topics import TOPICS

    return [*TOPICS, *COMMANDS]


def _options(verb: str, before: Sequence[str]) -> list[str]:
    from kist.cli.parsing import make_parser

    if verb not in COMMANDS:
        return ["--help", "--version"]
    parser = make_parser(verb, import_module(module_of(verb)))
    nested = next((parser.verbs[word] for word in before[1:] if word in parser.verbs), parser)
    return [name for name in nested.option_words() if name.startswith("--")]


def _remote_words(before: Sequence[str]) -> Iterable[str]:
    words = [word for word in before if not word.startswith("-")]
    if len(words) == 1:
        return ["add", "list", "modify", "remove", "rename", "default", "trust"]
    if len(words) == 2 and words[1] in _REMOTE_VERBS:
        return _remotes()
    if len(words) == 3 and words[1] == "modify":
        return _remote_options(words[2])
    return []


def _repo() -> Repo:
    from kist.api import Repo

    return Repo(verb="completion")


def _remotes() -> list[str]:
    from kist.repo.remotes import remote_names

    return remote_names(_repo().context)


def _remote_options(name: str) -> list[str]:
    from kist.abc.options import declared_options
    from kist.repo.options import REMOTE_OPTIONS
    from kist.repo.remotes import location, settings_of

    context = _repo().context
    url = location(context, str(settings_of(context, name)["url"]))
    return [*REMOTE_OPTIONS, *(one.name for one in declared_options(context.plugins.remote_options(url.scheme)))]


def _keys(_: Sequence[str]) -> list[str]:
    from kist.repo.options import KNOWN

    return ["get", "set", "unset", "list", *KNOWN]


def _targets(last: str) -> Iterable[str]:
    """Tracked paths, and those one level below what was typed, relative to the current folder."""
    from kist.repo.targets import owner_of, repository_path

    repo = _repo()
    context = repo.context
    here = os.path.relpath(os.getcwd(), context.typed_root)
    prefix = "" if here == "." else here + "/"
    folder = os.path.dirname(last)
    found = [one.path[len(prefix) :] for one in context.tracked() if one.path.startswith(prefix)]
    if folder and owner_of(context, repository_path(context, folder)) is not None:
        for entry in repo.list(folder):
            name = os.fsdecode(entry.path)
            if name.startswith(prefix):
                found.append(name[len(prefix) :] + ("/" if entry.kind == "directory" else ""))
    return found


_WORDS: dict[str, Callable[[Sequence[str]], Iterable[str]]] = {
    "remote": _remote_words,
    "config": _keys,
    "help": _topics,
    "completion": lambda _: ["bash", "fish", "powershell", "zsh"],
    "trash": lambda before: ["list", "restore", "empty"] if before[-1] == "trash" else [],
    "add": lambda _: [],
    "init": lambda _: [],
    "": lambda _: [],
}
"""What the second word of a verb may be, where it is no target; the shell itself completes names of files."""
