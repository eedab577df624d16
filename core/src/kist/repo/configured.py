"""The plugins that a configuration allows, and the hash algorithm to take where it names none."""

from __future__ import annotations

from kist.abc.dialect import Dialect
from kist.errors import PluginNotFound
from kist.plugins.registry import Plugins
from kist.repo.config import Config


def plugins_of(config: Config) -> Plugins:
    """The plugins, as a configuration blocks and prefers them."""
    return Plugins(block=config.get("plugins.block"), prefer=config.get("plugins.prefer"))


def choose_algorithm(plugins: Plugins, dialect: Dialect) -> str:
    """The first of the dialect's algorithms that is builtin or installed.

    Raises:
        PluginNotFound: none is.
    """
    for algorithm in dialect.default_hashers:
        if plugins.is_builtin("hashers", algorithm) or plugins.usable("hashers", algorithm):
            return algorithm
    raise PluginNotFound(
        f"none of the hash algorithms {', '.join(dialect.default_hashers)} is installed",
        hint="pip install kist-blake3",
    )
