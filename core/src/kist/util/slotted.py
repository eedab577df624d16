"""Classes of named fields in slots, as dataclasses are, at a fiftieth of what those take to be made.

``dataclass(frozen=True, slots=True)`` writes the source of six methods and compiles it: about a millisecond for each
class at each start, and a command loads some forty. Here the methods are shared, but for the constructor; that one is
compiled when the first instance is made, which most classes never see.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, ge, gt, le, lt
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from inspect import Signature

T = TypeVar("T")

_NOTHING: Any = object()
_OWN = ("__dict__", "__weakref__")
"""What a class has for itself and must not hand on to the one that takes its place."""


class _Field(NamedTuple):
    """What is known of a field; ``factory`` makes a default for each instance."""

    default: Any = _NOTHING
    factory: Callable[[], Any] | None = None
    init: bool = True
    repr: bool = True
    kw_only: bool = False


def field(
    *,
    default: Any = _NOTHING,
    default_factory: Callable[[], Any] | None = None,
    init: bool = True,
    repr: bool = True,
    kw_only: bool = False,
) -> Any:
    """Say more about a field than its annotation can.

    Args:
        default: its value where none is given.
        default_factory: makes that value, anew for each instance.
        init: whether it can be given to the constructor.
        repr: whether ``repr`` shows it.
        kw_only: whether it can be given by name alone.
    """
    return _Field(default, default_factory, init, repr, kw_only)


@dataclass_transform(field_specifiers=(field,))
def slotted(*, frozen: bool = False, order: bool = False, eq: bool = True) -> Callable[[type[T]], type[T]]:
    """Give a class slots for its annotated fields, a constructor, ``repr`` and comparison.

    Args:
        frozen: whether fields cannot be set later; such instances have a hash.
        order: whether instances compare as the tuples of their fields do.
        eq: whether instances with equal fields are equal; otherwise each is equal to itself only.

    Returns:
        A decorator. The class that it returns is a new one, as slots must be named when a class is made. It raises
        TypeError for what would go unnoticed: a constructor of the class's own, and a default that all would share.
    """

    def decorate(cls: type[T]) -> type[T]:
        namespace = {name: value for name, value in vars(cls).items() if name not in _OWN}
        if "__init__" in namespace or hasattr(cls, "__post_init__"):
            raise TypeError(f"{cls.__qualname__} has a constructor of its own, which would never be called")
        own = {
            name: _field(namespace.pop(name, _NOTHING))
            for name, kind in cls.__annotations__.items()
            if not str(kind).startswith(("ClassVar", "typing.ClassVar"))
        }
        if shared := [name for name, one in own.items() if type(one.default).__hash__ is None]:
            raise TypeError(f"all instances would share the {shared[0]} of {cls.__qualname__}: give a default_factory")
        fields: dict[str, _Field] = {**getattr(cls, "_fields", {}), **own}
        values = attrgetter(*fields) if fields else lambda _: ()
        namespace |= {
            "__slots__": tuple(own),
            "__match_args__": tuple(name for name, one in fields.items() if one.init and not one.kw_only),
            "__qualname__": cls.__qualname__,
            "__replace__": replace,
            "__signature__": _SIGNATURE,
            "_fields": fields,
        }
        for name, method in {
            "__repr__": _repr,
            **(_equality(values, frozen=frozen) if eq else {}),
            **(_order(values) if order else {}),
            **(_FROZEN if frozen else {}),
        }.items():
            namespace.setdefault(name, method)
        kind: Any = type(cls)
        made = kind(cls.__name__, cls.__bases__, namespace)

        def first(self: Any, *values: Any, **named: Any) -> None:
            made.__init__ = _constructor(made, frozen=frozen)
            made.__init__(self, *values, **named)

        made.__init__ = first
        return made  # type: ignore[no-any-return]

    return decorate


def replace(one: T, **changes: Any) -> T:
    """An instance like *one* with some fields changed.

    Args:
        one: an instance of a slotted class.
        **changes: new values by field.

    Raises:
        TypeError: there is no such field, it cannot be given, or *one* is of another kind.
    """
    fields: dict[str, _Field] | None = getattr(type(one), "_fields", None)
    if not isinstance(fields, dict):
        raise TypeError(f"{type(one).__name__} is no slotted class: of a dataclass make another by dataclasses.replace")
    for name, known in fields.items():
        if known.init and name not in changes:
            changes[name] = getattr(one, name)
    return type(one)(**changes)


def _field(given: Any) -> _Field:
    return given if type(given) is _Field else _Field(given)


def _constructor(cls: Any, *, frozen: bool) -> Callable[..., None]:
    """The ``__init__`` of a slotted class: sets its slots, also where they cannot be set later."""
    fields: dict[str, _Field] = cls._fields
    names: dict[str, Any] = {"_nothing": _NOTHING}
    by_place, by_name, lines = ["self"], ["*"], []
    for number, (name, known) in enumerate(fields.items()):
        names |= {f"_put{number}": getattr(cls, name).__set__, f"_of{number}": known.factory or known.default}
        value = name
        if known.factory is not None:
            value = f"_of{number}() if {name} is _nothing else {name}" if known.init else f"_of{number}()"
        elif not known.init:
            value = f"_of{number}"
        lines.append(f"_put{number}(self, {value})" if frozen else f"self.{name} = {value}")
        if known.init:
            default = "_nothing" if known.factory is not None else f"_of{number}"
            word = name if default == f"_of{number}" and known.default is _NOTHING else f"{name}={default}"
            (by_name if known.kw_only else by_place).append(word)
    head = ", ".join(by_place + (by_name if len(by_name) > 1 else []))
    exec(f"def __init__({head}):\n {'; '.join(lines) or 'pass'}", names)  # noqa: S102 - made of names of fields alone
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name, one in self._fields.items() if one.repr)
    return f"{type(self).__qualname__}({fields})"


def _equality(values: Callable[[Any], Any], *, frozen: bool) -> dict[str, Any]:
    def equal(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    return {"__eq__": equal, "__hash__": hashed if frozen else None}


def _order(values: Callable[[Any], Any]) -> dict[str, Any]:
    def compared(by: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        def compare(self: Any, other: Any) -> bool:
            return by(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented

        return compare

    return {"__lt__": compared(lt), "__le__": compared(le), "__gt__": compared(gt), "__ge__": compared(ge)}


def _refuse(self: Any, name: str, *value: Any) -> None:
    if name in self._fields or "_fields" in vars(type(self)):
        raise AttributeError(f"{name} of a frozen {type(self).__name__} cannot be changed")
    # What a plain subclass has besides is its own.
    (object.__setattr__ if value else object.__delattr__)(self, name, *value)


def _restore(self: Any, state: Any) -> None:
    for part in state if isinstance(state, tuple) else (state,):
        for name, value in (part or {}).items():
            object.__setattr__(self, name, value)


_FROZEN = {"__setattr__": _refuse, "__delattr__": _refuse, "__setstate__": _restore}


class _Signature:
    """The constructor's signature, made when somebody asks for it, as ``help`` does."""

    def __get__(self, one: Any, owner: Any) -> Signature:
        from inspect import Signature, signature

        maker = next(kind for kind in owner.__mro__ if "__init__" in vars(kind))
        if one is not None or "_fields" not in vars(maker):  # asked of something that can be called, or of a subclass
            raise AttributeError("__signature__")
        found = signature(_constructor(owner, frozen=False))
        return Signature(list(found.parameters.values())[1:])


_SIGNATURE = _Signature()
