"""Plugins: loads exactly the plugin that a key needs, and makes from it what the core asks for.

stevedore (behind the plugin index) decides what is imported, pluggy (behind the hook relay) what is called.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kist.errors import ContractViolation, KistError, PluginBroken, PluginConflict, PluginError
from kist.plugins.blame import violation, wrong_answer
from kist.plugins.builtin import BUILTIN, DISTRIBUTION
from kist.plugins.index import Offer, PluginIndex, load_index, normal
from kist.plugins.relay import HookRelay, Listeners
from kist.plugins.trace import switched_on, traced_load

if TYPE_CHECKING:
    from kist.abc import (
        CommandTable,
        Dialect,
        Executor,
        Hasher,
        Kernel,
        LinkType,
        MetafileFormat,
        Options,
        Remote,
        RemoteScope,
        RemoteURL,
    )

T = TypeVar("T")


class _Loaded(NamedTuple):
    module: ModuleType
    distribution: str


class Plugins:
    """The plugins of one process or repository. Thread-safe.

    Args:
        block: distributions, or ``group.key`` pairs, that are never loaded.
        prefer: ``group.key`` -> the distribution to take where several bring it (or instead of the builtin one).
        disabled: whether only what the core brings may be used; ``KIST_DISABLE_PLUGINS=1`` says so too.
        index: what is installed; None to find out.
    """

    def __init__(
        self,
        block: Collection[str] = (),
        prefer: Mapping[str, str] | None = None,
        disabled: bool = False,
        index: PluginIndex | None = None,
    ) -> None:
        self.disabled = disabled or switched_on("KIST_DISABLE_PLUGINS")
        self._block = {normal(name) for name in block if not _is_pair(name)} | {
            name for name in block if _is_pair(name)
        }
        self._prefer = {pair: normal(name) for pair, name in (prefer or {}).items()}
        self._given_index = index
        self._loaded: dict[tuple[str, str], _Loaded] = {}
        self._listeners: dict[str, Listeners] = {}
        self._made: dict[tuple[str, str], Any] = {}
        self._lock = RLock()
        self.hook = HookRelay(self._load_listeners)

    @cached_property
    def index(self) -> PluginIndex:
        """What is installed; empty where plugins are disabled."""
        if self.disabled:
            return PluginIndex(())
        return self._given_index if self._given_index is not None else load_index()

    def need(self, group: str, key: str) -> None:
        """Make sure that the plugins for a key are loaded.

        Args:
            group: entry-point group without ``kist.``, such as ``remotes``.
            key: what is needed, such as a URL scheme; for ``hooks`` the hook's name, where nobody is needed.

        Raises:
            PluginNotFound: nobody brings it; the hint tells who would.
            PluginConflict: several distributions bring it and none is preferred.
            PluginBroken: the plugin raised while it was imported or registered.
        """
        if group == "hooks":
            self._load_listeners(key).check()
        else:
            self._load(group, key)

    def usable(self, group: str, key: str) -> list[Offer]:
        """The installed offers for a key that are not blocked; those of the preferred distribution only, if any."""
        found = self.index.find(group, key)
        offers = [one for one in found if not self.is_blocked(group, key, one.distribution)]
        preferred = self._prefer.get(f"{group}.{key}")
        return [one for one in offers if normal(one.distribution) == preferred] or offers

    def is_blocked(self, group: str, key: str, distribution: str) -> bool:
        """Whether configuration forbids to load this key from this distribution."""
        return f"{group}.{key}" in self._block or normal(distribution) in self._block

    def is_builtin(self, group: str, key: str) -> bool:
        """Whether the core's own plugin is taken for this key."""
        return (group, key) in BUILTIN and f"{group}.{key}" not in self._prefer

    def choose(self, group: str, key: str) -> Offer:
        """The one offer for a key of a keyed group, without loading it.

        Raises:
            PluginNotFound: nobody brings it; the hint tells who would.
            PluginConflict: several distributions bring it and none is preferred.
        """
        if self.is_builtin(group, key):
            return Offer(group, key, BUILTIN[group, key], DISTRIBUTION, "")
        offers = self.usable(group, key)
        if len({normal(one.distribution) for one in offers}) > 1:
            names = sorted({one.distribution for one in offers})
            raise PluginConflict(
                f"{' and '.join(names)} both bring {group}.{key}",
                hint=f"choose with 'kist config --global plugins.prefer.{group}.{key} {names[0]}', or remove one",
            )
        if offers:
            return offers[0]
        from kist.plugins.catalog import not_found

        raise not_found(self, group, key)

    # What the core asks for; each is checked against its contract before anybody uses it.

    def hasher(self, algorithm: str, kernel: Kernel | None = None) -> Hasher:
        """The hasher of an algorithm, or what a kernel uses in place of it."""
        from kist.abc import Hasher

        made: Hasher = self._once("hashers", algorithm, "kist_make_hasher", Hasher, {"algorithm": algorithm})
        hasher = self._named(made, "hashers", algorithm)
        if kernel is None:
            return hasher
        found = kernel.hasher(hasher)
        same = all(getattr(found, one, None) == getattr(hasher, one) for one in ("name", "digest_size"))
        if not isinstance(found, Hasher) or not same:
            distribution = self._loaded["kernels", kernel.name].distribution
            raise wrong_answer(distribution, kernel, "hasher", found, f"a hasher like that of {algorithm}")
        return found

    def link_type(self, name: str) -> LinkType:
        """The link type of that name."""
        from kist.abc import LinkType

        made: LinkType = self._once("links", name, "kist_make_link_type", LinkType, {"name": name})
        return self._named(made, "links", name)

    def metafile_format(self, name: str) -> MetafileFormat:
        """The metafile format of that name."""
        from kist.abc import MetafileFormat

        made: MetafileFormat = self._once(
            "metafiles", name, "kist_make_metafile_format", MetafileFormat, {"name": name}
        )
        return self._named(made, "metafiles", name)

    def dialect(self, marker: str) -> Dialect:
        """The dialect of a marker folder."""
        from kist.abc import Dialect

        made: Dialect = self._once("dialects", marker, "kist_make_dialect", Dialect, {"marker": marker})
        return self._named(made, "dialects", marker, "marker")

    def kernel(self, name: str) -> Kernel:
        """The kernel of that name."""
        from kist.abc import Kernel

        made: Kernel = self._once("kernels", name, "kist_make_kernel", Kernel, {"name": name})
        return self._named(made, "kernels", name)

    def executor(self, name: str, jobs: int) -> Executor:
        """A new executor; the caller closes it. What one of a plugin gives back is checked."""
        from kist.abc import Executor

        arguments = {"name": name, "jobs": max(1, jobs)}
        made: Executor = self._make("executors", name, "kist_make_executor", Executor, arguments)
        if self.is_builtin("executors", name):
            return made
        from kist.plugins.checked_executor import CheckedExecutor

        return CheckedExecutor(made, self._loaded["executors", name].distribution)

    def remote_options(self, scheme: str) -> type[Options]:
        """The options of remotes with this scheme; a plugin that declares none has none."""
        from dataclasses import is_dataclass

        from kist.abc import Options
        from kist.abc.options import declaration_fault

        result = self._call("remotes", scheme, "kist_remote_options", {"scheme": scheme})
        if result is None:
            return Options
        if not (isinstance(result, type) and issubclass(result, Options)):
            raise self._violation("remotes", scheme, "kist_remote_options", result, "a subclass of Options")
        if result is not Options and not is_dataclass(result):
            raise self._violation("remotes", scheme, "kist_remote_options", result, "a dataclass")
        if fault := declaration_fault(result):
            distribution = self._loaded["remotes", scheme].distribution
            raise violation(distribution, f"{fault} ({result.__name__}, for remotes.{scheme})")
        return result

    def open_remote(self, url: RemoteURL, options: Options, scope: RemoteScope) -> Remote:
        """Open a remote, whose answers are checked from then on; no network is touched by that."""
        from kist.abc import Remote
        from kist.plugins.checked_remote import CheckedRemote

        arguments = {"url": url, "options": options, "scope": scope}
        made: Remote = self._make("remotes", url.scheme, "kist_open_remote", Remote, arguments)
        return CheckedRemote(made, self._loaded["remotes", url.scheme].distribution)

    def commands(self, word: str | None = None) -> CommandTable:
        """The verbs that plugins add.

        Args:
            word: only this one, which must exist; None for all of them, a broken one with its error for help.

        Raises:
            PluginError: *word* is not found or its plugin does not work.
        """
        from kist.abc import CommandTable

        table = CommandTable()
        for key in self.index.keys("commands") if word is None else [word]:
            try:
                table.commands[key] = self._command(key)
            except KistError as exc:
                if word is not None:
                    raise
                table.commands[key] = ("", f"(does not work) {exc}")
        return table

    def collect(self, hook: str, **arguments: Any) -> tuple[list[Any], list[KistError]]:
        """Call a life-cycle hook on each plugin by itself.

        Args:
            hook: its whole name, such as ``kist_after_add``.
            **arguments: as in :mod:`kist.hookspecs`.

        Returns:
            The results that are not None, and the errors of those that failed; nothing is raised but vetoes are told.
        """
        with self._lock:
            return self.hook.collect(hook, arguments)

    def _command(self, word: str) -> tuple[str, str]:
        from kist.abc import CommandTable

        table = CommandTable()
        self._call("commands", word, "kist_add_command", {"commands": table})
        if word not in table.commands:
            raise self._violation("commands", word, "kist_add_command", sorted(table.commands), f"the word '{word}'")
        return table.commands[word]

    def _once(self, group: str, key: str, hook: str, kind: type, arguments: dict[str, Any]) -> Any:
        made = self._made.get((group, key))
        if made is None:
            with self._lock:
                made = self._made[group, key] = self._guarded(group, key, self._make(group, key, hook, kind, arguments))
        return made

    def _guarded(self, group: str, key: str, made: Any) -> Any:
        """What a plugin made, so that its answers are looked at; what the core itself brings needs no such look."""
        if group == "metafiles" and not self.is_builtin(group, key):
            from kist.plugins.checked_metafile import CheckedMetafileFormat

            return CheckedMetafileFormat(made, self._loaded[group, key].distribution)
        if group == "dialects" and not self.is_builtin(group, key):
            from kist.plugins.checked_dialect import CheckedDialect

            return CheckedDialect(made, self._loaded[group, key].distribution)
        return made

    def _make(self, group: str, key: str, hook: str, kind: type, arguments: dict[str, Any]) -> Any:
        result = self._call(group, key, hook, arguments)
        if not isinstance(result, kind):
            raise self._violation(group, key, hook, result, f"a {kind.__name__}")
        return result

    def _named(self, made: T, group: str, key: str, attribute: str = "name") -> T:
        name = getattr(made, attribute, None)
        if name != key:
            self._made.pop((group, key), None)
            raise self._violation(group, key, "its plugin", name, f"one that is named '{key}'")
        return made

    def _call(self, group: str, key: str, hook: str, arguments: dict[str, Any]) -> Any:
        with self._lock:
            loaded = self._load(group, key)
            return self.hook.call_one(hook, loaded.module, loaded.distribution, arguments)

    def _violation(self, group: str, key: str, hook: str, result: object, wanted: str) -> ContractViolation:
        what = f"{hook} gave {result!r:.80} for {group}.{key}, not {wanted}"
        return violation(self._loaded[group, key].distribution, what)

    def _load(self, group: str, key: str) -> _Loaded:
        with self._lock:
            loaded = self._loaded.get((group, key))
            if loaded is None:
                loaded = self._loaded[group, key] = self._import(self.choose(group, key))
            return loaded

    def _load_listeners(self, hook: str) -> Listeners:
        """Load the plugins under a hook's name, with or without its prefix."""
        short = hook.removeprefix("kist_")
        with self._lock:
            if short not in self._listeners:
                modules: list[ModuleType] = []
                errors: list[KistError] = []
                for offer in self.usable("hooks", short) + self.usable("hooks", f"kist_{short}"):
                    try:
                        modules.append(self._import(offer).module)
                    except KistError as exc:
                        errors.append(exc)
                self._listeners[short] = Listeners(modules, errors)
            return self._listeners[short]

    def _import(self, offer: Offer) -> _Loaded:
        try:
            with traced_load(offer.module, offer.distribution, f"{offer.group}.{offer.key}"):
                module = import_module(offer.module)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            from kist.plugins.requirements import version_hint

            ours = isinstance(exc, ImportError) and (exc.name or "").partition(".")[0] == "kist"
            hint = version_hint(offer.distribution) if ours else None
            raise PluginBroken(offer.distribution, exc, hint=hint) from exc
        self.hook.register(module, offer.distribution)
        return _Loaded(module, offer.distribution)


def choose_kernel(plugins: Plugins, configured: str | None) -> Kernel:
    """The inner loops over files: as configured, else the kernel that is installed, if it works.

    Raises:
        PluginError: the configured one is not there, or does not work.
    """
    if configured:
        return plugins.kernel(configured)
    try:
        return plugins.kernel(kernel_name(plugins))
    except PluginError:  # it only makes things faster: nobody who did not ask for it misses it; doctor tells
        return plugins.kernel("pure")


def kernel_name(plugins: Plugins) -> str:
    """The kernel to take where none is configured: the one that is installed; ``pure`` if there is none, or several."""
    offers = [offer for key in plugins.index.keys("kernels") for offer in plugins.usable("kernels", key)]
    usable = [one for one in offers if not plugins.is_builtin("kernels", one.key)]
    return usable[0].key if len(usable) == 1 else "pure"


def _is_pair(name: str) -> bool:
    from kist.plugins.index import GROUPS

    return name.partition(".")[0] in GROUPS and "." in name
