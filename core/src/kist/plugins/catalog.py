"""What is installed, told without importing any of it, and who would bring what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist.errors import PluginNotFound
from kist.plugins.builtin import BUILTIN, DISTRIBUTION
from kist.plugins.index import normal
from kist.util.slotted import slotted

if TYPE_CHECKING:
    from kist.plugins.registry import Plugins

KINDS = {
    "remotes": "remote",
    "hashers": "hasher",
    "links": "link type",
    "metafiles": "metafile format",
    "dialects": "dialect",
    "kernels": "kernel",
    "executors": "executor",
    "commands": "command",
    "hooks": "hook",
}
"""Group -> the kind of plugin, in the words of the documentation."""

_ASKED = {
    "remotes": "remotes with the scheme",
    "hashers": "the hash algorithm",
    "dialects": "repositories with the marker",
}


@slotted(frozen=True)
class InstalledKey:
    """One key that a distribution brings.

    Args:
        group: entry-point group without ``kist.``.
        key: the key.
        module: the module that has it.
        state: ``used``, ``blocked``, ``conflict`` or ``shadowed`` (another one is preferred, or builtin; of kernels
            only one is used).
    """

    group: str
    key: str
    module: str
    state: str


@slotted(frozen=True)
class InstalledPlugin:
    """One distribution with plugins.

    Args:
        distribution: its name.
        version: its version.
        kinds: the kinds of plugin that it brings, sorted.
        keys: what it brings, sorted.
        conflicts: ``group.key`` of those that another distribution brings too, while none is preferred.
    """

    distribution: str
    version: str
    kinds: tuple[str, ...]
    keys: tuple[InstalledKey, ...]
    conflicts: tuple[str, ...] = ()

    @property
    def unmet(self) -> str | None:
        """What it requires of the core, where another version of that is installed; reads its metadata."""
        from kist.plugins.requirements import unmet

        return unmet(self.distribution)


def installed(plugins: Plugins, kernel: str | None = None) -> list[InstalledPlugin]:
    """Every distribution with plugins, the core first, then by name.

    Args:
        plugins: the plugins.
        kernel: the kernel that is configured, None if none is.
    """
    from kist.plugins.registry import kernel_name
    from kist.util.version import VERSION

    kernel = kernel or kernel_name(plugins)
    core = tuple(
        InstalledKey(group, key, module, "shadowed" if group == "kernels" and key != kernel else "used")
        for (group, key), module in sorted(BUILTIN.items())
    )
    found = [_plugin(DISTRIBUTION, VERSION, core)]
    rows: dict[tuple[str, str], list[InstalledKey]] = {}
    for offer in plugins.index.offers:
        if offer.group in KINDS:
            state = _state(plugins, offer.group, offer.key, offer[3])
            if state == "used" and offer.group == "kernels" and offer.key != kernel:
                state = "shadowed"
            key = InstalledKey(offer.group, offer.key, offer.module, state)
            rows.setdefault((offer.distribution, offer.version), []).append(key)
    found += [_plugin(name, version, tuple(sorted(keys, key=_order))) for (name, version), keys in sorted(rows.items())]
    return found


def installed_commands(plugins: Plugins | None = None) -> dict[str, str]:
    """The verbs that plugins bring, for the overview of all verbs.

    Args:
        plugins: the plugins; None for those of a process without configuration.

    Returns:
        Word -> the distributions that bring it, in brackets; what the verb does is told by its own help.
    """
    from kist.plugins.registry import Plugins

    plugins = plugins or Plugins()
    found = {word: plugins.usable("commands", word) for word in plugins.index.keys("commands")}
    return {word: f"({', '.join(one.distribution for one in offers)})" for word, offers in found.items() if offers}


def known_by(plugins: Plugins, group: str, key: str) -> str | None:
    """The distribution that brings a key, as the group ``kist.known`` tells; None where nobody tells.

    Such an entry point is named ``<group>.<key>`` and its value is the distribution's top module, which is its name
    with ``_`` for ``-``.
    """
    offers = plugins.index.find("known", f"{group}.{key}")
    return normal(offers[0].module) if offers else None


def foreign_markers(plugins: Plugins) -> dict[str, str]:
    """The marker folders of other tools whose repositories are not read here, with what to do about that."""
    known = sorted(set(_known_keys(plugins, "dialects")))
    blocked = [key for key in plugins.index.keys("dialects") if not plugins.usable("dialects", key)]
    found = dict.fromkeys(known, "'kist init' works beside that, 'kist help migrating' says how")
    return found | {key: _hint(plugins, "dialects", key) for key in blocked}


def nearest(plugins: Plugins, group: str, key: str) -> str | None:
    """The key of a group that looks most like *key*: builtin, installed or known."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(key, _keys(plugins, group) + _known_keys(plugins, group), n=1)), None)


def not_found(plugins: Plugins, group: str, key: str) -> PluginNotFound:
    """The error for a key that nobody brings, with the best hint there is."""
    what = f"{_ASKED.get(group, f'the {KINDS.get(group, group)}')} '{key}'"
    return PluginNotFound(f"no plugin brings {what}", hint=_hint(plugins, group, key))


def _hint(plugins: Plugins, group: str, key: str) -> str:
    if plugins.disabled:
        return "plugins are switched off (KIST_DISABLE_PLUGINS)"
    blocked = plugins.index.find(group, key)
    if blocked:
        return f"{blocked[0].distribution} brings it, but plugins.block names it"
    distribution = known_by(plugins, group, key)
    if distribution:
        return f"install it: pip install {distribution}"
    close = nearest(plugins, group, key)
    if close:
        return f"did you mean '{close}'?"
    names = ", ".join(_keys(plugins, group)) or "none"
    return f"installed: {names}; 'kist plugins' tells who brings them"


def _keys(plugins: Plugins, group: str) -> list[str]:
    return sorted({key for one, key in BUILTIN if one == group} | set(plugins.index.keys(group)))


def _known_keys(plugins: Plugins, group: str) -> list[str]:
    names = plugins.index.keys("known")
    return [name.removeprefix(f"{group}.") for name in names if name.startswith(f"{group}.")]


def _state(plugins: Plugins, group: str, key: str, distribution: str) -> str:
    if plugins.is_blocked(group, key, distribution):
        return "blocked"
    usable = {normal(one.distribution) for one in plugins.usable(group, key)}
    if normal(distribution) not in usable or (group != "hooks" and plugins.is_builtin(group, key)):
        return "shadowed"
    return "conflict" if len(usable) > 1 and group != "hooks" else "used"


def _plugin(distribution: str, version: str, keys: tuple[InstalledKey, ...]) -> InstalledPlugin:
    kinds = tuple(sorted({KINDS[key.group] for key in keys}))
    conflicts = tuple(f"{key.group}.{key.key}" for key in keys if key.state == "conflict")
    return InstalledPlugin(distribution, version, kinds, keys, conflicts)


def _order(key: InstalledKey) -> tuple[str, str]:
    return key.group, key.key
