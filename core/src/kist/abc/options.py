"""Options: what a remote lets people set, declared as a dataclass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from kist.errors import InvalidOption, UnknownOption

if TYPE_CHECKING:
    from kist.abc.remote import RemoteURL

RESERVED = frozenset({"url", "readonly", "retries", "retry_time"})
"""Options that every remote has: the core keeps them to itself, so no plugin may declare one of these names."""


def option(
    default: Any = MISSING,
    *,
    help: str,
    env: str | None = None,
    choices: Sequence[str] | Callable[[str, Any], object] | None = None,
    secret: bool = False,
    shared: bool = False,
) -> Any:
    """Declare one option of an :class:`Options` dataclass.

    Args:
        default: its value when nobody sets it; left out: it is required.
        help: one sentence for the docs and ``kist help remotes``.
        env: an environment variable that sets it where no configuration does: what is configured counts more.
        choices: the values it may take; or a function that is called with the option's name and a value that is set,
            and raises InvalidOption where no setting of other options could make it fit. Asked when it is configured
            and when it is used.
        secret: never shown, refused in tracked configuration.
        shared: counts when it stands in tracked (cloned) configuration; anything that names a program, a
            credential, a proxy or turns a check off must leave this False.
    """
    check = choices if callable(choices) else None
    return field(
        default=default,
        repr=not secret,
        metadata={
            "help": help,
            "env": env,
            "choices": None if check else choices,
            "check": check,
            "secret": secret,
            "shared": shared,
        },
    )


def between(least: float, most: float) -> Callable[[str, Any], None]:
    """A check for :func:`option`: a number in a range.

    Args:
        least: the smallest that fits.
        most: the largest.
    """

    def check(name: str, value: Any) -> None:
        if not least <= value <= most:
            raise InvalidOption(f"the option '{name}' must be from {least:g} to {most:g}")

    return check


class Options:
    """Base of a remote's options: subclass it as a dataclass of :func:`option` fields.

    Field types may be ``str``, ``int``, ``float``, ``bool``, each also ``| None``. This base is no dataclass itself, so
    that the subclass may be frozen or not, as its author likes.
    """

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @classmethod
    def check_url(cls, url: RemoteURL) -> None:
        """Refuse an address that no values of the options make usable; asked when a remote is added or changed.

        Args:
            url: the address.

        Raises:
            InvalidOption: what opening a remote there would raise too.
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
        known = {one.name: one for one in declared_options(cls)}
        for name in values:
            if name not in known:
                raise UnknownOption(f"unknown option '{name}'", hint=_nearest(name, known))
        chosen: dict[str, Any] = {}
        for name, one in known.items():
            variable = one.metadata.get("env")
            if name in values:
                chosen[name] = _convert(one, values[name])
            elif env and variable and variable in env:
                chosen[name] = _convert(one, env[variable])
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


def _convert(one: Field[Any], value: Any) -> Any:
    name, choices, check = one.name, one.metadata.get("choices"), one.metadata.get("check")
    base, optional = _type_of(one.type)
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
    if check:
        check(name, value)
    return value


def _type_of(annotation: Any) -> tuple[str, bool]:
    """The name of a field's type, and whether None is allowed; the annotation may be a text, a class or a union."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
    if text.startswith("Optional["):
        text = f"{text[9:-1]} | None"
    parts = [part.strip() for part in text.split("|")]
    return next((part for part in parts if part != "None"), "None"), "None" in parts
