"""Configuration in layers: system < user < tracked < local < environment < command line.

Tracked configuration comes with a clone and is not trusted: only keys that are declared harmless count there, others
are ignored with a warning. Files are YAML; a value is changed in place, so comments stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kist.errors import ConfigError, RepoFormatError, UnknownOption
from kist.repo.config_files import read_file, system_file, user_file
from kist.repo.options import KNOWN, REMOTE_OPTIONS, Known
from kist.util.paths import display, nearest
from kist.util.slotted import field, slotted

if TYPE_CHECKING:
    from kist.abc.options import Options
    from kist.repo.layout import Place

LEVELS = ("system", "user", "tracked", "local", "environment", "command line")
"""Names of the layers, the weakest first."""

_ENV_PREFIX = "KIST_CONFIG__"

Key = tuple[str, ...]
"""A key in its parts; a remote's name is one part, dots included."""


@slotted(frozen=True)
class Setting:
    """One value that is set somewhere.

    Args:
        key: dotted.
        value: as it stands there, untyped.
        level: one of :data:`LEVELS`.
        origin: the file or variable.
    """

    key: str
    value: Any
    level: str
    origin: str


@slotted()
class _Layer:
    level: str
    origin: str
    data: dict[str, Any] = field(default_factory=dict)


def split_key(key: str) -> Key:
    """The parts of a dotted key.

    Args:
        key: ``section.name``, ``remote.<name>.<option>`` or ``plugins.prefer.<group>.<key>``.

    Returns:
        The parts.

    Raises:
        UnknownOption: no such key, with the nearest one.
    """
    parts = key.split(".")
    if key in KNOWN:
        return tuple(parts)
    if parts[0] == "remote" and len(parts) >= 3 and all(parts):
        return ("remote", ".".join(parts[1:-1]), parts[-1])
    if parts[:2] == ["plugins", "prefer"] and len(parts) >= 4 and parts[2] and any(parts[3:]):
        return ("plugins", "prefer", parts[2], ".".join(parts[3:]))  # marker folders begin with a dot
    raise _unknown(key, "")


def known(key: Key) -> Known | None:
    """What the core knows about a key; None for the options of remotes that only their plugin knows."""
    if key[0] == "remote":
        return REMOTE_OPTIONS.get(key[-1])
    return KNOWN.get(".".join(key[:2]))


def _unknown(key: str, origin: str) -> UnknownOption:
    close = nearest(key, [*KNOWN, "remote.NAME.url"])
    return UnknownOption(
        f"{origin + ': ' if origin else ''}unknown configuration key '{display(key)}'",
        hint=f"did you mean '{close}'?" if close else f"known keys: {', '.join(KNOWN)}",
    )


