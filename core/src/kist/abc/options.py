"""Options: what a remote lets people set, declared as a dataclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from kist.errors import InvalidOption, UnknownOption

RESERVED = frozenset({"url", "readonly", "retries", "retry_time"})
"""Options that every remote has: the core keeps them to itself, so no plugin may declare one of these names."""


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
        help: one sentence for the docs and ``kist help remotes``.
        env: an environment variable that sets it where no configuration does: what is configured counts more.
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


class Options:
    """Base of a remote's options: subclass it as a dataclass of :func:`option` fields.

    Field types may be ``str``, ``int``, ``float``, ``bool``, each also ``| None``. This base is no dataclass itself, so
    that the subclass may be frozen or not, as its author likes.
    """

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

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
        known = {one.name: one for one in declared_options(cls)}
        for name in values:
            if name not in known:
                raise UnknownOption(f"unknown option '{name}'", hint=_nearest(name, known))
        chosen: dict[str, Any] = {}
        for name, one in known.items():
            variable = one.metadata.get("env")
            if name in values:
                chosen[name] = _convert(name, one.type, values[name], one.metadata.get("choices"))
            elif env and variable and variable in env:
                chosen[name] = _convert(name, one.type, env[variable], one.metadata.get("choices"))
            elif one.default is MISSING and one.default_factory is MISSING:
                raise InvalidOption(f"the option '{name}' must be set: {one.metadata.get('help', '')}")
        return cls(**chosen)


def declared_options(kind: type[Options]) -> tuple[Field[Any], ...]:
    """The options that a class declares: none where it is just the base."""
    return fields(kind) if is_dataclass(kind) else ()


def declaration_fault(kind: type[Options]) -> str | None:
    """What is wrong with how a class declares its options; None where nothing is."""
    for one in declared_options(kind):
        if one.name in RESERVED:
            return f"the option '{one.name}' has the name of one that every remote has"
        if "help" not in one.metadata:
            return f"the option '{one.name}' is not declared with option()"
        base, _ = _type_of(one.type)
        if base not in _TYPES:
            return f"the option '{one.name}' is of type {base}, not one of {', '.join(_TYPES)}"
    return None


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    names = ", ".join(sorted(known)) or "none"
    return f"did you mean '{close[0]}'?" if close else f"known options: {names}"


_TYPES = ("str", "int", "float", "bool")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def _convert(name: str, annotation: Any, value: Any, choices: Sequence[str] | None) -> Any:
    base, optional = _type_of(annotation)
    if value is None and optional:
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


def _type_of(annotation: Any) -> tuple[str, bool]:
    """The name of a field's type, and whether None is allowed; the annotation may be a text, a class or a union."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
    if text.startswith("Optional["):
        text = f"{text[9:-1]} | None"
    parts = [part.strip() for part in text.split("|")]
    return next((part for part in parts if part != "None"), "None"), "None" in parts
