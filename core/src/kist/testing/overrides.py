"""overrides_contract: the only way to replace a test of a contract, with a reason that is printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kist.util.slotted import slotted

F = TypeVar("F", bound=Callable[..., object])

REASON = "__contract_override__"
"""Attribute that the decorator sets on a test."""


@slotted(frozen=True)
class Override:
    """One test of a contract that a plugin replaced.

    Args:
        contract: the class that replaced it.
        test: its name.
        reason: why.
    """

    contract: str
    test: str
    reason: str


declared: list[Override] = []
"""All overrides of this process, for the summary of a test run."""


def overrides_contract(reason: str) -> Callable[[F], F]:
    """Replace a test of a contract, and say why.

    Args:
        reason: one sentence, printed in the summary of every run.

    Returns:
        A decorator for the test.

    Raises:
        ValueError: no reason was given.

    Example:
        ``@overrides_contract("the provider has no prefix shorter than a folder")``
    """
    if not reason.strip():
        raise ValueError("a contract is overridden for a reason: say it")

    def mark(test: F) -> F:
        setattr(test, REASON, reason)
        return test

    return mark
