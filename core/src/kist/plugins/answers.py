"""What the hooks of a repository's life may answer: read to its end, and checked, while it is known who answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kist.errors import ContractViolation
from kist.plugins.blame import violation

_STATES = ("ok", "note", "warning", "error")


def checked(hook: str, answer: Any, distribution: str) -> Any:
    """An answer that its reader can trust; one that is made lazily is made here.

    Args:
        hook: the hook's whole name.
        answer: what the plugin returned.
        distribution: the distribution that brings the plugin.

    Returns:
        The answer; a tuple where the hook gives several values.

    Raises:
        ContractViolation: it is not what the hook's specification says: leaving it out would hide that from the user,
            and would lose data where it names what must be kept.
    """
    if hook == "kist_gc_roots":
        from kist.model.digest import Digest

        return _each(hook, answer, distribution, Digest, "digests (kist.Digest)")
    if hook == "kist_doctor":
        from kist.model.report import Finding

        found = _each(hook, answer, distribution, Finding, "findings (kist.model.Finding)")
        for one in found:
            if one.state not in _STATES:
                raise _violation(hook, one.state, distribution, f"a finding whose state is one of {', '.join(_STATES)}")
        return found
    if hook == "kist_status_sections":
        from kist.model.status import StatusSection

        if not isinstance(answer, StatusSection):
            raise _violation(hook, answer, distribution, "a kist.model.StatusSection")
    return answer


def _each(hook: str, answer: Any, distribution: str, kind: type, wanted: str) -> tuple[Any, ...]:
    if not isinstance(answer, Iterable):
        raise _violation(hook, answer, distribution, wanted)
    found = tuple(answer)
    for one in found:
        if not isinstance(one, kind):
            raise _violation(hook, one, distribution, wanted)
    return found


def _violation(hook: str, answer: object, distribution: str, wanted: str) -> ContractViolation:
    without = f"'kist config --global plugins.block {distribution}' does without it"
    return violation(distribution, f"{hook} gave {answer!r:.80}, not {wanted}", without)
