"""plugins: what is installed, told without importing any of it; and the verbs that plugins bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kist.errors import PluginNotFound, UsageError
from kist.plugins.catalog import KINDS, InstalledPlugin, installed, installed_commands
from kist.plugins.registry import Plugins
from kist.repo.config import Config
from kist.util.paths import nearest

__all__ = ["KINDS", "InstalledPlugin", "installed_plugins", "plugin_command"]


def installed_plugins(config: Config | None = None) -> list[InstalledPlugin]:
    """Every distribution with plugins, the core first.

    Args:
        config: what it blocks and prefers; None for the user's configuration.
    """
    config = config or Config.load()
    return installed(make_plugins(config), config.get("core.kernel"))


def make_plugins(config: Config | None = None) -> Plugins:
    """The plugins as a configuration blocks and prefers them.

    Args:
        config: the configuration, None for that of a process outside of any repository.
    """
    config = config or Config.load()
    prefer: Mapping[str, Any] = config.get("plugins.prefer")
    return Plugins(block=config.get("plugins.block"), prefer=prefer)


def plugin_command(word: str, known: Sequence[str], asked: str = "kist") -> tuple[str, str]:
    """The module of a verb that a plugin brings, and the distribution that brings it.

    Args:
        word: the verb.
        known: the core's verbs, for a suggestion.
        asked: what was typed before the word.

    Raises:
        UsageError: nobody brings it, with the nearest verb, or who would bring it.
        PluginError: the plugin that brings it does not work.
    """
    plugins = make_plugins()
    try:
        module, _ = plugins.commands(word).commands[word]
        return module, plugins.choose("commands", word).distribution
    except PluginNotFound as missing:
        close = nearest(word, [*known, *installed_commands(plugins)])
        hint = f"did you mean '{asked} {close}'?" if close else "'kist help' lists the verbs"
        if missing.hint and (missing.hint.startswith("install it") or plugins.index.find("commands", word)):
            hint = missing.hint
        raise UsageError(f"kist has no verb '{word}'", hint=hint) from None
