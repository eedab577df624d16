"""Contract: the base of the contract classes, which guards against tests that are replaced in silence."""

from __future__ import annotations

from typing import Any, ClassVar


class Contract:
    """Base of every ``<Kind>Contract``.

    A contract class says ``__test__ = False``, so that pytest collects its subclasses only. A subclass that has a test
    of the same name as its contract must mark it with ``@overrides_contract("reason")``.
    """

    __test__: ClassVar[bool] = False

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "__test__" not in vars(cls):
            cls.__test__ = True
        for name, value in vars(cls).items():
            replaces = name.startswith("test_") and any(name in vars(base) for base in cls.__mro__[1:])
            if replaces and not hasattr(value, "overrides_contract"):
                raise TypeError(f'{cls.__name__}.{name} replaces a contract test: add @overrides_contract("reason")')
