"""The verbs of the core: word, module and one-line help, so that help needs no verb's module."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "start": {
        "init": "make a repository here",
        "demo": "watch the main job on real files, in a scratch folder",
        "help": "explain a command or a topic",
    },
    "version data": {
        "add": "put files or directories under version control",
        "commit": "add every tracked output that changed",
        "status": "show what changed in the workspace",
        "diff": "compare two versions, file by file",
        "log": "show the versions of an output",
        "checkout": "bring the workspace to a recorded version",
        "resolve": "merge what two branches recorded",
        "move": "move or rename tracked data",
        "remove": "stop tracking data and take it out of the workspace",
        "list": "list tracked data",
        "cat": "print a tracked file of any version",
    },
    "share": {
        "remote": "manage remotes",
        "push": "send versions to a remote",
        "fetch": "bring versions from a remote into the cache",
        "pull": "fetch, then checkout",
    },
    "keep in order": {
        "verify": "check that data is there and undamaged, and repair it",
        "gc": "collect objects that nothing needs",
        "trash": "look at, restore or empty the trash",
        "doctor": "find what is wrong with this machine or repository",
        "config": "read and change settings",
        "plugins": "list installed plugins",
        "completion": "print the completion script of a shell",
        "version": "show versions",
    },
}

COMMANDS: dict[str, str] = {word: text for group in GROUPS.values() for word, text in group.items()}
"""Every verb of the core with its one-line help."""

ALIASES = {"ls": "list", "mv": "move", "rm": "remove"}
"""Short forms that Git and DVC users type."""


def module_of(word: str) -> str:
    """The module that implements a verb of the core."""
    return f"kist.cli.commands.{word}_" if word in ("list", "help") else f"kist.cli.commands.{word}"


def overview(plugin_commands: dict[str, str] | None = None) -> str:
    """The text of ``kist --help``."""
    lines = [
        "kist: version data beside Git, on storage that you already have",
        "",
        "usage: kist VERB [TARGET ...] [options]",
    ]
    for title, commands in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {word:<12}{text}" for word, text in commands.items()]
    added = {word: text for word, text in (plugin_commands or {}).items() if word not in COMMANDS | ALIASES}
    if added:
        lines += ["", "from plugins:"]
        lines += [f"  {word:<12}{text}" for word, text in sorted(added.items())]
    lines += [
        "",
        "options of every verb: --json, --quiet, --verbose, --debug, --color WHEN, --progress WHEN, -C DIR",
        "",
        "'kist VERB --help' has the options and examples of a verb, 'kist help TOPIC' explains exit-codes,",
        "environment, formats, remotes or migrating, 'kist demo' shows all of it at work.",
    ]
    return "\n".join(lines)
