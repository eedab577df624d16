"""Options: what a remote lets people set, declared as a dataclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

from kist.errors import InvalidOption, UnknownOption


def option(
    default: Any = MISSING,
    *,
    help: str,
    env: str | None = None,
    choices: Sequence[str] | None = None,
    secret: bool = False,
    shared: bool = False,
) -> Any:
    """Declare one option of an :class:`Options` dataclass.

    Args:
        default: its value when nobody sets it; left out: it is required.
        help: one sentence for the docs and ``kist remote modify``.
        env: an environment variable that sets it where no configuration does.
        choices: the values it may take.
        secret: never shown, refused in tracked configuration.
        shared: counts when it stands in tracked (cloned) configuration; anything that names a program, a
            credential, a proxy or turns a check off must leave this False.
    """
    return field(
        default=default,
        repr=not secret,
        metadata={"help": help, "env": env, "choices": choices, "secret": secret, "shared": shared},
    )


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of a remote's options: subclass it as a frozen, keyword-only dataclass of :func:`option` fields.

    Field types may be ``str``, ``int``, ``float``, ``bool``, each also ``| None``.
    """

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, env: Mapping[str, str] | None = None) -> Self:
        """Make options from configuration values.

        Args:
            values: option name to value; text is converted to the field's type.
            env: environment variables for options that declare one.

        Raises:
            UnknownOption: a name that is no option, with the nearest one.
            InvalidOption: a value of the wrong type or choice, or a required option that is missing.
        """
        known = {one.name: one for one in fields(cls)}
        for name in values:
            if name not in known:
                raise UnknownOption(f"unknown option '{name}'", hint=_nearest(name, known))
        chosen: dict[str, Any] = {}
        for name, one in known.items():
            variable = one.metadata.get("env")
            if name in values:
                chosen[name] = _convert(name, str(one.type), values[name], one.metadata.get("choices"))
            elif env and variable and variable in env:
                chosen[name] = _convert(name, str(one.type), env[variable], one.metadata.get("choices"))
            elif one.default is MISSING and one.default_factory is MISSING:
                raise InvalidOption(f"the option '{name}' must be set: {one.metadata.get('help', '')}")
        return cls(**chosen)


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    names = ", ".join(sorted(known)) or "none"
    return f"did you mean '{close[0]}'?" if close else f"known options: {names}"


_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def _convert(name: str, kind: str, value: Any, choices: Sequence[str] | None) -> Any:
    base = kind.split("|", maxsplit=1)[0].strip()
    if value is None and "None" in kind:
        return None
    try:
        if base == "bool" and not isinstance(value, bool):
            text = str(value).lower()
            if text not in _TRUE + _FALSE:
                raise ValueError(text)
            value = text in _TRUE
        elif base in ("int", "float") and not isinstance(value, bool):
            value = {"int": int, "float": float}[base](value)
        elif base == "str":
            value = str(value)
    except ValueError:
        raise InvalidOption(f"the option '{name}' must be of type {base}") from None
    if choices and value not in choices:
        raise InvalidOption(f"the option '{name}' must be one of {', '.join(choices)}")
    return value
