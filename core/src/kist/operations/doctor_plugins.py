"""doctor on plugins: which are there, which do not work, which kernel is used, and what they find themselves."""

from __future__ import annotations

from collections.abc import Iterator

from kist.errors import KistError, PluginError
from kist.model.report import Finding
from kist.operations.plugins import InstalledPlugin, installed_plugins, make_plugins
from kist.plugins.builtin import DISTRIBUTION
from kist.plugins.registry import Plugins, kernel_name
from kist.repo.config import Config
from kist.repo.context import RepoContext
from kist.util.version import VERSION


def installed(context: RepoContext | None) -> Iterator[Finding]:
    """Every distribution with plugins, with what keeps it from working: unlike ``kist plugins``, this loads them."""
    config = _config(context)
    plugins = _plugins(context)
    for one in installed_plugins(config):
        keys = ", ".join(f"{key.group}.{key.key}" for key in one.keys)
        yield Finding(f"plugin {one.distribution}", "ok", f"{one.version}: {keys}")
        for pair in one.conflicts:
            yield Finding(
                f"plugin {one.distribution}",
                "error",
                f"another distribution brings {pair} too",
                f"kist config --global plugins.prefer.{pair} {one.distribution}",
            )
        if one.unmet:
            detail = f"it requires {one.unmet}, and kist-core {VERSION} is installed"
            yield Finding(f"plugin {one.distribution}", "error", detail, "pip check; then bring them together")
        for message, hint in _defects(plugins, one).items():
            yield Finding(f"plugin {one.distribution}", "error", message, hint)


def _defects(plugins: Plugins, one: InstalledPlugin) -> dict[str, str | None]:
    """Why what a distribution brings does not work, each once, with what to do: each of its modules is loaded."""
    found: dict[str, str | None] = {}
    for key in one.keys:
        if key.state != "used" or one.distribution == DISTRIBUTION:
            continue
        try:
            plugins.need(key.group, key.key)
            if key.group == "remotes":
                plugins.remote_options(key.key)
        except KistError as error:
            if one.distribution in str(error):
                found[str(error)] = error.hint
    return found


def kernel(context: RepoContext | None) -> Iterator[Finding]:
    """Which inner loops over files are used, and whether they can be."""
    plugins = _plugins(context)
    config = _config(context)
    configured = config.get("core.kernel")
    name = configured or kernel_name(plugins)
    try:
        plugins.kernel(name)
    except PluginError as error:
        if configured:
            raise
        yield Finding("kernel", "note", f"pure, because {name} does not work: {error}", error.hint)
    else:
        yield Finding("kernel", "ok", name)


def executor(context: RepoContext | None) -> Iterator[Finding]:
    """Whether the executor that is configured works; nothing where none is."""
    config = _config(context)
    name = config.get("core.executor")
    if name:
        made = _plugins(context).executor(name, 2)
        try:
            list(made.map(abs, range(3)))
        finally:
            made.close()
        alone = "" if made.shares_memory else "; requests to remotes go by threads, as it does not share our memory"
        yield Finding("executor", "ok", f"{name}{alone}")


def told_by_plugins(context: RepoContext | None) -> Iterator[Finding]:
    """What plugins find."""
    plugins = _plugins(context)
    found, errors = plugins.collect("kist_doctor", repo=context)
    for one in found:
        yield from one
    for error in errors:
        yield Finding("plugin", "error", str(error), error.hint)


def _plugins(context: RepoContext | None) -> Plugins:
    return context.plugins if context is not None else make_plugins()


def _config(context: RepoContext | None) -> Config:
    return context.config if context is not None else Config.load()
