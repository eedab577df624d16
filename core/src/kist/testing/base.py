"""ContractBase: what all contract classes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from kist.testing import overrides
from kist.testing.overrides import REASON, Override


class ContractBase:
    """Base of contract classes: collected only where subclassed, and guarded against silently replaced tests.

    A contract sets ``__test__ = False``; the subclass of a plugin's author is collected by itself. Every test's
    docstring is one sentence of the contract.
    """

    __test__: ClassVar[bool] = False

    def __init_subclass__(cls, **options: object) -> None:
        """Refuse a replaced test without a reason.

        Args:
            options: passed on.

        Raises:
            TypeError: a test of a contract is replaced without ``overrides_contract``.
        """
        super().__init_subclass__(**options)
        if "__test__" not in cls.__dict__:
            cls.__test__ = True
        for name, test in vars(cls).items():
            if not name.startswith("test_") or not _in_contract(cls, name):
                continue
            reason = getattr(test, REASON, None)
            if reason is None:
                raise TypeError(
                    f"{cls.__qualname__}.{name} replaces a test of the contract; "
                    'if it must, decorate it with @overrides_contract("reason")'
                )
            overrides.declared.append(Override(cls.__qualname__, name, reason))


def _in_contract(cls: type, name: str) -> bool:
    return any(name in vars(base) for base in cls.__mro__[1:] if issubclass(base, ContractBase))


def sentences(contract: type[ContractBase]) -> dict[str, str]:
    """The contract as text.

    Args:
        contract: a contract class.

    Returns:
        Test name to its sentence, in the order in which the tests are defined.
    """
    found: dict[str, str] = {}
    for base in reversed(contract.__mro__):
        for name, test in vars(base).items():
            if name.startswith("test_"):
                found[name] = " ".join((test.__doc__ or "").split())
    return found


def difference(found: Sequence[object], wanted: Sequence[object]) -> str:
    """Compare much content, and say little: assertion tools that show megabytes can take hours for it.

    Args:
        found: bytes, or another sequence.
        wanted: what it should be.

    Returns:
        Nothing where they are equal, else lengths and the first difference.
    """
    if found == wanted:
        return ""
    pairs = enumerate(zip(found, wanted, strict=False))
    first = next((number for number, (one, other) in pairs if one != other), min(len(found), len(wanted)))
    return (
        f"{len(found)} items instead of {len(wanted)}; from number {first}: "
        f"{found[first : first + 8]!r:.300} instead of {wanted[first : first + 8]!r:.300}"
    )
