"""Read and change settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from kist.cli.render import text_of
from kist.cli.repo import open_repo, written_data, written_text
from kist.cli.subverbs import add_dry_run, add_levels
from kist.errors import ConfigError, NotARepo, PluginError, RepoNotOwned, UsageError

if TYPE_CHECKING:
    from kist.operations.config import Setting, Settings

EXAMPLES = (
    ("kist config core.remote", "show one setting"),
    ("kist config core.remote store", "set it for everybody: in the tracked configuration"),
    ("kist config --local core.jobs 4", "set it in this clone only"),
    ("kist config --global cache.dir ~/kist-cache", "set it for all your repositories"),
    ("kist config --unset core.remote", "take it back"),
    ("kist config list --show-origin", "show everything, and where it is set"),
)
_WORDS = {"get": 1, "set": 2, "unset": 1, "list": 0}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "words", nargs="*", metavar="KEY [VALUE]", help="a key to show, or a key and its new value; or 'list'"
    )
    parser.add_argument("-l", "--list", action="store_true", help="show all settings")
    parser.add_argument("-u", "--unset", action="store_true", help="take a setting back")
    parser.add_argument("--show-origin", action="store_true", help="show where settings come from")
    add_levels(parser, system=True)
    add_dry_run(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do what the words say."""
    action, words = _action(args)
    settings = _settings(args)
    if action == "list":
        return _list(args, settings)
    if action == "get":
        setting = settings.get(words[0], args.level)
        origin = f"{setting.origin}\t" if args.show_origin else ""
        args.output.line(origin + _text(setting.value))
        return _data(setting)
    level = args.level or ("tracked" if settings.place is not None else None)
    if level is None:
        raise ConfigError("the current folder belongs to no repository", hint="add --global to set it for yourself")
    if action == "set":
        edited = settings.set(words[0], words[1], level, dry_run=args.dry_run)
    else:
        edited = settings.unset(words[0], level, dry_run=args.dry_run)
    if args.dry_run:
        args.output.line(f"would {action} {words[0]} ({level})")
        args.output.talk(written_text([edited]))
    args.output.detail(f"{'would change' if args.dry_run else 'changed'} {edited.path}")
    return {
        "key": words[0],
        "value": words[1] if action == "set" and not _secret(settings, words[0]) else None,
        "level": level,
        "file": text_of(edited.path),
        **written_data([edited]),
        "dry_run": args.dry_run,
    }


def _action(args: argparse.Namespace) -> tuple[str, list[str]]:
    """What is asked, and the key and value."""
    words = list(args.words)
    if words and words[0] in _WORDS:
        action = words.pop(0)
    elif args.list:
        action = "list"
    elif args.unset:
        action = "unset"
    else:
        action = {0: "list", 1: "get", 2: "set"}.get(len(words), "set")
    if len(words) != _WORDS[action]:
        raise UsageError(
            f"'config {action}' takes {_WORDS[action]} words, not {len(words)}", hint="kist config KEY [VALUE]"
        )
    return action, words


def _settings(args: argparse.Namespace) -> Settings:
    from kist.operations.config import Settings

    try:
        return Settings.of(open_repo(args, "config").context)
    except NotARepo:
        if args.level in ("tracked", "local"):
            raise
    except (RepoNotOwned, PluginError):
        if args.level not in ("user", "system"):  # where a repository becomes trusted, and its dialect's plugin chosen
            raise
    return Settings.outside()


def _secret(settings: Settings, key: str) -> bool:
    from kist.operations.remote_options import is_secret_key

    return is_secret_key(settings.config, key)


def _list(args: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    found = settings.list(args.level)
    if args.show_origin:
        args.output.table([(one.level, one.origin, f"{one.key}={_text(one.value)}") for one in found])
    else:
        for one in found:
            args.output.line(f"{one.key}={_text(one.value)}")
    return {"settings": [_data(one) for one in found]}


def _data(setting: Setting) -> dict[str, Any]:
    value = list(setting.value) if isinstance(setting.value, tuple) else setting.value
    return {"key": setting.key, "value": value, "level": setting.level, "origin": text_of(setting.origin)}


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
