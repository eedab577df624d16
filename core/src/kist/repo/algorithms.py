"""Choose the hash algorithm of new outputs where the configuration names none."""

from __future__ import annotations

from kist.abc.dialect import Dialect
from kist.errors import PluginNotFound
from kist.plugins.registry import Plugins


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
