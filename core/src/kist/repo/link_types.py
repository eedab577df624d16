"""Which link types need objects that are files of their own."""

from __future__ import annotations

from collections.abc import Iterable

from kist.errors import PluginError
from kist.plugins.registry import Plugins

ISOLATED = frozenset({"copy", "reflink"})
"""Those that do not, known without their modules, which most commands never load."""


def share_files(plugins: Plugins, names: Iterable[str]) -> bool:
    """Whether one of these link types shares files between the cache and the workspace.

    Args:
        plugins: the plugins.
        names: link types, as configured; one that does not work is told where files are linked, and counts for nothing.
    """
    return any(_shares(plugins, name) for name in names if name not in ISOLATED)


def _shares(plugins: Plugins, name: str) -> bool:
    try:
        return not plugins.link_type(name).isolated
    except PluginError:
        return False
