"""The pluggy side: calls hooks, on one plugin or on all, and gives what goes wrong there to the plugin's account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from kist.errors import KistError, PluginBroken, PluginError
from kist.plugins.answers import checked
from kist.plugins.blame import culprit
from kist.plugins.builtin import DISTRIBUTION

if TYPE_CHECKING:
    from pluggy import PluginManager

_PREFIX = "kist_"
_ONE_RESULT = ("kist_make_", "kist_open_", "kist_remote_")


class Listeners(NamedTuple):
    """The plugins that asked for one hook by its name.

    Attributes:
        modules: those that could be loaded.
        errors: why the others could not.
    """

    modules: list[ModuleType]
    errors: list[KistError]

    def check(self) -> list[ModuleType]:
        """The plugins, all of them.

        Raises:
            PluginBroken: one could not be loaded: without it the hook's result may be wrong (a wrapper that encrypts).
        """
        for error in self.errors:
            raise error
        return self.modules


class HookRelay:
    """Calls hooks as ``relay.kist_after_add(repo=…, report=…)``; their plugins are loaded just before.

    pluggy itself is imported with the first plugin: a hook that nobody implements costs nothing.

    Args:
        listeners: loads the plugins that listen to a hook, by the hook's name.
    """

    def __init__(self, listeners: Callable[[str], Listeners]) -> None:
        self._listeners = listeners
        self._manager: PluginManager | None = None
        self._distributions: dict[str, str] = {}

    def __getattr__(self, hook: str) -> Callable[..., Any]:
        if not hook.startswith(_PREFIX):
            raise AttributeError(f"hooks of kist begin with {_PREFIX}, not {hook!r}")

        def call(**arguments: Any) -> Any:
            self._listeners(hook).check()
            if self._manager is None:
                return None if hook.startswith(_ONE_RESULT) else []
            with self._blamed(DISTRIBUTION, hook):
                return getattr(self._manager.hook, hook)(**arguments)

        return call

    def register(self, module: ModuleType, distribution: str) -> None:
        """Take in a plugin's implementations, once.

        Raises:
            PluginBroken: a hook that does not exist, or one with arguments that it does not have.
        """
        manager = self._manager or self._make_manager()
        if manager.is_registered(module):
            return
        try:
            manager.register(module)
            manager.check_pending()
        except Exception as exc:
            from kist.plugins.requirements import version_hint

            if manager.is_registered(module):
                manager.unregister(module)
            raise PluginBroken(distribution, exc, hint=version_hint(distribution)) from exc
        self._distributions[module.__name__.partition(".")[0]] = distribution

    def call_one(self, hook: str, plugin: ModuleType, distribution: str, arguments: dict[str, Any]) -> Any:
        """Call *hook* on *plugin* and on those that asked for this very hook (its wrappers).

        Plugins that are loaded for other keys are left out: they were not chosen.

        Raises:
            PluginBroken: a plugin raised something that is no KistError.
        """
        chosen = [plugin, *self._listeners(hook).check()]
        with self._blamed(distribution, hook):
            return self._subset(hook, chosen)(**arguments)

    def collect(self, hook: str, arguments: dict[str, Any]) -> tuple[list[Any], list[KistError]]:
        """Call *hook* on each plugin by itself, so that one that fails does not silence the others.

        Returns:
            The results that are not None, and the errors; a result that the hook's specification rules out is one.
        """
        results: list[Any] = []
        errors = list(self._listeners(hook).errors)
        if self._manager is None:
            return results, errors
        for one in getattr(self._manager.hook, hook).get_hookimpls():
            if one.wrapper or one.hookwrapper:
                continue
            owner = self._owner(one.plugin)
            try:
                with self._blamed(owner, hook):
                    results += [
                        checked(hook, answer, owner) for answer in self._subset(hook, [one.plugin])(**arguments)
                    ]
            except KistError as exc:
                if not isinstance(exc, PluginError):  # whose text may be anything, and does not say who objects
                    exc.hint = f"{exc.hint} (told by {owner})" if exc.hint else f"the plugin {owner} tells so"
                errors.append(exc)
        return results, errors

    def _make_manager(self) -> PluginManager:
        from pluggy import PluginManager

        from kist import hookspecs
        from kist.plugins.trace import trace_hooks

        manager = PluginManager("kist")
        manager.add_hookspecs(hookspecs)
        trace_hooks(manager)
        self._manager = manager
        return manager

    def _subset(self, hook: str, plugins: list[ModuleType]) -> Callable[..., Any]:
        manager = self._manager or self._make_manager()
        others = [
            one.plugin
            for one in getattr(manager.hook, hook).get_hookimpls()
            if one.plugin not in plugins and not (one.wrapper or one.hookwrapper)
        ]
        return manager.subset_hook_caller(hook, others)

    def _owner(self, plugin: object) -> str:
        name = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
        return self._distributions.get(name.partition(".")[0], DISTRIBUTION)

    @contextmanager
    def _blamed(self, distribution: str, hook: str) -> Iterator[None]:
        """Turn what is no KistError into PluginBroken of the plugin whose code raised it, else of *distribution*."""
        try:
            yield
        except KistError:
            raise
        except (Exception, SystemExit) as exc:
            found = culprit(exc, self._distributions)
            raise PluginBroken(found.distribution if found else distribution, exc, where=hook) from exc
