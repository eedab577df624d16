"""List installed plugins, without importing any of them."""

from __future__ import annotations

import argparse
from typing import Any

from kist.cli.repo import open_repo
from kist.errors import NotARepo, PluginError
from kist.util.version import VERSION

EXAMPLES = (
    ("kist plugins", "what is installed, and what it brings"),
    ("kist plugins --json", "the same for programs"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    """List."""
    from kist.operations.plugins import KINDS, installed_plugins

    try:
        config = open_repo(args, "plugins").context.config
    except (NotARepo, PluginError):  # of the dialect: a plugin that does not work is to be seen here
        config = None
    plugins = installed_plugins(config)
    for one in plugins:
        args.output.line(f"{one.distribution} {one.version}", color="bold")
        for kind in one.kinds:
            keys = [key for key in one.keys if KINDS[key.group] == kind]
            shown = [key.key if key.state == "used" else f"{key.key} ({key.state})" for key in keys]
            args.output.line(f"  {kind:<16} {', '.join(shown)}")
        if one.unmet:
            args.output.warn(f"{one.distribution} requires {one.unmet}, and kist-core {VERSION} is installed")
        for pair in one.conflicts:
            args.output.warn(
                f"several distributions bring {pair}: kist config --global plugins.prefer.{pair} {one.distribution}"
            )
    return {
        "plugins": [
            {
                "distribution": one.distribution,
                "version": one.version,
                "kinds": list(one.kinds),
                "keys": [
                    {"group": f"kist.{key.group}", "key": key.key, "module": key.module, "state": key.state}
                    for key in one.keys
                ],
                "conflicts": list(one.conflicts),
                "unmet": one.unmet,
            }
            for one in plugins
        ]
    }