class Config:
    """The configuration that holds for one command.

    Args:
        layers: the weakest first.

    Attributes:
        warnings: sentences about values of tracked configuration that do not count.
    """

    def __init__(self, layers: list[_Layer]) -> None:
        self._layers = layers
        self.warnings: list[str] = []
        for layer in layers:
            self._check(layer)

    @classmethod
    def load(
        cls,
        place: Place | None = None,
        *,
        env: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        sources: Iterable[tuple[str, dict[str, Any]]] = (),
    ) -> Config:
        """Read all layers.

        Args:
            place: the repository's places, None outside of one.
            sources: name and data of configuration files of another tool, the weakest first: weaker than what is
                tracked, and trusted as little.
            env: the environment, None for that of the process.
            overrides: dotted key -> value, from the command line.

        Returns:
            The configuration.

        Raises:
            UnknownOption: a key that nobody knows, with the nearest one.
            InvalidOption: a value that does not fit.
            ConfigError: a file that is not valid YAML.
            RepoFormatError: the repository was made by a newer version.
        """
        env = os.environ if env is None else env
        layers = [_Layer("system", str(system_file(env)), read_file(system_file(env)))]
        layers.append(_Layer("user", str(user_file(env)), read_file(user_file(env))))
        layers += [_Layer("tracked", name, data) for name, data in sources]
        if place is not None:
            layers.append(_Layer("tracked", str(place.config), read_file(place.config, tracked=True)))
            layers.append(_Layer("local", str(place.local_config), read_file(place.local_config)))
        layers.append(_Layer("environment", "environment", _from_environment(env)))
        layers.append(_Layer("command line", "command line", _nested(overrides or {})))
        return cls(layers)

    def get(self, key: str) -> Any:
        """The typed value of a key.

        Args:
            key: dotted.

        Returns:
            The value of the strongest layer that sets it, else the default; None for an unset option of a remote.

        Raises:
            UnknownOption: no such key.
            InvalidOption: a value that does not fit.
        """
        parts = split_key(key)
        setting = self.find(key)
        about = known(parts)
        if setting is None:
            return about.default if about is not None else None
        if about is None or len(parts) == 4:
            return setting.value
        if about.kind == "map":
            merged = [about.convert(dig(layer.data, parts) or {}, layer.origin) for layer in self._layers]
            return {name: value for one in merged for name, value in one.items()}
        return about.convert(setting.value, setting.origin)

    def find(self, key: str) -> Setting | None:
        """The strongest setting of a key with its origin, None where it is not set."""
        parts = split_key(key)
        for layer in reversed(self._layers):
            value = dig(layer.data, parts)
            if value is not None:
                return Setting(key, value, layer.level, layer.origin)
        return None

    def settings(self, level: str | None = None) -> Iterator[Setting]:
        """Everything that is set, the weakest layer first.

        Args:
            level: one of :data:`LEVELS`, None for all.

        Yields:
            Settings, also those that a stronger layer overrides.
        """
        for layer in self._layers:
            if level is None or layer.level == level:
                for parts, value in _leaves(layer.data):
                    yield Setting(".".join(parts), value, layer.level, layer.origin)

    def section(self, name: str) -> dict[str, Any]:
        """A whole section, merged from all layers: of ``remote``, name -> option -> value, untyped."""
        merged: dict[str, Any] = {}
        for layer in self._layers:
            _merge(merged, layer.data.get(name) or {})
        return merged

    def trusted_options(self, name: str, kind: type[Options]) -> dict[str, Any]:
        """The options of a remote that count, with their values.

        Args:
            name: the remote's name.
            kind: what its plugin declares.

        Returns:
            Option -> value; what tracked configuration sets counts only where the option is declared ``shared``, and a
            warning tells of the others.
        """
        from kist.abc.options import declared_options

        options = declared_options(kind)
        shared = {one.name for one in options if one.metadata.get("shared")} | set(REMOTE_OPTIONS)
        declared = {one.name for one in options} | set(REMOTE_OPTIONS)
        chosen: dict[str, Any] = {}
        for layer in self._layers:
            for option, value in (dig(layer.data, ("remote", name)) or {}).items():
                if layer.level != "tracked" or option in shared or option not in declared:
                    chosen[option] = value
                else:
                    self._ignored(f"remote.{name}.{option}", layer)
        return chosen

    def _check(self, layer: _Layer) -> None:
        """Refuse what nobody knows or does not fit, and drop what the layer may not set."""
        for parts, value in list(_leaves(layer.data)):
            key = ".".join(parts)
            about = known(parts)
            if about is None and parts[0] != "remote":
                raise _unknown(key, display(layer.origin))
            if parts[0] == "remote" and len(parts) != 3:
                raise ConfigError(
                    f"{display(layer.origin)}: 'remote' holds a mapping of names to options: {display(key)}"
                )
            if about is not None and (about.kind != "map" or len(parts) == 2):
                about.convert(value, display(layer.origin))
            if layer.level == "tracked" and about is not None and not about.tracked:
                self._ignored(key, layer)
                _drop(layer.data, parts)
        if layer.level == "tracked" and (dig(layer.data, ("repository", "format")) or 1) > 1:
            raise RepoFormatError("a newer version of kist made this repository", hint="pip install -U kist")

    def _ignored(self, key: str, layer: _Layer) -> None:
        text = (
            f"'{display(key)}' in {display(layer.origin)} is ignored: it counts only in your own configuration "
            f"(kist config --local or --global)"
        )
        if text not in self.warnings:
            self.warnings.append(text)


# ── nested data ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {one.key: env[one.env] for one in KNOWN.values() if one.env and env.get(one.env)}
    for name, value in env.items():
        if name.startswith(_ENV_PREFIX) and value:
            key = name[len(_ENV_PREFIX) :].replace("__", ".")
            values[key if key in KNOWN or key.startswith("remote.") else key.lower()] = value
    return _nested(values)


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in values.items():
        inner = data
        *above, last = split_key(key)
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return data


def dig(data: Any, parts: Key) -> Any:
    """The value at a key of nested mappings, None where there is none."""
    for part in parts:
        if not isinstance(data, dict):
            return None
        data = data.get(part)
    return data


def _leaves(data: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for key, value in data.items():
        parts = (*above, str(key))
        if isinstance(value, dict):
            yield from _leaves(value, parts)
        elif value is not None:
            yield parts, value


def _drop(data: dict[str, Any], parts: Key) -> None:
    del dig(data, parts[:-1])[parts[-1]]


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif value is not None:
            into[key] = dict(value) if isinstance(value, dict) else value
