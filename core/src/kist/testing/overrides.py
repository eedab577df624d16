"""Replace a contract test openly: with a reason, which the test run's summary shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def overrides_contract(reason: str) -> Callable[[F], F]:
    """Mark a test that replaces one of its contract class.

    Args:
        reason: why this plugin cannot keep the original, one sentence.

    Returns:
        The decorator.

    Raises:
        ValueError: there is no reason.
    """
    if not reason.strip():
        raise ValueError("a contract test is replaced for a reason: give it")

    def mark(test: F) -> F:
        test.overrides_contract = reason  # type: ignore[attr-defined]
        return test

    return mark
